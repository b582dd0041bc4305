"""Metrics that judge heatmaps, and the table that names them.

A metric is a pure function on arrays (`deletion`, `insertion`, `pointing_game`). The table holds
an adapter of each, which takes cases, so that a study can call any metric in one way.
"""

from __future__ import annotations

from gradcam_eval.metrics.agreement import Agreement, agreement
from gradcam_eval.metrics.boxes import localization_error
from gradcam_eval.metrics.complexity import (
    effective_complexity,
    entropy_complexity,
    gini_sparseness,
)
from gradcam_eval.metrics.curves import deletion, insertion
from gradcam_eval.metrics.disconnected import difull, dipart
from gradcam_eval.metrics.drop import average_drop, average_gain, increase_in_confidence
from gradcam_eval.metrics.energy import (
    energy_pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    top_k_intersection,
)
from gradcam_eval.metrics.evaluation import evaluate, evaluate_all, result_value
from gradcam_eval.metrics.flipping import abpc, lerf, morf
from gradcam_eval.metrics.grids import grid_pointing_game, make_mosaics, mosaic_samples
from gradcam_eval.metrics.instances import instance_evenness, instance_fair_share, instance_recall
from gradcam_eval.metrics.local_fidelity import infidelity
from gradcam_eval.metrics.max_box import max_box_acc
from gradcam_eval.metrics.overlap import iou
from gradcam_eval.metrics.own_protocols import register_protocol
from gradcam_eval.metrics.pixel_precision import pxap
from gradcam_eval.metrics.pixel_scores import pixel_average_precision, pixel_roc_auc
from gradcam_eval.metrics.pointing import pointing_game
from gradcam_eval.metrics.region_removal import aopc, irof
from gradcam_eval.metrics.registry import (
    METRICS,
    Metric,
    Result,
    find_metric,
    register_metric,
)
from gradcam_eval.metrics.remove_debias import road, road_lerf, road_morf
from gradcam_eval.metrics.robustness import (
    average_sensitivity,
    local_lipschitz,
    max_sensitivity,
)
from gradcam_eval.metrics.stability import flip_stability, jpeg_stability, shift_stability
from gradcam_eval.metrics.subsets import faithfulness_correlation, sensitivity_n
from gradcam_eval.metrics.ties import TieSensitivity, tie_sensitivity, tie_share

__all__ = [
    "METRICS",
    "Agreement",
    "Metric",
    "Result",
    "TieSensitivity",
    "abpc",
    "agreement",
    "aopc",
    "average_drop",
    "average_gain",
    "average_sensitivity",
    "deletion",
    "difull",
    "dipart",
    "effective_complexity",
    "energy_pointing_game",
    "entropy_complexity",
    "evaluate",
    "evaluate_all",
    "faithfulness_correlation",
    "find_metric",
    "flip_stability",
    "gini_sparseness",
    "grid_pointing_game",
    "increase_in_confidence",
    "infidelity",
    "insertion",
    "instance_evenness",
    "instance_fair_share",
    "instance_recall",
    "iou",
    "irof",
    "jpeg_stability",
    "lerf",
    "local_lipschitz",
    "localization_error",
    "make_mosaics",
    "max_box_acc",
    "max_sensitivity",
    "morf",
    "mosaic_samples",
    "pixel_average_precision",
    "pixel_roc_auc",
    "pointing_game",
    "pxap",
    "register_metric",
    "register_protocol",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "result_value",
    "road",
    "road_lerf",
    "road_morf",
    "sensitivity_n",
    "shift_stability",
    "tie_sensitivity",
    "tie_share",
    "top_k_intersection",
]
