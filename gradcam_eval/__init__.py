"""gradcam-eval: benchmark Grad-CAM and its relatives on Keras 3.

Names are loaded when they are first used, so that `import gradcam_eval` is quick and what needs no
TensorFlow does not import it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradcam_eval.callback import HeatmapCallback
    from gradcam_eval.contracts import check_method
    from gradcam_eval.core import Case, Curve, InputError, Sample, Undefined
    from gradcam_eval.data import entries_from_dataset, load_samples, open_source
    from gradcam_eval.data.decode import load_image
    from gradcam_eval.data.geometry import Framing
    from gradcam_eval.methods import METHODS, register_method
    from gradcam_eval.methods.explainer import Explainer, explain
    from gradcam_eval.methods.heatmap_file import load_heatmaps
    from gradcam_eval.methods.heatmaps import Heatmaps
    from gradcam_eval.methods.layer_values import activations_and_gradients
    from gradcam_eval.metrics import (
        METRICS,
        abpc,
        aopc,
        average_drop,
        average_gain,
        deletion,
        difull,
        dipart,
        energy_pointing_game,
        faithfulness_correlation,
        grid_pointing_game,
        increase_in_confidence,
        infidelity,
        insertion,
        instance_evenness,
        instance_fair_share,
        instance_recall,
        iou,
        irof,
        lerf,
        localization_error,
        make_mosaics,
        max_box_acc,
        morf,
        mosaic_samples,
        pixel_average_precision,
        pixel_roc_auc,
        pointing_game,
        pxap,
        register_metric,
        register_protocol,
        relevance_mass_accuracy,
        relevance_rank_accuracy,
        road,
        road_lerf,
        road_morf,
        sensitivity_n,
        tie_sensitivity,
        tie_share,
        top_k_intersection,
    )
    from gradcam_eval.metrics.agreement import Agreement, agreement
    from gradcam_eval.metrics.black_box import BlackBox
    from gradcam_eval.metrics.levels import in_levels
    from gradcam_eval.models.catalogue import model_spec
    from gradcam_eval.models.engine import Predictor
    from gradcam_eval.models.layers import list_layers
    from gradcam_eval.models.zoo import load_model
    from gradcam_eval.report.overlay import overlay
    from gradcam_eval.results import Results, compare_ranks, run_study
    from gradcam_eval.sanity.check import SanityCheck
    from gradcam_eval.sanity.classes import (
        class_sensitivity,
        data_randomisation,
        permuted_labels,
    )
    from gradcam_eval.sanity.invariance import input_invariance
    from gradcam_eval.sanity.randomisation import parameter_randomisation
    from gradcam_eval.study.config import Study
    from gradcam_eval.timing import measure_cost

_HOMES = {
    "gradcam_eval.callback": ("HeatmapCallback",),
    "gradcam_eval.contracts": ("check_method",),
    "gradcam_eval.core": ("Case", "Curve", "InputError", "Sample", "Undefined"),
    "gradcam_eval.data": ("entries_from_dataset", "load_samples", "open_source"),
    "gradcam_eval.data.decode": ("load_image",),
    "gradcam_eval.data.geometry": ("Framing",),
    "gradcam_eval.methods": ("METHODS", "register_method"),
    "gradcam_eval.methods.explainer": ("Explainer", "explain"),
    "gradcam_eval.methods.heatmap_file": ("load_heatmaps",),
    "gradcam_eval.methods.heatmaps": ("Heatmaps",),
    "gradcam_eval.methods.layer_values": ("activations_and_gradients",),
    "gradcam_eval.metrics": (
        "METRICS",
        "abpc",
        "aopc",
        "average_drop",
        "average_gain",
        "deletion",
        "difull",
        "dipart",
        "energy_pointing_game",
        "faithfulness_correlation",
        "grid_pointing_game",
        "increase_in_confidence",
        "infidelity",
        "insertion",
        "instance_evenness",
        "instance_fair_share",
        "instance_recall",
        "iou",
        "irof",
        "lerf",
        "localization_error",
        "make_mosaics",
        "max_box_acc",
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
        "road",
        "road_lerf",
        "road_morf",
        "sensitivity_n",
        "tie_sensitivity",
        "tie_share",
        "top_k_intersection",
    ),
    "gradcam_eval.metrics.agreement": ("Agreement", "agreement"),
    "gradcam_eval.metrics.black_box": ("BlackBox",),
    "gradcam_eval.metrics.levels": ("in_levels",),
    "gradcam_eval.models.engine": ("Predictor",),
    "gradcam_eval.models.layers": ("list_layers",),
    "gradcam_eval.models.catalogue": ("model_spec",),
    "gradcam_eval.models.zoo": ("load_model",),
    "gradcam_eval.report.overlay": ("overlay",),
    "gradcam_eval.results": ("Results", "compare_ranks", "run_study"),
    "gradcam_eval.sanity.check": ("SanityCheck",),
    "gradcam_eval.sanity.classes": (
        "class_sensitivity",
        "data_randomisation",
        "permuted_labels",
    ),
    "gradcam_eval.sanity.invariance": ("input_invariance",),
    "gradcam_eval.sanity.randomisation": ("parameter_randomisation",),
    "gradcam_eval.study.config": ("Study",),
    "gradcam_eval.timing": ("measure_cost",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "METHODS",
    "METRICS",
    "Agreement",
    "BlackBox",
    "Case",
    "Curve",
    "Explainer",
    "Framing",
    "HeatmapCallback",
    "Heatmaps",
    "InputError",
    "Predictor",
    "Results",
    "Sample",
    "SanityCheck",
    "Study",
    "Undefined",
    "abpc",
    "activations_and_gradients",
    "agreement",
    "aopc",
    "average_drop",
    "average_gain",
    "check_method",
    "class_sensitivity",
    "compare_ranks",
    "data_randomisation",
    "deletion",
    "difull",
    "dipart",
    "energy_pointing_game",
    "entries_from_dataset",
    "explain",
    "faithfulness_correlation",
    "grid_pointing_game",
    "in_levels",
    "increase_in_confidence",
    "infidelity",
    "input_invariance",
    "insertion",
    "instance_evenness",
    "instance_fair_share",
    "instance_recall",
    "iou",
    "irof",
    "lerf",
    "list_layers",
    "load_heatmaps",
    "load_image",
    "load_model",
    "load_samples",
    "localization_error",
    "make_mosaics",
    "max_box_acc",
    "measure_cost",
    "model_spec",
    "morf",
    "mosaic_samples",
    "open_source",
    "overlay",
    "parameter_randomisation",
    "permuted_labels",
    "pixel_average_precision",
    "pixel_roc_auc",
    "pointing_game",
    "pxap",
    "register_method",
    "register_metric",
    "register_protocol",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "road",
    "road_lerf",
    "road_morf",
    "run_study",
    "sensitivity_n",
    "tie_sensitivity",
    "tie_share",
    "top_k_intersection",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module, the first time it is asked for."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'gradcam_eval' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
