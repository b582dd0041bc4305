"""The Oxford-IIIT pets: trimaps of the animals, and boxes round their heads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.data.annotation import Annotation, Drawn, Entry
from gradcam_eval.data.readers.files import (
    bad_line,
    inside,
    listed,
    read_label_picture,
    read_rows,
)
from gradcam_eval.data.readers.voc_xml import read_voc_xml

Part = Literal["pet", "head"]
FIRST_PIXEL = 1
FOREGROUND, BACKGROUND, BORDER = 1, 2, 3
SPLITS = ("trainval", "test")
_CREDIT = "Oxford-IIIT Pet (Parkhi et al. 2012)"


def read_pets(path: Path, *, split: str | None = None, part: Part = "pet") -> list[Entry]:
    """List the images of the Oxford-IIIT pets.

    Parameters
    ----------
    path : the folder with `images` and `annotations`
    split : "trainval" or "test"; both, by `list.txt`, where None
    part : what counts as the object: the "pet" by its trimap, or its "head" by the XML files'
        boxes, which the authors gave out for the trainval images only

    Returns
    -------
    list of Entry, in the list's order. The label is the breed, which is the file's name without its
    number ("Abyssinian_100" → "Abyssinian"); `subset` is the split.

    Raises
    ------
    InputError
        If the lists are not there, or part or split is unknown.

    Notes
    -----
    In a trimap 1 is the animal, 2 the background, and 3 the border, which is ignored. The XML
    files are said to be in Pascal VOC's format: corners count from 1 and include both ends.
    """
    if part not in get_args(Part):
        raise unknown_name("part", part, get_args(Part))
    if split is not None and split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    folder = path / "annotations"
    subsets = {
        name: each
        for each in SPLITS
        if (folder / f"{each}.txt").is_file()
        for name in _names(folder / f"{each}.txt")
    }
    names = _names(folder / f"{split or 'list'}.txt")
    entries = [
        Entry(
            name=f"{name}.jpg",
            file=inside(path / "images", f"{name}.jpg"),
            labels=(name.rpartition("_")[0],),
            annotate=_Truth(folder, name, part),
            subset=subsets.get(name, ""),
            credit=_CREDIT,
        )
        for name in names
    ]
    return listed(entries, folder / f"{split or 'list'}.txt")


def _names(path: Path) -> list[str]:
    names = []
    for number, columns in read_rows(path, comment="#"):
        breed, _, tail = columns[0].rpartition("_")
        if not breed or not tail.isdecimal():
            raise bad_line(path, number, columns, "an image's name, as Abyssinian_100")
        inside(path.parent, columns[0])
        names.append(columns[0])
    return names


@dataclass(frozen=True)
class _Truth:
    """Reads trimap or head box of one image when it is wanted."""

    folder: Path
    name: str
    part: Part

    def __call__(self, size: tuple[int, int]) -> Annotation:
        if self.part == "head":
            xml = read_voc_xml(self.folder / "xmls" / f"{self.name}.xml", first=FIRST_PIXEL)
            return Annotation(tuple(Drawn(box=each.box) for each in xml.objects), size=xml.size)
        path = self.folder / "trimaps" / f"{self.name}.png"
        trimap = read_label_picture(path, size)
        if not np.isin(trimap, (FOREGROUND, BACKGROUND, BORDER)).all():
            raise InputError(f"{path} has other values than 1, 2 and 3: wanted a trimap.")
        return Annotation((Drawn(mask=trimap == FOREGROUND),), void=trimap == BORDER)
