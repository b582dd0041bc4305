"""Remove the files of images that left the data set, and what a kill left unfinished."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gradcam_eval.files import clear_unfinished
from gradcam_eval.store import map_path

# Below each of these is a folder for each model, with a file for each image.
_KINDS = (("maps", ".npz"), ("overlays", ".png"))


def remove_leftovers(folder: Path, images: Iterable[tuple[str, str]]) -> None:
    """Remove maps and overlays of all but these (model, sample) pairs, and unfinished files.

    Only files that a study writes are removed: ``maps/MODEL/*.npz`` and ``overlays/MODEL/*.png``.
    """
    kept = {map_path(folder, *image).relative_to(folder / "maps") for image in images}
    for kind, suffix in _KINDS:
        for file in (folder / kind).glob(f"*/*{suffix}"):
            if file.relative_to(folder / kind).with_suffix(".npz") not in kept:
                file.unlink(missing_ok=True)
        for empty in (folder / kind).glob("*/"):
            with suppress(OSError):  # it has files
                empty.rmdir()
    clear_unfinished(folder)
