"""Models that stay random at inference: noticed by explaining twice, explained by a mean."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.methods.traced import map_key

Found: TypeAlias = dict[str, NDArray[Any]]  # what passes return, see `traced`

_SMALLEST = 1e-3  # difference of two runs, of a map's maximum: rounding is below it


def mean_of_draws(explain: Callable[[Any], Found], draws: int) -> Found:
    """Return what passes return, as the mean over several runs of a random model.

    The classes that the first run explains are those of all runs. Maps, scores and probabilities
    are the means over the runs, added up in float64.

    Parameters
    ----------
    explain : targets of each image (N,), or None for those that were asked for → what passes return
    draws : runs, 1 or more
    """
    first = explain(None)
    if draws == 1:
        return first
    sums = {name: each.astype(np.float64) for name, each in first.items() if name != "targets"}
    for _ in range(draws - 1):
        again = explain(first.get("targets"))
        for name, total in sums.items():
            total += again[name]
    means = {name: (total / draws).astype(first[name].dtype) for name, total in sums.items()}
    return {**first, **means}


def warn_of_randomness(
    one: Found, other: Found, operations: Sequence[str], *, stacklevel: int
) -> None:
    """Warn where two runs on the same images give other maps: a layer draws numbers at inference.

    Parameters
    ----------
    one, other : what passes returned for the same images and targets
    operations : names of the model's random operations
    """
    difference = _largest_difference(one, other)
    if difference > _SMALLEST:
        warnings.warn(
            "this model stays random at inference (dropout or noise that is on when "
            f"training=False, in {operations[0]!r}): two runs on the same images differ by "
            f"{difference:.2g} of a map's maximum. Give draws=… (as draws=20) for the mean over "
            "several runs, or switch the layer off",
            stacklevel=stacklevel + 1,
        )


def _largest_difference(one: Found, other: Found) -> float:
    """Return the largest difference of two runs' maps, as a share of each map's largest value."""
    found = 0.0
    for name, maps in one.items():
        if map_key(name) is None:
            continue
        axes = tuple(range(1, maps.ndim))
        scale = np.maximum(np.abs(maps).max(axis=axes), np.abs(other[name]).max(axis=axes))
        off = np.abs(maps - other[name]).max(axis=axes)
        found = max(found, float(np.divide(off, scale, where=scale > 0, out=0 * scale).max()))
    return found
