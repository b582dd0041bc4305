"""Metrics that judge heatmaps, and the table that names them.

A metric is a pure function on arrays (`deletion`, `insertion`, `pointing_game`). The table holds
an adapter of each, which takes cases, so that a study can call any metric in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradcam_eval.core import Case, Curve, Predict, Undefined
from gradcam_eval.metrics.agreement import Agreement, agreement
from gradcam_eval.metrics.complexity import (
    effective_complexity,
    entropy_complexity,
    gini_sparseness,
)
from gradcam_eval.metrics.faithfulness import deletion, insertion
from gradcam_eval.metrics.localization import pointing_game
from gradcam_eval.metrics.registry import (
    METRICS,
    Metric,
    Result,
    evaluate,
    find_metric,
    register_metric,
    result_value,
)
from gradcam_eval.metrics.robustness import (
    average_sensitivity,
    local_lipschitz,
    max_sensitivity,
)
from gradcam_eval.metrics.stability import flip_stability, jpeg_stability, shift_stability
from gradcam_eval.protocols import PointingProtocol, protocol

__all__ = [
    "METRICS",
    "Agreement",
    "Metric",
    "Result",
    "agreement",
    "average_sensitivity",
    "deletion",
    "effective_complexity",
    "entropy_complexity",
    "evaluate",
    "find_metric",
    "flip_stability",
    "gini_sparseness",
    "insertion",
    "jpeg_stability",
    "local_lipschitz",
    "max_sensitivity",
    "pointing_game",
    "register_metric",
    "result_value",
    "shift_stability",
]

_CURVES = ("rise2018", "rise2018_batch")


@register_metric(
    "deletion", needs="predict", unit="probability", higher_is_better=False, protocols=_CURVES
)
def _deletion(cases: Sequence[Case], predict: Predict | None, name: str) -> list[Curve | Undefined]:
    """Mean probability of the target while the most relevant pixels are removed first."""
    return _by_image(deletion, cases, predict, name)


@register_metric(
    "insertion", needs="predict", unit="probability", higher_is_better=True, protocols=_CURVES
)
def _insertion(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[Curve | Undefined]:
    """Mean probability of the target while the most relevant pixels come back first."""
    return _by_image(insertion, cases, predict, name)


@register_metric(
    "pointing_game",
    needs="truth",
    unit="hit (1) or miss (0)",
    higher_is_better=True,
    protocols=("pointing2018",),
)
def _pointing(cases: Sequence[Case], predict: Predict | None, name: str) -> list[bool | Undefined]:
    """Share of images on which the heatmap's highest point hits the annotated object."""
    rules = protocol(name, "pointing_game")
    assert isinstance(rules, PointingProtocol)
    return [_point(case, rules.tolerance_pixels) for case in cases]


def _point(case: Case, tolerance: float) -> bool | Undefined:
    """Judge one case in the original image's pixels, by its mask where there is one."""
    truth = case.original_truth
    heatmaps = case.heatmap[None]
    if truth.mask is not None and truth.mask.any():
        return pointing_game(heatmaps, masks=[truth.mask], tolerance=tolerance)[0]
    return pointing_game(heatmaps, boxes=[truth.boxes], tolerance=tolerance, size=truth.size)[0]


def _by_image(
    metric: Callable[..., list[Curve | Undefined]],
    cases: Sequence[Case],
    predict: Predict | None,
    name: str,
) -> list[Curve | Undefined]:
    """Call a metric once for each image, with all the heatmaps of that image."""
    groups: dict[int, list[int]] = {}
    for n, case in enumerate(cases):
        groups.setdefault(id(case.image), []).append(n)
    results: dict[int, Curve | Undefined] = {}
    for members in groups.values():
        image = cases[members[0]].image[None]
        heatmaps = [cases[n].heatmap for n in members]
        targets = [cases[n].target for n in members]
        found = metric(predict, image, heatmaps, targets, protocol=name)
        results.update(zip(members, found, strict=True))
    return [results[n] for n in range(len(cases))]
