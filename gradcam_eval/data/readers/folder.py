"""Images without a file that lists them: a folder, a folder of class folders, or one image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gradcam_eval.core import InputError, ReadError
from gradcam_eval.data.annotation import Entry, Listing
from gradcam_eval.data.readers.files import inside

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif"}
    | {".tiff", ".avif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".dcm"}
)
# Of images too, and not read: Pillow cannot, or would take any bytes for one (TGA has no mark).
UNREAD = frozenset(
    {".heic", ".heif", ".tga", ".jxl", ".ico", ".icns", ".psd", ".exr", ".hdr", ".pcx", ".svg"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".nii", ".dds", ".qoi"}
)


def read_folder(path: Path) -> Listing:
    """List the images below a folder, or one image file, without labels and without truth.

    Sub-folders are read too, in sorted order; hidden files and files without an image's suffix are
    left out. Those with the suffix of an image that is not read are in `skipped`.

    Raises
    ------
    InputError : there is no such path, or no image in the folder
    """
    root = path.parent if path.is_file() else path
    names, skipped = image_names(path)
    return Listing((Entry(name, root / name) for name in names), skipped=skipped)


def read_class_folders(path: Path, *, split: str | None = None) -> Listing:
    """List the images of a folder of class folders: each image's label is its top folder's name.

    Where folders of splits stand on top ("train", "val"), `split` names the one to read. `folders`
    are the names of all of them, also of those that have no image: their sorted order gives the
    classes their indices where nothing else does, see `numbering`.

    Raises
    ------
    InputError : there is no such folder, no image in it, or one that lies in no class folder
    """
    root = path if split is None else inside(path, split)
    if not root.is_dir():
        raise InputError(
            f"there is no folder {root}: give the folder that holds the class folders."
        )
    names, skipped = image_names(root)
    if loose := [name for name in names if "/" not in name]:
        raise InputError(
            f"the image {loose[0]} of {root} lies in no class folder: move it into one, or read "
            "the folder with format 'folder'."
        )
    entries = [
        Entry(name, root / name, (name.split("/")[0],), subset=split or "") for name in names
    ]
    folders = sorted(each.name for each in root.iterdir() if each.is_dir())
    return Listing(
        entries, folders=[name for name in folders if not name.startswith(".")], skipped=skipped
    )


def image_names(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of a folder's images (their paths in it, with /), without reading them.

    And, second, those of the images that are not read.
    """
    if path.is_file():
        return [path.name], []
    if not path.is_dir():
        raise InputError(f"there is no file or folder {path}: check the path.")
    files = {name: file for file in _files_below(path) if (name := _name(file, path))}
    names, skipped = (
        sorted(name for name, file in files.items() if file.suffix.lower() in suffixes)
        for suffixes in (SUFFIXES, UNREAD - SUFFIXES)
    )
    if not names:
        left = f" It has {', '.join(skipped[:3])}: convert these." if skipped else ""
        raise InputError(
            f"the folder {path} has no image that is read: give one with "
            f"{', '.join(sorted(SUFFIXES))} files.{left}"
        )
    return names, skipped


def _files_below(root: Path) -> Iterator[Path]:
    """Yield every file; a folder that cannot be listed is an error, as its images would be lost."""

    def refuse(error: OSError) -> None:
        raise ReadError(f"the folder {error.filename} cannot be listed ({error.strerror}).")

    for folder, _, files in os.walk(root, onerror=refuse):
        yield from (Path(folder, name) for name in files)


def _name(file: Path, root: Path) -> str | None:
    inside = file.relative_to(root)
    # A link to nowhere is kept: the study then says that this image is missing.
    if any(part.startswith(".") for part in inside.parts):
        return None
    return inside.as_posix()
