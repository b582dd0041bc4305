"""Each pixel as a case of a binary test: is it the object's, judged by the heatmap's value?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Boxes, Case, Heatmap, Mask, Predict, Undefined
from gradcam_eval.metrics.cases import chosen
from gradcam_eval.metrics.inputs import Heatmaps
from gradcam_eval.metrics.regions import Ignore, Region, judge_cases, judge_maps
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.protocols import OverlapProtocol


def pixel_roc_auc(
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    size: tuple[int, int] | None = None,
) -> list[float | Undefined]:
    """Return the chance that a pixel of the object has a higher value than one of the background.

    ``P(L_p > L_q) + P(L_p = L_q) / 2`` for p drawn from the object and q from the background: the
    area under the ROC curve.

    Parameters
    ----------
    heatmaps, boxes, masks, ignore, size
        As for `pointing_game`. Ignored pixels are neither object nor background.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0..1, higher is better, 0.5 for a map that cannot tell. Undefined where the truth is empty
        or leaves no background, or the heatmap is constant or not finite.

    Raises
    ------
    InputError
        As for `pointing_game`.

    Examples
    --------
    >>> pixel_roc_auc(np.array([[[3.0, 1.0], [2.0, 1.0]]]), boxes=[np.array([[0, 0, 2, 1]])])
    [0.625]
    """
    return judge_maps(heatmaps, (boxes, masks, ignore, size), _roc_auc)


def pixel_average_precision(
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    size: tuple[int, int] | None = None,
) -> list[float | Undefined]:
    """Return the average precision of each heatmap's pixels.

    ``Σ_t precision(t) (recall(t) - recall(t'))`` over the map's distinct values t, descending, with
    t' the one before t; pixels of value t and above are taken for the object.

    Parameters
    ----------
    heatmaps, boxes, masks, ignore, size
        As for `pointing_game`. Ignored pixels are neither object nor background.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0..1, higher is better; the object's share of the pixels for a map that cannot tell.
        Undefined as for `pixel_roc_auc`.

    Raises
    ------
    InputError
        As for `pointing_game`.

    Notes
    -----
    This is the value of one image, at its own values; `pxap` pools the pixels of a data set.
    Without interpolation, as scikit-learn's `average_precision_score`. Pixels of one value are
    taken together, so ties have no order. Recall grows at the object's pixels alone, by the same
    step at each, so the sum is the mean precision over them.
    """
    return judge_maps(heatmaps, (boxes, masks, ignore, size), _average_precision)


def _roc_auc(heatmap: Heatmap, region: Region) -> float | Undefined:
    sides = _sorted(heatmap, region)
    if isinstance(sides, Undefined):
        return sides
    true, false = sides
    below, up_to = (np.searchsorted(false, true, side=side) for side in ("left", "right"))
    return float((below + up_to).sum() / 2 / (true.size * false.size))


def _average_precision(heatmap: Heatmap, region: Region) -> float | Undefined:
    """Return the mean, over the object's pixels, of the precision at each one's value."""
    sides = _sorted(heatmap, region)
    if isinstance(sides, Undefined):
        return sides
    hits, misses = (each.size - np.searchsorted(each, sides[0], side="left") for each in sides)
    return float((hits / (hits + misses)).mean())


def _sorted(heatmap: Heatmap, region: Region) -> tuple[Heatmap, Heatmap] | Undefined:
    """Return the values of the object's pixels and of the background's, ascending."""
    false = heatmap[region.background]
    if not false.size:
        return Undefined("no pixel is background")
    return np.sort(heatmap[region.inside]), np.sort(false)


@register_metric(
    "pixel_roc_auc",
    needs="truth",
    unit="area under the ROC curve",
    higher_is_better=True,
    protocols=("pixels_v1",),
)
def _roc(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Chance that a pixel of the object has a higher value than one of the background."""
    rules = chosen(name, "pixel_roc_auc", OverlapProtocol)
    return judge_cases(cases, _roc_auc, drawn=rules.drawn, frame=rules.frame)


@register_metric(
    "pixel_average_precision",
    needs="truth",
    unit="average precision",
    higher_is_better=True,
    protocols=("pixels_v1",),
)
def _precision(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[float | Undefined]:
    """Mean precision of the image's pixels as the heatmap ranks them."""
    rules = chosen(name, "pixel_average_precision", OverlapProtocol)
    return judge_cases(cases, _average_precision, drawn=rules.drawn, frame=rules.frame)
