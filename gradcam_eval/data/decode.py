"""The one path to pixels: every image of every number goes through Pillow here, safely."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from gradcam_eval.core import Image, InputError, ReadError, is_whole
from gradcam_eval.data.complete import check_claim, check_complete
from gradcam_eval.data.depth import NARROW, Decoded, Pixels, levels_of
from gradcam_eval.data.dicom import decode_dicom, dicom_size, is_dicom
from gradcam_eval.data.geometry import Fit, Framing, as_framing
from gradcam_eval.data.large import decode_large_tiff, open_reduced
from gradcam_eval.data.missing import missing_file

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
MAX_PIXELS = 1024**3 // 4 // 3  # the size at which Pillow itself starts to warn
MAX_DECODED_BYTES = 4 * MAX_PIXELS + 16 * 1024**2
MAX_BYTES = 256 * 1024**2
WHITE = (255, 255, 255)

_ORIENTATION = 0x0112  # the EXIF tag; from 5 to 8 width and height are exchanged
_SHRINK = "shrink it, or say large = 'reduce' (JPEG and TIFF)"
_BAND = 256  # rows that are computed at once
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_GREY = ("1", "L", "LA", *_DEEP)


def load_image(  # noqa: PLR0913 - the one call that says all
    source: str | os.PathLike[str] | Pillow.Image,
    size: tuple[int, int] | None = None,
    *,
    allow_url: bool = False,
    background: tuple[int, int, int] = WHITE,
    channels: int = 3,
    pixels: Pixels | None = None,
    framing: Framing | Fit = "squash",
) -> Image:
    """Load an image as floats, RGB or grey, at its own size or resized.

    Parameters
    ----------
    source : path, PIL image, or an http(s) URL where `allow_url` is true
    size : (H, W) of the image; None keeps the file's size
    allow_url : whether a URL may be fetched
    background : RGB, 0..255, shown through transparent pixels
    channels : 3, or 1 for grey: the luminance of a colour picture
    pixels : for files of more than 8 bits and very large ones, see `Pixels`
    framing : how the file becomes `size`: "squash", which changes the proportions, "crop",
        "letterbox", or a `Framing` with its options

    Returns
    -------
    float32 (H, W, channels), 0..255

    Raises
    ------
    InputError
        If the source cannot be read as an image; the message names it.

    Warns
    -----
    UserWarning : the values of a file with more than 8 bits use under a sixteenth of their range

    Notes
    -----
    The resize is Pillow's `BILINEAR` on 8-bit values: it antialiases when it shrinks and rounds to
    whole numbers. Grey values of more than 8 bits keep their fractions. Embedded colour profiles
    are not applied. Luminance is 0.299 R + 0.587 G + 0.114 B, rounded.
    """
    if size is not None:
        check_size(size)
    found = open_image(source, allow_url=allow_url, background=background, pixels=pixels)
    for said in found.warnings:
        warnings.warn(f"{_name_of(source)}: {said}", stacklevel=2)
    return as_array(found.picture, channels, size, framing)


def check_size(size: Any) -> None:
    """Raise InputError unless a size is (height, width) in whole pixels."""
    sides = tuple(size) if isinstance(size, Sequence | np.ndarray) else ()
    if len(sides) != 2 or not all(is_whole(side) and side >= 1 for side in sides):
        raise InputError(f"size {size!r} is not (height, width) in pixels: give two numbers >= 1.")


def as_array(
    picture: Pillow.Image,
    channels: int = 3,
    size: tuple[int, int] | None = None,
    framing: Framing | Fit = "squash",
) -> Image:
    """Return an RGB or F picture as float32 (H, W, channels), 0..255, framed to (H, W).

    Raises
    ------
    InputError : another number of channels than 1 and 3
    """
    if not is_whole(channels) or channels not in (1, 3):
        raise InputError(
            f"the model takes images of {channels} channels, and an image file gives 1 or 3: use "
            "Python, with arrays of its own channels."
        )
    if channels == 1 and picture.mode == "RGB":
        picture = picture.convert("L")
    original = (picture.height, picture.width)
    found = as_framing(framing).frame(original, size or original).picture(picture)
    return np.repeat(found, 3, axis=2) if found.shape[2] < channels else found


def decode(
    data: bytes | str | os.PathLike[str],
    *,
    name: str,
    background: tuple[int, int, int] = WHITE,
) -> Pillow.Image:
    """Return the picture that `decode_file` returns, without what it says of it."""
    return decode_file(data, name=name, background=background).picture


def decode_file(
    data: bytes | str | os.PathLike[str],
    *,
    name: str,
    background: tuple[int, int, int] = WHITE,
    pixels: Pixels | None = None,
) -> Decoded:
    """Decode the bytes of one image file into an upright picture.

    Parameters
    ----------
    data : the file's bytes, or its path
    name : what error messages call it
    background : RGB, 0..255, shown through transparent pixels
    pixels : for files of more than 8 bits and very large ones

    Returns
    -------
    Decoded: the first frame, EXIF orientation applied; mode F where the file is grey with more than
    8 bits, or a window was given, else RGB

    Raises
    ------
    InputError
        If `data` is no image of an allowed format, is broken or truncated, ends its pixel data
        early, has more than `MAX_PIXELS` pixels or `MAX_DECODED_BYTES`, or holds values whose scale
        is unknown (float, 32-bit integers).

    Notes
    -----
    16-bit grey values are divided by 257, so that 65535 becomes 255 (Pillow's own conversion
    clips), unless `bits` or `window` says otherwise. Pillow reads 16-bit *colour* files as their
    high bytes. A caller who sets Pillow's `LOAD_TRUNCATED_IMAGES` gets what that asks for.
    """
    content = data if isinstance(data, bytes) else read_file(data, name=name)
    if not content:
        raise InputError(f"{name} is empty (0 bytes): give an image file.")
    if is_dicom(content):
        return decode_dicom(content, pixels or Pixels(), name=name, most=MAX_PIXELS)
    if pixels is not None and pixels.large == "reduce":
        reduced = _reduced(content, name, background, pixels)
        if reduced is not None:
            return reduced
    with io.BytesIO(content) as stream:
        try:
            picture = Pillow.open(stream, formats=FORMATS)
        except MemoryError:
            raise
        except Exception as error:  # a broken file can raise anything inside Pillow's parsers
            raise _unreadable(name, error) from error
        _check_size(picture, name)
        check_claim(picture, content, name=name)
        flat = flatten(picture, name=name, background=background, pixels=pixels)
        check_complete(picture, content, name=name)
        frames = _frames_of(picture)
        if frames == 1:
            return flat
        return replace(flat, notes=(*flat.notes, f"the first of {frames} pages or frames"))


def _reduced(
    content: bytes, name: str, background: tuple[int, int, int], pixels: Pixels
) -> Decoded | None:
    """Decode a file of too many pixels at a part of its size; None where it has not too many."""
    try:
        found = decode_large_tiff(content, pixels, name=name, most=MAX_PIXELS)
        opened = open_reduced(content, name=name, most=MAX_PIXELS) if found is None else None
    except InputError:
        raise
    except Exception as error:  # see `decode`
        raise _unreadable(name, error) from error
    if opened is None:
        return found
    picture, (height, width) = opened
    small = flatten(picture, name=name, background=background, pixels=pixels)
    check_complete(picture, content, name=name)
    factor = round(width / picture.width)
    return replace(
        small,
        upright=(width, height) if small.orientation > 4 else (height, width),
        notes=(*small.notes, f"reduced by {factor}, from {width}×{height}"),
    )


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (H, W) of an image file, upright, from its header alone; see `picture_header`."""
    size, orientation = picture_header(path)
    return size[::-1] if orientation > 4 else size


