"""Replace pixels of images by a fill, many at a time, and read the model's score each time.

The fills are NumPy. The masked images of a TensorFlow model are built inside its compiled
function, so Python does nothing per point; any other model gets the same images in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gradcam_eval.core import InputError, Predict

CHUNK = 32  # points in one forward pass, at most: enough to fill 2 to 8 cores, small in memory
_LARGEST_RANK = 2**24  # float32 holds every integer up to here


def constant_fill(images: NDArray[np.float32], colour: Sequence[float]) -> NDArray[np.float32]:
    """Return images of one colour, shaped like `images` (N, H, W, C); `colour` has C values."""
    _same_channels(images, colour)
    return np.broadcast_to(np.asarray(colour, np.float32), images.shape).copy()


def rise_blur(
    images: NDArray[np.float32], *, kernel: int, sigma: float, border: Sequence[float]
) -> NDArray[np.float32]:
    """Blur images as the authors of RISE do for insertion.

    ``blurred = border + correlate(images - border, k)``, zero outside the image, where ``k`` is
    what `scipy.ndimage.gaussian_filter` makes of an impulse in the middle of a kernel x kernel
    square.

    Parameters
    ----------
    images : float32 (N, H, W, C), 0..255
        What to blur.
    kernel : int, odd
        Side of the square kernel in pixels.
    sigma : float
        Standard deviation of the Gaussian in pixels.
    border : C floats, 0..255
        The colour seen beyond the border.

    Returns
    -------
    float32 (N, H, W, C), 0..255

    Notes
    -----
    The reference code convolves the *normalised* image with zero padding: zero is the mean colour
    there, so in 0..255 terms the border is the mean colour, not black. A convolution is linear and
    its kernel sums to 1, so the division by the standard deviation cancels out.

    SciPy reflects the impulse at the border of the small square, which folds the cut tails of the
    Gaussian back in: with 11 pixels and sigma 5 the kernel is almost a box (0.0077 to 0.0088
    against 1/121 = 0.0083). It is kept so, because the published numbers were made with it.

    References
    ----------
    Petsiuk, Das, Saenko: RISE, BMVC 2018; repository eclique/RISE, evaluation.py (gkern).
    """
    _same_channels(images, border)
    impulse = np.zeros(kernel)
    impulse[kernel // 2] = 1
    weights = ndimage.gaussian_filter1d(impulse, sigma, mode="reflect")
    colour = np.asarray(border, np.float64)
    blurred = images.astype(np.float64) - colour
    for axis in (1, 2):
        blurred = ndimage.correlate1d(blurred, weights, axis=axis, mode="constant", cval=0.0)
    return (blurred + colour).astype(np.float32)


def _same_channels(images: NDArray[np.float32], colour: Sequence[float]) -> None:
    if images.shape[-1] != len(colour):
        raise InputError(
            f"images have {images.shape[-1]} channels, but the fill colour {tuple(colour)} has "
            f"{len(colour)}: give images with {len(colour)} channels, or a protocol with another "
            "fill."
        )


@dataclass(frozen=True, eq=False)
class Perturbation:
    """Which pixels of which image are replaced at each of S points, for N rankings of I images.

    Point (n, s) is image `owner[n]`, where pixels with `ranks[n] < counts[s]` come from
    `replacement` and all others from `base`. Several heatmaps of one image share its pixels.

    Attributes
    ----------
    base, replacement : float32 (I, H, W, C), 0..255
    owner : int32 (N,), the image that each ranking belongs to, 0..I-1
    ranks : int32 (N, H, W), each a permutation of 0..H*W-1
    counts : int32 (S,), pixels replaced, 0..H*W
    targets : int32 (N,), the class whose score is read
    """

    base: NDArray[np.float32]
    replacement: NDArray[np.float32]
    owner: NDArray[np.int32]
    ranks: NDArray[np.int32]
    counts: NDArray[np.int32]
    targets: NDArray[np.int32]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rankings N and of points S."""
        return len(self.ranks), len(self.counts)


def masked_scores(
    predict: Predict, plan: Perturbation, *, chunk: int | None = None
) -> NDArray[np.float64]:
    """Return the target's score at every point of a perturbation.

    Parameters
    ----------
    predict : Predict or TraceablePredict
        A black box, or a model whose compiled function builds the images itself.
    plan : Perturbation
        What is replaced, and where.
    chunk : int, optional
        Points in one forward pass; by default the number up to `CHUNK` that divides best.

    Returns
    -------
    float64 (N, S), the score of `plan.targets[n]` at each point, in the unit of `predict`

    Raises
    ------
    InputError : a target that the model does not have, or scores of another shape than (n, K)

    Notes
    -----
    Both ways compute the same images bit for bit. The compiled way has one trace per image size,
    for every number of rankings, points and chunk sizes.
    """
    rankings, points = plan.shape
    if rankings * points == 0:
        return np.zeros(plan.shape)
    size = chunk or best_chunk(rankings * points)
    if callable(getattr(predict, "compiled", None)):
        return _compiled_scores(predict, plan, size)
    return _black_box_scores(predict, plan, size)


