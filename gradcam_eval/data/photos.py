"""The data set `photos`: photographs inside pip packages, with outlines drawn for this project."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gradcam_eval.core import InputError
from gradcam_eval.data.annotation import Annotation, Drawn, Entry, Polygon
from gradcam_eval.data.decode import read_file
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
    labels, synsets : ImageNet class indices, the best first, and their synsets
    """

    name: str
    package: str
    file: str
    sha256: str
    size: tuple[int, int]
    title: str
    match: str
    labels: tuple[int, ...]
    synsets: tuple[str, ...]
    objects: tuple[Drawn, ...]
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


def photo_entries() -> list[Entry]:
    """Return the photographs in the manifest's order, none of them decoded.

    A photograph whose package is missing, or whose file is not the one that was annotated, says so
    when it is read.
    """
    return [photo_entry(photo) for photo in read_manifest().photos]


def photo_entry(photo: Photo) -> Entry:
    """Return one photograph, to be read from its package."""
    annotation = Annotation(photo.objects, size=photo.size)
    return Entry(
        name=photo.name,
        file=partial(_read_from_package, photo),
        labels=photo.synsets,
        annotate=lambda size: annotation,
        subset=photo.match,
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
        synsets=tuple(found["synset"] for found in entry["classes"]),
        objects=tuple(_drawn(found) for found in entry["objects"]),
        credit=entry["credit"],
        licence=entry["licence"],
        note=entry["note"],
    )


def _drawn(entry: dict[str, Any]) -> Drawn:
    x0, y0, x1, y1 = entry["box"]
    return Drawn((x0, y0, x1, y1), _polygons(entry["polygons"]), _polygons(entry["holes"]))


def _polygons(points: list[list[list[float]]]) -> tuple[Polygon, ...]:
    return tuple(tuple((x, y) for x, y in polygon) for polygon in points)
