"""Pascal VOC: boxes from the XML files, masks from the class and object pictures."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.data.annotation import Annotation, Drawn, Entry
from gradcam_eval.data.readers.files import inside, listed, read_label_picture, read_rows
from gradcam_eval.data.readers.voc_xml import XmlAnnotation, read_voc_xml

FIRST_PIXEL = 1
VOID = 255
# The indices of the class pictures; 0 is the background.
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_CREDIT = "Pascal VOC (Everingham et al. 2010)"


def read_voc(path: Path, *, split: str | None = None) -> list[Entry]:
    """List the images of a Pascal VOC folder.

    Parameters
    ----------
    path : a folder with `JPEGImages` and `Annotations`, and where there are masks
        `SegmentationClass` and `SegmentationObject`; or one that holds just one such folder
        (`VOCdevkit`)
    split : a list in `ImageSets`: "val" is `ImageSets/Main/val.txt`, "Segmentation/val" another;
        without one, every image that has an XML file

    Returns
    -------
    list of Entry. Labels are the classes of the objects that are not difficult, the one with the
    largest boxes first.

    Raises
    ------
    InputError
        If the folders or the list are not there, or nothing is listed.

    Notes
    -----
    The image is the one that the XML file states (<filename>), else the one with its own name and
    .jpg. Corners count pixels from 1 and include both ends: [xmin, xmax] becomes [xmin - 1, xmax).
    Difficult objects are ignored. Where an image has an object picture, its objects are those of
    the picture (0 is background, 255 void, n an instance), their class is that of most of their
    pixels in the class picture, and the box is that of the n-th object of the XML file where the
    class agrees, otherwise that of the pixels. With a class picture alone, each class is one
    object. Void pixels, which are borders and difficult objects, are ignored.
    """
    root = _root(path)
    names = _all_names(root) if split is None else _split_names(root, split)
    return listed([_entry(root, name, split or "") for name in names], root)


def _root(path: Path) -> Path:
    if (path / "JPEGImages").is_dir():
        return path
    found = sorted(path.glob("*/JPEGImages")) if path.is_dir() else []
    if len(found) != 1:
        raise InputError(
            f"{path} has {len(found)} folders with JPEGImages: give the one folder that has it, "
            "such as VOCdevkit/VOC2012."
        )
    return found[0].parent


def _all_names(root: Path) -> list[str]:
    folder = root / "Annotations"
    return sorted(file.stem for file in folder.glob("*.xml") if not file.name.startswith("."))


def _split_names(root: Path, split: str) -> list[str]:
    name = split if "/" in split else f"Main/{split}"
    path = inside(root / "ImageSets", f"{name}.txt")
    return [columns[0] for _, columns in read_rows(path)]


def _entry(root: Path, name: str, split: str) -> Entry:
    xml = inside(root / "Annotations", f"{name}.xml")
    found = XmlAnnotation((), None)
    with contextlib.suppress(InputError):  # said when the image is annotated: a bad row
        found = read_voc_xml(xml, first=FIRST_PIXEL)
    image = _image_of(root / "JPEGImages", name, found.filename)
    return Entry(
        image.name,
        image,
        found.names(),
        _Truth(root, name),
        subset=split,
        credit=_CREDIT,
        annotated_size=found.size,
    )


def _image_of(folder: Path, name: str, stated: str) -> Path:
    """Return the image that an XML file names, or the one called as the XML file itself."""
    own = inside(folder, f"{name}.jpg")
    if not stated:
        return own
    base = stated.replace("\\", "/").rsplit("/", 1)[-1]  # some tools write a whole path
    for candidate in (base, f"{base}.jpg"):
        with contextlib.suppress(InputError):  # no name of a file in the folder
            if (image := inside(folder, candidate)).is_file():
                return image
    return own


@dataclass(frozen=True)
class _Truth:
    """Reads boxes and masks of one image when they are wanted."""

    root: Path
    name: str

    def __call__(self, size: tuple[int, int]) -> Annotation:
        xml = read_voc_xml(inside(self.root / "Annotations", f"{self.name}.xml"), first=FIRST_PIXEL)
        classes = inside(self.root / "SegmentationClass", f"{self.name}.png")
        instances = inside(self.root / "SegmentationObject", f"{self.name}.png")
        if not classes.is_file():
            objects = tuple(
                Drawn(box=each.box, label=each.name, is_ignored=each.is_difficult)
                for each in xml.objects
            )
            return Annotation(objects, size=xml.size)
        kinds = read_label_picture(classes, size)
        if not instances.is_file():
            return Annotation(_by_class(kinds, classes), kinds == VOID, xml.size)
        numbers = read_label_picture(instances, size)
        void = (kinds == VOID) | (numbers == VOID)
        return Annotation(_by_instance(numbers, kinds, xml, classes), void, xml.size)


def _by_class(kinds: NDArray[np.uint8], path: Path) -> tuple[Drawn, ...]:
    values = (int(value) for value in np.unique(kinds))
    return tuple(
        Drawn(mask=kinds == value, label=_class_name(value, path))
        for value in values
        if value not in (0, VOID)
    )


def _by_instance(
    numbers: NDArray[np.uint8], kinds: NDArray[np.uint8], xml: XmlAnnotation, path: Path
) -> tuple[Drawn, ...]:
    drawn = []
    for number in (int(value) for value in np.unique(numbers) if value not in (0, VOID)):
        mask = numbers == number
        shown = kinds[mask & (kinds != 0) & (kinds != VOID)]
        if shown.size == 0:
            raise InputError(f"object {number} has no pixel of a class in {path}: check the pair.")
        label = _class_name(int(np.bincount(shown).argmax()), path)
        listed = xml.objects[number - 1] if number <= len(xml.objects) else None
        agrees = listed is not None and listed.name == label
        box = listed.box if listed is not None and agrees else None
        is_ignored = listed.is_difficult if listed is not None and agrees else False
        drawn.append(Drawn(box=box, mask=mask, label=label, is_ignored=is_ignored))
    return tuple(drawn)


def _class_name(value: int, path: Path) -> str:
    if value > len(CLASSES):
        raise InputError(
            f"{path} has pixels of class {value}: Pascal VOC has 1 to {len(CLASSES)}, 0 for the "
            f"background and {VOID} for void."
        )
    return CLASSES[value - 1]
