"""How much of an image is drawn: areas and overlaps of boxes, polygons and masks, in pixels."""

from __future__ import annotations

import numpy as np

from gradcam_eval.data.annotation import Box, Drawn, Polygon
from gradcam_eval.data.truth import file_box

Size = tuple[int, int]  # (H, W)


def is_empty(drawn: Drawn) -> bool:
    """Return whether an object's mask has no pixel, or its polygons no area."""
    if drawn.mask is not None:
        return not drawn.mask.any()
    return bool(drawn.polygons) and sum(map(polygon_area, drawn.polygons)) == 0


def overlap_with_mask(drawn: Drawn) -> float:
    """Return the IoU of the drawn box and that of the object's pixels; 1 where one is missing."""
    extent = file_box(Drawn(polygons=drawn.polygons, mask=drawn.mask))
    if drawn.box is None or extent is None:
        return 1.0
    common = box_area(
        (
            max(drawn.box[0], extent[0]),
            max(drawn.box[1], extent[1]),
            min(drawn.box[2], extent[2]),
            min(drawn.box[3], extent[3]),
        )
    )
    return common / (box_area(drawn.box) + box_area(extent) - common)


def drawn_area(drawn: Drawn, size: Size) -> float:
    """Return how many of the image's pixels an object covers, by the finest that is known of it.

    Overlapping polygons of one object count twice, and none is cut at the edge: this is for a
    summary, and no metric uses it.
    """
    if drawn.mask is not None:
        return float(drawn.mask.sum())
    if drawn.polygons:
        filled = sum(map(polygon_area, drawn.polygons)) - sum(map(polygon_area, drawn.holes))
        return float(np.clip(filled, 0, size[0] * size[1]))
    return 0.0 if drawn.box is None else box_area(clipped(drawn.box, size))


def polygon_area(polygon: Polygon) -> float:
    """Return the area by the shoelace formula: |Σ x_i y_(i+1) - x_(i+1) y_i| / 2."""
    x, y = np.asarray(polygon, np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def clipped(box: Box, size: Size) -> Box:
    """Return the part of a box that lies in the image."""
    x0, y0, x1, y1 = np.clip(box, 0, [size[1], size[0]] * 2).tolist()
    return (x0, y0, x1, y1)


def box_area(box: Box) -> float:
    """Return the area of a box; 0 where it has none."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
