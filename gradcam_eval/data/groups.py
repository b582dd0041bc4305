"""Groups of images by which a study can be narrowed and its summaries split.

All are properties of the data set alone, whatever the model: of the file, before it is resized, and
of the objects that show the image's first label (all objects where it has no label, or none of
them shows it).

References
----------
Zhang et al. 2018, "Top-down neural attention by excitation backprop" (IJCV 126), play the pointing
game on a "difficult" subset as well: pairs of image and class where the boxes of the class cover
less than a quarter of the image *and* another class is there. That is `difficult`, with the image's
first label as the class and boxes that overlap counted once. `hard` asks instead that the centre is
in no box, so that a map that always points at the centre gains nothing; it needs no second class.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.data.annotation import Annotation, Entry
from gradcam_eval.data.geometry import Frame
from gradcam_eval.data.truth import file_box

ObjectSize: TypeAlias = Literal["small", "medium", "large"]

GROUPS = ("subset", "class", "size", "hard", "difficult")
SIZES: tuple[ObjectSize, ...] = ("small", "medium", "large")
MEDIUM, LARGE = 1 / 16, 1 / 4  # shares of the image from which an object is medium, or large
HARD = 1 / 4


def groups_of(
    entry: Entry, annotation: Annotation, size: tuple[int, int]
) -> tuple[tuple[str, str], ...]:
    """Return the groups of an image as (group, value): one for each of `GROUPS`, "" if unknown.

    subset : the data set's own
    class : the image's first label, as the data set calls it
    size : "small", "medium" or "large": the boxes' union covers less than 1/16 of the image, less
        than 1/4, or more
    hard : "yes" where the boxes' union covers at most 1/4 of the image and no box has its centre
        (x0 ≤ W/2 < x1 and y0 ≤ H/2 < y1), else "no"
    difficult : "yes" where the boxes' union covers less than 1/4 of the image and the image has a
        label, or a drawn object (an ignored one as well), of another class, else "no"
    """
    boxes = main_boxes(entry, annotation, size)
    label = entry.labels[0] if entry.labels else ""
    kind, hard, difficult = "", "", ""
    if len(boxes):
        share = union_area(boxes) / (size[0] * size[1])
        kind = size_class(share)
        hard = _yes(share <= HARD and not _covers_centre(boxes, size))
        others = {*entry.labels, *(drawn.label for drawn in annotation.objects)} - {label, None}
        difficult = _yes(share < HARD and bool(others)) if label else ""
    return tuple(zip(GROUPS, (entry.subset, label, kind, hard, difficult), strict=True))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def main_boxes(entry: Entry, annotation: Annotation, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the boxes of the main objects, (n, 4), clipped to the file; ignored ones left out."""
    kept = [drawn for drawn in annotation.objects if not drawn.is_ignored]
    wanted = (None, *entry.labels[:1])
    main = [drawn for drawn in kept if drawn.label in wanted] if entry.labels else kept
    frame = Frame.identity(size)
    found = (file_box(drawn) for drawn in main or kept)
    clipped = [frame.box(box) for box in found if box is not None]
    return np.array([box for box in clipped if box is not None]).reshape(-1, 4)


def size_class(share: float) -> ObjectSize:
    """Return the class of a share of the image."""
    if share < MEDIUM:
        return "small"
    return "medium" if share < LARGE else "large"


def union_area(boxes: NDArray[np.float64]) -> float:
    """Return the area that boxes (n, 4) cover together, in square pixels.

    Their corners cut the plane into cells; a cell counts where any box covers it.
    """
    xs, ys = np.unique(boxes[:, 0::2]), np.unique(boxes[:, 1::2])
    x0, y0, x1, y1 = boxes.T[:, :, None]
    in_x = (x0 <= xs[:-1]) & (xs[:-1] < x1)
    in_y = (y0 <= ys[:-1]) & (ys[:-1] < y1)
    covered = (in_y[:, :, None] & in_x[:, None, :]).any(axis=0)
    return float((covered * np.diff(ys)[:, None] * np.diff(xs)).sum())


def _covers_centre(boxes: NDArray[np.float64], size: tuple[int, int]) -> bool:
    y, x = size[0] / 2, size[1] / 2
    x0, y0, x1, y1 = boxes.T
    return bool(((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)).any())
