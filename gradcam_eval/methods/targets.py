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
from gradcam_eval.models.zoo import loaded_spec

Target: TypeAlias = int | str
Targets: TypeAlias = Target | Sequence[Target] | NDArray[np.integer[Any]] | None

_RANK = re.compile(r"predicted(?::([1-9]\d*))?")


def target_indices(
    model: keras.Model, targets: Targets, *, count: int, classes: int
) -> NDArray[np.int64]:
    """Return one index for each image: a class 0..K−1, or −k for the class ranked k-th.

    Parameters
    ----------
    targets : for all images or one for each: a class index, a class name, "predicted" or
        "predicted:2" (the class with the second highest score); None is "predicted"
    count, classes : how many images and classes there are

    Raises
    ------
    InputError : a class that the model does not have, or another number of targets than images
    """
    found = _indices(model, "predicted" if targets is None else targets, classes)
    try:
        wanted = np.asarray(found)
    except ValueError as error:  # lists of different lengths
        raise InputError(f"targets are {targets!r}: wanted one for each image") from error
    if not wanted.size:
        raise InputError(f"targets are empty: wanted one for each of {count} images")
    if wanted.dtype.kind not in "iu":
        raise InputError(
            f"targets are {wanted.dtype}: wanted class indices (whole numbers), names or "
            "'predicted'"
        )
    if wanted.ndim == 0:
        wanted = np.full(count, wanted)
    if wanted.shape != (count,):
        raise InputError(
            f"targets have shape {wanted.shape}: wanted one for each of {count} images"
        )
    return wanted.astype(np.int64)


def _indices(model: keras.Model, targets: Any, classes: int) -> Any:
    if isinstance(targets, str):
        return _named(model, targets, classes)
    if isinstance(targets, list | tuple):
        return [_indices(model, target, classes) for target in targets]
    given = np.asarray(targets)
    if given.ndim and given.dtype.kind in "UO":
        return [_indices(model, target, classes) for target in given.tolist()]
    if given.dtype.kind in "iu" and given.size and (given.min() < 0 or given.max() >= classes):
        valid = "only class is 0" if classes == 1 else f"classes are 0 to {classes - 1}"
        raise InputError(f"targets run from {given.min()} to {given.max()}: this model's {valid}")
    return targets


def _named(model: keras.Model, name: str, classes: int) -> int:
    rank = _RANK.fullmatch(name)
    if rank is None:
        if name.casefold().partition(":")[0] == "predicted":
            raise InputError(f"the target is {name!r}: wanted 'predicted', or as in 'predicted:2'")
        spec = loaded_spec(model)
        names, synsets = (spec.class_names, spec.synsets) if spec else ((), ())
        return resolve_class(name, names, synsets, n_classes=classes)
    place = int(rank[1] or 1)
    if place > classes:
        count = "one class" if classes == 1 else f"{classes} classes"
        raise InputError(
            f"the target is {name!r}, and this model has {count}: valid ranks are 'predicted:1' to "
            f"'predicted:{classes}'"
        )
    return -place
