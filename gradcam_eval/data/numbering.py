"""What a class label that is a number means: an index from 0, from 1, or the place of its folder.

Keras' `image_dataset_from_directory` sorts the names of the class folders as text, the empty ones
too, and trains with their places: folders 1, 2, 3 are the classes 0, 1, 2, and 10 comes before 2.
A list of labels may count from 0 or from 1. Where the names alone decide, this module decides;
where they do not, it asks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.data.classmap import ClassMap, is_number

Numbering: TypeAlias = Literal["from_0", "from_1", "order"]
Kind: TypeAlias = Literal["folders", "list", "indices"]
_MOST_NAMED = 6


def check_numbering(numbering: str | None) -> None:
    """Raise InputError for a numbering that there is not."""
    if numbering is not None and numbering not in get_args(Numbering):
        raise unknown_name("numbering", numbering, get_args(Numbering))


def with_numbering(
    classes: ClassMap,
    labels: Sequence[str],
    *,
    kind: Kind = "list",
    numbering: Numbering | None = None,
) -> ClassMap:
    """Return the class map of a model with the meaning of a data set's numbers added.

    Class names, synsets and a mapping file come before any number; what follows is about the
    labels that none of them knows.

    Parameters
    ----------
    classes : of the model
    labels : all class labels of the data set; of class folders their names, the empty ones too
    kind : "folders": the labels are names of class folders, so that their order has a meaning;
        "list": somebody wrote them; "indices": a format or a program that counts from 0
    numbering : "from_0": a number is an index; "from_1": the index is the number less 1; "order":
        the index is the place of the folder in sorted order; None: decided by these rules.
        Folders, as many as the model has classes, none of them named by the model: their order,
        unless all are numbers in the model's range that mean other indices: refused. Numbers
        from 1 that reach the number of classes, or (not for "indices") that run from 1 to M
        without a gap, M ≥ 2: refused. All others: indices.

    Raises
    ------
    InputError : the numbering is ambiguous, is unknown, or needs another number of folders
    """
    check_numbering(numbering)
    unnamed = [label for label in dict.fromkeys(labels) if not classes.has_name(label)]
    if numbering == "order":
        return _ordered(classes, labels, kind)
    if numbering is not None:
        return replace(classes, first=int(numbering == "from_1"))
    order = sorted(unnamed)
    is_whole = kind == "folders" and len(order) == len(set(labels)) == classes.count
    numbers = [int(label) for label in unnamed if is_number(label)]
    if len(numbers) < len(unnamed) or not numbers:
        has_order = is_whole and not classes.names
        return _ordered(classes, labels, kind) if has_order else classes
    fits = min(numbers) >= 0 and (classes.count is None or max(numbers) < classes.count)
    if is_whole and not fits:
        return _ordered(classes, labels, kind)
    if is_whole and [int(label) for label in order] != list(range(len(order))):
        raise _ambiguous(order, classes, ("order", "from_0"))
    if _may_count_from_1(numbers, classes.count, kind):
        # an index that the model has not is no reading
        raise _ambiguous(unnamed, classes, ("from_1", "from_0") if fits else ("from_1",))
    return classes


def _may_count_from_1(numbers: Sequence[int], count: int | None, kind: Kind) -> bool:
    found = set(numbers)
    if min(found) < 1:
        return False
    has_no_gap = len(found) >= 2 and max(found) == len(found)
    return max(found) == count or (has_no_gap and kind != "indices")


def _ordered(classes: ClassMap, labels: Sequence[str], kind: Kind) -> ClassMap:
    order = sorted(set(labels))
    if kind != "folders":
        raise InputError(
            "numbering = 'order' is for class folders, and these labels come from a list: give "
            "'from_0' or 'from_1', or a class_map."
        )
    if classes.count not in (None, len(order)):
        raise InputError(
            f"numbering = 'order' needs a folder for each of the model's {classes.count} classes, "
            f"and there are {len(order)}: give 'from_0' or 'from_1', or a class_map."
        )
    places = {name: place for place, name in enumerate(order)}
    shown = ", ".join(f"{name} = {place}" for name, place in list(places.items())[:_MOST_NAMED])
    more = ", …" if len(places) > _MOST_NAMED else ""
    return replace(
        classes,
        explicit={
            **{unicodedata.normalize("NFC", name): place for name, place in places.items()},
            **classes.explicit,
        },
        note="class folders get their index from their sorted order, as in "
        f"image_dataset_from_directory: {shown}{more}",
    )


def _ambiguous(labels: Sequence[str], classes: ClassMap, readings: Sequence[str]) -> InputError:
    means = {
        "order": "'order' (their place in sorted order, as in image_dataset_from_directory)",
        "from_0": "'from_0' (they are the model's indices)",
        "from_1": "'from_1' (1 is the model's class 0)",
    }
    shown = ", ".join(labels[:_MOST_NAMED]) + (", …" if len(labels) > _MOST_NAMED else "")
    count = (
        "" if classes.count is None else f", and the model's classes are 0 to {classes.count - 1}"
    )
    said = " or ".join(means[each] for each in readings)
    return InputError(
        f"the data set's classes are numbered {shown}{count}: say how they count, with numbering = "
        f"{said}, or with a class_map."
    )
