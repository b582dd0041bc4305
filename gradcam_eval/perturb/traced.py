"""The functions that a model compiles: images, masked inside the graph or ready, → their scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache
def masked_builder(image_shape: tuple[int, ...]) -> Callable[[Callable[[Any], Any]], Any]:
    """Return the builder of masked scores for one image size: the same object, a memo's key.

    What is built maps ranking, owner, count and target, a row for each point, and the images and
    ranks of all, to the points' scores and, as often, the number of classes. The size is fixed in
    the trace because many models (Flatten before Dense) need it.

    Ranks are float32 (N, H W C), one for each value of an image: where the channels of a pixel
    share one, OpenVINO takes a tenth of a forward pass to choose. And TensorFlow compares int32 on
    the host, also where there is a GPU.
    """

    def build(forward: Callable[[Any], Any]) -> Any:
        import tensorflow as tf

        values = math.prod(image_shape)

        def scores(ranking, owner, count, target, base, replacement, ranks):  # type: ignore[no-untyped-def]  # noqa: PLR0913
            replaced = tf.gather(ranks, ranking) < tf.cast(count, tf.float32)[:, None]
            flat = (tf.reshape(each, (-1, values)) for each in (replacement, base))
            changed, kept = (tf.gather(each, owner) for each in flat)
            images = tf.reshape(tf.where(replaced, changed, kept), (-1, *image_shape))
            return _score_of(forward(images), target)

        row = tf.TensorSpec((None,), tf.int32)
        images = tf.TensorSpec((None, *image_shape), tf.float32)
        ranks = tf.TensorSpec((None, values), tf.float32)
        signature = [row, row, row, row, images, images, ranks]
        return tf.function(scores, input_signature=signature, autograph=False)

    return build


@lru_cache
def batch_builder(image_shape: tuple[int, ...]) -> Callable[[Callable[[Any], Any]], Any]:
    """Return the builder of (images, targets) → (scores, number of classes) for one image size."""

    def build(forward: Callable[[Any], Any]) -> Any:
        import tensorflow as tf

        def scores(images, targets):  # type: ignore[no-untyped-def]
            return _score_of(forward(images), targets)

        signature = [tf.TensorSpec((None, *image_shape), tf.float32)]
        signature.append(tf.TensorSpec((None,), tf.int32))
        return tf.function(scores, input_signature=signature, autograph=False)

    return build


def _score_of(table: Any, target: Any) -> tuple[Any, Any]:
    """Return each row's score of its target, and the number of classes, while tracing.

    A target that does not exist reads another class; it is reported afterwards, in words.
    """
    import tensorflow as tf

    classes = tf.shape(table)[1]
    known = tf.clip_by_value(target, 0, classes - 1)
    # a sum, because OpenVINO's gather row by row reads targets beyond the last one
    is_target = tf.one_hot(known, classes, True, False)
    found = tf.reduce_sum(tf.where(is_target, table, tf.zeros((), table.dtype)), axis=1)
    return tf.cast(found, tf.float32), tf.fill(tf.shape(target), classes)
