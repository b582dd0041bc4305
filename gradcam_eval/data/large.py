"""Reduce very large JPEG and TIFF pictures while they are decoded, in bounded memory.

A JPEG is decoded at 1/2, 1/4 or 1/8 of its size (libjpeg scales the blocks). A TIFF is decoded tile
by tile, or strip by strip, and averaged over squares of pixels.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import JpegImagePlugin

from gradcam_eval.core import InputError
from gradcam_eval.data.depth import SIXTEEN_BITS, Decoded, Pixels, levels_of, scaled

LARGEST = 16  # times as many pixels as are allowed without a reduction: beyond it, a bomb
_ROOM = 4  # how many times fewer than allowed a reduced picture has: sums take four bytes a value
_MAX_SEGMENT = 256 * 1024**2  # bytes of one decoded tile or strip
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MINISBLACK, _RGB, _CONTIGUOUS, _ORIENTATION = 1, 2, 1, 274

Size = tuple[int, int]


def open_reduced(content: bytes, *, name: str, most: int) -> tuple[Pillow.Image, Size] | None:
    """Open a JPEG of more than `most` pixels for decoding at a part of its size.

    Returns
    -------
    (picture that Pillow has opened and not loaded, (H, W) of the whole file as it is stored), or
    None where it is no JPEG, or small enough

    Raises
    ------
    InputError : a progressive JPEG, which needs all of its coefficients in memory, or a bomb
    """
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    picture = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    width, height = picture.size
    if width * height <= most:
        return None
    factor = _factor((height, width), most, name)
    if picture.info.get("progressive") or factor > 8:
        raise InputError(
            f"{name} is a JPEG of {width}x{height} pixels that cannot be reduced while it is read: "
            "save it as a baseline JPEG or a tiled TIFF."
        )
    picture.draft(picture.mode, (width // factor, height // factor))
    return picture, (height, width)


def decode_large_tiff(content: bytes, pixels: Pixels, *, name: str, most: int) -> Decoded | None:
    """Decode a TIFF of more than `most` pixels, reduced; None where it is none.

    ``out[i, j] = mean of the factor × factor pixels from (i · factor, j · factor) on``, fewer at
    the right and lower edge; the factor is the smallest power of 2 that leaves a quarter of `most`.

    Raises
    ------
    InputError : pixels that are neither grey nor RGB, one strip for the whole picture, a
        compression that nothing installed reads, or a bomb
    """
    if content[:4] not in _TIFF:
        return None
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        size = (int(page.imagelength), int(page.imagewidth))
        if size[0] * size[1] <= most:
            return None
        factor = _factor(size, most, name)
        _check(page, name)
        try:
            means = _means(page, size, factor)
        except ValueError as error:
            raise InputError(
                f"{name} cannot be reduced ({error}): if a package is missing, install it, or save "
                "the file with deflate compression."
            ) from error
        orientation = page.tags.get(_ORIENTATION)
        turned = int(orientation.value) if orientation else 1
    found = _as_decoded(means, page.dtype, pixels, name)
    shown = f"reduced by {factor}, from {size[1]}×{size[0]}"
    found = replace(found, notes=(*found.notes, shown))
    return _upright(found, turned if turned in range(1, 9) else 1, size)


def _factor(size: Size, most: int, name: str) -> int:
    count, factor = size[0] * size[1], 1
    if count > LARGEST * most:
        raise InputError(
            f"{name} is {size[1]}x{size[0]} pixels, more than the {LARGEST * most} that can be "
            "reduced: shrink it."
        )
    while count > factor**2 * most // _ROOM:
        factor *= 2
    return factor


def _check(page: Any, name: str) -> None:
    samples, kind = page.samplesperpixel, int(page.photometric)
    is_plain = (samples, kind) in ((1, _MINISBLACK), (3, _RGB))
    is_joined = samples == 1 or int(page.planarconfig) == _CONTIGUOUS
    if not is_plain or not is_joined or page.dtype is None:
        raise InputError(
            f"{name} is a large TIFF of {samples} samples a pixel: only grey and RGB ones, without "
            "alpha and with joined samples, are reduced."
        )
    bytes_ = int(np.prod(page.chunks)) * page.dtype.itemsize
    if bytes_ > _MAX_SEGMENT:
        raise InputError(
            f"{name} is a large TIFF with one strip of {bytes_} bytes: save it in tiles, or in "
            "strips of fewer rows."
        )


def _means(page: Any, size: Size, factor: int) -> NDArray[np.float32]:
    """Return the means of squares, float32 (h, w, samples), from one segment after the other."""
    samples = page.samplesperpixel
    small = tuple(-(-side // factor) for side in size)
    total = np.zeros((*small, samples), np.float32)
    for data, index, _ in page.segments(maxworkers=1):
        if data is None:  # a tile that a sparse file leaves out is 0
            continue
        y, x = index[2], index[3]
        part = data.reshape(data.shape[-3:])[: size[0] - y, : size[1] - x].astype(np.float32)
        for axis, start in ((0, y), (1, x)):
            edges = np.arange(-(-start // factor), -(-(start + part.shape[axis]) // factor))
            cuts = np.unique([0, *(edges * factor - start)])
            part = np.add.reduceat(part, cuts[cuts < part.shape[axis]], axis=axis)
        row, column = y // factor, x // factor
        total[row : row + part.shape[0], column : column + part.shape[1]] += part
    counts = [np.minimum(factor, n - np.arange(0, n, factor)) for n in size]
    squares = counts[0][:, None, None] * counts[1][None, :, None]
    return (total / squares).astype(np.float32)


def _as_decoded(means: NDArray[np.float32], dtype: np.dtype, pixels: Pixels, name: str) -> Decoded:
    if means.shape[2] == 3:
        if dtype.kind != "u" or dtype.itemsize > 2 or pixels.range is not None:
            raise InputError(
                f"{name} is a large TIFF of {dtype} colour: expected 8 or 16 bits without a window."
            )
        levels = means if dtype.itemsize == 1 else means / 257
        return Decoded(Pillow.fromarray(np.rint(levels).astype(np.uint8)))
    grey = means[..., 0]
    if dtype == np.uint8 and pixels.range is None:
        return Decoded(Pillow.fromarray(grey), is_grey=True)
    if dtype == np.uint16 and pixels.range is None:
        found = scaled(grey, SIXTEEN_BITS, name=name)
    else:
        found = levels_of(grey, pixels, name=name)
    return Decoded(
        Pillow.fromarray(found.values),
        is_grey=True,
        notes=(found.note,),
        warnings=found.warnings,
    )


def _upright(found: Decoded, orientation: int, stored: Size) -> Decoded:
    from gradcam_eval.data.placement import TURNS

    picture = found.picture
    if orientation in TURNS:
        picture = picture.transpose(TURNS[orientation][1])
    whole = stored[::-1] if orientation > 4 else stored
    return replace(found, picture=picture, orientation=orientation, upright=whole)
