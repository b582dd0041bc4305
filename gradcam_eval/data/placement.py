"""From where something was drawn to the pixels of the image: turned, enlarged from 0..1, reduced.

A file with an EXIF orientation is stored otherwise than it is shown. Boxes may have been drawn in
either frame, in pixels or relative to the sides, on a file that is reduced while it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image as Pillow

from gradcam_eval.core import InputError, Mask
from gradcam_eval.data.annotation import Annotation, Box, Drawn, Entry, Polygon
from gradcam_eval.data.truth import check_annotation

Size = tuple[int, int]  # (H, W)
Point = tuple[float, float]

# What is done to a stored picture to turn it upright, by EXIF orientation (EXIF 2.3, 0x0112).
TURNS: dict[int, tuple[str, Pillow.Transpose]] = {
    2: ("mirrored left to right", Pillow.Transpose.FLIP_LEFT_RIGHT),
    3: ("turned by 180°", Pillow.Transpose.ROTATE_180),
    4: ("mirrored top to bottom", Pillow.Transpose.FLIP_TOP_BOTTOM),
    5: ("mirrored at its diagonal", Pillow.Transpose.TRANSPOSE),
    6: ("turned by 90° clockwise", Pillow.Transpose.ROTATE_270),
    7: ("mirrored at its other diagonal", Pillow.Transpose.TRANSVERSE),
    8: ("turned by 90° anticlockwise", Pillow.Transpose.ROTATE_90),
}
# The same of a point (x, y) in a stored picture of width w and height h.
_POINTS: dict[int, Callable[[float, float, int, int], Point]] = {
    2: lambda x, y, w, h: (w - x, y),
    3: lambda x, y, w, h: (w - x, h - y),
    4: lambda x, y, w, h: (x, h - y),
    5: lambda x, y, w, h: (y, x),
    6: lambda x, y, w, h: (h - y, x),
    7: lambda x, y, w, h: (h - y, w - x),
    8: lambda x, y, w, h: (y, w - x),
}


@dataclass(frozen=True)
class Placement:
    """How a file's stored pixels became the decoded picture.

    Attributes
    ----------
    stored : (H, W) of the file
    orientation : EXIF, 1..8
    size : (H, W) of the decoded picture: upright, and smaller where it was reduced
    """

    stored: Size
    orientation: int
    size: Size

    @property
    def upright(self) -> Size:
        """(H, W) of the whole file, upright."""
        return self.stored[::-1] if self.orientation > 4 else self.stored

    @property
    def turn(self) -> str:
        """What EXIF says is to be done to the stored pixels; "" where nothing."""
        return TURNS[self.orientation][0] if self.orientation in TURNS else ""


def annotation_of(entry: Entry, place: Placement) -> Annotation:
    """Return what is drawn on an entry's image, in the pixels of the decoded picture.

    Raises
    ------
    InputError : it cannot be read, was drawn on a file of another size, or has boxes from 0 to 1
        of which nobody said whether they are relative
    """
    is_stored = entry.boxes == "stored"
    given = place.stored if is_stored else place.upright
    annotation = entry.annotate(given)
    try:
        check_annotation(annotation, given)
    except InputError as error:
        if place.orientation > 4 and not entry.boxes:
            raise InputError(
                f"{error} EXIF turns this file: say boxes = 'stored' where they are drawn on its "
                "stored pixels."
            ) from error
        raise
    if entry.boxes_unit == "relative":
        height, width = given
        annotation = _moved(annotation, lambda x, y: (x * width, y * height), lambda mask: mask)
    elif not entry.boxes_unit:
        check_is_in_pixels(annotation, given)
    return _placed(annotation, place, is_stored)


def check_is_in_pixels(annotation: Annotation, size: Size) -> None:
    """Raise InputError where all that is drawn ends within 0..1: nobody draws within one pixel."""
    points = [point for drawn in annotation.objects for point in _points_of(drawn)]
    if points and are_relative(np.asarray(points, np.float64)) and max(size) > 1:
        (x0, y0), (x1, y1) = np.min(points, axis=0), np.max(points, axis=0)
        raise InputError(
            f"what is drawn lies within ({x0:g}, {y0:g}, {x1:g}, {y1:g}), the first pixel of "
            f"{size[1]}×{size[0]}: say boxes_unit = 'relative' for boxes from 0 to 1, or 'pixels' "
            "where they are meant so."
        )


def are_relative(points: np.ndarray) -> bool:
    """Whether coordinates (n, 2) look like shares of the sides: to 1, or by rounding just beyond.

    Where all are whole numbers, only 0 and 1 do.
    """
    most = float(np.abs(points).max(initial=0))
    return most <= 1 or (most < 2 and not np.array_equal(points, np.round(points)))


def _points_of(drawn: Drawn) -> list[Point]:
    corners = [(drawn.box[0], drawn.box[1]), (drawn.box[2], drawn.box[3])] if drawn.box else []
    return corners + [point for polygon in drawn.polygons for point in polygon]


def _placed(annotation: Annotation, place: Placement, is_stored: bool) -> Annotation:
    """Turn what was drawn on stored pixels, and reduce what was drawn on the whole file."""
    number = place.orientation if is_stored and place.orientation in TURNS else 1
    height, width = place.stored
    down = tuple(s / u for s, u in zip(place.size, place.upright, strict=True))
    if number == 1 and place.size == place.upright:
        return annotation

    def point(x: float, y: float) -> Point:
        if number != 1:
            x, y = _POINTS[number](x, y, width, height)
        return x * down[1], y * down[0]

    def mask(drawn: Mask) -> Mask:
        picture = Pillow.fromarray(drawn.astype(np.uint8))
        if number != 1:
            picture = picture.transpose(TURNS[number][1])
        if place.size != place.upright:
            picture = picture.resize(place.size[::-1], Pillow.Resampling.NEAREST)
        return np.asarray(picture) > 0

    return replace(_moved(annotation, point, mask), size=None)  # checked already


def _moved(
    annotation: Annotation,
    point: Callable[[float, float], Point],
    mask: Callable[[Mask], Mask],
) -> Annotation:
    """Move all that is drawn: its points by one function, its masks by another."""

    def shape(polygons: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
        return tuple(tuple(point(x, y) for x, y in polygon) for polygon in polygons)

    def box(given: Box) -> Box:
        (x0, y0), (x1, y1) = point(*given[:2]), point(*given[2:])
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    objects = tuple(
        replace(
            drawn,
            box=None if drawn.box is None else box(drawn.box),
            polygons=shape(drawn.polygons),
            holes=shape(drawn.holes),
            mask=None if drawn.mask is None else mask(drawn.mask),
        )
        for drawn in annotation.objects
    )
    void = None if annotation.void is None else mask(annotation.void)
    return replace(annotation, objects=objects, void=void)