def picture_header(path: str | os.PathLike[str]) -> tuple[tuple[int, int], int]:
    """Return (H, W) of an image file as it is stored, and its EXIF orientation.

    Raises
    ------
    InputError : there is no such file, or its header is not an image's
    """
    name = os.fsdecode(path)
    content = read_file(path, name=name)
    if is_dicom(content):
        return dicom_size(content, name=name), 1
    with io.BytesIO(content) as stream:
        try:
            picture = Pillow.open(stream, formats=FORMATS)
            return picture.size[::-1], orientation_of(picture)
        except Exception as error:  # see `decode`
            raise _unreadable(name, error) from error


def frame_count(path: str | os.PathLike[str]) -> int:
    """Return how many pages or frames an image file has; only the first is ever read.

    A JPEG counts as one, whatever previews a camera put behind it. The file has been decoded.
    """
    with io.BytesIO(read_file(path, name=os.fsdecode(path))) as stream:
        return _frames_of(Pillow.open(stream, formats=FORMATS))


def _frames_of(picture: Pillow.Image) -> int:
    """Return how many pages or frames a picture has; 1 where they cannot be counted."""
    if picture.format in ("JPEG", "MPO"):
        return 1
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # a later frame may be broken in any way: it is not read
        return 1


def flatten(
    picture: Pillow.Image,
    *,
    name: str,
    background: tuple[int, int, int] = WHITE,
    pixels: Pixels | None = None,
) -> Decoded:
    """Load a picture that Pillow has opened, turn it upright and make it RGB or F."""
    _check_size(picture, name)
    try:
        raw = [str(tile[3]) for tile in getattr(picture, "tile", ())]  # gone once it is loaded
        has_high_bytes = any(";16" in mode for mode in raw)
        picture.load()
        orientation = orientation_of(picture)
        upright = ImageOps.exif_transpose(picture) if orientation > 1 else picture  # no copy
        found = _levels(upright, name, background, pixels or Pixels())
        is_grey = picture.mode in _GREY
        said = _dark(found.picture) if has_high_bytes and found.picture.mode == "RGB" else ()
        return replace(
            found, orientation=orientation, is_grey=is_grey, warnings=found.warnings + said
        )
    except (InputError, MemoryError):
        raise
    except Exception as error:  # see `decode`
        raise _unreadable(name, error) from error


