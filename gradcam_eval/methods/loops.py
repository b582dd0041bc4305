"""Loops inside the compiled pass: a model is asked many times, a chunk of images at a time.

The items of a loop are numbered image by image: item i is perturbation i % each of image i // each.
The chunks are as even as possible and never larger than asked, so nothing is computed twice and
memory is that of one chunk, however many perturbations there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gradcam_eval.core import check_whole


def fold(
    step: Callable[..., tuple[Any, ...]], state: tuple[Any, ...], *, total: Any, chunk: int
) -> tuple[Any, ...]:
    """Return the state after `step` went through the items 0..total-1.

    Parameters
    ----------
    step : int32 (m,) items, *state → the new state, tensors of the old one's shapes and types
    state : tensors to begin with
    total : int32 scalar tensor, how many items
    chunk : most items in one step
    """
    chunks = tf.maximum(1, -(-total // chunk))
    size = -(-total // chunks)

    def body(number: Any, *before: Any) -> tuple[Any, ...]:
        items = tf.range(number * size, tf.minimum((number + 1) * size, total))
        after = step(items, *before)
        for new, old in zip(after, before, strict=True):
            new.set_shape(old.shape)
        return (number + 1, *after)

    _, *last = tf.while_loop(
        lambda number, *_: number < chunks, body, (0, *state), parallel_iterations=1
    )
    return tuple(last)


def collect(score: Callable[[Any, Any], Any], count: Any, each: int, chunk: int) -> Any:
    """Return the scores of `each` perturbations of `count` images: float32 (count, each).

    Parameters
    ----------
    score : image (m,), perturbation (m,), both int32 → (m,)
    """

    def step(items: Any, found: Any) -> tuple[Any]:
        scores = tf.cast(score(items // each, items % each), tf.float32)
        return (tf.tensor_scatter_nd_update(found, items[:, None], scores),)

    total = count * each
    (found,) = fold(step, (tf.zeros((total,)),), total=total, chunk=chunk)
    return tf.reshape(found, (-1, each))


def per_image(values: Any, image: Any, like: Any) -> Any:
    """Sum values (m, …) by the image (m,) they belong to; the result has the shape of `like`."""
    return tf.math.unsorted_segment_sum(tf.cast(values, like.dtype), image, tf.shape(like)[0])


def everyone(images: Any) -> Any:
    """Return the owners of the explained images themselves: 0..N-1, int32."""
    return tf.range(tf.shape(images)[0])


def blend(images: Any, mask: Any, colour: Any) -> Any:
    """Return mask · image + (1 − mask) · colour: (m, H, W, C), (m, H, W), (m, 1, 1, C)."""
    return colour + mask[..., None] * (images - colour)


def check_count(method: str, option: str, value: int, lowest: int = 1) -> None:
    """Raise InputError unless an option that counts something is at least `lowest`."""
    check_whole(f"{method}: {option}", value, lowest)
