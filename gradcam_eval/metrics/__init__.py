"""Metrics that judge heatmaps, and the table that names them.

A metric is a pure function on arrays (`deletion`, `insertion`, `pointing_game`). The table holds
an adapter of each, which takes cases, so that a study can call any metric in one way.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_eval.core import Case, Predict, Undefined
from gradcam_eval.metrics.agreement import Agreement, agreement
from gradcam_eval.metrics.complexity import (
    effective_complexity,
    entropy_complexity,
    gini_sparseness,
)
from gradcam_eval.metrics.curves import abpc, deletion, insertion, lerf, morf
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
    "abpc",
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
    "lerf",
    "local_lipschitz",
    "max_sensitivity",
    "morf",
    "pointing_game",
    "register_metric",
    "result_value",
    "shift_stability",
]


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
