"""PxAP: average precision over the pixels of all images of a data set together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.aggregates import pooled_average_precision
from gradcam_eval.core import Heatmap, Mask, Tally, Undefined
from gradcam_eval.metrics.cases import Prepared, case_by_case, chosen
from gradcam_eval.metrics.inputs import Heatmaps, checked_heatmaps
from gradcam_eval.metrics.regions import Ignore, Region, make_region, regions
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.metrics.resized import Resized
from gradcam_eval.protocols import PixelPrecisionProtocol


@dataclass(frozen=True)
class PixelPrecision:
    """What `pxap` found.

    Attributes
    ----------
    value : average precision over the pixels of all images, 0..1, or why there is none
    images : that of each image's pixels alone
    """

    value: float | Undefined
    images: list[float | Undefined]


def pxap(
    heatmaps: Heatmaps,
    masks: Sequence[Mask] | NDArray[np.bool_],
    *,
    ignore: Ignore | None = None,
    protocol: str | PixelPrecisionProtocol = "pxap2020",
) -> PixelPrecision:
    """Return the average precision of the pixels of all images, at thresholds that they share.

    ``Σ_k precision(t_k) (recall(t_k) - recall(t_(k+1)))``, with precision and recall of {score map
    >= t_k} counted over all images' pixels, and t_k from 1 down to 0 in steps of 0.001.

    Parameters
    ----------
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
    masks : bool (N, H, W), or N arrays (H, W)
        True on the object.
    ignore : N masks (H, W) or None each, optional
        Pixels that are left out; where the object covers one, it is the object's.
    protocol : str or PixelPrecisionProtocol

    Returns
    -------
    PixelPrecision
        0..1, higher is better; about the object's share of the pixels for a map that cannot tell.
        An image is Undefined, and left out, where its mask is empty or its heatmap constant or not
        finite.

    Raises
    ------
    InputError
        Counts or shapes that do not fit.

    Notes
    -----
    As in the authors' code (repository clovaai/wsolevaluation, inference.py and evaluation.py), but
    for constant maps, which are zeros there, and for images without an object, whose background
    counts there.
    Large images and large objects weigh more: that is the point of pooling.

    References
    ----------
    Choe, Oh, Lee, Chun, Akata, Shim: Evaluating Weakly Supervised Object Localization Methods
    Right, CVPR 2020, arXiv:2001.07437.
    """
    rules = chosen(protocol, "pxap", PixelPrecisionProtocol)
    maps = checked_heatmaps(heatmaps)
    tallies = [
        _tally(Resized(heatmap), region, rules.thresholds)
        for heatmap, region in zip(maps, regions(maps, None, masks, ignore, None), strict=True)
    ]
    images = [tally.value if isinstance(tally, Tally) else tally for tally in tallies]
    parts = [tally.parts for tally in tallies if isinstance(tally, Tally)]
    if not parts:
        return PixelPrecision(Undefined("no image has a value"), images)
    return PixelPrecision(_pooled(np.stack(parts)), images)


def _pooled(parts: NDArray[np.float64]) -> float:
    return float(pooled_average_precision(np.ones((1, len(parts))), parts)[0])


def _tally(resized: Resized, region: Region, thresholds: int) -> Tally | Undefined:
    """Return how many pixels of the object and of the background lie in each bin, (2, S)."""
    if not region.inside.any():
        return Undefined(region.reason)
    scores = resized.scores(region.inside.shape)
    if isinstance(scores, Undefined):
        return scores
    bins = _bins(scores, thresholds)
    counts = [
        np.bincount(bins[pixels], minlength=thresholds + 1)
        for pixels in (region.inside, region.background)
    ]
    parts = np.array(counts, np.float64)
    return Tally(_pooled(parts[None]), parts)


def _bins(scores: Heatmap, thresholds: int) -> NDArray[np.int32]:
    """Return the largest k with k-th threshold <= score: 0 to `thresholds`, the bin of 1 alone."""
    edges = np.append(np.arange(0, 1, 1 / thresholds), 1.0)
    bins = (scores * thresholds + np.float32(0.5)).astype(np.int32)  # right, or one too many
    bins -= scores < edges[bins]
    return bins


@register_metric(
    "pxap",
    needs="truth",
    unit="average precision",
    bounds="0..1",
    higher_is_better=True,
    protocols=("pxap2020",),
    aggregate="pooled_average_precision",
)
@case_by_case("pxap", PixelPrecisionProtocol)
def _pxap(prepared: Prepared, rules: PixelPrecisionProtocol) -> Tally | Undefined:
    """Average precision over the pixels of all images together, against the objects' masks."""
    truth = prepared.case.truth
    if truth.mask is None:
        return Undefined("no mask is drawn, and boxes are not enough")
    return _tally(prepared.resized, make_region(truth.mask, truth.ignore), rules.thresholds)
