"""Faithfulness: does the score fall, or rise, when the pixels a heatmap points at go, or come?

Both curves follow Petsiuk, Das and Saenko (2018). Each departure from their code is in the Notes
of `deletion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays, protocols
from gradcam_eval.core import Curve, Heatmap, InputError, Predict, Undefined
from gradcam_eval.metrics.inputs import Heatmaps, Request, as_predict, checked_request
from gradcam_eval.perturb import Perturbation, constant_fill, masked_scores, rise_blur
from gradcam_eval.protocols import FaithfulnessProtocol


def deletion(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "rise2018",
) -> list[Curve | Undefined]:
    """Measure how the target's score falls as the most relevant pixels are deleted first.

    ``score(k) = f(image, its k most relevant pixels replaced by the fill)[target]`` for
    ``k = 0, step, 2 step, ..., H W``; the area is the trapezoid over ``k / (H W)``.

    Parameters
    ----------
    predict : Predict, TraceablePredict or keras.Model
        Maps float32 images (n, H, W, C), 0..255, to probabilities (n, K). A Keras model and a
        `Predictor` run compiled; anything else is called in chunks.
    images : float32 (N, H, W, C) or (1, H, W, C), 0..255
        One image for each heatmap, or one for all of them.
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
        Larger is more relevant. Each is resized once, bilinearly, to (H, W).
    targets : N ints, 0..K-1
        The class explained by each heatmap.
    protocol : str or FaithfulnessProtocol
        "rise2018" (224 pixels a step), "rise2018_batch" (1792 pixels a step), or your own record.

    Returns
    -------
    list of Curve or Undefined, one for each heatmap
        `Curve.area` is in 0..1 for probabilities; lower is better. A heatmap that cannot rank
        pixels (constant, not finite, 1x1) is `Undefined`, and so is a score that is not finite.

    Raises
    ------
    InputError
        Shapes that do not fit, images outside 0..255, targets that the model does not have.

    Notes
    -----
    Departures from the authors' code (repository eclique/RISE):

    - The fill is the fixed colour (123.675, 116.28, 103.53), the zero of *their* normalised input,
      whatever normalisation this model has: numbers of different models share one fill.
    - Pixels of equal relevance go in row-major order. There, the order of ties is what an unstable
      sort leaves, reversed. A rectified map has large ties at zero, so this is visible.
    - The last step may be partial and the area uses true fractions. At 224 x 224 pixels both steps
      divide evenly, and the two areas are the same.
    - Targets are given, not the class predicted at the start; heatmaps of any size are resized.

    References
    ----------
    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models,
    BMVC 2018, arXiv:1806.07421.
    """
    rules = _rules(protocol, "deletion")
    request = checked_request(images, heatmaps, targets)
    fill = constant_fill(request.images, rules.deletion_colour)
    return _curves(as_predict(predict), request, rules, (request.images, fill))


def insertion(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "rise2018",
) -> list[Curve | Undefined]:
    """Measure how the target's score rises as the most relevant pixels come back first.

    ``score(k) = f(blurred image, its k most relevant pixels taken from the image)[target]`` for
    ``k = 0, step, 2 step, ..., H W``; the area is the trapezoid over ``k / (H W)``.

    Parameters
    ----------
    predict : Predict, TraceablePredict or keras.Model
        As for `deletion`.
    images : float32 (N, H, W, C) or (1, H, W, C), 0..255
        One image for each heatmap, or one for all of them.
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
        Larger is more relevant. Each is resized once, bilinearly, to (H, W).
    targets : N ints, 0..K-1
        The class explained by each heatmap.
    protocol : str or FaithfulnessProtocol
        As for `deletion`.

    Returns
    -------
    list of Curve or Undefined, one for each heatmap
        `Curve.area` is in 0..1 for probabilities; higher is better. Undefined as for `deletion`.

    Raises
    ------
    InputError
        As for `deletion`.

    Notes
    -----
    The image starts blurred as in the authors' code: see `gradcam_eval.perturb.rise_blur` for its
    kernel and its border. Departures as for `deletion`.

    References
    ----------
    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models,
    BMVC 2018, arXiv:1806.07421.
    """
    rules = _rules(protocol, "insertion")
    request = checked_request(images, heatmaps, targets)
    blurred = rise_blur(
        request.images,
        kernel=rules.blur_kernel,
        sigma=rules.blur_sigma,
        border=rules.blur_border,
    )
    return _curves(as_predict(predict), request, rules, (blurred, request.images))


def step_counts(pixels: int, step: int) -> NDArray[np.int32]:
    """Return how many pixels are changed at each point: 0, step, 2 step, ..., all of them.

    Examples
    --------
    >>> step_counts(10, 4).tolist()
    [0, 4, 8, 10]
    """
    if step < 1:
        raise InputError(f"a step of {step} pixels never ends: give at least 1.")
    return np.append(np.arange(0, pixels, step), pixels).astype(np.int32)


def _rules(name: str | FaithfulnessProtocol, metric: str) -> FaithfulnessProtocol:
    found = protocols.protocol(name, metric) if isinstance(name, str) else name
    if not isinstance(found, FaithfulnessProtocol):
        raise InputError(
            f"{metric} got a protocol of type {type(found).__name__}: give the name of a protocol "
            "or a FaithfulnessProtocol."
        )
    return found


def _curves(
    predict: Predict,
    request: Request,
    rules: FaithfulnessProtocol,
    before_after: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> list[Curve | Undefined]:
    """Rank each heatmap that can be ranked, and read the scores of all of them in one go."""
    height, width = request.images.shape[1:3]
    results: dict[int, Curve | Undefined] = {}
    resized: dict[int, Heatmap] = {}
    for n, heatmap in enumerate(request.heatmaps):
        framed, reason = _framed(heatmap, (height, width))
        if reason:
            results[n] = Undefined(reason)
        else:
            resized[n] = framed
    if resized:
        kept = np.fromiter(resized, np.int32)
        plan = Perturbation(
            *before_after,
            owner=kept if len(request.images) > 1 else np.zeros_like(kept),
            ranks=np.stack([arrays.rank_pixels(each) for each in resized.values()]),
            counts=step_counts(height * width, rules.step_pixels),
            targets=request.targets[kept],
        )
        fraction = plan.counts / (height * width)
        for n, score in zip(kept.tolist(), masked_scores(predict, plan), strict=True):
            results[n] = _curve(fraction, score)
    return [results[n] for n in range(len(request.heatmaps))]


def _framed(heatmap: Heatmap, size: tuple[int, int]) -> tuple[Heatmap, str | None]:
    """Return the heatmap in the image's frame, and why it cannot rank pixels, if so."""
    reason = arrays.degenerate_reason(heatmap)
    if reason:
        return heatmap, reason
    framed = arrays.resize(heatmap, size)
    return framed, arrays.degenerate_reason(framed)  # a smaller frame may lose what differed


def _curve(fraction: NDArray[np.float64], score: NDArray[np.float64]) -> Curve | Undefined:
    if not np.isfinite(score).all():
        return Undefined("the model's score is not finite")
    return Curve(fraction, score)
