"""Localization error: a box round the largest segment of a heatmap, beside the drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gradcam_eval.core import Boxes, InputError, Undefined
from gradcam_eval.metrics.cases import Prepared, case_by_case, chosen
from gradcam_eval.metrics.inputs import Heatmaps, checked_heatmaps
from gradcam_eval.metrics.regions import NOTHING, OUTSIDE, checked_boxes
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.metrics.resized import Resized
from gradcam_eval.protocols import BoxProtocol

_EIGHT = np.ones((3, 3), bool)  # pixels that share a corner touch


@dataclass(frozen=True)
class Answers:
    """What the model said of one image, and what is right.

    Attributes
    ----------
    target : the class that the heatmap explains
    labels : the right classes, one at least
    predicted : the model's classes, the most probable first
    """

    target: int
    labels: tuple[int, ...]
    predicted: tuple[int, ...]


def localization_error(
    heatmaps: Heatmaps,
    boxes: Sequence[Boxes],
    answers: Sequence[Answers] | None = None,
    *,
    protocol: str | BoxProtocol = "gradcam2017",
    size: tuple[int, int] | None = None,
) -> list[bool | Undefined]:
    """Say whether each image is an error: a wrong class, or a box beside the object.

    ``error = no right class among the first ranks answers, or max over drawn boxes b of
    IoU(box(L), b) < 0.5``, where box(L) bounds the largest segment of {L >= 0.15 max L}.

    Parameters
    ----------
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
        Of the right class where the protocol looks at five answers.
    boxes : N arrays (n_i, 4)
        x0, y0, x1, y1 in pixels of the frame, half-open.
    answers : N Answers, optional
        Needed unless the class is given ("gradcam2017_known").
    protocol : str or BoxProtocol
        "gradcam2017" (top-1), "gradcam2017_top5", "gradcam2017_known", or your own record.
    size : (H, W), optional
        The frame of the boxes, for all heatmaps; by default each heatmap's own size.

    Returns
    -------
    list of bool or Undefined, one for each heatmap
        True is an error; fewer are better. Undefined where the class is right and the truth is
        empty, the heatmap is constant, not finite or nowhere positive, or explains another class
        than the right one. An image of a wrong class is an error whatever its heatmap is.

    Raises
    ------
    InputError
        Counts or shapes that do not fit, a box without area, no answers where they are needed.

    Notes
    -----
    The paper states the 15 % and the single largest segment; here the largest has the most pixels,
    and pixels that share a corner touch. The frame is the file's own size in a study, as in the
    ILSVRC task. For top-5 the paper explains each of five answers: only the right one can hit, so
    the heatmap of the right class decides; a study must explain labels for it.

    References
    ----------
    Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: Grad-CAM, ICCV 2017, arXiv:1610.02391.
    """
    rules = chosen(protocol, "localization_error", BoxProtocol)
    maps = checked_heatmaps(heatmaps)
    if rules.ranks is not None and answers is None:
        raise InputError(
            f"the protocol {rules.name!r} asks what the model answered: give "
            "answers, or use the protocol 'gradcam2017_known'."
        )
    known: Sequence[Answers | None] = [None] * len(maps) if answers is None else answers
    if not len(maps) == len(boxes) == len(known):
        raise InputError(
            f"{len(maps)} heatmaps, boxes for {len(boxes)} and answers for {len(known)}: give one "
            "of each for each heatmap."
        )
    return [
        _error(Resized(heatmap), (np.asarray(drawn), size or heatmap.shape), said, rules)
        for heatmap, drawn, said in zip(maps, boxes, known, strict=True)
    ]


def _error(
    resized: Resized,
    truth: tuple[Boxes, tuple[int, ...]],
    said: Answers | None,
    rules: BoxProtocol,
) -> bool | Undefined:
    if said is not None:
        if rules.ranks and not set(said.labels) & set(said.predicted[: rules.ranks]):
            return True
        if said.target not in said.labels:
            return Undefined("the heatmap explains another class than the image's: explain labels")
    drawn = checked_boxes(truth[0])
    inside = boxes_inside(drawn, truth[1])
    if not len(inside):
        return Undefined(OUTSIDE if len(drawn) else NOTHING)
    framed = resized.bilinear(truth[1])
    if isinstance(framed, Undefined):
        return framed
    highest = framed.max()
    if highest <= 0:
        return Undefined("the heatmap has no positive value")
    box = box_of_largest_segment(framed >= rules.level * highest)
    return bool(box_iou(box[None], inside).max() < rules.iou)


def boxes_inside(boxes: Boxes, size: tuple[int, ...]) -> Boxes:
    """Return the boxes that hold a pixel of the frame (H, W)."""
    x0, y0, x1, y1 = boxes.T
    return np.asarray(boxes[(x0 < size[1]) & (y0 < size[0]) & (x1 > 0) & (y1 > 0)])


def box_of_largest_segment(selected: np.ndarray) -> Boxes:
    """Return x0, y0, x1, y1, half-open, of the segment with the most pixels; the first of equals.

    Parameters
    ----------
    selected : bool (H, W), with one True at least
    """
    labels, _ = ndimage.label(selected, structure=_EIGHT)
    largest = labels == np.bincount(labels.reshape(-1))[1:].argmax() + 1
    (x0, x1), (y0, y1) = (np.flatnonzero(largest.any(axis))[[0, -1]] for axis in (0, 1))
    return np.array([x0, y0, x1 + 1, y1 + 1], np.float32)


def box_iou(boxes: Boxes, others: Boxes) -> Boxes:
    """Return the overlap (n, m) of n half-open boxes and m others."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    areas = [(each[:, 2:] - each[:, :2]).prod(-1) for each in (boxes, others)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None] - shared))


@register_metric(
    "localization_error",
    needs="labels",
    unit="error (1) or none (0)",
    bounds="0..1",
    higher_is_better=False,
    protocols=("gradcam2017", "gradcam2017_top5", "gradcam2017_known"),
)
@case_by_case("localization_error", BoxProtocol)
def _error_of(prepared: Prepared, rules: BoxProtocol) -> bool | Undefined:
    """Share of images with a wrong class, or a box that overlaps the object too little."""
    case, truth = prepared.case, prepared.case.original_truth
    if rules.ranks is not None and not (case.labels and case.predicted):
        return Undefined("the image has no label to compare the answer with")
    said = Answers(case.target, case.labels, case.predicted) if case.labels else None
    return _error(prepared.resized, (truth.boxes, truth.size), said, rules)
