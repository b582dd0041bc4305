"""Each pixel as a case of a binary test: is it the object's, judged by the heatmap's value?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Boxes, Mask, Undefined
from gradcam_eval.metrics.inputs import Heatmaps
from gradcam_eval.metrics.overlap_metrics import OverlapMetric, register_overlap_metrics
from gradcam_eval.metrics.ranking import Ranking
from gradcam_eval.metrics.regions import FramedMap, Ignore, judge_maps


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


def _roc_auc(framed: FramedMap) -> float | Undefined:
    """Return the area under the points (misses, hits) by the trapezoid, which halves ties."""
    reached = _both_sides(framed)
    if isinstance(reached, Undefined):
        return reached
    hits, misses = reached.hits, reached.misses
    won = np.diff(hits, prepend=0) * (2 * misses[-1] - misses - np.append(0, misses[:-1]))
    return float(won.sum() / 2 / (hits[-1] * misses[-1]))


def _average_precision(framed: FramedMap) -> float | Undefined:
    """Return the mean, over the object's pixels, of the precision at each one's value."""
    reached = _both_sides(framed)
    if isinstance(reached, Undefined):
        return reached
    precision = reached.hits / reached.pixels
    return float((precision * np.diff(reached.hits, prepend=0)).sum() / reached.hits[-1])


def _both_sides(framed: FramedMap) -> Ranking | Undefined:
    """Return the ranking of the pixels, where some of them are background."""
    if not framed.ranking.misses[-1]:
        return Undefined("no pixel is background")
    return framed.ranking


register_overlap_metrics(
    {
        "pixel_roc_auc": OverlapMetric(
            lambda framed, rules: _roc_auc(framed),
            protocol="pixels_v1",
            unit="area under the ROC curve",
            says="Chance that a pixel of the object has a higher value than one of the background.",
        ),
        "pixel_average_precision": OverlapMetric(
            lambda framed, rules: _average_precision(framed),
            protocol="pixels_v1",
            unit="average precision",
            says="Mean precision of the image's pixels as the heatmap ranks them.",
        ),
    }
)
