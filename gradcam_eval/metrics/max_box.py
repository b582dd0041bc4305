"""MaxBoxAcc and MaxBoxAccV2: boxes at every threshold, of which the whole data set shares the best.

Everything is as in the authors' code, cv2 included; `tests/metrics/test_max_box.py` has the
direct way, threshold by threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.aggregates import mean_of_maxima
from gradcam_eval.core import Boxes, Case, InputError, Tally, Undefined
from gradcam_eval.metrics.boxes import boxes_inside
from gradcam_eval.metrics.cases import Prepared, case_by_case, chosen
from gradcam_eval.metrics.components import Components, Levels, components
from gradcam_eval.metrics.inputs import Heatmaps, checked_heatmaps
from gradcam_eval.metrics.regions import NOTHING, OUTSIDE, checked_boxes
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.metrics.resized import Resized
from gradcam_eval.protocols import MaxBoxProtocol

_TOP = 255  # the largest of an 8-bit map's levels


@dataclass(frozen=True)
class MaxBoxAcc:
    """What `max_box_acc` found.

    Attributes
    ----------
    value : the accuracy, 0..1, or why there is none
    thresholds : the best threshold for each least overlap, 0..1, shared by all images
    images : of each image, the share of the overlaps at which it hits at those thresholds
    """

    value: float | Undefined
    thresholds: tuple[float, ...]
    images: list[float | Undefined]


def max_box_acc(
    heatmaps: Heatmaps,
    boxes: Sequence[Boxes],
    *,
    protocol: str | MaxBoxProtocol = "maxboxaccv2",
    size: tuple[int, int] | None = None,
) -> MaxBoxAcc:
    """Return the share of images whose box hits, at the best threshold for the whole data set.

    ``mean over δ of max over t of mean over images of [max over b, c of IoU(b, c) >= δ]`` with b
    the boxes round the contours of {score map > t} and c the drawn ones.

    Parameters
    ----------
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
    boxes : N arrays (n_i, 4)
        x0, y0, x1, y1 in pixels of the frame, half-open.
    protocol : str or MaxBoxProtocol
        "maxboxacc2020" (the largest contour, δ = 0.5), "maxboxaccv2" (any contour, δ = 0.3, 0.5,
        0.7), or your own record.
    size : (H, W), optional
        The frame of the boxes, for all heatmaps; by default each heatmap's own size.

    Returns
    -------
    MaxBoxAcc
        `value` is in 0..1, higher is better. An image is Undefined, and left out, where nothing is
        drawn or every box lies outside, and where the heatmap is constant or not finite.

    Raises
    ------
    InputError
        Counts or shapes that do not fit, or a box without area.

    Notes
    -----
    As in the authors' code (repository clovaai/wsolevaluation, inference.py and evaluation.py): the
    map is resized by cv2's cubic kernel, scaled to 0..1 and cut to 8 bits, so that its 1,000
    thresholds are 255 different ones. Corners are inclusive, and the far corners of a contour's box
    lie one pixel beyond it, except at the frame. The largest contour is the one that encloses the
    largest area through its pixels' centres, its holes included; of equals, the one whose first
    pixel comes last. With all contours, the contours of holes count as well; their box holds the
    pixels that bound the hole. Checked against cv2 5.0 (`findContours`, `contourArea`, `resize`).

    A study has the drawn boxes as that code does: the inclusive corners in the file's pixels are
    scaled to the frame and cut to whole numbers. Here they come in the frame already, and take the
    pixels that they touch: give whole numbers, cut likewise, for the published value.

    Departures: a constant map is undefined; there it has the box of the first pixel. Corners in the
    file that are no whole numbers, which do not occur there, take the pixels that they touch.

    References
    ----------
    Choe, Oh, Lee, Chun, Akata, Shim: Evaluating Weakly Supervised Object Localization Methods
    Right, CVPR 2020, arXiv:2001.07437, and its Evaluation Protocol, TPAMI 2022, arXiv:2007.04178.
    """
    rules = chosen(protocol, "max_box_acc", MaxBoxProtocol)
    maps = checked_heatmaps(heatmaps)
    if len(boxes) != len(maps):
        raise InputError(f"boxes for {len(boxes)} heatmaps, but {len(maps)}: give boxes for each.")
    tallies = [
        _tally(Resized(heatmap), np.asarray(drawn), size or heatmap.shape, rules)
        for heatmap, drawn in zip(maps, boxes, strict=True)
    ]
    return _shared(tallies, rules)


def _shared(tallies: list[Tally | Undefined], rules: MaxBoxProtocol) -> MaxBoxAcc:
    """Choose the thresholds on all images together, and say what each image gives at them."""
    parts = [tally.parts for tally in tallies if isinstance(tally, Tally)]
    if not parts:
        return MaxBoxAcc(Undefined("no image has a value"), (), list(tallies))  # type: ignore[arg-type]
    hits = np.stack(parts)
    best = hits.mean(0).argmax(-1)
    rows = np.arange(len(best))
    value = float(mean_of_maxima(np.ones((1, len(hits))), hits)[0])
    images = [
        float(tally.parts[rows, best].mean()) if isinstance(tally, Tally) else tally
        for tally in tallies
    ]
    thresholds = _levels(rules.thresholds)[best] / _TOP
    return MaxBoxAcc(value, tuple(thresholds.tolist()), images)


def _levels(thresholds: int) -> Levels:
    """Return the different 8-bit levels that so many thresholds come to."""
    return np.unique((np.arange(0, 1, 1 / thresholds) * _TOP).astype(np.int64))


def _tally(
    resized: Resized, boxes: Boxes, size: tuple[int, ...], rules: MaxBoxProtocol
) -> Tally | Undefined:
    """Return whether the image hits at each least overlap and level: 1 or 0, (R, L)."""
    inside = boxes_inside(checked_boxes(boxes), size)
    if not len(inside):
        return Undefined(OUTSIDE if np.size(boxes) else NOTHING)
    scores = resized.scores(size)
    if isinstance(scores, Undefined):
        return scores
    overlaps = best_overlaps((scores * _TOP).astype(np.int64), inside, rules.contours)
    at = overlaps[_levels(rules.thresholds)]
    hits = (at >= np.array(rules.ious)[:, None]).astype(np.float64)
    return Tally(float(hits.mean()), hits)


def best_overlaps(levels: Levels, boxes: Boxes, contours: str) -> NDArray[np.float64]:
    """Return the largest overlap of a contour's box with a drawn one at each level: (255,).

    Parameters
    ----------
    levels : int (H, W), 0..255
    boxes : (n, 4), half-open
    contours : "largest" or "all"
    """
    found = _contours(levels, contours)
    height, width = levels.shape
    low, high = found.boxes[:, :2], np.minimum(found.boxes[:, 2:] + 1, [width - 1, height - 1])
    drawn_low = np.maximum(np.floor(boxes[:, :2]), 0)
    drawn_high = np.minimum(np.ceil(boxes[:, 2:]), [width, height]) - 1
    shared = np.minimum(high[:, None], drawn_high) - np.maximum(low[:, None], drawn_low) + 1
    both = np.maximum(shared, 0).prod(-1)
    area, drawn_area = (high - low + 1).prod(-1), (drawn_high - drawn_low + 1).prod(-1)
    overlap = (both / (area[:, None] + drawn_area - both)).max(1)
    best = np.zeros(_TOP)
    np.maximum.at(best, found.level, overlap)
    return best


def _contours(levels: Levels, which: str) -> Components:
    """Return the contours at every level, with the box of the pixels that each runs through."""
    nothing, filled = np.zeros_like(levels), _without_holes(levels)
    if which == "largest":
        found = components(nothing, filled, diagonal=True)
        order = np.lexsort((found.area, found.level))  # stable: the last of equals stays last
        last = order[np.flatnonzero(np.diff(found.level[order], append=-1))]
        return Components(found.level[last], found.boxes[last], found.area[last])
    outer = components(nothing, levels, diagonal=True)
    if np.array_equal(filled, levels):
        return outer
    holes = components(levels, filled, diagonal=False)
    around = holes.boxes + np.array([-1, -1, 1, 1])
    return Components(
        np.concatenate([outer.level, holes.level]),
        np.concatenate([outer.boxes, around]),
        np.concatenate([outer.area, holes.area]),
    )


def _without_holes(levels: Levels) -> Levels:
    """Raise each hole to its rim: what no path of sides reaches from outside below a level."""
    from scipy.ndimage import generate_binary_structure
    from skimage.morphology import reconstruction

    seed = np.full_like(levels, levels.max())
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        seed[border] = levels[border]
    footprint = generate_binary_structure(2, 1)
    filled = reconstruction(seed, levels, method="erosion", footprint=footprint)
    return np.asarray(filled, np.int64)


@register_metric(
    "max_box_acc",
    needs="truth",
    unit="share of images",
    bounds="0..1",
    higher_is_better=True,
    protocols=("maxboxaccv2", "maxboxacc2020"),
    aggregate="mean_of_maxima",
)
@case_by_case("max_box_acc", MaxBoxProtocol)
def _max_box_acc(prepared: Prepared, rules: MaxBoxProtocol) -> Tally | Undefined:
    """Share of images whose box hits, at the threshold that is best for the whole data set."""
    return _tally(prepared.resized, _drawn(prepared.case), prepared.case.truth.size, rules)


def _drawn(case: Case) -> Boxes:
    """Return a case's boxes in the image's frame as the authors' code has them, half-open.

    Of the file's pixels that a box touches, the first and the last are scaled and cut:
    ``⌊x · w / W⌋``, inclusive. Where nobody knows the boxes in the file, those of the frame.
    """
    truth, original = case.truth, case.original_truth
    inside = boxes_inside(checked_boxes(original.boxes), original.size).astype(np.float64)
    if not len(inside):
        return truth.boxes
    file, frame = np.array(original.size[::-1]), np.array(truth.size[::-1])
    first = np.maximum(np.floor(inside[:, :2]), 0)
    last = np.minimum(np.ceil(inside[:, 2:]), file) - 1
    return np.hstack([first * frame // file, last * frame // file + 1])
