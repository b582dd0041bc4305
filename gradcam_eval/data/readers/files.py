"""What readers take from a disk they do not trust: text, JSON, XML, label pictures, and paths.

Everything has a size limit, no path leaves the data set's folder, and whatever is wrong with a file
is an `InputError` that names it.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from gradcam_eval.core import InputError, ReadError
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.complete import check_claim, check_complete
from gradcam_eval.data.decode import MAX_DECODED_BYTES, MAX_PIXELS, decoded_bytes
from gradcam_eval.data.missing import missing_file
from gradcam_eval.texts import shortened

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_LIST_BYTES = 512 * 1024**2  # COCO's instances_train2017.json has 448 MB
MAX_XML_BYTES = 4 * 1024**2
MAX_PICTURE_BYTES = 64 * 1024**2
_MASK_FORMATS = ("PNG", "BMP", "GIF", "TIFF")  # that keep every value
_JPEG = b"\xff\xd8\xff"
MAX_NAME_BYTES = 250  # of one folder or file, suffix included; file systems allow 255
MAX_COORDINATE = 1e7  # pixels: beyond it a number is no coordinate, and float32 loses whole pixels


def inside(root: Path, name: str) -> Path:
    """Return the path of a file that a data set names, or refuse a name that leaves its folder.

    Names use / and may hold folders. Absolute names, `..`, drive letters, line breaks,
    NUL and names that no file system takes are refused.
    Links that a user put into the folder are followed.
    """
    parts = name.replace("\\", "/").split("/")
    is_clean = name.strip() and not any(c in name for c in "\0\r\n") and ":" not in parts[0]
    is_short = max(len(part.encode(errors="replace")) for part in parts) <= MAX_NAME_BYTES
    if not is_clean or not is_short or parts[0] == "" or ".." in parts:
        raise InputError(
            f"the data set names the file {name[:200]!r}, which is no path inside {root}: "
            "wanted a relative path without '..'."
        )
    return root.joinpath(*parts)


def listed(entries: list[Entry], source: Path) -> list[Entry]:
    """Return the entries, or refuse a list that is empty or names an image twice."""
    if not entries:
        raise InputError(f"{source} lists no image: check it, and the split.")
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise InputError(f"{source} lists the image {entry.name[:200]!r} twice: list it once.")
        seen.add(entry.name)
    return entries


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes`."""
    try:
        if not path.exists():
            raise missing_file(path, str(path))
        if not path.is_file():
            raise InputError(f"{path} is not a regular file: give a file.")
        if path.stat().st_size > max_bytes:
            raise InputError(f"{path} has more than the {max_bytes} bytes allowed: split it.")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise ReadError(f"{path} cannot be read ({error}): check the file.") from error


def read_text(path: Path, max_bytes: int = MAX_LIST_BYTES) -> str:
    """Return the content of a UTF-8 text file, without a byte-order mark."""
    try:
        return read_bytes(path, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}): convert it.") from error


def read_rows(
    path: Path, *, separator: str | None = None, comment: str = ""
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, columns) of a text file's lines that are not empty.

    `separator` None splits at any white space; lines that begin with `comment` are left out.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not (comment and line.startswith(comment)):
            yield number, [column.strip() for column in line.split(separator)]


def bad_line(path: Path, number: int, columns: list[str], wanted: str) -> InputError:
    """Return the error for a line that is not what the format has there."""
    received = shortened(repr(" ".join(columns)), 120)
    return InputError(f"line {number} of {path} is {received}: wanted {wanted}.")


def read_json(path: Path) -> Any:
    """Return a JSON file's value; NaN, infinities and absurd nesting are refused."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        return json.loads(read_text(path), parse_constant=refuse)
    except InputError:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path} is not JSON that can be read ({error}): check it.") from error


def read_xml(path: Path) -> Element:
    """Return the root of an XML file. Document types, and with them all entities, are refused."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    content = read_bytes(path, MAX_XML_BYTES)
    try:
        return fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise InputError(
            f"{path} declares a document type or entities, which are refused: remove them."
        ) from error
    except (ParseError, ValueError, LookupError) as error:  # an unknown encoding is a LookupError
        raise InputError(f"{path} is not XML that can be read ({error}): check it.") from error


def read_label_picture(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Return the values of a picture whose pixels are labels: palette indices, or grey levels.

    Parameters
    ----------
    path : a PNG with a palette, 8-bit grey or 1-bit pixels
    size : (H, W) that it must have

    Returns
    -------
    uint8 (H, W); a 1-bit picture gives 0 and 255
    """
    content = read_bytes(path, MAX_PICTURE_BYTES)
    if content.startswith(_JPEG):
        raise InputError(
            f"{path} is a JPEG, whose compression changes the values of a mask: save it as PNG."
        )
    try:
        with Pillow.open(io.BytesIO(content), formats=_MASK_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{path} has more than the {MAX_PIXELS} pixels allowed.")
            if decoded_bytes(picture) > MAX_DECODED_BYTES:
                raise InputError(f"{path} takes more than {MAX_DECODED_BYTES:,} bytes decoded.")
            check_claim(picture, content, name=str(path))
            picture.load()
            check_complete(picture, content, name=str(path))
            values = np.asarray(_as_labels(picture, path))
    except (InputError, MemoryError):
        raise
    except Pillow.UnidentifiedImageError as error:
        raise InputError(
            f"{path} is no {', '.join(_MASK_FORMATS)}, as a picture of labels is: save it as PNG."
        ) from error
    except Exception as error:  # a broken file can raise anything inside Pillow's parsers
        raise InputError(f"{path} is not a picture that can be read ({error}).") from error
    if size is not None and values.shape != size:
        raise InputError(
            f"{path} is {values.shape[1]}x{values.shape[0]} pixels and its image "
            f"{size[1]}x{size[0]}: wanted the same size."
        )
    return values


def _as_labels(picture: Pillow.Image, path: Path) -> Pillow.Image:
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("L", "P"):
        return picture
    if picture.mode == "LA":
        return picture.getchannel("L")
    raise InputError(
        f"{path} has {picture.mode} pixels: wanted labels as a palette or 8-bit grey levels."
    )


def coordinate(value: Any, what: str) -> float:
    """Return a finite number of pixels, or say what was given instead."""
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= MAX_COORDINATE:  # NaN fails too
        raise InputError(f"{what} is {str(value)[:40]!r}: wanted a number of pixels.")
    return number


def whole_number(value: Any, what: str) -> int:
    """Return a whole number of pixels, or say what was given instead."""
    number = coordinate(value, what)
    if number != int(number):
        raise InputError(f"{what} is {str(value)[:40]!r}: wanted a whole number.")
    return int(number)
