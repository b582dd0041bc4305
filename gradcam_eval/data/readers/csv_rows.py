"""From the rows of a CSV list to what they say about each image, together and without dispute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradcam_eval.core import InputError

CORNERS = ("x0", "y0", "x1", "y1")
# of an object; a row with none of `SHAPES` only says something about its image
SHAPES = (*CORNERS, "polygons", "mask")
OF_OBJECT = (*SHAPES, "holes", "label", "ignore")

Row = tuple[int, dict[str, str]]  # its line, and its fields that are not empty


def image_keys(rows: Iterable[Row], table: Path) -> list[tuple[str, str]]:
    """Return the image of each row as (file, name): another name of a file is another image.

    The name is "" where no row of the file has one.

    Raises
    ------
    InputError : rows of a file have several names, and one of them has none
    """
    rows = list(rows)
    names: dict[str, set[str]] = {}
    for _, row in rows:
        names.setdefault(row.get("file", ""), set()).update({row["name"]} if "name" in row else ())
    keys = []
    for number, row in rows:
        file = row.get("file", "")
        known = names[file]
        if len(known) > 1 and "name" not in row:
            shown = ", ".join(sorted(known)[:5])
            raise InputError(
                f"line {number} of {table} has no name, and other rows of {file[:80]} have several "
                f"({shown}): say which of these images it is about."
            )
        keys.append((file, row.get("name") or next(iter(known), "")))
    return keys


@dataclass
class CsvImage:
    """What the rows of one image say, in the words of `ManifestImage`."""

    line: int
    fields: dict[str, tuple[int, str]] = field(default_factory=dict)  # with the line that says so
    objects: list[dict[str, Any]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def add(self, number: int, row: dict[str, str], table: Path) -> None:
        """Add a row.

        Raises
        ------
        InputError : an earlier row says something else about the image
        """
        for key, value in row.items():
            if key in OF_OBJECT:
                continue
            line, said = self.fields.setdefault(key, (number, value))
            if said != value:
                raise InputError(
                    f"line {number} of {table} says {key} = {value[:60]!r} of "
                    f"{row.get('file', '')[:80]}, and line {line} says {said[:60]!r}: make them "
                    "agree, or give the rows a name each, which makes them images of their own."
                )
        if any(key in row for key in SHAPES):
            self.objects.append(_object(row))
        elif "label" in row:
            self.labels.append(row["label"])

    def as_fields(self) -> dict[str, Any]:
        """Return the image's fields, its labels as a list."""
        image: dict[str, Any] = {key: value for key, (_, value) in self.fields.items()}
        stated = [label.strip() for label in image.pop("labels", "").split(";")]
        if labels := [*(stated if stated != [""] else []), *self.labels]:
            image["labels"] = labels
        if self.objects:
            image["objects"] = self.objects
        return image


def _object(row: dict[str, str]) -> dict[str, Any]:
    drawn: dict[str, Any] = {key: row[key] for key in ("mask", "label", "ignore") if key in row}
    drawn |= {key: _points(row[key]) for key in ("polygons", "holes") if key in row}
    if any(key in row for key in CORNERS):
        drawn["box"] = [row.get(key, "") for key in CORNERS]
    return drawn


def _points(cell: str) -> list[list[list[str]]]:
    """Return "x y x y x y; x y …" as polygons; a coordinate too many is left for the check."""
    numbers = [part.replace(",", " ").split() for part in cell.split(";") if part.strip()]
    return [[each[i : i + 2] for i in range(0, len(each), 2)] for each in numbers]
