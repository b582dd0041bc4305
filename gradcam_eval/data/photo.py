"""A photograph beside its heatmaps in a file: compressed, since only pictures are made of it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from gradcam_eval.core import Photo
from gradcam_eval.data.geometry import Frame

NAMES = ("photo", "photo_frame")  # in the file


def photo_arrays(photo: Photo) -> dict[str, NDArray[np.generic]]:
    """Return a photograph as arrays by their names in a .npz file; `photo_of` reads them."""
    buffer = io.BytesIO()
    Pillow.fromarray(photo.pixels).save(buffer, "JPEG", quality=92, subsampling=0)
    original, size, resized, corner, fill, is_mirrored = astuple(photo.frame)
    numbers = (*original, *size, *resized, *corner, *fill, is_mirrored)
    content = np.frombuffer(buffer.getvalue(), np.uint8)
    return dict(zip(NAMES, (content, np.array(numbers, np.int64)), strict=True))


def photo_of(arrays: Mapping[str, NDArray[np.generic]]) -> Photo | None:
    """Return the photograph in the arrays of a .npz file, or None where there is none.

    Raises
    ------
    ValueError, OSError : it was damaged
    """
    if any(name not in arrays for name in NAMES):
        return None
    content, numbers = (arrays[name] for name in NAMES)
    with Pillow.open(io.BytesIO(content.tobytes()), formats=("JPEG",)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    n = [int(number) for number in numbers]
    frame = Frame(
        original=(n[0], n[1]),
        size=(n[2], n[3]),
        resized=(n[4], n[5]),
        corner=(n[6], n[7]),
        fill=(n[8], n[9], n[10]),
        is_mirrored=bool(n[11]),
    )
    return Photo(pixels, frame)
