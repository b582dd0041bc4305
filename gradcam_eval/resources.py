"""Where the package finds its own data: cards, manifests, class lists."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from gradcam_eval.core import InputError

IN_WHEEL = "_datasets"  # pyproject.toml puts `datasets/` there when it builds a wheel


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
