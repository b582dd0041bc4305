"""Images without a file that lists them: a folder, a folder of class folders, or one image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gradcam_eval.core import InputError, ReadError
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.readers.files import inside

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".dcm"})


def read_folder(path: Path) -> list[Entry]:
    """List the images below a folder, or one image file, without labels and without truth.

    Sub-folders are read too, in sorted order; hidden files and files without an image's suffix are
    left out.

    Raises
    ------
    InputError : there is no such path, or no image in the folder
    """
    root = path.parent if path.is_file() else path
    return [Entry(name, root / name) for name in image_names(path)]


def read_class_folders(path: Path, *, split: str | None = None) -> list[Entry]:
    """List the images of a folder of class folders: each image's label is its top folder's name.

    Where folders of splits stand on top ("train", "val"), `split` names the one to read.

    Raises
    ------
    InputError : there is no such folder, no image in it, or one that lies in no class folder
    """
    root = path if split is None else inside(path, split)
    if not root.is_dir():
        raise InputError(
            f"there is no folder {root}: give the folder that holds the class folders."
        )
    names = image_names(root)
    if loose := [name for name in names if "/" not in name]:
        raise InputError(
            f"the image {loose[0]} of {root} lies in no class folder: move it into one, or read "
            "the folder with format 'folder'."
        )
    return [Entry(name, root / name, (name.split("/")[0],), subset=split or "") for name in names]


def image_names(path: Path) -> list[str]:
    """Return the names of a folder's images (their paths in it, with /), without reading them."""
    if path.is_file():
        return [path.name]
    if not path.is_dir():
        raise InputError(f"there is no file or folder {path}: check the path.")
    names = [name for file in _files_below(path) if (name := _image_name(file, path))]
    if not names:
        raise InputError(
            f"the folder {path} has no image: give one with {', '.join(sorted(SUFFIXES))} files."
        )
    return sorted(names)


def _files_below(root: Path) -> Iterator[Path]:
    """Yield every file; a folder that cannot be listed is an error, as its images would be lost."""

    def refuse(error: OSError) -> None:
        raise ReadError(f"the folder {error.filename} cannot be listed ({error.strerror}).")

    for folder, _, files in os.walk(root, onerror=refuse):
        yield from (Path(folder, name) for name in files)


def _image_name(file: Path, root: Path) -> str | None:
    inside = file.relative_to(root)
    hidden = any(part.startswith(".") for part in inside.parts)
    # A link to nowhere is kept: the study then says that this image is missing.
    if hidden or file.suffix.lower() not in SUFFIXES:
        return None
    return inside.as_posix()
