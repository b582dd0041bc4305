"""The one path to pixels: every image of every number goes through Pillow here, safely."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from gradcam_eval.core import Image, InputError, ReadError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 1024**3 // 4 // 3  # the size at which Pillow itself starts to warn
MAX_BYTES = 256 * 1024**2
WHITE = (255, 255, 255)

_ORIENTATION = 0x0112  # the EXIF tag; from 5 to 8 width and height are exchanged
_SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def load_image(
    source: str | os.PathLike[str] | Pillow.Image,
    size: tuple[int, int] | None = None,
    *,
    allow_url: bool = False,
    background: tuple[int, int, int] = WHITE,
) -> Image:
    """Load an image as RGB floats, at its own size or resized.

    Parameters
    ----------
    source : path, PIL image, or an http(s) URL where `allow_url` is true
    size : (H, W) to squash the image to, without keeping its proportions; None keeps its size
    allow_url : whether a URL may be fetched
    background : RGB, 0..255, shown through transparent pixels

    Returns
    -------
    float32 (H, W, 3), RGB, 0..255

    Raises
    ------
    InputError
        If the source cannot be read as an image; the message names it.

    Notes
    -----
    The resize is Pillow's `BILINEAR` on 8-bit values: it antialiases when it shrinks and rounds to
    whole numbers. Embedded colour profiles are not applied.
    """
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise InputError(f"size {size!r} is not (height, width) in pixels: give two numbers >= 1.")
    picture = _open(source, allow_url, background)
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Pillow.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)


def decode(
    data: bytes | str | os.PathLike[str],
    *,
    name: str,
    background: tuple[int, int, int] = WHITE,
) -> Pillow.Image:
    """Decode the bytes of one image file into an upright 8-bit RGB picture.

    Parameters
    ----------
    data : the file's bytes, or its path
    name : what error messages call it
    background : RGB, 0..255, shown through transparent pixels

    Returns
    -------
    PIL image, mode RGB: the first frame, EXIF orientation applied

    Raises
    ------
    InputError
        If `data` is no image of an allowed format, is broken or truncated, has more than
        `MAX_PIXELS` pixels, or holds values whose scale is unknown (float, 32-bit integers).

    Notes
    -----
    16-bit grey values are divided by 257, so that 65535 becomes 255 (Pillow's own conversion
    clips). Pillow reads 16-bit *colour* PNG files as their high bytes. A caller who sets Pillow's
    `LOAD_TRUNCATED_IMAGES` gets what that asks for.
    """
    content = data if isinstance(data, bytes) else read_file(data, name=name)
    if not content:
        raise InputError(f"{name} is empty (0 bytes): give an image file.")
    with io.BytesIO(content) as stream:
        try:
            picture = Pillow.open(stream, formats=FORMATS)
        except Exception as error:  # a broken file can raise anything inside Pillow's parsers
            raise _unreadable(name, error) from error
        return flatten(picture, name=name, background=background)


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (H, W) of an image file, upright, from its header alone.

    Raises
    ------
    InputError : there is no such file, or its header is not an image's
    """
    name = os.fsdecode(path)
    with io.BytesIO(read_file(path, name=name)) as stream:
        try:
            picture = Pillow.open(stream, formats=FORMATS)
            is_lying = picture.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
        except Exception as error:  # see `decode`
            raise _unreadable(name, error) from error
        return picture.size if is_lying else picture.size[::-1]


def flatten(
    picture: Pillow.Image, *, name: str, background: tuple[int, int, int] = WHITE
) -> Pillow.Image:
    """Load a picture that Pillow has opened, turn it upright and make it 8-bit RGB."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise InputError(f"{name} is {width}x{height} pixels: give an image with pixels.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} is {width}x{height} pixels, more than the {MAX_PIXELS} allowed: shrink it."
        )
    try:
        picture.load()
        return _to_rgb(ImageOps.exif_transpose(picture), name, background)
    except InputError:
        raise
    except Exception as error:  # see `decode`
        raise _unreadable(name, error) from error


def read_file(path: str | os.PathLike[str], *, name: str) -> bytes:
    """Return the bytes of a regular file of at most `MAX_BYTES`, or say what is wrong with it."""
    try:
        found = Path(path)
        if found.is_dir():
            raise InputError(f"{name} is a folder, not an image file: give a file in it.")
        if not found.exists():
            raise ReadError(f"there is no file {name}: check the path.")
        if not found.is_file():
            raise InputError(f"{name} is not a regular file: give an image file.")
        if found.stat().st_size > MAX_BYTES:
            raise InputError(f"{name} has more than {MAX_BYTES} bytes: give a smaller image.")
        return found.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise ReadError(f"{name} cannot be opened ({error}): check the path.") from error


def _open(
    source: str | os.PathLike[str] | Pillow.Image,
    allow_url: bool,
    background: tuple[int, int, int],
) -> Pillow.Image:
    if isinstance(source, Pillow.Image):
        name = getattr(source, "filename", "") or "the PIL image"
        return flatten(source, name=str(name), background=background)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"an image cannot be loaded from {type(source).__name__}: "
            "give a path, a PIL image or a URL."
        )
    name = os.fsdecode(source)
    if "://" not in name:
        return decode(source, name=name, background=background)
    if not allow_url:
        raise InputError(
            f"{name} is a URL: allow it with allow_url=True (--allow-url), or give a file."
        )
    from gradcam_eval.data.fetch import fetch  # sockets and TLS, wanted only here

    return decode(fetch(name), name=name, background=background)


def _to_rgb(picture: Pillow.Image, name: str, background: tuple[int, int, int]) -> Pillow.Image:
    if picture.mode in _SIXTEEN_BIT:
        return _from_sixteen_bit(picture, name).convert("RGB")
    if picture.mode == "F":
        raise InputError(f"{name} holds floats of unknown scale: save it with 8 or 16 bits.")
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        opaque = Pillow.new("RGBA", clear.size, (*background, 255))
        return Pillow.alpha_composite(opaque, clear).convert("RGB")
    return picture.convert("RGB")


def _from_sixteen_bit(picture: Pillow.Image, name: str) -> Pillow.Image:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise InputError(
            f"{name} holds integers outside 0..65535, of unknown scale: save it with 8 or 16 bits."
        )
    return Pillow.fromarray(np.round(values / 257).astype(np.uint8))


def _unreadable(name: str, error: Exception) -> InputError:
    if isinstance(error, Pillow.DecompressionBombError | Pillow.DecompressionBombWarning):
        return InputError(f"{name} has more than the {MAX_PIXELS} pixels allowed: shrink it.")
    if isinstance(error, Pillow.UnidentifiedImageError):
        return InputError(
            f"{name} is not an image that can be read: give one of {', '.join(FORMATS)}."
        )
    return InputError(f"{name} is broken or incomplete ({error}): save it again.")
