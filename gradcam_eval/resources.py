"""Where the package finds its own data: cards, manifests, class lists."""

from __future__ import annotations

import csv
import functools
import importlib.resources
from dataclasses import dataclass
from pathlib import Path

from gradcam_eval.core import InputError

IN_WHEEL = "_datasets"  # pyproject.toml puts `datasets/` there when it builds a wheel

# WordNet gives these synsets the name of another class too, and so does Keras' table. Whoever
# types that name may mean either.
ALSO_CALLED = {"n02012849": "crane", "n03710721": "maillot"}


@dataclass(frozen=True)
class ImageNetClass:
    """One class of ImageNet-1k: position in a network's output, WordNet synset, name."""

    index: int
    synset: str
    name: str


@functools.cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """Return the 1000 classes of ImageNet-1k in the order of a network's output."""
    path = datasets_root() / "imagenet" / "classes.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            ImageNetClass(int(row["index"]), row["synset"], row["name"])
            for row in csv.DictReader(file)
        )


def datasets_root() -> Path:
    """Return the folder with the data-set cards and manifests.

    It is `gradcam_eval/_datasets` in an installed wheel and `datasets/` beside the package in a
    checkout.

    Raises
    ------
    InputError
        If neither is there.
    """
    # A wheel is unpacked when it is installed, so the traversable is a path on the disk.
    return _first_folder(Path(str(importlib.resources.files("gradcam_eval"))))


def _first_folder(package: Path) -> Path:
    for folder in (package / IN_WHEEL, package.parent / "datasets"):
        if folder.is_dir():
            return folder
    raise InputError(
        f"the data folder of gradcam-eval is neither {package / IN_WHEEL} nor "
        f"{package.parent / 'datasets'}: install the package again."
    )
