"""The winner's own number, on images that did not choose it, and how often halves agree on it.

The mean of the best of many cells is optimistic: the same images chose the cell. One seeded split
chooses on one half and reports from the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import Values
from gradcam_eval.statistics.selection import ROUNDING
from gradcam_eval.statistics.units import FEWEST, unit_sums

Choose: TypeAlias = Literal["auto", "half", "all"]
FROM = 24  # units from which half of them can choose
SPLITS = 400


@dataclass(frozen=True, eq=False)
class Winner:
    """The cell with the best mean.

    Attributes
    ----------
    cell : its column
    is_split : whether one half of the units chose it and `images` is the other half; else all
        chose it, and their mean is optimistic
    images : bool (n,): what its number is computed of
    chosen_on : how many units chose it
    """

    cell: int
    is_split: bool
    images: NDArray[np.bool_]
    chosen_on: int


def choose_winner(
    values: Values,
    *,
    units: NDArray[np.intp] | None = None,
    choose: Choose = "auto",
    seed: int = 0,
) -> Winner:
    """Choose the cell with the best mean, on half of the units from 24 on.

    Parameters
    ----------
    values : float (n, K), without gaps, n ≥ 1; larger = better
    units : int (n,), the unit of each image: a cluster goes into one half
    choose : "half", "all", or "auto": "half" from 24 units on. Below 2 × 6 units "half" is "all"
    seed : of the split; the same units are split alike whatever the values
    """
    units = np.arange(len(values)) if units is None else units
    count = int(units.max()) + 1
    least = FROM if choose == "auto" else 2 * FEWEST
    if choose == "all" or count < least:
        everything = np.ones(len(values), bool)
        return Winner(_best(values), False, everything, count)
    order = np.random.default_rng(seed).permutation(count)
    chooses = np.isin(units, order[: count // 2])
    return Winner(_best(values[chooses]), True, ~chooses, count // 2)


def _best(values: Values) -> int:
    means = values.mean(0)
    return int(np.flatnonzero(_is_best(means[None])[0])[0])


def _is_best(means: Values) -> NDArray[np.bool_]:
    """Say which means (B, K) are the best of their row, but for what float32 rounds."""
    return np.isclose(means, means.max(1, keepdims=True), rtol=ROUNDING, atol=1e-12)


def reselection(
    values: Values, *, units: NDArray[np.intp] | None = None, seed: int = 0
) -> tuple[float, float]:
    """Return how often two random halves choose the same cell, and how often if all were equal.

    rate = mean over 400 splits of Σ_c a_c b_c, where half A chooses cell c with weight a_c (1 of
    its best cells, or 1/T each of T that tie), and half B with b_c. Under equality the values of
    each unit, less their mean over the cells, get a random sign before each split, so that cells
    that are alike stay alike: then one choice predicts the next as well.

    Parameters
    ----------
    values : float (n, K), without gaps, at least two units; larger = better

    Returns
    -------
    (rate, rate under equality), both 0..1. The rate says how stable a choice on half of the images
    is; it is no probability that the cell is the best.
    """
    sums = unit_sums(values - values.mean(1, keepdims=True), units)
    generator = np.random.default_rng(seed)
    count = len(sums)
    in_first = np.argsort(generator.random((SPLITS, count)), axis=1) < count // 2
    signs = 1.0 - 2.0 * generator.integers(0, 2, (SPLITS, count))
    first = in_first.astype(np.float64)
    sides = [(each @ sums, (each * signs) @ sums) for each in (first, 1.0 - first)]
    same = [_votes(one) * _votes(two) for one, two in zip(*sides, strict=True)]
    return float(same[0].sum(1).mean()), float(same[1].sum(1).mean())


def _votes(sums: Values) -> Values:
    best = _is_best(sums).astype(np.float64)
    return best / best.sum(1, keepdims=True)
