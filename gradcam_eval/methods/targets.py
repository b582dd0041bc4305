"""From what a user calls a target to one class index, or rank, for each image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.models.classes import resolve_class
from gradcam_eval.models.output import Output
from gradcam_eval.models.zoo import loaded_spec
from gradcam_eval.texts import quoted

Target: TypeAlias = int | str
Targets: TypeAlias = Target | Sequence[Target] | NDArray[np.integer[Any]] | None

_WANTED = "wanted class indices (whole numbers), names or 'predicted'"
_RANK = re.compile(r"predicted(?::([1-9]\d*))?")


def target_indices(
    model: keras.Model, targets: Targets, *, count: int, output: Output
) -> NDArray[np.int64]:
    """Return one index for each image: a class 0..K−1, or −k for the class ranked k-th.

    Parameters
    ----------
    targets : for all images or one for each: a class index, a class name, "predicted" or
        "predicted:2" (the class with the second highest score); None is "predicted". A regression's
        values are named by their index; None is the only one
    count : how many images there are
    output : what the model returns for one of them

    Raises
    ------
    InputError : a class that the model does not have, or another number of targets than images
    """
    found = _indices(model, "predicted" if targets is None else targets, output)
    try:
        wanted = np.asarray(found)
    except ValueError as error:  # lists of different lengths
        raise InputError(f"targets are {targets!r}: wanted one for each image") from error
    if not wanted.size:
        raise InputError(f"targets are empty: wanted one for each of {count} images")
    if wanted.dtype.kind not in "iu":
        raise InputError(f"targets are {wanted.dtype}: {_WANTED}")
    if wanted.ndim == 0:
        wanted = np.full(count, wanted)
    if wanted.shape != (count,):
        raise InputError(
            f"targets have shape {wanted.shape}: wanted one for each of {count} images"
        )
    return wanted.astype(np.int64)


def _indices(model: keras.Model, targets: Any, output: Output) -> Any:
    if isinstance(targets, str):
        return _named(model, targets, output)
    if isinstance(targets, list | tuple):
        if any(isinstance(target, bool | np.bool_) for target in targets):  # 1 beside numbers
            raise InputError(f"targets are {quoted(targets)}: {_WANTED}")
        return [_indices(model, target, output) for target in targets]
    given = np.asarray(targets)
    if given.ndim and given.dtype.kind in "UO":
        return [_indices(model, target, output) for target in given.tolist()]
    classes = output.count
    if given.dtype.kind in "iu" and given.size and (given.min() < 0 or given.max() >= classes):
        raise InputError(
            f"targets run from {given.min()} to {given.max()}: this model's {_valid(output)}"
        )
    return targets


def _valid(output: Output) -> str:
    noun, several = ("value", "values") if output.kind == "regression" else ("class", "classes")
    if output.count == 1:
        return f"only {noun} is 0"
    names = " and ".join(f"{n} ({name})" for n, name in enumerate(output.names))
    return f"{several} are {names or f'0 to {output.count - 1}'}"  # type: ignore[operator]


def _named(model: keras.Model, name: str, output: Output) -> int:
    rank = _RANK.fullmatch(name)
    if rank is None:
        if name.casefold().partition(":")[0] == "predicted":
            raise InputError(f"the target is {name!r}: wanted 'predicted', or as in 'predicted:2'")
        spec = loaded_spec(model)
        names, synsets = (spec.class_names, spec.synsets) if spec else (output.names, ())
        return resolve_class(name, names, synsets, n_classes=output.count)
    place, classes = int(rank[1] or 1), output.count or 0
    if output.kind == "regression":
        return _only_value(name, place, classes)
    if place > classes:
        count = "one class" if classes == 1 else f"{classes} classes"
        raise InputError(
            f"the target is {name!r}, and this model has {count}: valid ranks are 'predicted:1' to "
            f"'predicted:{classes}'"
        )
    return -place


def _only_value(name: str, place: int, values: int) -> int:
    """Return the index of a regression's only value, which ranks have no meaning for."""
    if values == 1 and place == 1:
        return 0
    raise InputError(
        f"the target is {name!r}, and a regression ranks no classes: name the value that is to be "
        f"explained by its index, 0 to {values - 1}, or explain a function of them"
        if values > 1
        else f"the target is {name!r}, and this model returns one value: leave the target out"
    )
