"""COCO's instances: boxes, polygons and run-length masks from one JSON file."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradcam_eval.core import InputError
from gradcam_eval.data.annotation import Annotation, Box, Drawn, Entry, Polygon
from gradcam_eval.data.readers.files import (
    MAX_COORDINATE,
    coordinate,
    inside,
    listed,
    read_json,
    whole_number,
)
from gradcam_eval.data.readers.rle import decode_rle

_Json = dict[str, Any]


def read_coco(path: Path, *, annotations: Path | None = None) -> list[Entry]:
    """List the images of a data set in COCO's format.

    Parameters
    ----------
    path : the folder of the images, or the JSON file itself where the images lie beside it
    annotations : the JSON file; without it, the only .json file in `path`, or in `annotations`
        beside it

    Returns
    -------
    list of Entry, in the file's order. Labels are the names of the categories of what is no crowd,
    the one with the largest boxes first; none where nothing is drawn.

    Raises
    ------
    InputError
        If the file cannot be read, has not COCO's lists, or names a file outside `path`.

    Notes
    -----
    Boxes are [x, y, width, height] from the outer corner of the first pixel, so that x0 = x and
    x1 = x + width, half-open. Polygons have the same origin. Crowds (`iscrowd` 1) are ignored.
    A run-length mask must have the image's size. A few of COCO's boxes have no width or height:
    there the box is that of the segmentation.
    """
    file = annotations or _find(path)
    root = path.parent if path.is_file() else path
    content = read_json(file)
    images, drawn, categories = (
        _records(content, key, file) for key in ("images", "annotations", "categories")
    )
    names = {_key(each, "id", file): _string(each, "name", file) for each in categories}
    licences = {
        str(each.get("id")): str(each.get("name", ""))
        for each in (_records(content, "licenses", file) if "licenses" in content else [])
    }
    by_image: dict[str, list[_Json]] = defaultdict(list)
    for each in drawn:
        by_image[_key(each, "image_id", file)].append(each)
    entries = [
        _entry(image, by_image[_key(image, "id", file)], names, (root, file), licences)
        for image in images
    ]
    return listed(entries, file)


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    for folder in (path, path / "annotations", path.parent / "annotations"):
        found = sorted(folder.glob("*.json")) if folder.is_dir() else []
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(file.name for file in found[:5])
            raise InputError(f"{folder} has {len(found)} JSON files ({listed}, …): name one.")
    raise InputError(f"there is no JSON file in {path} or beside it: name the annotations.")


def _records(content: Any, key: str, file: Path) -> list[_Json]:
    records = content.get(key) if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise InputError(f"{file} has no list {key!r} of objects: wanted COCO's format.")
    return records


def _key(record: _Json, key: str, file: Path) -> str:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{file} has an entry whose {key!r} is {_shown(value)}: wanted a number.")
    return str(value)


def _string(record: _Json, key: str, file: Path) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{file} has an entry whose {key!r} is {_shown(value)}: wanted a text.")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, int | str | float) else type(value).__name__


def _entry(
    image: _Json,
    drawn: list[_Json],
    names: dict[str, str],
    places: tuple[Path, Path],
    licences: dict[str, str],
) -> Entry:
    root, file = places
    name = _string(image, "file_name", file)
    return Entry(
        name=name,
        file=inside(root, name),
        labels=_labels(drawn, names),
        annotate=_Truth(image, tuple(drawn), names),
        credit=str(image.get("flickr_url") or image.get("coco_url") or ""),
        licence=licences.get(str(image.get("license")), ""),
        annotated_size=_known_size(image),
    )


def _known_size(image: _Json) -> tuple[int, int] | None:
    """Return the (H, W) that an image states, or None; wrong ones are said later."""
    height, width = image.get("height"), image.get("width")
    is_size = all(isinstance(side, int) and 0 < side <= MAX_COORDINATE for side in (height, width))
    return (int(height), int(width)) if is_size and height and width else None


def _labels(drawn: list[_Json], names: dict[str, str]) -> tuple[str, ...]:
    areas: dict[str, float] = defaultdict(float)
    for each in drawn:
        name = names.get(str(each.get("category_id")))
        if name is not None and not each.get("iscrowd"):
            try:
                x0, y0, x1, y1 = _box(each["bbox"], "")
                areas[name] += (x1 - x0) * (y1 - y0)
            except (InputError, KeyError):
                areas[name] += 0.0  # wrong or missing: said when the image is annotated
    return tuple(sorted(areas, key=lambda name: -areas[name]))


@dataclass(frozen=True)
class _Truth:
    """Reads what is drawn on one image when it is wanted."""

    image: _Json
    drawn: tuple[_Json, ...]
    names: dict[str, str]

    def __call__(self, size: tuple[int, int]) -> Annotation:
        stated = None
        if "height" in self.image and "width" in self.image:
            stated = (
                whole_number(self.image["height"], "the height of the image"),
                whole_number(self.image["width"], "the width of the image"),
            )
        return Annotation(tuple(self._object(each, size) for each in self.drawn), size=stated)

    def _object(self, record: _Json, size: tuple[int, int]) -> Drawn:
        what = f"annotation {_shown(record.get('id'))}"
        label = self.names.get(str(record.get("category_id")))
        if label is None:
            raise InputError(f"{what} has a category_id that the categories do not list.")
        crowd, shape = bool(record.get("iscrowd")), record.get("segmentation")
        box = _box(record["bbox"], what) if record.get("bbox") else None
        if shape and box is not None and (box[0] >= box[2] or box[1] >= box[3]):
            box = None
        if isinstance(shape, dict):
            mask = decode_rle(shape, f"the mask of {what}")
            if mask.shape != size:
                raise InputError(
                    f"the mask of {what} is {mask.shape[1]}x{mask.shape[0]} pixels and the image "
                    f"{size[1]}x{size[0]}: wanted the same size."
                )
            return Drawn(box=box, mask=mask, label=label, is_ignored=crowd)
        if box is None and not shape:
            raise InputError(f"{what} has neither bbox nor segmentation: wanted one.")
        return Drawn(box=box, polygons=_polygons(shape, what), label=label, is_ignored=crowd)


def _box(values: Any, what: str) -> Box:
    if not isinstance(values, list) or len(values) != 4:
        raise InputError(f"the bbox of {what} is not [x, y, width, height].")
    x, y, width, height = (coordinate(each, f"a number of the bbox of {what}") for each in values)
    return (x, y, x + width, y + height)


def _polygons(shape: Any, what: str) -> tuple[Polygon, ...]:
    if shape in (None, []):
        return ()
    if not isinstance(shape, list) or not all(isinstance(each, list) for each in shape):
        raise InputError(f"the segmentation of {what} is neither polygons nor a run-length mask.")
    polygons = []
    for values in shape:
        if len(values) < 6 or len(values) % 2:
            raise InputError(
                f"a polygon of {what} has {len(values)} numbers: wanted x, y of 3 points or more."
            )
        points = [coordinate(value, f"a number of a polygon of {what}") for value in values]
        polygons.append(tuple(zip(points[::2], points[1::2], strict=True)))
    return tuple(polygons)
