"""How far a study's heatmaps are from those of TensorFlow's live graph, as scores are checked too.

An input of a ReLU that is as near to its kink as float32 rounds falls on either side by chance, and
a heatmap of an earlier layer jumps with it. Two right computations can differ by some per cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradcam_eval.core import Sample
from gradcam_eval.methods import find_methods

if TYPE_CHECKING:
    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.methods.heatmaps import Heatmaps

COLUMNS = ("map_difference", "map_difference_at")


def checked_methods(methods: Sequence[str]) -> list[str]:
    """Return the methods that are checked: formulas of activations and gradients, one pass."""
    return [method.label for method in find_methods(methods) if method.kind == "cam"]


def compare_maps(
    live: Explainer | None, sample: Sample, explained: Heatmaps
) -> dict[str, float | str]:
    """Return the largest difference of an image's heatmaps from the live graph's, and where it is.

    ``max |L − L_live| / max |L_live|``, the largest over layers and methods.

    Parameters
    ----------
    live : of the same layers, with engine "tensorflow"; None where maps are not checked
    sample, explained : one image, and its heatmaps

    Returns
    -------
    dict with `COLUMNS`: the difference, and "layer · method"; empty where nothing is compared
    """
    if live is None:
        return {}
    reference = live(sample.image, int(explained.targets[0]))
    largest, place = 0.0, ""
    for key in reference:
        if key not in explained:
            continue
        mine, other = explained[key], reference[key]
        scale = float(np.abs(other).max())
        difference = float(np.abs(mine - other).max()) / scale if scale else 0.0
        if difference >= largest:
            largest, place = difference, " · ".join(key)
    return dict(zip(COLUMNS, (largest, place), strict=True)) if place else {}
