"""Several inputs of a model in dicts, lists and tuples, nested or not, and by one key each.

A key is the input's name or place; inside another structure, the way to it ("facts/0").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import numpy as np

Key: TypeAlias = str | int
ALONE: Key = 0  # the key of an input that is in no structure


def is_structure(given: Any) -> bool:
    """Whether several inputs are given: a dict, or a list of arrays that differ in rank."""
    if isinstance(given, Mapping):
        return True
    return isinstance(given, list | tuple) and len({rank_of(each) for each in given}) > 1


def taken_apart(struct: Any, path: tuple[Key, ...] = ()) -> tuple[Any, dict[Key, Any]]:
    """Return a structure with keys in place of what it holds, and that by its keys.

    Parameters
    ----------
    struct : of symbolic inputs, or of what a user gives
    path : of keys and places to it
    """
    members: dict[Key, Any] = {}

    def inside(part: Any, *steps: Key) -> Any:
        below, found = taken_apart(part, (*path, *steps))
        members.update(found)
        return below

    if isinstance(struct, Mapping):
        return {key: inside(part, key) for key, part in struct.items()}, members
    if isinstance(struct, list | tuple) and (_is_symbolic(struct) or is_structure(struct)):
        parts = [inside(part, n) for n, part in enumerate(struct)]
        return (tuple(parts) if isinstance(struct, tuple) else parts), members
    key = path[0] if len(path) == 1 else "/".join(map(str, path)) or ALONE
    return key, {key: struct}


def filled(structure: Any, values: Mapping[Key, Any]) -> Any:
    """Put values into a structure of their keys."""
    if isinstance(structure, Mapping):
        return {key: filled(part, values) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        parts = [filled(part, values) for part in structure]
        return tuple(parts) if isinstance(structure, tuple) else parts
    return values[structure]


def matched(structure: Any, given: Any) -> dict[Key, Any] | None:
    """Return what was given by a structure's keys, or None where it has another structure.

    Lists and tuples stand for each other, and a dict of places for both.
    """
    if isinstance(structure, list | tuple):
        structure = dict(enumerate(structure))
        given = dict(enumerate(given)) if isinstance(given, list | tuple) else given
    if not isinstance(structure, Mapping):
        return None if isinstance(given, Mapping) else {structure: given}
    if not isinstance(given, Mapping) or set(given) != set(structure):
        return None
    parts = [matched(structure[key], given[key]) for key in structure]
    if any(part is None for part in parts):
        return None
    return {key: value for part in parts if part for key, value in part.items()}


def shapes_of(given: Any) -> Any:
    """Return the shapes of what was given, without their first axes: what is equal for it again."""
    if isinstance(given, Mapping):
        return tuple((key, shapes_of(part)) for key, part in given.items())
    if isinstance(given, list | tuple):
        return tuple(map(shapes_of, given))
    return tuple(np.shape(given)[1:])


def rank_of(given: Any) -> int:
    """Return how many axes an array has; −1 for a list of what is no one array."""
    try:
        return np.ndim(given)
    except ValueError:
        return -1


def _is_symbolic(struct: Any) -> bool:
    return all(isinstance(each, keras.KerasTensor) for each in keras.tree.flatten(struct))
