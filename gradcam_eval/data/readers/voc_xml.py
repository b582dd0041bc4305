"""The XML files of Pascal VOC, which ImageNet and the Oxford pets use as well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_eval.core import InputError
from gradcam_eval.data.annotation import Box
from gradcam_eval.data.readers.files import coordinate, read_xml, whole_number

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class XmlObject:
    """One <object>.

    Attributes
    ----------
    name : of its class, as the file has it
    box : x0, y0, x1, y1, half-open, of the frame whose first pixel covers [0, 1)
    is_difficult : whether the annotators marked it as hard to recognise
    """

    name: str
    box: Box
    is_difficult: bool


@dataclass(frozen=True)
class XmlAnnotation:
    """One file: its objects, and what it states: the image's (H, W) and file name, or neither."""

    objects: tuple[XmlObject, ...]
    size: tuple[int, int] | None
    filename: str = ""

    def names(self) -> tuple[str, ...]:
        """Return the classes of what is not difficult: the one with the largest boxes first."""
        areas: dict[str, float] = {}
        for found in self.objects:
            if not found.is_difficult:
                x0, y0, x1, y1 = found.box
                areas[found.name] = areas.get(found.name, 0.0) + (x1 - x0) * (y1 - y0)
        return tuple(sorted(areas, key=lambda name: -areas[name]))


def read_voc_xml(path: Path, *, first: int) -> XmlAnnotation:
    """Read one file whose corners are whole pixels, both included.

    Parameters
    ----------
    path : the file
    first : the number of the first pixel: 1 in Pascal VOC, 0 in ImageNet's CLS-LOC. A corner pair
        (xmin, xmax) becomes x0 = xmin - first, x1 = xmax - first + 1.

    Raises
    ------
    InputError
        If the file is no such XML, or an object has no name or no four finite corners.
    """
    root = read_xml(path)
    objects = tuple(_object(element, path, first) for element in root.iter("object"))
    return XmlAnnotation(objects, _size(root, path), _text(root, "filename"))


def _object(element: Element, path: Path, first: int) -> XmlObject:
    name = _text(element, "name")
    corners = element.find("bndbox")
    if not name or corners is None:
        raise InputError(f"an object in {path} has no name or no bndbox: wanted both.")
    x0, y0, x1, y1 = (
        coordinate(_text(corners, tag), f"{tag} of {name[:60]!r} in {path}")
        for tag in ("xmin", "ymin", "xmax", "ymax")
    )
    box = (x0 - first, y0 - first, x1 - first + 1, y1 - first + 1)
    return XmlObject(name, box, _text(element, "difficult") == "1")


def _size(root: Element, path: Path) -> tuple[int, int] | None:
    size = root.find("size")
    if size is None:
        return None
    height, width = (
        whole_number(_text(size, tag), f"the {tag} in {path}") for tag in ("height", "width")
    )
    return (height, width) if height > 0 and width > 0 else None  # 0: some writers do not know it


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()
