"""The WSOL benchmark's metadata: text files that list images, classes, sizes, boxes or masks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from gradcam_eval.core import InputError, Mask
from gradcam_eval.data.annotation import Annotation, Box, Drawn, Entry
from gradcam_eval.data.readers.files import (
    bad_line,
    coordinate,
    inside,
    listed,
    read_label_picture,
    read_rows,
    read_text,
    whole_number,
)

MAX_STRETCH = 1.02  # how far a mask's proportions may be from its image's: rounding, no more
_CREDIT = "WSOL benchmark (Choe et al. 2020)"
_Masks = dict[str, list[tuple[Path, Path | None]]]


def read_wsol(path: Path, *, annotations: Path | None = None) -> list[Entry]:
    """List the images of one split of the WSOL benchmark.

    Parameters
    ----------
    path : the folder to which the image ids (and the paths of masks) are relative, such as
        `dataset/ILSVRC`
    annotations : the split's folder of metadata, such as `metadata/ILSVRC/test`, with
        `image_ids.txt`, `class_labels.txt`, and where there are `image_sizes.txt` and
        `localization.txt`; by default `path`

    Returns
    -------
    list of Entry, in the order of `image_ids.txt`. The label is the class's number as text: for
    ILSVRC the position of its synset in alphabetical order, which is what networks return.

    Raises
    ------
    InputError
        If a list is missing, a line is wrong, or an image has no class.

    Notes
    -----
    Boxes are `id,x0,y0,x1,y1`, in the frame of `image_sizes.txt`. Corners count from 0 and include
    both ends: the benchmark's code adds 1 to get widths. They become half-open by adding 1 to x1
    and y1. Masks are `id,mask,ignore`: several lines of an image are several instances, and the
    first names what is to be ignored. As in the benchmark, a pixel belongs to a mask where it is
    not 0, and what is in a mask is never ignored. Masks of OpenImages come in other sizes than
    their images: they are resized by nearest neighbour to the image file, where the benchmark
    resizes both to 224×224.
    """
    folder = annotations or path
    names = [line for line in read_text(folder / "image_ids.txt").splitlines() if line.strip()]
    labels = _labels(folder / "class_labels.txt")
    sizes = _sizes(folder / "image_sizes.txt")
    boxes, masks = _localization(folder / "localization.txt", path)
    entries = []
    for name in names:
        if name not in labels:
            raise InputError(f"{folder / 'class_labels.txt'} has no line for {name[:120]!r}.")
        truth = _Truth(tuple(boxes[name]), tuple(masks[name]), sizes.get(name))
        file = inside(path, name)
        entries.append(Entry(name, file, (labels[name],), truth, credit=_CREDIT))
    return listed(entries, folder / "image_ids.txt")


def _labels(path: Path) -> dict[str, str]:
    labels = {}
    for number, columns in read_rows(path, separator=","):
        if len(columns) != 2 or not columns[1].isdecimal():
            raise bad_line(path, number, columns, "an image's id and the number of its class")
        labels[columns[0]] = columns[1]
    return labels


def _sizes(path: Path) -> dict[str, tuple[int, int]]:
    sizes: dict[str, tuple[int, int]] = {}
    if not path.exists():
        return sizes
    for number, columns in read_rows(path, separator=","):
        if len(columns) != 3:
            raise bad_line(path, number, columns, "an image's id, width and height")
        width, height = (whole_number(c, f"line {number} of {path}") for c in columns[1:])
        sizes[columns[0]] = (height, width)
    return sizes


def _localization(path: Path, root: Path) -> tuple[dict[str, list[Box]], _Masks]:
    boxes: dict[str, list[Box]] = defaultdict(list)
    masks: _Masks = defaultdict(list)
    if not path.exists():
        return boxes, masks
    for number, columns in read_rows(path, separator=","):
        if len(columns) == 5:
            x0, y0, x1, y1 = (coordinate(c, f"line {number} of {path}") for c in columns[1:])
            boxes[columns[0]].append((x0, y0, x1 + 1, y1 + 1))
        elif len(columns) == 3 and columns[1]:
            ignore = inside(root, columns[2]) if columns[2] else None
            masks[columns[0]].append((inside(root, columns[1]), ignore))
        else:
            wanted = "an image's id with x0,y0,x1,y1, or with the paths of a mask and of an ignore"
            raise bad_line(path, number, columns, f"{wanted} mask")
    return boxes, masks


@dataclass(frozen=True)
class _Truth:
    """Gives the boxes of one image, or reads its masks when they are wanted."""

    boxes: tuple[Box, ...]
    masks: tuple[tuple[Path, Path | None], ...]
    size: tuple[int, int] | None

    def __call__(self, size: tuple[int, int]) -> Annotation:
        objects = tuple(Drawn(box=box) for box in self.boxes)
        masks = [_mask(path, size) for path, _ in self.masks]
        ignored = [_mask(path, size) for _, path in self.masks if path is not None]
        void = np.any(ignored, axis=0) & ~np.any(masks, axis=0) if ignored else None
        return Annotation(objects + tuple(Drawn(mask=mask) for mask in masks), void, self.size)


def _mask(path: Path, size: tuple[int, int]) -> Mask:
    values = read_label_picture(path)
    height, width = values.shape
    stretch = (width * size[0]) / (height * size[1])
    if not 1 / MAX_STRETCH <= stretch <= MAX_STRETCH:
        raise InputError(
            f"{path} is {width}x{height} pixels and its image {size[1]}x{size[0]}: wanted the same "
            "proportions."
        )
    mask = Pillow.fromarray(np.where(values > 0, 255, 0).astype(np.uint8))
    return np.asarray(mask.resize((size[1], size[0]), Pillow.Resampling.NEAREST)) > 0
