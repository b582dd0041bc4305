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
    taken together, so ties have no order.
    """
    return judge_maps(heatmaps, (boxes, masks, ignore, size), _average_precision)


def _roc_auc(heatmap: Heatmap, region: Region) -> float | Undefined:
    counts = _counts(heatmap, region)
    if isinstance(counts, Undefined):
        return counts
    true, false = counts
    gained = np.diff(false, prepend=0)
    before = np.concatenate([[0], true[:-1]])
    return float((gained * (before + true)).sum() / 2 / (true[-1] * false[-1]))


def _average_precision(heatmap: Heatmap, region: Region) -> float | Undefined:
    counts = _counts(heatmap, region)
    if isinstance(counts, Undefined):
        return counts
    true, false = counts
    return float((true / (true + false) * np.diff(true, prepend=0)).sum() / true[-1])


def _counts(
    heatmap: Heatmap, region: Region
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | Undefined:
    """Return, for each distinct value, descending, how many pixels of both kinds reach it."""
    if region.ignore is None:
        values, inside = heatmap.reshape(-1), region.inside.reshape(-1)
    else:
        values, inside = heatmap[~region.ignore], region.inside[~region.ignore]
    if inside.all():
        return Undefined("no pixel is background")
    keys = np.sort(_keys(values, inside))[::-1]
    last = np.flatnonzero(np.diff(keys >> 1, append=-1))  # the last pixel of each value
    true = np.cumsum(keys & 1, dtype=np.float64)[last]
    return true, last + 1 - true


def _keys(values: Heatmap, inside: Mask) -> NDArray[np.int64]:
    """Return integers that sort as the values do, with the pixel's kind in the last bit.

    One sort of integers takes a quarter of the time of an arg-sort of floats.
    """
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32).astype(np.int64)  # no -0
    ordered = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    return (ordered + (1 << 31)) << 1 | inside


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
