"""From what was drawn on a file to `Truth` in any frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradcam_eval.core import InputError, Mask, Truth
from gradcam_eval.data.annotation import Annotation, Box, Drawn
from gradcam_eval.data.geometry import Frame


def check_annotation(annotation: Annotation, size: tuple[int, int]) -> None:
    """Raise InputError where an annotation is not one of a file of this (H, W)."""
    if annotation.size is not None and tuple(annotation.size) != tuple(size):
        raise InputError(
            f"it was annotated at {_shown(annotation.size)} and the file has {_shown(size)}: give "
            "the annotated file, or say rescale = true (--rescale) where it was resized since."
        )
    masks = [("void mask", annotation.void)]
    masks += [("mask of an object", drawn.mask) for drawn in annotation.objects]
    for what, mask in masks:
        if mask is not None and (mask.shape != tuple(size) or mask.dtype != bool):
            raise InputError(
                f"the {what} is {mask.dtype} of shape {mask.shape}: wanted bool of {tuple(size)}."
            )
    for drawn in annotation.objects:
        _check_drawn(drawn)


def truth_in_frame(
    annotation: Annotation, frame: Frame, classes: Sequence[int | tuple[int, ...]] = ()
) -> Truth:
    """Return all that is drawn on a file in a frame.

    Boxes are moved and clipped, polygons moved and then filled, masks looked up at the centres of
    the frame's pixels; see `Frame`. An object of which the frame shows nothing disappears with its
    instance.

    Parameters
    ----------
    annotation : in the pixels of the file
    frame : where they go
    classes : the model's class index of each object, or several, or none at all; see `Truth`

    Returns
    -------
    Truth of all objects that are not ignored. `mask` and `instances` are known where every one of
    them has polygons or a mask. `ignore` is what the frame shows of void pixels and of ignored
    objects, less the pixels of the others, and the padding; None where that is nothing.

    Notes
    -----
    A pixel of an object that lies in an ignored region as well counts as the object's (Choe et al.
    2020 build their ignore masks so).
    """
    kept = [n for n, drawn in enumerate(annotation.objects) if not drawn.is_ignored]
    has_masks = all(_is_filled(annotation.objects[n]) for n in kept)
    boxes: list[np.ndarray] = []
    instances: list[Mask] = []
    indices: list[int | tuple[int, ...]] = []
    for n in kept:
        box = _box(annotation.objects[n], frame)
        if box is None:
            continue
        boxes.append(box)
        indices.extend(classes[n : n + 1])
        if has_masks:
            instances.append(_fill(annotation.objects[n], frame))
    mask = None
    if kept and has_masks:
        mask = np.any(instances, axis=0) if instances else np.zeros(frame.size, bool)
    return Truth(
        frame.size,
        np.array(boxes, np.float32).reshape(-1, 4),
        mask,
        _ignore(annotation, frame, mask),
        tuple(instances),
        tuple(indices),
    )


def file_box(drawn: Drawn) -> Box | None:
    """Return an object's box in the file: drawn, else of its polygons, else of its mask.

    None where it has no pixel at all.
    """
    if drawn.box is not None:
        return drawn.box
    if drawn.polygons:
        points = np.concatenate([np.asarray(polygon, np.float64) for polygon in drawn.polygons])
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)
    if drawn.mask is None or not drawn.mask.any():
        return None
    rows, columns = (np.flatnonzero(drawn.mask.any(axis=axis)) for axis in (1, 0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _box(drawn: Drawn, frame: Frame) -> np.ndarray | None:
    box = file_box(drawn)
    return None if box is None else frame.box(box)


def _is_filled(drawn: Drawn) -> bool:
    return drawn.mask is not None or bool(drawn.polygons)


def _fill(drawn: Drawn, frame: Frame) -> Mask:
    """Return an object's pixels; those of its box where nothing finer is known."""
    if drawn.mask is not None:
        inside = frame.mask(drawn.mask)
    else:
        inside = np.zeros(frame.size, bool)
        for polygon in drawn.polygons or _outline_of(drawn):
            inside |= frame.polygon(polygon)
    for hole in drawn.holes:
        inside &= ~frame.polygon(hole)
    return inside


def _outline_of(drawn: Drawn) -> list[tuple[tuple[float, float], ...]]:
    box = file_box(drawn)
    if box is None:
        return []
    x0, y0, x1, y1 = box
    return [((x0, y0), (x1, y0), (x1, y1), (x0, y1))]


def _ignore(annotation: Annotation, frame: Frame, mask: Mask | None) -> Mask | None:
    ignored = np.zeros(frame.size, bool)
    if annotation.void is not None:
        ignored |= frame.mask(annotation.void)
    for drawn in annotation.objects:
        if drawn.is_ignored:
            ignored |= _fill(drawn, frame)
    if mask is not None:
        ignored &= ~mask
    elif ignored.any():
        for drawn in annotation.objects:
            if not drawn.is_ignored:
                ignored &= ~_fill(drawn, frame)
    ignored |= ~frame.shown
    return ignored if ignored.any() else None


def _check_drawn(drawn: Drawn) -> None:
    if drawn.box is not None:
        x0, y0, x1, y1 = drawn.box
        if not (all(map(math.isfinite, drawn.box)) and x0 < x1 and y0 < y1):
            raise InputError(
                f"the box {tuple(drawn.box)} has no area: wanted x0 < x1 and y0 < y1 in pixels."
            )
    for polygon in (*drawn.polygons, *drawn.holes):
        if len(polygon) < 3 or not np.isfinite(np.asarray(polygon, np.float64)).all():
            raise InputError(
                f"a polygon of {len(polygon)} points encloses nothing: wanted three or more "
                "points (x, y) in pixels."
            )
    if drawn.box is None and not _is_filled(drawn):
        raise InputError("an object has neither box, polygons nor mask: give one of them.")


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]}×{size[0]} pixels"
