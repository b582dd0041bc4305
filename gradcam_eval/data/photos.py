"""The data set `photos`: photographs inside pip packages, with outlines drawn for this project."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradcam_eval.core import BadSample, InputError, Sample, unknown_name
from gradcam_eval.data.decode import decode, load_image, read_file
from gradcam_eval.data.geometry import Outline, Polygon, truth_in_frame
from gradcam_eval.resources import datasets_root


@dataclass(frozen=True)
class Photo:
    """One entry of the manifest.

    Attributes
    ----------
    package, file : the import name of the package and the file's path inside it
    sha256 : of the file, as the annotation was drawn on it
    size : (H, W) of the file
    match : "exact" (the class is in the picture), "nearest" (ImageNet has no better one), or
        "none" (no ImageNet class is right, and `labels` is empty)
    labels : ImageNet class indices, the best first
    """

    name: str
    package: str
    file: str
    sha256: str
    size: tuple[int, int]
    title: str
    match: str
    labels: tuple[int, ...]
    outlines: tuple[Outline, ...]
    credit: str
    licence: str
    note: str


@dataclass(frozen=True)
class Manifest:
    """The photographs, with the version and the hash of the file that lists them."""

    version: str
    sha256: str
    photos: tuple[Photo, ...]


def read_manifest(path: Path | None = None) -> Manifest:
    """Read the list of photographs that comes with the package, or another one."""
    content = (path or datasets_root() / "photos" / "manifest.json").read_bytes()
    entries = json.loads(content)
    photos = tuple(_photo(entry) for entry in entries["photos"])
    return Manifest(entries["version"], hashlib.sha256(content).hexdigest(), photos)


def load_photos(size: tuple[int, int]) -> list[Sample | BadSample]:
    """Return all photographs at `size` (H, W); see `iter_photos`."""
    return list(iter_photos(size))


def iter_photos(
    size: tuple[int, int], *, names: Sequence[str] | None = None
) -> Iterator[Sample | BadSample]:
    """Yield the photographs at `size` (H, W), or the named ones, in the manifest's order.

    A photograph whose package is missing, or whose file is not the one that was annotated, is
    yielded as a `BadSample` that says so.
    """
    photos = read_manifest().photos
    for name in set(names or ()) - {photo.name for photo in photos}:
        raise unknown_name("photograph", name, [photo.name for photo in photos])
    for photo in photos:
        if names is None or photo.name in names:
            yield read_photo(photo, size)


def photo_names() -> list[str]:
    """Return the photographs' names, in the manifest's order."""
    return [photo.name for photo in read_manifest().photos]


def read_photo(photo: Photo, size: tuple[int, int]) -> Sample | BadSample:
    """Read one photograph from its package, at `size` (H, W), with its truth in both frames."""
    try:
        content = _read_from_package(photo)
        picture = decode(content, name=photo.file)
        image = load_image(picture, size)
    except InputError as error:
        return BadSample(photo.name, str(error))
    return Sample(
        id=photo.sha256[:16],
        name=photo.name,
        image=image,
        labels=photo.labels,
        truth=truth_in_frame(photo.outlines, photo.size, size),
        original_truth=truth_in_frame(photo.outlines, photo.size, photo.size),
        credit=photo.credit,
        licence=photo.licence,
    )


def _read_from_package(photo: Photo) -> bytes:
    spec = importlib.util.find_spec(photo.package)  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the package {photo.package} is not installed: pip install 'gradcam-eval[offline]'."
        )
    path = Path(next(iter(spec.submodule_search_locations))) / photo.file
    content = read_file(path, name=f"{photo.package}/{photo.file}")
    if hashlib.sha256(content).hexdigest() != photo.sha256:
        raise InputError(
            f"{photo.package}/{photo.file} is not the file that was annotated (its SHA-256 "
            f"differs): install another version of {photo.package}."
        )
    return content


def _photo(entry: dict[str, Any]) -> Photo:
    return Photo(
        name=entry["name"],
        package=entry["package"],
        file=entry["file"],
        sha256=entry["sha256"],
        size=(entry["size"][0], entry["size"][1]),
        title=entry["title"],
        match=entry["match"],
        labels=tuple(found["index"] for found in entry["classes"]),
        outlines=tuple(_outline(found) for found in entry["objects"]),
        credit=entry["credit"],
        licence=entry["licence"],
        note=entry["note"],
    )


def _outline(entry: dict[str, Any]) -> Outline:
    x0, y0, x1, y1 = entry["box"]
    return Outline(_polygons(entry["polygons"]), _polygons(entry["holes"]), (x0, y0, x1, y1))


def _polygons(points: list[list[list[float]]]) -> tuple[Polygon, ...]:
    return tuple(tuple((x, y) for x, y in polygon) for polygon in points)
