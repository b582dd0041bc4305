"""Deletion and insertion: does the score fall, or rise, when relevant pixels go, or come?

Both follow Petsiuk, Das and Saenko (2018); each departure from their code is in the Notes of
`deletion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Case, Curve, Predict, Undefined
from gradcam_eval.metrics.cases import by_image, chosen
from gradcam_eval.metrics.curve_points import change_of, curves, removed_first
from gradcam_eval.metrics.inputs import Heatmaps, Request, checked_request, scored
from gradcam_eval.metrics.registry import register_metric
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
        "rise2018" (224 pixels a step), "rise2018_batch" (1792 pixels a step), "rise2018_adaptive"
        (few of the points of "rise2018": see `adaptive_curves`), "gaussian_clean" (without the
        quirks of their blur), "gaussian_clean_ties" (the mean over random orders of equal pixels;
        `Curve.ties` says what their order does), or your own record. "rise2018_label" reads the
        labels in a study; here what is read is given by `targets`.

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
    rules = chosen(protocol, "deletion", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(removed_first, predict, request, rules)


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
    The image starts blurred as in the authors' code: their kernel is nearly a flat box of 11 × 11
    pixels and sees the mean colour beyond the border, see `gradcam_eval.perturb.rise_blur`.
    "gaussian_clean" starts from a true Gaussian instead. Departures as for `deletion`.

    References
    ----------
    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models,
    BMVC 2018, arXiv:1806.07421.
    """
    rules = chosen(protocol, "insertion", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_insertion, predict, request, rules)


def _insertion(
    predict: Predict, request: Request, rules: FaithfulnessProtocol
) -> list[Curve | Undefined]:
    return curves(predict, request, rules, change_of(request, rules.start, is_insertion=True))


_RISE = (
    *("rise2018", "rise2018_batch", "rise2018_adaptive", "rise2018_label"),
    *("gaussian_clean", "gaussian_clean_ties"),
)


@register_metric(
    "deletion",
    needs="predict",
    unit="probability",
    bounds="0..1",
    higher_is_better=False,
    protocols=_RISE,
)
def _deletion_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[Curve | Undefined]:
    """Mean probability of the target while the most relevant pixels are removed first."""
    return by_image(removed_first, cases, predict, name, "deletion")


@register_metric(
    "insertion",
    needs="predict",
    unit="probability",
    bounds="0..1",
    higher_is_better=True,
    protocols=_RISE,
)
def _insertion_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[Curve | Undefined]:
    """Mean probability of the target while the most relevant pixels come back first."""
    return by_image(_insertion, cases, predict, name, "insertion")
