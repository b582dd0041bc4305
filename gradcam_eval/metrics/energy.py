"""How much of a heatmap lies on the object: by its values, and by its highest pixels.

All three want the object's share; none asks where within the object, or how large the map's values
are as such: a positive factor changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Boxes, Mask, Undefined, check_whole
from gradcam_eval.metrics.inputs import Heatmaps
from gradcam_eval.metrics.overlap_metrics import OverlapMetric, register_overlap_metrics
from gradcam_eval.metrics.regions import FramedMap, Ignore, judge_maps


def energy_pointing_game(
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    size: tuple[int, int] | None = None,
) -> list[float | Undefined]:
    """Return the share of each heatmap's positive energy that lies on the object.

    ``Σ_(p on the object) [L_p]₊ / Σ_(all p) [L_p]₊``, with L resized bilinearly to the frame.

    Parameters
    ----------
    heatmaps, boxes, masks, ignore, size
        As for `pointing_game`. Ignored pixels are left out of both sums.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0..1, higher is better; the object's share of the frame is what an even map gets.
        Undefined where the truth is empty, the heatmap is constant or not finite, or no counted
        pixel is positive.

    Raises
    ------
    InputError
        As for `pointing_game`.

    Notes
    -----
    The paper scales each map to 0..1 first, which for a map with negative values lifts the
    background; here negative values count as 0, and a rectified map gives the paper's number
    where its minimum is 0. It leaves out images whose box covers more than half; here all count.
    The authors' code (haofanwang/Score-CAM, utils/energyPointGame.py) sums the map as it is given.

    References
    ----------
    Wang, Wang, Du, Yang, Zhang, Ding, Mardziel, Hu: Score-CAM, CVPR workshops 2020,
    arXiv:1910.01279.

    Examples
    --------
    >>> heatmap = np.array([[[1.0, 3.0], [-5.0, 0.0]]])
    >>> energy_pointing_game(heatmap, boxes=[np.array([[1, 0, 2, 2]])])
    [0.75]
    """
    return judge_maps(heatmaps, (boxes, masks, ignore, size), _energy_inside)


def relevance_mass_accuracy(
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    size: tuple[int, int] | None = None,
) -> list[float | Undefined]:
    """Return the share of each heatmap's relevance that lies inside the mask: R_within / R_total.

    The formula, the parameters and what is undefined are those of `energy_pointing_game`. The two
    are published apart and differ in the truth that their protocols take: a study's "energy2020"
    looks into the boxes, "arras2022" into the mask.

    Notes
    -----
    Published for attributions with channels, pooled first to one value of 0 or more: by their sum
    where it is positive (as here, of a heatmap's one channel), by its absolute value, or by a norm.
    The code in the repository ahmedmagdiosman/clevr-xai, eval/util.py, takes absolute values.

    References
    ----------
    Arras, Osman, Samek: CLEVR-XAI, Information Fusion 81, 2022, arXiv:2003.07258.
    """
    return judge_maps(heatmaps, (boxes, masks, ignore, size), _energy_inside)


def relevance_rank_accuracy(
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    size: tuple[int, int] | None = None,
) -> list[float | Undefined]:
    """Return the share of each heatmap's K highest pixels that lie on the object of K pixels.

    ``|P_topK ∩ object| / K`` with ``K = |object|``.

    Parameters
    ----------
    heatmaps, boxes, masks, ignore, size
        As for `pointing_game`. Ignored pixels are not ranked.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0..1, higher is better. Undefined where the truth is empty or the heatmap constant or not
        finite.

    Raises
    ------
    InputError
        As for `pointing_game`.

    Notes
    -----
    Where pixels tie for the last places, as the zeros of a rectified map do, the expected share
    over all orders of them is returned: no tie is a hit or a miss by its place in memory. Values
    below 0 keep their order; the published evaluation pools them first (`relevance_mass_accuracy`).

    References
    ----------
    Arras, Osman, Samek: CLEVR-XAI, Information Fusion 81, 2022, arXiv:2003.07258.
    """
    return judge_maps(heatmaps, (boxes, masks, ignore, size), partial(_top_inside, k=None))


def top_k_intersection(  # noqa: PLR0913 - the truth in either form, and k
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    k: int = 1000,
    size: tuple[int, int] | None = None,
) -> list[float | Undefined]:
    """Return the share of each heatmap's k highest pixels that lie on the object.

    ``|P_topk ∩ object| / k``; ties as for `relevance_rank_accuracy`.

    Parameters
    ----------
    heatmaps, boxes, masks, ignore, size
        As for `pointing_game`. Ignored pixels are not ranked.
    k : int, 1 or more

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0..1, higher is better; below 1 at best where the object has fewer than k pixels. Undefined
        also where fewer than k pixels count.

    Raises
    ------
    InputError
        As for `pointing_game`, or k below 1.

    References
    ----------
    Theiner, Müller-Budack, Ewerth: Interpretable Semantic Photo Geolocation, WACV 2022,
    arXiv:2104.14995.
    """
    check_whole("k", k)
    return judge_maps(heatmaps, (boxes, masks, ignore, size), partial(_top_inside, k=k))


def _energy_inside(framed: FramedMap) -> float | Undefined:
    energy, region = np.maximum(framed.heatmap, 0), framed.region
    inside, outside = (
        energy[side].sum(dtype=np.float64) for side in (region.inside, region.background)
    )
    if inside + outside == 0:
        return Undefined("the heatmap has no positive value")
    return float(inside / (inside + outside))


def _top_inside(framed: FramedMap, k: int | None) -> float | Undefined:
    """Return the expected share of the k highest pixels on the object, over orders of ties."""
    pixels, hits = framed.ranking.pixels, framed.ranking.hits
    k = int(hits[-1]) if k is None else k
    if k > pixels[-1]:
        return Undefined(f"fewer than {k} pixels count")
    last = int(np.searchsorted(pixels, k))  # the value at which k pixels are reached
    above, hits_above = (int(each[last - 1]) if last else 0 for each in (pixels, hits))
    tied, hits_tied = int(pixels[last]) - above, int(hits[last]) - hits_above
    return float((hits_above + (k - above) * hits_tied / tied) / k)


register_overlap_metrics(
    {
        "energy_pointing_game": OverlapMetric(
            lambda framed, rules: _energy_inside(framed),
            protocol="energy2020",
            unit="share of energy",
            says="Share of the heatmap's positive energy inside the object's box.",
        ),
        "relevance_mass_accuracy": OverlapMetric(
            lambda framed, rules: _energy_inside(framed),
            protocol="arras2022",
            unit="share of relevance",
            says="Share of the heatmap's positive relevance inside the object's mask.",
        ),
        "relevance_rank_accuracy": OverlapMetric(
            lambda framed, rules: _top_inside(framed, rules.k),
            protocol="arras2022",
            unit="share of pixels",
            says="Share of the highest pixels, as many as the object has, that lie on the object.",
        ),
        "top_k_intersection": OverlapMetric(
            lambda framed, rules: _top_inside(framed, rules.k),
            protocol="top1000",
            unit="share of pixels",
            says="Share of the thousand highest pixels that lie on the object.",
        ),
    }
)