def best_chunk(total: int, largest: int = CHUNK) -> int:
    """Choose the chunk from largest/2 to largest that leaves the fewest idle places at the end.

    Examples
    --------
    >>> best_chunk(225), best_chunk(29), best_chunk(5)
    (25, 29, 5)
    """
    if total <= largest:
        return total
    return min(range(largest // 2, largest + 1), key=lambda size: (-total % size, -size))


def _black_box_scores(predict: Predict, plan: Perturbation, chunk: int) -> NDArray[np.float64]:
    """Build the masked images in NumPy, a chunk at a time."""
    rankings, points = plan.shape
    scores = np.empty(rankings * points)
    for start in range(0, len(scores), chunk):
        index = np.arange(start, min(start + chunk, len(scores)))
        ranking, point = np.divmod(index, points)
        replaced = plan.ranks[ranking] < plan.counts[point, None, None]
        owner = plan.owner[ranking]
        images = np.where(replaced[..., None], plan.replacement[owner], plan.base[owner])
        found = np.asarray(predict(images))
        if found.ndim != 2 or len(found) != len(images):
            raise InputError(
                f"the model returned scores of shape {found.shape} for {len(images)} images: "
                "predict must return one row of class probabilities for each image, (N, K)."
            )
        _check_targets(plan.targets, found.shape[1])
        scores[index] = found[np.arange(len(index)), plan.targets[ranking]]
    return scores.reshape(plan.shape)


def _check_targets(targets: NDArray[np.int32], classes: int) -> None:
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise InputError(
            f"target {int(wrong[0])} does not exist: the model has {classes} classes, "
            f"so targets are 0 to {classes - 1}."
        )


def _compiled_scores(predict: Any, plan: Perturbation, chunk: int) -> NDArray[np.float64]:
    """Hand the whole plan to the model's compiled function: one call, however many points."""
    if plan.ranks[0].size > _LARGEST_RANK:
        raise InputError(f"images have {plan.ranks[0].size} pixels: at most {_LARGEST_RANK}.")
    function = predict.compiled(_builder(plan.base.shape[1:]))
    scores, classes = function(
        plan.base,
        plan.replacement,
        plan.owner,
        plan.ranks,
        plan.counts,
        plan.targets,
        np.int32(chunk),
    )
    _check_targets(plan.targets, int(classes))
    return scores.numpy().astype(np.float64).reshape(plan.shape)


@lru_cache
def _builder(image_shape: tuple[int, ...]) -> Callable[[Callable[[Any], Any]], Any]:
    """Return the builder for one image size: always the same object, for it is a memo's key.

    The size is fixed in the trace because many models (Flatten before Dense) need it.
    """

    def build(forward: Callable[[Any], Any]) -> Any:
        import tensorflow as tf

        images = tf.TensorSpec((None, *image_shape), tf.float32)
        ranks = tf.TensorSpec((None, *image_shape[:2]), tf.int32)
        vector, scalar = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((), tf.int32)
        signature = [images, images, vector, ranks, vector, vector, scalar]
        return tf.function(_traced(forward), input_signature=signature, autograph=False)

    return build


def _traced(forward: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return the graph loop over chunks of points; see `Perturbation` for its arguments."""
    import tensorflow as tf

    def scores(base, replacement, owner, ranks, counts, targets, chunk):  # type: ignore[no-untyped-def]  # noqa: PLR0913
        points = tf.size(counts)
        total = tf.size(targets) * points
        # float32, because TensorFlow compares int32 on the host, also where there is a GPU
        order, limits = tf.cast(ranks, tf.float32), tf.cast(counts, tf.float32)

        def step(start: Any, found: Any, classes: Any) -> tuple[Any, Any, Any]:
            # the last chunk repeats the last point, so that all chunks have one shape
            index = tf.minimum(start + tf.range(chunk), total - 1)
            ranking, point = index // points, index % points
            replaced = tf.gather(order, ranking) < tf.gather(limits, point)[:, None, None]
            image = tf.gather(owner, ranking)
            changed = tf.gather(replacement, image)
            batch = tf.where(replaced[..., None], changed, tf.gather(base, image))
            probabilities = forward(batch)
            classes = tf.shape(probabilities)[1]
            # a target that does not exist is reported after the loop, in words
            target = tf.clip_by_value(tf.gather(targets, ranking), 0, classes - 1)
            score = tf.gather(probabilities, target, axis=1, batch_dims=1)
            found = found.write(start // chunk, tf.cast(score, tf.float32))
            return start + chunk, found, classes

        chunks = (total + chunk - 1) // chunk
        found = tf.TensorArray(tf.float32, size=chunks, element_shape=(None,))
        _, found, classes = tf.while_loop(
            lambda start, *_: start < total, step, (0, found, 0), parallel_iterations=1
        )
        return found.concat()[:total], classes

    return scores
