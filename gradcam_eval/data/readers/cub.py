"""CUB-200-2011: one box round each bird, and its mask where the segmentations are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.data.annotation import Annotation, Box, Drawn, Entry
from gradcam_eval.data.readers.files import (
    bad_line,
    coordinate,
    inside,
    listed,
    read_label_picture,
    read_rows,
)

SPLITS = {"train": "1", "test": "0"}
MAJORITY = 128
_CREDIT = "CUB-200-2011 (Wah et al. 2011)"


def read_cub(path: Path, *, split: str | None = None) -> list[Entry]:
    """List the images of CUB-200-2011.

    Parameters
    ----------
    path : the folder `CUB_200_2011` with `images.txt`, `classes.txt`, `image_class_labels.txt`,
        `bounding_boxes.txt` and `train_test_split.txt`. Masks are in `segmentations`, a separate
        download, inside it or beside it.
    split : "train" or "test"; both where None

    Returns
    -------
    list of Entry, in the order of `images.txt`. The label is the class's name
    ("001.Black_footed_Albatross"), `subset` is the split.

    Raises
    ------
    InputError
        If a list is missing, a line is wrong, or an image is not in all lists.

    Notes
    -----
    Boxes are x, y, width and height in pixels. The data set's README does not say where it counts
    from; they are read as the WSOL benchmark does, from 0, so that x1 = x + width, half-open.
    Masks are grey pictures; a pixel belongs to the bird from 128 of 255 on.
    """
    if split is not None and split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    images, classes, labels, sides = (
        _table(path / f"{name}.txt")
        for name in ("images", "classes", "image_class_labels", "train_test_split")
    )
    boxes = _boxes(path / "bounding_boxes.txt")
    subsets = {value: name for name, value in SPLITS.items()}
    masks = next((f for f in (path, path.parent) if (f / "segmentations").is_dir()), None)
    entries = []
    for number, name in images.items():
        label, subset = classes.get(labels.get(number, "")), subsets.get(sides.get(number, ""))
        if label is None or subset is None or number not in boxes:
            raise InputError(
                f"image {number} ({name[:80]}) of {path} is not in all lists: wanted its class, "
                "box, and 1 or 0 in train_test_split.txt."
            )
        mask = None if masks is None else _mask_of(masks / "segmentations", name)
        file, annotate = inside(path / "images", name), _Truth(boxes[number], mask)
        if split in (None, subset):
            entries.append(Entry(name, file, (label,), annotate, subset=subset, credit=_CREDIT))
    return listed(entries, path / "images.txt")


def _table(path: Path) -> dict[str, str]:
    table = {}
    for number, columns in read_rows(path):
        if len(columns) != 2:
            raise bad_line(path, number, columns, "an id and one value")
        table[columns[0]] = columns[1]
    return table


def _boxes(path: Path) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    for number, columns in read_rows(path):
        if len(columns) != 5:
            raise bad_line(path, number, columns, "an image's id, x, y, width and height")
        x, y, width, height = (coordinate(c, f"line {number} of {path}") for c in columns[1:])
        boxes[columns[0]] = (x, y, x + width, y + height)
    return boxes


def _mask_of(folder: Path, name: str) -> Path:
    return inside(folder, name).with_suffix(".png")


@dataclass(frozen=True)
class _Truth:
    """Gives the box of one image, and reads its mask when it is wanted."""

    box: Box
    mask: Path | None

    def __call__(self, size: tuple[int, int]) -> Annotation:
        if self.mask is None:
            return Annotation((Drawn(box=self.box),))
        return Annotation((Drawn(self.box, mask=read_label_picture(self.mask, size) >= MAJORITY),))
