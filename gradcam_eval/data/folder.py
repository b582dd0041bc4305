"""The user's own images: a folder, or one file, without labels and without truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradcam_eval.core import BadSample, InputError, Sample, Truth, unknown_name
from gradcam_eval.data.decode import decode, load_image, read_file

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def load_folder(path: str | Path, size: tuple[int, int]) -> list[Sample | BadSample]:
    """Return all images of a folder, or one image file, at `size` (H, W); see `iter_folder`."""
    return list(iter_folder(path, size))


def iter_folder(
    path: str | Path, size: tuple[int, int], *, names: Sequence[str] | None = None
) -> Iterator[Sample | BadSample]:
    """Yield the images below a folder at `size` (H, W), or the named ones, one at a time.

    Sub-folders are read too, in sorted order; hidden files and files without an image's suffix are
    left out. An image that cannot be read is yielded as a `BadSample`.

    Raises
    ------
    InputError
        If there is no such path, or no image in the folder, or no image of a name.
    """
    root, valid = _root(Path(path)), folder_names(path)
    wanted = set(valid if names is None else names)
    for name in wanted - set(valid):
        raise unknown_name("image", name, valid)
    for name in valid:
        if name in wanted:
            yield _read(root / name, name, size)


def folder_names(path: str | Path) -> list[str]:
    """Return the names of a folder's images (their paths in it, with /), without reading them."""
    found = Path(path)
    if found.is_file():
        return [found.name]
    if not found.is_dir():
        raise InputError(f"there is no file or folder {path}: check the path.")
    names = [name for file in found.rglob("*") if (name := _image_name(file, found))]
    if not names:
        raise InputError(
            f"the folder {path} has no image: give one with {', '.join(sorted(SUFFIXES))} files."
        )
    return sorted(names)


def _root(path: Path) -> Path:
    return path.parent if path.is_file() else path


def _image_name(file: Path, root: Path) -> str | None:
    inside = file.relative_to(root)
    hidden = any(part.startswith(".") for part in inside.parts)
    if hidden or file.suffix.lower() not in SUFFIXES or not file.is_file():
        return None
    return inside.as_posix()


def _read(file: Path, name: str, size: tuple[int, int]) -> Sample | BadSample:
    try:
        content = read_file(file, name=str(file))
        picture = decode(content, name=str(file))
        image = load_image(picture, size)
    except InputError as error:
        return BadSample(name, str(error))
    return Sample(
        id=hashlib.sha256(content).hexdigest()[:16],
        name=name,
        image=image,
        labels=(),
        truth=Truth(size),
        original_truth=Truth((picture.height, picture.width)),
    )
