"""What a reader of a data set finds before any pixel is decoded: images, classes, drawn objects.

Readers know files and formats; what happens to their findings (decoding, one geometric transform
for picture and truth, class indices, bad images as rows) is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

import numpy as np

from gradcam_eval.core import InputError, Mask
from gradcam_eval.texts import is_writable, writable

BoxFrame: TypeAlias = Literal["", "upright", "stored"]
BoxUnit: TypeAlias = Literal["", "pixels", "relative"]
Polygon: TypeAlias = tuple[tuple[float, float], ...]  # (x, y) in the file's pixels
Box: TypeAlias = tuple[float, float, float, float]  # x0, y0, x1, y1 in the file's pixels, half-open


@dataclass(frozen=True, eq=False)
class Drawn:
    """One annotated object in the pixels of the image file, upright as it is decoded.

    Its entry may say otherwise: drawn on the stored pixels, or relative to the sides.

    Attributes
    ----------
    box : where a box was drawn; otherwise it is that of the polygons or of the mask
    polygons, holes : the object lies inside any of the polygons and inside none of the holes
    mask : bool (H, W) of the file, where the object is given by pixels
    label : the data set's own name of its class (synset, name, number as text), or None where it
        is one of the image's labels
    is_ignored : a crowd or a difficult object: its pixels count neither as hit nor as miss
    """

    box: Box | None = None
    polygons: tuple[Polygon, ...] = ()
    holes: tuple[Polygon, ...] = ()
    mask: Mask | None = None
    label: str | None = None
    is_ignored: bool = False


@dataclass(frozen=True, eq=False)
class Annotation:
    """All that is drawn on one image.

    Attributes
    ----------
    objects : in the data set's order
    void : bool (H, W) of the file, pixels that count neither way, beside the ignored objects
    size : (H, W) for which the objects were drawn, where the data set says it; an image file of
        another size is an error, never rescaled in silence
    """

    objects: tuple[Drawn, ...] = ()
    void: Mask | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Refusal:
    """Stands for a file or an annotation that is not read: it says why instead."""

    reason: str

    def __call__(self, *_: object) -> NoReturn:
        """Raise InputError with the reason."""
        raise InputError(self.reason)


@dataclass(frozen=True, eq=False)
class Entry:
    """One image of a data set, listed and not yet decoded.

    An image with a text that UTF-8 cannot write, as a name in another encoding, stays listed and
    cannot be used: results could not be kept under it. Its texts have escapes there, and its `file`
    and `annotate` are a `Refusal`.

    Attributes
    ----------
    name : unique in its data set and stable: the image's path in it, with /
    file : the image's path, pixels (H, W, channels), uint8 or float32, 0..255, or a function that
        returns the file's bytes or such pixels, called from any thread
    labels : the data set's own names of the classes that are right for the image, the main first
    annotate : reads what is drawn, for a file of this (H, W); raises InputError where it cannot,
        which makes this image a row that says so
    subset : the data set's own split or group ("val", "small"), by which summaries can be split
    boxes : the frame of all that is drawn where EXIF turns the file: "upright" as it is shown,
        "stored" as its pixels lie in the file; "" where nobody said, which counts as upright
    boxes_unit : of boxes and polygons: "pixels", or "relative", from 0 to 1 of the sides; "" where
        nobody said, which counts as pixels, and boxes from 0 to 1 are refused
    annotated_size : (H, W) for which the objects were drawn, where that is known without `annotate`
    """

    name: str
    file: Path | np.ndarray | Callable[[], bytes | np.ndarray]
    labels: tuple[str, ...] = ()
    annotate: Callable[[tuple[int, int]], Annotation] = lambda size: Annotation()
    subset: str = ""
    credit: str = ""
    licence: str = ""
    boxes: BoxFrame = ""
    boxes_unit: BoxUnit = ""
    annotated_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Take a path as text as well, and refuse texts that cannot be kept."""
        if isinstance(self.file, str):
            object.__setattr__(self, "file", Path(self.file))
        texts: dict[str, tuple[str, ...]] = {"name": (self.name,), "label": self.labels}
        texts |= {each: (getattr(self, each),) for each in ("subset", "credit", "licence")}
        wrong = [(what, text) for what in texts for text in texts[what] if not is_writable(text)]
        if not wrong:
            return
        what, text = wrong[0]
        refusal = Refusal(
            f"its {what} '{writable(text)[:200]}' cannot be kept as UTF-8 text: rename "
            "the file or folder, or correct the list."
        )
        changed = {each: writable(getattr(self, each)) for each in texts if each != "label"}
        labels = tuple(map(writable, self.labels))
        for field, value in (changed | {"labels": labels, "file": refusal}).items():
            object.__setattr__(self, field, value)
        object.__setattr__(self, "annotate", refusal)


class Listing(list[Entry]):
    """What a reader returns: its entries, with what else it saw while it listed them.

    Attributes
    ----------
    folders : the names of all class folders, also of those without an image
    skipped : the names of files that look like images and are in no format that is read
    """

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        folders: Sequence[str] = (),
        skipped: Sequence[str] = (),
    ) -> None:
        super().__init__(entries)
        self.folders = tuple(map(writable, folders))
        self.skipped = tuple(map(writable, skipped))
