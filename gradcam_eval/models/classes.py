"""The classes of a model: the 1000 of ImageNet-1k, and from a name or an index to a class."""

from __future__ import annotations

import csv
import difflib
import operator
from collections.abc import Sequence
from pathlib import Path

from gradcam_eval.core import InputError
from gradcam_eval.resources import ALSO_CALLED, imagenet_classes
from gradcam_eval.texts import quoted

__all__ = ["class_names_from", "imagenet_classes", "resolve_class", "synsets_from"]

IMAGENET = "imagenet"  # instead of a file of class names


def resolve_class(
    wanted: int | str,
    class_names: Sequence[str],
    synsets: Sequence[str] = (),
    *,
    n_classes: int | None = None,
) -> int:
    """Return the index of the class that is wanted.

    Parameters
    ----------
    wanted : an index (285, or "285" where no class has that name), a name or a synset. Case and
        `_` for a space do not matter.
    class_names : the names of the model's classes by index; empty where nobody knows them
    synsets : their WordNet synsets, likewise
    n_classes : the number of classes, for a model without names

    Returns
    -------
    int, 0 to the number of classes - 1

    Raises
    ------
    InputError
        If nothing matches, if more than one class does, or if the index is out of range.
    """
    count = len(class_names) or n_classes
    matches = _matches(wanted, class_names, synsets)
    if len(matches) > 1:
        meant = ", ".join(
            f"{i} ({class_names[i]})" if i < len(class_names) else f"{i}" for i in matches
        )
        raise InputError(f"class {quoted(wanted)} is ambiguous: give one of the indices {meant}.")
    if not matches:
        raise _unknown_class(wanted, class_names, count)
    (index,) = matches
    if index < 0 or (count is not None and index >= count):
        end = "" if count is None else f" to {count - 1}"
        raise InputError(f"class index {index} is out of range: valid is 0{end}.")
    return index


def _matches(wanted: int | str, class_names: Sequence[str], synsets: Sequence[str]) -> list[int]:
    """Return every index that `wanted` may mean, in ascending order."""
    if not isinstance(wanted, str):
        return [_as_index(wanted)]
    text = _plain(wanted)
    found = {i for i, name in enumerate(class_names) if _plain(name) == text}
    for i, synset in enumerate(synsets):
        if text in (synset, ALSO_CALLED.get(synset)):
            found.add(i)
    # A name may be a number ("7" of a digit classifier): names come before indices.
    if text.removeprefix("-").isdecimal() and not found:
        found.add(int(text))
    return sorted(found)


def _as_index(wanted: int) -> int:
    if isinstance(wanted, bool):
        raise InputError(f"a class is an index, a name or a synset, not {wanted}.")
    try:
        return operator.index(wanted)
    except TypeError:
        raise InputError(
            f"a class is an index, a name or a synset, not {quoted(wanted)}."
        ) from None


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _unknown_class(wanted: int | str, class_names: Sequence[str], count: int | None) -> InputError:
    end = "" if count is None else f" from 0 to {count - 1}"
    if not class_names:
        return InputError(
            f"unknown class {quoted(wanted)}: this model has no class names, so give an index{end}."
        )
    by_plain = {_plain(name): name for name in class_names}
    near = difflib.get_close_matches(_plain(str(wanted)), by_plain, n=3)
    hint = f": did you mean {', '.join(repr(by_plain[name]) for name in near)}?" if near else "."
    return InputError(
        f"unknown class {quoted(wanted)}{hint} Valid: the name of a class ({class_names[0]}, …), "
        f"an ImageNet synset where the model has them, or an index{end}."
    )


def synsets_from(classes: Path | str | None) -> tuple[str, ...]:
    """Return the synsets that come with class names: those of "imagenet", and none of a file's."""
    is_imagenet = classes is not None and str(classes) == IMAGENET
    return tuple(c.synset for c in imagenet_classes()) if is_imagenet else ()


def class_names_from(path: Path | str) -> tuple[str, ...]:
    """Return the class names in a text file, one a line, in the order of the model's output.

    "imagenet" is no file: it stands for the 1000 classes of ImageNet-1k in their usual order.

    A `.csv` file with a header that has a column `name` is read by that column; if it has a column
    `index` too, that one must count 0, 1, 2, ….

    Raises
    ------
    InputError
        If the file cannot be read, or has no names, an empty one or indices out of order.
    """
    if str(path) == IMAGENET:
        return tuple(c.name for c in imagenet_classes())
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"class names cannot be read from {path}: give a UTF-8 text file with one name a line "
            f"({error})."
        ) from error
    lines = text.rstrip().splitlines()
    if path.suffix.lower() == ".csv" and lines and "name" in next(csv.reader(lines[:1])):
        names = _names_of_rows(path, list(csv.DictReader(lines)))
    else:
        names = tuple(line.strip() for line in lines)
    if not names or not all(names):
        raise InputError(f"{path} has no names or an empty one: give one class name a line.")
    return names


def _names_of_rows(path: Path, rows: list[dict[str, str]]) -> tuple[str, ...]:
    for i, row in enumerate(rows):
        if row.get("index", str(i)) != str(i):
            raise InputError(
                f"row {i} of {path} has the index {quoted(row['index'])}: list the classes in the "
                "order 0, 1, 2, … of the model's output."
            )
    return tuple((row["name"] or "").strip() for row in rows)
