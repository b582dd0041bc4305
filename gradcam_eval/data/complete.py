"""Whether an image file has the pixels that it claims: decoders fill in what is missing, silently.

A PNG whose compressed data ends early decodes with black rows, a JPEG with grey ones, a TIFF
without some of its strips with black. The checks of PNG and JPEG are cheap where the last pixels
are not of that colour, and exact where they are.
"""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise

import numpy as np
from PIL import Image as Pillow
from PIL.TiffImagePlugin import TiffImageFile

from gradcam_eval.core import InputError
from gradcam_eval.data.jpeg_scans import ends_of_scans, lacks_scans

# What a byte of a file can hold at most. Deflate: 1032 bytes of 1-bit pixels. LZW: a code of 12
# bits for 4096 pixels. JPEG: a bit for a block of 8x8, and room for arithmetic coding.
MOST_PIXELS_A_BYTE = {"PNG": 1032 * 8, "GIF": 4096, "JPEG": 4096}
_HEADER = 1024  # bytes of a file that are not counted
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of PNG's colour types
# PNG's passes: first column, first row, and the steps from there
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
_MOST_TWICE = 2**24  # pixels of a JPEG of several scans that is decoded twice
_GREY = 128  # what libjpeg puts where the data ends
_FILLER = bytes(np.random.default_rng(0).integers(1, 255, 4096, dtype=np.uint8))


def check_claim(picture: Pillow.Image, content: bytes, *, name: str) -> None:
    """Raise InputError for an opened picture that claims more pixels than its file can hold."""
    most = MOST_PIXELS_A_BYTE.get(picture.format or "")
    if most and picture.width * picture.height > most * (len(content) + _HEADER):
        raise InputError(
            f"{name} claims {picture.width}x{picture.height} pixels, more than its "
            f"{len(content)} bytes can hold: it is broken or made to harm."
        )


def check_complete(picture: Pillow.Image, content: bytes, *, name: str) -> None:
    """Raise InputError where a picture's file ends its pixel data early.

    Parameters
    ----------
    picture : as Pillow opened and loaded it from `content`, before any conversion
    content : the bytes of the file
    name : what the error calls it

    Notes
    -----
    GIF, WebP and BMP need no check: their decoders refuse short data. A JPEG whose scans do not
    bring all coefficients of its frame is refused, though some encoders may mean it so: nothing
    tells it from one that lost them. One of several scans, as a progressive one, is decoded twice.
    What is not seen: short data of an earlier scan where there are over 16 million pixels, or of
    any scan with arithmetic coding.
    """
    check = _CHECKS.get(picture.format or "")
    try:
        is_short = check is not None and check(picture, content)
    except (struct.error, IndexError, ValueError, zlib.error):  # odd, and decoded all the same
        return
    if is_short:
        raise InputError(
            f"{name} is broken or incomplete (its pixel data ends early): save it again."
        )


def _png_is_short(picture: Pillow.Image, content: bytes) -> bool:
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", content[16:29])
    last_row = picture.crop((0, picture.height - 1, picture.width, picture.height))
    if not interlace and np.asarray(last_row).any():
        return False
    bits = depth * _CHANNELS[colour]
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    wanted = 0
    for x, y, step_x, step_y in passes:
        columns, rows = -((x - width) // step_x), -((y - height) // step_y)
        if columns > 0 and rows > 0:
            wanted += rows * (1 + -(-columns * bits // 8))  # a filter's byte before each row
    return _inflated(content) < wanted


def _inflated(content: bytes) -> int:
    """Return how many bytes a PNG's pixel data has, decompressed, without keeping them."""
    inflater, size, at = zlib.decompressobj(), 0, 8
    while at + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"IDAT":
            data = content[at + 8 : at + 8 + length]
            while data and not inflater.eof:
                size += len(inflater.decompress(data, 1 << 20))
                data = inflater.unconsumed_tail
        at += 12 + length
    return size + len(inflater.flush())


def _jpeg_is_short(picture: Pillow.Image, content: bytes) -> bool:
    """Count what the scans bring, and decode again with more data behind each of them.

    A complete scan has no use for it. The last pixels show whether the only scan is short; those
    of several scans do not.
    """
    if lacks_scans(content):
        return True
    ends = ends_of_scans(content)
    if len(ends) < 2 or picture.width * picture.height > _MOST_TWICE:
        end = picture.crop((max(0, picture.width - 8), max(0, picture.height - 8), *picture.size))
        if picture.mode not in ("L", "RGB") or (np.asarray(end) != _GREY).any():
            return False
    parts = [content[start:stop] for start, stop in pairwise([0, *ends, len(content)])]
    with io.BytesIO(_FILLER.join(parts)) as stream:
        again = Pillow.open(stream, formats=("JPEG",))
        again.draft(None, picture.size)  # reduced as the picture was
        return picture.tobytes() != again.tobytes()


def _tiff_is_short(picture: Pillow.Image, content: bytes) -> bool:
    """Count the strips or tiles, and the bytes of those that are not compressed."""
    if not isinstance(picture, TiffImageFile):
        return False
    tags = picture.tag_v2
    width, height = tags[256], tags[257]
    is_tiled = 324 in tags
    counts = tags.get(325 if is_tiled else 279, ())
    planes = tags.get(277, 1) if tags.get(284, 1) == 2 else 1
    if is_tiled:
        parts = -(-width // tags[322]) * -(-height // tags[323]) * planes
    else:
        parts = -(-height // min(tags.get(278, height), height)) * planes
    if len(counts) < parts or min(counts[:parts]) == 0:
        return bool(counts)
    bits = sum(tags.get(258, (1,)))
    is_plain = tags.get(259, 1) == 1 and not is_tiled and planes == 1
    return is_plain and sum(counts) < height * -(-width * bits // 8)


_CHECKS = {
    "PNG": _png_is_short,
    "JPEG": _jpeg_is_short,
    "MPO": _jpeg_is_short,
    "TIFF": _tiff_is_short,
}
