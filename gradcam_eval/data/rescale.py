"""Bring what was drawn on a picture to the size that the picture's file has now."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image as Pillow

from gradcam_eval.core import InputError, Mask
from gradcam_eval.data.annotation import Annotation, Drawn, Entry, Polygon

_TURNED = 1.02  # how near proportions must be to be called the same


def with_rescale(entry: Entry) -> Entry:
    """Return an entry whose annotation is brought to the size of its file: see `rescaled`."""
    return replace(entry, annotate=_Rescaled(entry))


@dataclass(frozen=True)
class _Rescaled:
    entry: Entry

    def __call__(self, size: tuple[int, int]) -> Annotation:
        entry = self.entry
        return rescaled(entry.annotate(entry.annotated_size or size), size)


def rescaled(annotation: Annotation, size: tuple[int, int]) -> Annotation:
    """Return an annotation for a file of (H, W) `size`, to which the picture was resized.

    Boxes and points are multiplied by W / W₀ and H / H₀, and masks are taken from the nearest
    pixel. A picture may have been resized by other factors in width and height; one that was
    cropped looks the same here and comes out wrong.

    Raises
    ------
    InputError : the file's sides are those of the annotation exchanged: it was turned, not resized
    """
    if annotation.size is None or tuple(annotation.size) == tuple(size):
        return annotation
    height, width = annotation.size
    if _is_turned(annotation.size, size):
        raise InputError(
            f"it was annotated at {width}×{height} pixels and the file has {size[1]}×{size[0]}: "
            "the picture was turned, which rescale = true does not undo; give the annotated file."
        )
    factors = (size[1] / width, size[0] / height)
    return Annotation(
        tuple(_moved(drawn, factors, size) for drawn in annotation.objects),
        None if annotation.void is None else _resized(annotation.void, size),
        size,
    )


def _is_turned(annotated: tuple[int, int], size: tuple[int, int]) -> bool:
    drawn, now = annotated[1] / annotated[0], size[1] / size[0]
    is_square = 1 / _TURNED < now < _TURNED
    return not is_square and 1 / _TURNED < drawn * now < _TURNED


def _moved(drawn: Drawn, factors: tuple[float, float], size: tuple[int, int]) -> Drawn:
    x, y = factors
    box = drawn.box and (drawn.box[0] * x, drawn.box[1] * y, drawn.box[2] * x, drawn.box[3] * y)
    return replace(
        drawn,
        box=box,
        polygons=tuple(_scaled(polygon, factors) for polygon in drawn.polygons),
        holes=tuple(_scaled(hole, factors) for hole in drawn.holes),
        mask=None if drawn.mask is None else _resized(drawn.mask, size),
    )


def _scaled(polygon: Polygon, factors: tuple[float, float]) -> Polygon:
    return tuple((x * factors[0], y * factors[1]) for x, y in polygon)


def _resized(mask: Mask, size: tuple[int, int]) -> Mask:
    picture = Pillow.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    return np.asarray(picture.resize((size[1], size[0]), Pillow.Resampling.NEAREST)) > 0
