"""Pixel flipping: the score while pixels are removed, from either end of the heatmap's ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Case, Curve, Predict, Undefined
from gradcam_eval.metrics.cases import by_image, chosen
from gradcam_eval.metrics.curve_points import removed_first
from gradcam_eval.metrics.inputs import Heatmaps, Request, checked_request, scored
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.protocols import FaithfulnessProtocol


def morf(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "flip_mean",
) -> list[Curve | Undefined]:
    """Measure how the score falls as the most relevant pixels are removed first (MoRF).

    Formula, parameters, result and errors as for `deletion`; lower is better. The protocols are
    "flip_mean", "flip_blur", "flip_imputed", "flip_mean_logit", "flip_mean_log_odds" and
    "flip_mean_label", which differ in their fill and in what is read off the model, or your own
    record.

    References
    ----------
    Samek et al.: Evaluating the Visualization of What a Deep Neural Network Has Learned,
    arXiv:1509.06321 (there with squares instead of pixels: see `aopc`).
    """
    rules = chosen(protocol, "morf", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(removed_first, predict, request, rules)


def lerf(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "flip_mean",
) -> list[Curve | Undefined]:
    """Measure how the score falls as the least relevant pixels are removed first (LeRF).

    As `morf`, from the other end: higher is better. Ties are in row-major order here as well, so
    that a map's LeRF order is not its MoRF order turned round where it has ties.
    """
    rules = chosen(protocol, "lerf", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_lerf, predict, request, rules)


def abpc(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "abpc_mean",
) -> list[float | Undefined]:
    """Measure the area between the LeRF and the MoRF curve.

    ``ABPC = area(LeRF) − area(MoRF)``, both with one fill. Parameters and errors as for `deletion`.
    In -1..1 for probabilities, 0 for a random order on average; higher is better.

    References
    ----------
    Schulz et al.: Restricting the Flow, ICLR 2020, arXiv:2001.00396.
    """
    rules = chosen(protocol, "abpc", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_abpc, predict, request, rules)


def _lerf(
    predict: Predict, request: Request, rules: FaithfulnessProtocol
) -> list[Curve | Undefined]:
    return removed_first(predict, request, rules, is_least_first=True)


def _abpc(
    predict: Predict, request: Request, rules: FaithfulnessProtocol
) -> list[float | Undefined]:
    pairs = zip(_lerf(predict, request, rules), removed_first(predict, request, rules), strict=True)
    return [_between(low_first, high_first) for low_first, high_first in pairs]


def _between(least: Curve | Undefined, most: Curve | Undefined) -> float | Undefined:
    if isinstance(least, Undefined) or isinstance(most, Undefined):
        return least if isinstance(least, Undefined) else most  # type: ignore[return-value]
    return least.area - most.area


_FLIP = (
    *("flip_mean", "flip_blur", "flip_imputed"),
    *("flip_mean_logit", "flip_mean_log_odds", "flip_mean_label"),
)


@register_metric(
    "morf",
    needs="predict",
    unit="score",
    bounds="0..1 for probabilities",
    higher_is_better=False,
    protocols=_FLIP,
)
def _morf_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[Curve | Undefined]:
    """Mean score while pixels are removed, the most relevant first."""
    return by_image(removed_first, cases, predict, name, "morf")


@register_metric(
    "lerf",
    needs="predict",
    unit="score",
    bounds="0..1 for probabilities",
    higher_is_better=True,
    protocols=_FLIP,
)
def _lerf_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[Curve | Undefined]:
    """Mean score while pixels are removed, the least relevant first."""
    return by_image(_lerf, cases, predict, name, "lerf")


@register_metric(
    "abpc",
    needs="predict",
    unit="score",
    bounds="-1..1 for probabilities",
    higher_is_better=True,
    protocols=("abpc_mean", "abpc_mean_log_odds"),
)
def _abpc_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Mean score with the least relevant pixels removed first, minus the most relevant first."""
    return by_image(_abpc, cases, predict, name, "abpc")
