"""The user's own list of images, as CSV or as JSON lines; `docs/data.md` has the columns.

Both become the same checked rows. A field that does not exist refuses the whole list; a wrong value
in one image's rows becomes that image's reason.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gradcam_eval.core import InputError, Mask, unknown_name
from gradcam_eval.data.annotation import Annotation, Drawn, Entry, Refusal
from gradcam_eval.data.readers.csv_rows import OF_OBJECT, CsvImage, image_keys
from gradcam_eval.data.readers.files import inside, listed, read_label_picture, read_text
from gradcam_eval.texts import is_writable

_Point = tuple[float, float]


class ManifestObject(BaseModel):
    """One object of an image: a box, polygons or a mask, in pixels of the upright image file.

    Attributes
    ----------
    box : x0, y0, x1, y1, half-open
    polygons, holes : lists of points (x, y)
    mask : path of a picture in which what is not 0 belongs to the object
    label : its class; without one it is one of the image's labels
    ignore : whether its pixels count neither as hit nor as miss
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    box: tuple[float, float, float, float] | None = None
    polygons: tuple[tuple[_Point, ...], ...] = ()
    holes: tuple[tuple[_Point, ...], ...] = ()
    mask: str | None = None
    label: str | None = None
    ignore: bool = False

    @field_validator("label", mode="before")
    @classmethod
    def _as_text(cls, label: Any) -> Any:
        return _text_of(label)


class ManifestImage(BaseModel):
    """One image.

    Attributes
    ----------
    file : path in the manifest's folder, with /
    name : what results call it; the file where it is not given
    labels : the classes that are right for it, the main first: names, synsets or indices; where
        there are none, those of its objects
    void : path of a picture in which what is not 0 counts neither way
    width, height : of the file that was annotated; another size is an error
    subset : a group by which summaries can be split
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    file: str = Field(min_length=1)
    name: str | None = None
    labels: tuple[str, ...] = ()
    objects: tuple[ManifestObject, ...] = ()
    void: str | None = None
    width: int | None = None
    height: int | None = None
    subset: str = ""
    credit: str = ""
    licence: str = ""

    @field_validator("labels", mode="before")
    @classmethod
    def _to_texts(cls, labels: Any) -> Any:
        labels = [labels] if isinstance(labels, str | int) else labels
        return [_text_of(label) for label in labels] if isinstance(labels, list) else labels

    @property
    def all_labels(self) -> tuple[str, ...]:
        """The image's labels, or those of its objects."""
        shown = (drawn.label for drawn in self.objects if drawn.label and not drawn.ignore)
        return self.labels or tuple(dict.fromkeys(shown))


COLUMNS = (*(name for name in ManifestImage.model_fields if name != "objects"), *OF_OBJECT)


def read_csv(path: Path, *, annotations: Path | None = None) -> list[Entry]:
    """List the images of a CSV file: a row for each object, with the image's file in each.

    Parameters
    ----------
    path : the file, with images beside it; or the images' folder, with the file in `annotations`

    Returns
    -------
    list of Entry. Rows of one file are one image; rows of one file with several names are several
    images, one for each name.

    Raises
    ------
    InputError : the file cannot be read, has a column that is not in `COLUMNS`, or two rows of one
        image say something different about it
    """
    table, root = _opened(path, annotations)
    reader = csv.DictReader(read_text(table).splitlines(), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} of {table} is not CSV: {error}.") from error
    columns = list(reader.fieldnames or ())
    _check_columns(columns, table)
    filled = []
    for number, row in rows:
        if None in row or None in row.values():
            raise InputError(f"line {number} of {table} has not {len(columns)} columns.")
        filled.append((number, {key: each.strip() for key, each in row.items() if each.strip()}))
    images: dict[tuple[str, str], CsvImage] = {}
    for (number, row), key in zip(filled, image_keys(filled, table), strict=True):
        images.setdefault(key, CsvImage(number)).add(number, row, table)
    return listed(
        [
            _entry(root, image.as_fields(), f"line {image.line} of {table}")
            for image in images.values()
        ],
        table,
    )


