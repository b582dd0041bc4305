"""Look through a data set before a study: what is in it, and what is wrong with it."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image as Pillow

from gradcam_eval.core import InputError, reason_of
from gradcam_eval.data.annotation import Annotation, Box, Entry, Refusal
from gradcam_eval.data.classmap import ClassMap, is_number
from gradcam_eval.data.decode import frame_count
from gradcam_eval.data.depth import Pixels
from gradcam_eval.data.extent import (
    Size,
    box_area,
    clipped,
    drawn_area,
    is_empty,
    overlap_with_mask,
)
from gradcam_eval.data.near_duplicates import near_duplicates, perceptual_hash
from gradcam_eval.data.opening import Opened, open_entry
from gradcam_eval.data.pipeline import label_indices, object_classes
from gradcam_eval.data.placement import annotation_of
from gradcam_eval.data.streaming import read_ahead
from gradcam_eval.data.truth import file_box

Severity = Literal["error", "warning"]
# An error costs a study the image or the object; a warning is to be looked at.
KINDS: dict[str, tuple[Severity, str]] = {
    "unusable text": ("error", "a name, label or credit that UTF-8 cannot write"),
    "unreadable image": ("error", "the file is missing, broken, or no image"),
    "wrong annotation": ("error", "what is drawn cannot be read, or is for another size"),
    "wrong class": ("error", "a number outside the model's classes, or objects without a class"),
    "object outside": ("error", "an object lies outside its image, and disappears"),
    "empty mask": ("error", "an object's mask has no pixel, or its outline no area"),
    "box beyond image": ("warning", "a box reaches beyond its image, and is cut at its edge"),
    "box apart from mask": ("warning", "a box and its object's mask overlap by less than half"),
    "turned by EXIF": ("warning", "what is drawn may belong to the stored pixels: say boxes = …"),
    "narrow values": ("warning", "the values use little of their range: say bits or window"),
    "skipped file": ("warning", "an image file in a format that is not read: convert it to PNG"),
    "further frames": ("warning", "a file has several pages or frames, and only the first is read"),
    "same content": ("warning", "several images are the same file"),
    "near-duplicates": ("warning", "images look the same: a study may hold them together"),
    "unmapped class": ("warning", "the model has no class of this name: its images have no label"),
}


_ONE_FRAME = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".bmp"})
_SQUARE = (256, 256)  # pixels: four for each block of the hash
_ROUNDING = 0.01  # pixels: less than a file with two decimals can say


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: a key of `KINDS`, the image's name (or the class), and what."""

    kind: str
    name: str
    detail: str

    @property
    def severity(self) -> Severity:
        """Return "error" or "warning"."""
        return KINDS[self.kind][0]