def _check_size(picture: Pillow.Image, name: str) -> None:
    """Raise InputError for a picture without pixels, or with more than memory should hold."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise InputError(f"{name} is {width}x{height} pixels: give an image with pixels.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} is {width}x{height} pixels, more than the {MAX_PIXELS} allowed: {_SHRINK}."
        )
    if decoded_bytes(picture) > MAX_DECODED_BYTES:
        raise InputError(
            f"{name} takes {decoded_bytes(picture):,} bytes when it is decoded, more than the "
            f"{MAX_DECODED_BYTES:,} allowed: it is {width}x{height} pixels."
        )


def decoded_bytes(picture: Pillow.Image) -> int:
    """Return what a picture takes in memory: 4 bytes a pixel, and 16 to find each of its rows."""
    return picture.height * (4 * picture.width + 16)


def read_file(path: str | os.PathLike[str], *, name: str) -> bytes:
    """Return the bytes of a regular file of at most `MAX_BYTES`, or say what is wrong with it."""
    try:
        found = Path(path)
        if found.is_dir():
            raise InputError(f"{name} is a folder, not an image file: give a file in it.")
        if not found.exists():
            raise missing_file(found, name)
        if not found.is_file():
            raise InputError(f"{name} is not a regular file: give an image file.")
        if found.stat().st_size > MAX_BYTES:
            raise InputError(f"{name} has more than {MAX_BYTES} bytes: give a smaller image.")
        return found.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise ReadError(f"{name} cannot be opened ({error}): check the path.") from error


def open_image(
    source: str | os.PathLike[str] | Pillow.Image,
    *,
    allow_url: bool = False,
    background: tuple[int, int, int] = WHITE,
    pixels: Pixels | None = None,
) -> Decoded:
    """Decode a file, a URL or a picture that Pillow has opened, as `load_image` does."""
    if isinstance(source, Pillow.Image):
        return flatten(source, name=_name_of(source), background=background, pixels=pixels)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"an image cannot be loaded from {type(source).__name__}: "
            "give a path, a PIL image or a URL."
        )
    name = os.fsdecode(source)
    if "://" not in name:
        return decode_file(source, name=name, background=background, pixels=pixels)
    if not allow_url:
        raise InputError(
            f"{name} is a URL: allow it with allow_url=True (--allow-url), or give a file."
        )
    from gradcam_eval.data.fetch import fetch  # sockets and TLS, wanted only here

    return decode_file(fetch(name), name=name, background=background, pixels=pixels)


def orientation_of(picture: Pillow.Image) -> int:
    """Return the EXIF orientation of an opened picture, 1..8; 1 where it has none that is valid."""
    found = picture.getexif().get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _name_of(source: object) -> str:
    if isinstance(source, Pillow.Image):
        return str(getattr(source, "filename", "") or "the PIL image")
    return str(source)


def _levels(
    picture: Pillow.Image, name: str, background: tuple[int, int, int], pixels: Pixels
) -> Decoded:
    if picture.mode in _DEEP or (picture.mode == "L" and pixels.window is not None):
        found = levels_of(np.asarray(picture), pixels, name=name)
        return Decoded(Pillow.fromarray(found.values), notes=(found.note,), warnings=found.warnings)
    if pixels.range is not None and pixels.bits != 8:
        given = f"bits = {pixels.bits}" if pixels.bits else f"window = {list(pixels.range)}"
        raise InputError(
            f"{name} has {picture.mode} pixels of 8 bits, and {given} is for grey files of "
            "more: leave it out for this one."
        )
    flat = _composited(picture, background) if picture.has_transparency_data else picture
    if picture.format == "TIFF" and _frames_of(picture) > 1:
        flat = flat.copy()  # Pillow keeps such a file open, and turns to it again at each resize
    return Decoded(flat if flat.mode == "RGB" else flat.convert("RGB"))


def _composited(picture: Pillow.Image, background: tuple[int, int, int]) -> Pillow.Image:
    """Return a picture as RGB on a colour, some rows at a time: little stands in memory twice."""
    flat = Pillow.new("RGB", picture.size)
    for top in range(0, picture.height, _BAND):
        rows = (0, top, picture.width, min(top + _BAND, picture.height))
        clear = picture.crop(rows).convert("RGBA")
        opaque = Pillow.new("RGBA", clear.size, (*background, 255))
        flat.paste(Pillow.alpha_composite(opaque, clear).convert("RGB"), (0, top))
    return flat


def _dark(picture: Pillow.Image) -> tuple[str, ...]:
    """Warn where the high bytes of 16-bit colour use under a sixteenth of their range."""
    ends = np.array(picture.getextrema())  # (low, high) of each channel
    low, high = int(ends.min()), int(ends.max())
    if high - low >= NARROW * 255:
        return ()
    return (
        f"16-bit colour is read as its high bytes, and these are {low} to {high} of 255: save it "
        "with 8 bits",
    )


def _unreadable(name: str, error: Exception) -> InputError:
    if isinstance(error, Pillow.DecompressionBombError | Pillow.DecompressionBombWarning):
        return InputError(f"{name} has more than the {MAX_PIXELS} pixels allowed: {_SHRINK}.")
    if isinstance(error, Pillow.UnidentifiedImageError):
        return InputError(
            f"{name} is not an image that can be read: give one of {', '.join(FORMATS)}."
        )
    return InputError(f"{name} is broken or incomplete ({error}): save it again.")