def _check_columns(columns: list[str], table: Path) -> None:
    if len(columns) == 1 and (sign := next((s for s in ";\t|" if s in columns[0]), None)):
        raise InputError(
            f"{table} separates its columns with {sign!r}: save it with commas (pandas: sep=',')."
        )
    for place, column in enumerate(columns):
        if place == 0 and (not column.strip() or column.startswith("Unnamed:")):
            raise InputError(
                f"the first column of {table} has no name, as the index that pandas writes: leave "
                "it out (to_csv(path, index=False))."
            )
        if column not in COLUMNS:
            raise unknown_name(f"column of {table}", column, COLUMNS)
    if "file" not in columns:
        raise InputError(f"{table} has no column 'file': name each image's file in it.")


def read_jsonl(path: Path, *, annotations: Path | None = None) -> list[Entry]:
    """List the images of a file of JSON lines: an object with the fields of `ManifestImage` each.

    Parameters
    ----------
    path : the file, with images beside it; or the images' folder, with the file in `annotations`

    Raises
    ------
    InputError : the file cannot be read, a line is no JSON, or has a field that does not exist
    """
    table, root = _opened(path, annotations)
    return listed(
        [_entry(root, raw, where) for raw, where in _json_lines(read_text(table), table)], table
    )


def _opened(path: Path, annotations: Path | None) -> tuple[Path, Path]:
    """Return the list and the folder to which its paths are relative."""
    if annotations is None and path.is_dir():
        raise InputError(f"{path} is a folder: give the list itself, or name it in annotations.")
    return (path, path.parent) if annotations is None else (annotations, path)


def _json_lines(text: str, table: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"line {number} of {table} is not JSON: {error}.") from error
        if not isinstance(raw, dict):
            raise InputError(f"line {number} of {table} is no JSON object: wanted {{…}}.")
        yield raw, f"line {number} of {table}"


def _entry(root: Path, raw: dict[str, Any], where: str) -> Entry:
    try:
        image = ManifestImage.model_validate(raw)
    except ValidationError as error:
        return _bad_entry(root, raw, where, error)
    return Entry(
        name=image.name or image.file,
        file=inside(root, image.file),
        labels=image.all_labels,
        annotate=_Annotate(root, image),
        subset=image.subset,
        credit=image.credit,
        licence=image.licence,
        annotated_size=(image.height, image.width) if image.height and image.width else None,
    )


def _bad_entry(root: Path, raw: dict[str, Any], where: str, error: ValidationError) -> Entry:
    """Return an entry that says what is wrong with its row, or refuse the whole list."""
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    # a field's name that is no Unicode has no place of its own
    place = first["loc"] or (next(key for key in raw if not is_writable(key)),)
    shown = ".".join(map(str, place))
    if first["type"] == "extra_forbidden" or not first["loc"]:
        model = ManifestObject if "objects" in place else ManifestImage
        raise unknown_name(f"field in {where}", shown, model.model_fields)
    is_text = first["type"] == "string_unicode"
    if place[0] == "file" and not is_text:
        raise InputError(f"{where} names no image: give its path in 'file'.")
    why = "it cannot be kept as UTF-8 text" if is_text else first["msg"]
    refusal = Refusal(f"{where}: {shown} = {str(first['input'])[:60]!r}: {why}")
    name = raw.get("name")
    name = name if name and isinstance(name, str) else raw["file"]
    file = inside(root, raw["file"])
    return Entry(name, refusal if is_text else file, (), refusal)


@dataclass(frozen=True)
class _Annotate:
    root: Path
    image: ManifestImage

    def __call__(self, size: tuple[int, int]) -> Annotation:
        image = self.image
        height, width = size
        stated = (image.height or height, image.width or width)
        return Annotation(
            tuple(self._drawn(each, size) for each in image.objects),
            None if image.void is None else self._mask(image.void, size),
            stated if image.height or image.width else None,
        )

    def _drawn(self, each: ManifestObject, size: tuple[int, int]) -> Drawn:
        mask = None if each.mask is None else self._mask(each.mask, size)
        return Drawn(each.box, each.polygons, each.holes, mask, each.label, each.ignore)

    def _mask(self, name: str, size: tuple[int, int]) -> Mask:
        mask: Mask = read_label_picture(inside(self.root, name), size) != 0
        return mask


def _text_of(label: Any) -> Any:
    return str(label) if isinstance(label, int) and not isinstance(label, bool) else label
