"""ImageNet's CLS-LOC validation images: classes by synset, boxes from the XML files."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gradcam_eval.core import InputError
from gradcam_eval.data.annotation import Annotation, Drawn, Entry
from gradcam_eval.data.readers.files import bad_line, listed, read_text
from gradcam_eval.data.readers.voc_xml import XmlAnnotation, read_voc_xml

SUFFIXES = frozenset({".jpeg", ".jpg", ".png"})
FIRST_PIXEL = 0
_SYNSET = re.compile(r"n\d{8}")
_IMAGES, _BOXES = Path("Data/CLS-LOC/val"), Path("Annotations/CLS-LOC/val")
_CREDIT = "ImageNet (Russakovsky et al. 2015)"


def read_imagenet(
    path: Path, *, annotations: Path | None = None, labels: Path | None = None
) -> list[Entry]:
    """List the images of ImageNet's validation set, flat or in folders of synsets.

    Parameters
    ----------
    path : a folder with `ILSVRC2012_val_*.JPEG`, a folder of synset folders with such images, or
        the folder `ILSVRC` with `Data/CLS-LOC/val` and `Annotations/CLS-LOC/val`
    annotations : the folder with the XML files (`X.xml` for `X.JPEG`, also in synset folders)
    labels : a text file with an image's name and its synset on each line, separated by a comma or
        by spaces (`LOC_val_solution.csv` is one)

    Returns
    -------
    list of Entry, in the order of the names. The label is the synset: that of the folder, else the
    one in `labels`, else that of the XML file's objects.

    Raises
    ------
    InputError
        If there is no image, or nothing says the classes of a flat folder.

    Notes
    -----
    The class is the synset, never the `ILSVRC2012_ID` of the development kit: that numbers the
    classes in another order than networks do, so `ILSVRC2012_validation_ground_truth.txt` is
    refused. Corners in the XML files count pixels from 0 and include both ends: in the first 200
    boxes of the validation set 0 occurs as a left corner and the largest right corner is the width
    less 1. They become half-open by adding 1 to the right and lower ones.
    """
    images = path / _IMAGES if (path / _IMAGES).is_dir() else path
    if annotations is None and (path / _BOXES).is_dir():
        annotations = path / _BOXES
    if not images.is_dir():
        raise InputError(f"there is no folder {images}: give the folder with the images.")
    files = sorted(_files(images), key=lambda file: file.relative_to(images).as_posix())
    synsets = {} if labels is None else _read_labels(labels)
    entries = [_entry(file, images, annotations, synsets) for file in files]
    if entries and not any(entry.labels for entry in entries):
        raise InputError(
            f"nothing says the classes of the images in {images}: give the folder of XML files as "
            "annotations, or a list of image names and synsets as labels."
        )
    return listed(entries, images)


def _files(images: Path) -> list[Path]:
    flat = [file for file in images.iterdir() if _is_image(file)]
    folders = (f for f in images.iterdir() if _SYNSET.fullmatch(f.name) and f.is_dir())
    return flat + [file for folder in folders for file in folder.iterdir() if _is_image(file)]


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


def _read_labels(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        columns = [column for column in re.split(r"[,\s]+", line) if column]
        if not columns or (number == 1 and len(columns) > 1 and not _SYNSET.fullmatch(columns[1])):
            continue  # a header
        if len(columns) < 2 or not _SYNSET.fullmatch(columns[1]):
            wanted = (
                "an image's name and its synset (n01440764). A number alone is an ILSVRC2012_ID, "
                "which is not the index that networks return"
            )
            raise bad_line(path, number, columns, wanted)
        found[_stem(columns[0])] = columns[1]
    return found


def _stem(name: str) -> str:
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    suffix = Path(base).suffix
    return base.removesuffix(suffix) if suffix.lower() in SUFFIXES else base


def _entry(file: Path, images: Path, boxes: Path | None, synsets: dict[str, str]) -> Entry:
    name = file.relative_to(images).as_posix()
    folder = file.parent.name if file.parent != images else None
    xml = None if boxes is None else _xml_of(file, boxes)
    synset = folder or synsets.get(file.stem)
    labels: tuple[str, ...] = (synset,) if synset else ()
    annotate: Callable[[tuple[int, int]], Annotation] = _Boxes(xml, name, labels)
    if not labels and xml is not None:
        with contextlib.suppress(InputError):  # said when the image is annotated
            labels = read_voc_xml(xml, first=FIRST_PIXEL).names()
    return Entry(name, file, labels, annotate, credit=_CREDIT)


def _xml_of(file: Path, boxes: Path) -> Path | None:
    for folder in (boxes, boxes / file.parent.name):
        if (folder / f"{file.stem}.xml").is_file():
            return folder / f"{file.stem}.xml"
    return None


@dataclass(frozen=True)
class _Boxes:
    """Reads the boxes of one image when they are wanted."""

    xml: Path | None
    name: str
    labels: tuple[str, ...]

    def __call__(self, size: tuple[int, int]) -> Annotation:
        found = (
            XmlAnnotation((), None)
            if self.xml is None
            else read_voc_xml(self.xml, first=FIRST_PIXEL)
        )
        if not self.labels and not found.objects:
            raise InputError(f"nothing says the class of {self.name}: no list, folder or XML does.")
        objects = tuple(
            Drawn(box=each.box, label=each.name, is_ignored=each.is_difficult)
            for each in found.objects
        )
        return Annotation(objects, size=found.size)