@dataclass(frozen=True)
class ImageFacts:
    """What is known about one image without keeping its pixels.

    Attributes
    ----------
    id : content hash; empty where the file cannot be read
    perceptual_hash : of the upright picture, for `data.near_duplicates`; empty likewise
    size : (H, W) of the file; None likewise
    classes : the data set's names of its labels and of what is drawn on it, each once
    shares : the share of the image that each object covers, 0..1, of those that are not ignored
    n_masks : how many of these have pixels or polygons
    n_ignored : how many objects are ignored beside them
    """

    name: str
    id: str = ""
    size: Size | None = None
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    n_masks: int = 0
    n_ignored: int = 0
    has_void: bool = False
    perceptual_hash: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether a study gets this image."""
        lost = ("unusable text", "unreadable image", "wrong annotation", "wrong class")
        return not any(problem.kind in lost for problem in self.problems)


@dataclass(frozen=True)
class DataReport:
    """All facts about a data set, and its problems: first those of images, then of the whole.

    Attributes
    ----------
    images : in the data set's order
    class_counts : (name, number of images, the model's indices), the most frequent first
    """

    source: str
    images: tuple[ImageFacts, ...]
    class_counts: tuple[tuple[str, int, tuple[int, ...]], ...]
    problems: tuple[Problem, ...]

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 1 where there is an error, or with `strict` a warning as well; 0 otherwise."""
        return int(any(strict or problem.severity == "error" for problem in self.problems))


def check_entries(  # noqa: PLR0913 - a data set, and how it is read
    source: str,
    entries: Sequence[Entry],
    classes: ClassMap,
    *,
    step: Callable[[], None] = lambda: None,
    pixels: Pixels | None = None,
    skipped: Sequence[str] = (),
) -> DataReport:
    """Decode every image of a data set, read all that is drawn on it, and report.

    Parameters
    ----------
    source : what the report calls the data set
    entries : as a reader lists them
    classes : the data set's names of classes → the model's indices
    step : called after each image
    pixels : how deep and very large files are read
    skipped : the names of image files that are not read

    Returns
    -------
    DataReport, the same for any number of threads
    """
    found = []
    check = partial(check_entry, classes=classes, pixels=pixels)
    for facts in read_ahead(check, entries, os.cpu_count() or 1):
        found.append(facts)
        step()
    images = tuple(found)
    counts = Counter(name for image in images for name in image.classes)
    missing = set(classes.unmapped(counts))
    class_counts = tuple(
        (name, n, () if name in missing else classes.indices(name))
        for name, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    )
    unmapped = tuple(
        Problem("unmapped class", name, f"{n} image{'s' * (n != 1)}")
        for name, n, _ in class_counts
        if name in missing and not is_number(name)
    )
    own = [problem for image in images for problem in image.problems]
    whole = [Problem("skipped file", name, "not read") for name in skipped]
    whole += [*_duplicates(images), *_alike(images)]
    return DataReport(source, images, class_counts, (*own, *whole, *unmapped))


def check_entry(entry: Entry, classes: ClassMap, pixels: Pixels | None = None) -> ImageFacts:
    """Return the facts about one image; nothing but its own problems comes of a bad one."""
    try:
        opened = open_entry(entry, pixels)
    except Exception as error:  # whatever a file or a user's own function may raise
        kind = "unusable text" if isinstance(entry.file, Refusal) else "unreadable image"
        return ImageFacts(entry.name, problems=(_lost(kind, entry, error),))
    digest, size = opened.digest, opened.place.size
    try:
        annotation = annotation_of(entry, opened.place)
    except Exception as error:
        lost = (_lost("wrong annotation", entry, error),)
        return ImageFacts(entry.name, digest, size, entry.labels, entry.labels, problems=lost)
    drawn = [each for each in annotation.objects if not each.is_ignored]
    names = dict.fromkeys((*entry.labels, *(each.label for each in drawn if each.label)))
    problems = [
        *_frame_problems(entry),
        *_label_problems(entry, annotation, classes),
        *_pixel_problems(entry, opened, has_drawn=bool(drawn)),
        *_drawn_problems(entry.name, annotation, size),
    ]
    return ImageFacts(
        name=entry.name,
        id=digest,
        size=size,
        labels=entry.labels,
        classes=tuple(names),
        shares=tuple(drawn_area(each, size) / (size[0] * size[1]) for each in drawn),
        n_masks=sum(each.mask is not None or bool(each.polygons) for each in drawn),
        n_ignored=len(annotation.objects) - len(drawn),
        has_void=annotation.void is not None and bool(annotation.void.any()),
        perceptual_hash=_hash(opened),
        problems=tuple(problems),
    )


def _hash(opened: Opened) -> str:
    """Return the perceptual hash of the whole picture, squeezed into a square as its blocks are."""
    square = opened.rgb().resize(_SQUARE, Pillow.Resampling.BOX)
    return perceptual_hash(np.asarray(square, np.float32))


def _lost(kind: str, entry: Entry, error: Exception) -> Problem:
    return Problem(kind, entry.name, reason_of(error))


def _label_problems(entry: Entry, annotation: Annotation, classes: ClassMap) -> Iterable[Problem]:
    """Find what keeps labels and objects from becoming indices, as a study would."""
    try:
        labels, _ = label_indices(entry.labels, classes)
        object_classes(annotation, entry, labels, classes)
    except InputError as error:
        yield Problem("wrong class", entry.name, str(error))


def _pixel_problems(entry: Entry, opened: Opened, *, has_drawn: bool) -> Iterable[Problem]:
    """Find what a decoder cannot know: which frame was drawn in, and which values are white."""
    for warning in opened.warnings:
        yield Problem("narrow values", entry.name, warning)
    if opened.place.turn and has_drawn and not entry.boxes:
        yield Problem(
            "turned by EXIF",
            entry.name,
            f"EXIF shows the file {opened.place.turn}: say boxes = 'upright' where they are drawn "
            "on what is shown, 'stored' where on the pixels in the file",
        )


def _frame_problems(entry: Entry) -> Iterable[Problem]:
    if isinstance(entry.file, Path) and entry.file.suffix.lower() not in _ONE_FRAME:
        with contextlib.suppress(Exception):  # the first one was decoded, whatever the others are
            if (n := frame_count(entry.file)) > 1:
                yield Problem("further frames", entry.name, f"{n} frames")


def _drawn_problems(name: str, annotation: Annotation, size: Size) -> Iterable[Problem]:
    for number, drawn in enumerate(annotation.objects, start=1):
        what = f"object {number}" + (f" ({drawn.label})" if drawn.label else "")
        box = file_box(drawn)
        if drawn.is_ignored:
            continue
        if is_empty(drawn):
            yield Problem("empty mask", name, what)
        elif box is not None and box_area(clipped(box, size)) == 0:
            yield Problem("object outside", name, f"{what}: {_shown(box)}")
        elif drawn.box is not None:
            beyond = np.abs(np.subtract(clipped(drawn.box, size), drawn.box)).max()
            if beyond > _ROUNDING:
                detail = f"{what}: {_shown(drawn.box)} by {beyond:g} pixels"
                yield Problem("box beyond image", name, detail)
            if (overlap := overlap_with_mask(drawn)) < 0.5:
                yield Problem("box apart from mask", name, f"{what}: overlap {overlap:.2f}")


def _shown(box: Box) -> str:
    return "box " + ", ".join(f"{side:g}" for side in box)


def _duplicates(images: Sequence[ImageFacts]) -> Iterable[Problem]:
    groups: dict[str, list[str]] = defaultdict(list)
    for image in images:
        if image.id:
            groups[image.id].append(image.name)
    for names in groups.values():
        if len(names) > 1:
            yield Problem("same content", names[0], f"also {', '.join(names[1:])}")


def _alike(images: Sequence[ImageFacts]) -> Iterable[Problem]:
    """Name images that look the same and are not the same file."""
    hashes = {image.name: image.perceptual_hash for image in images if image.perceptual_hash}
    files = {image.name: image.id for image in images}
    groups: dict[str, list[str]] = defaultdict(list)
    for name, cluster in near_duplicates(hashes).items():
        groups[cluster].append(name)
    for names in groups.values():
        if len({files[name] for name in names}) > 1:
            yield Problem("near-duplicates", names[0], f"looks like {', '.join(names[1:])}")
