"""Which images `gradcam-eval explain` explains, and which file each is written to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from gradcam_eval.core import InputError
from gradcam_eval.data.readers.folder import image_names
from gradcam_eval.files import is_there

PictureFormat: TypeAlias = Literal["png", "jpeg", "webp", "pdf", "npz"]

FORMATS = get_args(PictureFormat)


class Job(NamedTuple):
    """An image, as a path or a URL, and the file for its heatmaps."""

    source: str
    out: Path


class Jobs(NamedTuple):
    """The images in their order, whether they are one alone, and what was left out, in lines."""

    jobs: tuple[Job, ...]
    is_one: bool
    left_out: tuple[str, ...] = ()


def plan(images: Sequence[str], output: Path | None, kind: PictureFormat | None = None) -> Jobs:
    """Return where each image is written; nothing is read or written yet.

    Parameters
    ----------
    images : files, URLs, and folders, of which all images are taken, also those of sub-folders
    output : for one image the file to write, whose suffix is the format; otherwise a folder, which
        may not exist yet. None: the folder where one stands
    kind : the format; None: that of the file's suffix, or png

    Returns
    -------
    Jobs. IMAGE is written to IMAGE-cam.png, below the same sub-folders; where two images would be
    written to one file, the later one's gets a number. What an earlier call wrote into a folder
    that is read is left out.

    Raises
    ------
    InputError : a folder without images, or an output that is of no such format, no folder, or the
        image itself
    """
    is_one = len(images) == 1 and not Path(images[0]).is_dir()
    if output is not None and not output.is_dir() and (is_one or _format_of(output)):
        if not is_one:
            raise InputError(f"{output} is one file for several images: give a folder.")
        return Jobs((Job(images[0], _one_file(output, images[0], kind)),), is_one)
    folder = output or Path()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is not a folder: give another name.")
    left_out: list[str] = []
    jobs: list[Job] = []
    taken: set[str] = set()
    for source, name in _sources(images, left_out):
        jobs.append(Job(source, _free(f"{folder / name}-cam", kind or "png", taken)))
    return Jobs(tuple(_unwritten(jobs, images, left_out)), is_one, tuple(left_out))


def _format_of(path: Path) -> str | None:
    suffix = path.suffix.lower().removeprefix(".").replace("jpg", "jpeg")
    return suffix if suffix in FORMATS else None


def _one_file(out: Path, source: str, kind: str | None) -> Path:
    """Return the file to write; see `plan`."""
    found = _format_of(out)
    if found is None:
        raise InputError(
            f"the output {out} must end in .png, .jpg, .webp or .pdf, or in .npz for the numbers, "
            "or be a folder"
        )
    if kind not in (None, found):
        raise InputError(f"the output {out} is no {kind}: leave out --format, or rename it")
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: there is no folder {out.parent}")
    if out.exists() and is_there(source) and out.samefile(source):
        raise InputError(f"the output {out} is the image itself: give another name")
    return out


def _sources(images: Sequence[str], left_out: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each image, and what it is called without its suffix."""
    for image in images:
        if not is_there(image) or not Path(image).is_dir():
            address = re.sub(r"[?#].*", "", image) if "://" in image else image
            yield image, Path(address).stem or "image"
            continue
        names, skipped = image_names(Path(image))
        left_out += [f"{Path(image, name)} is of a format that is not read" for name in skipped]
        yield from ((str(Path(image, name)), name[: -len(Path(name).suffix)]) for name in names)


def _free(stem: str, kind: str, taken: set[str]) -> Path:
    """Return a file that no other image is written to, also where case makes no difference."""
    number, name = 1, stem
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.casefold())
    return Path(f"{name}.{kind.replace('jpeg', 'jpg')}")


def _unwritten(jobs: list[Job], images: Sequence[str], left_out: list[str]) -> Iterator[Job]:
    """Yield the jobs without those whose image is a picture of another one, in any format."""
    written = {job.out.resolve().with_suffix("") for job in jobs}
    for job in jobs:
        path = Path(job.source)
        if not is_there(job.source) or path.resolve().with_suffix("") not in written:
            yield job
        elif job.source in images:
            raise InputError(
                f"{job.source} would be replaced by the heatmaps of another image: give a folder "
                "with --output"
            )
        else:
            left_out.append(f"{job.source} is called as the heatmaps of another image")
