"""The best set: all cells that the data cannot tell from the best one.

One name of several that tie is chosen by chance; the set is what a study can claim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import Values
from gradcam_eval.statistics.design import DESIGN, Design
from gradcam_eval.statistics.flips import flipped_sums
from gradcam_eval.statistics.pairs import largest_flipped, largest_resampled, observed
from gradcam_eval.statistics.units import FEWEST, unit_sums

ROUNDING = 1e-6  # of a value: what float32 leaves open. Less apart is equal
_MOST_WORK = 10_000_000  # units × pairs: some seconds for each quantile
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Selection:
    """A model confidence set.

    Attributes
    ----------
    is_in : bool (K,): the cells in the set; all of them where there are too few units
    p : float64 (K,): a cell is in every set with a level below its p; for a cell that was excluded
        an upper bound, at most `level`
    quantile : of the largest |t| of all pairs of cells, under equality; infinite without a test
    units : independent units
    """

    is_in: NDArray[np.bool_]
    p: Values
    quantile: float
    units: int


def confidence_set(
    values: Values,
    *,
    units: NDArray[np.intp] | None = None,
    design: Design = DESIGN,
) -> Selection:
    """Return the model confidence set of K cells, step-down, by sign flips.

    For the cells still in, t_kl = d̄_kl / se_kl over all pairs, corrected for skewness; if the
    largest |t| exceeds the (1 − level) quantile of its flips, the loser of that pair is dropped,
    and so on until it does not. A flip takes ε_i (x_i − mean of x_i over the cells) for the values
    x_i of unit i. For many units and pairs, the flipped sums M_k and the Gram matrix G of the
    units' values give T_kl = (M_k − M_l) / √(G_kk + G_ll − 2 G_kl), which orders as |t| does.

    Parameters
    ----------
    values : float (n, K), without gaps; larger = better
    units : int (n,), the unit of each image
    design : level (the best cell is lost in at most this share of studies) and seed

    Notes
    -----
    Sign flips of t are too generous where cells of one mean have opposite skew: they lose one in 11
    to 21 % of studies at 10 to 50 images. So the statistic is Hall's transformation of t
    (`pairs.corrected`), and a cell is dropped only where its flips and the bootstrap of the same
    largest statistic (resampled units, centred, studentized anew) both reject. That loses one in
    1-5 % (docs/claims.md). Where units × pairs exceed 10 million, the flips are those of t, and a
    pair counts with the smaller one of t and its transformation.

    With a tolerance τ (`Design`), the mean of a pair counts as max(|d̄_kl| − τ, 0): cells less than
    τ apart are not told apart. The quantile of a smaller set is not larger. So one quantile drops
    all losers that exceed it before it is computed anew; the set is that of dropping one at a time.
    Pairs less than `ROUNDING` of their size apart are equal.

    References
    ----------
    Hansen, Lunde & Nason 2011, Econometrica 79, 453-497 (the range statistic T_R); Hall 1992,
    Journal of the Royal Statistical Society B 54, 221-228.
    """
    count = values.shape[1]
    is_in, p = np.ones(count, bool), np.ones(count)
    if not count:
        return Selection(is_in, p, np.inf, 0)
    sums = unit_sums(values - values.mean(1, keepdims=True), units)
    if len(sums) < FEWEST or count < 2:
        return Selection(is_in, p, np.inf, len(sums))
    tests = _tests(sums, values, design)
    reached, is_smaller, nulls = 0.0, True, [np.zeros(1)]
    while is_smaller and is_in.sum() > 1:
        nulls, is_smaller = tests.nulls(is_in), False
        for loser, share in _losers(tests.observed, nulls, is_in, design.level):
            reached = max(reached, share)
            if share <= design.level:
                is_in[loser], p[loser], is_smaller = False, reached, True
    p[is_in] = 1.0 if is_in.sum() == 1 else reached
    quantile = max(_quantile(largest, design.level) for largest in nulls)
    return Selection(is_in, p, tests.student(quantile), len(sums))


@dataclass(frozen=True, eq=False)
class _Corrected:
    """The test of few units: Hall's transformation, its flips and its resamples."""

    sums: Values
    is_apart: NDArray[np.bool_]
    observed: Values
    seed: int

    def nulls(self, is_in: NDArray[np.bool_]) -> list[Values]:
        """Return the largest statistics of the cells that are in, under equality."""
        sums, is_apart = self.sums[:, is_in], self.is_apart[np.ix_(is_in, is_in)]
        draws = (largest_flipped, largest_resampled)
        return [each(sums, is_apart, self.seed) for each in draws]

    @staticmethod
    def student(quantile: float) -> float:
        """Return a quantile in the unit of t."""
        return quantile


@dataclass(frozen=True, eq=False)
class _Plain:
    """The test of many units: flips of r = T / √(Σ e²), which orders as t does."""

    flipped: Values
    scale: Values
    observed: Values
    size: int

    def nulls(self, is_in: NDArray[np.bool_]) -> list[Values]:
        """Return the largest statistics of the cells that are in, under equality."""
        return [_largest(self.flipped[:, is_in], self.scale[np.ix_(is_in, is_in)])]

    def student(self, quantile: float) -> float:
        """Return a quantile in the unit of t = r √((U − 1) / (U − r²))."""
        return float(quantile * np.sqrt((self.size - 1) / max(self.size - quantile**2, 1e-12)))


def _tests(sums: Values, values: Values, design: Design) -> _Corrected | _Plain:
    """Return the test that so many units and pairs allow."""
    size, count = sums.shape
    scale = _scales(sums, float(np.einsum("uk,uk->", values, values)) / count)
    slack = design.tolerance * len(values)
    is_large = size * count * (count - 1) / 2 > _MOST_WORK
    corrected = observed(sums, scale > 0, slack, is_large=is_large)
    if not is_large:
        return _Corrected(sums, scale > 0, corrected, design.seed)
    total = sums.sum(0)
    apart = total[:, None] - total
    plain = np.sign(apart) * np.maximum(np.abs(apart) - slack, 0) * scale
    less = corrected * np.sqrt(size / (size - 1 + corrected**2))
    smaller = np.where(np.abs(less) < np.abs(plain), less, plain)
    return _Plain(flipped_sums(sums, seed=design.seed), scale, smaller, size)


def _losers(
    observed: Values, nulls: list[Values], is_in: NDArray[np.bool_], level: float
) -> list[tuple[int, float]]:
    """Return the losers that all null distributions drop, each with its p, and the first kept."""
    left, found = is_in.copy(), []
    while left.sum() > 1:
        inside = np.where(left[:, None] & left, observed, -np.inf)
        loser = int(inside.argmax()) % len(left)
        top = float(inside.max())
        reach = top - _SLACK * max(1.0, top)
        share = max(float((largest >= reach).mean()) for largest in nulls)
        found.append((loser, share))
        if share > level:
            break
        left[loser] = False
    return found


def _quantile(largest: Values, level: float) -> float:
    """Return the value that the largest |t| must exceed for its share to be at most `level`."""
    return float(np.sort(largest)[::-1][int(np.floor(level * len(largest) + _SLACK))])


def _scales(sums: Values, size: float) -> Values:
    """Return 1 / √(Σ_u (s_uk − s_ul)²) of each pair, 0 where the two are equal."""
    gram = sums.T @ sums
    power = np.diag(gram)
    squares = power[:, None] + power - 2 * gram
    least = max(ROUNDING**2 * size, 1e-14 * float(power.max(initial=0)))
    return np.where(squares > least, 1 / np.sqrt(np.maximum(squares, least or 1)), 0.0)


def _largest(flipped: Values, scale: Values) -> Values:
    """Return max_kl |M_k − M_l| · scale_kl of each flip: (B, K) → (B,)."""
    largest = np.zeros(len(flipped))
    for k in range(flipped.shape[1] - 1):
        apart = np.abs(flipped[:, k + 1 :] - flipped[:, k : k + 1]) * scale[k, k + 1 :]
        np.maximum(largest, apart.max(1), out=largest)
    return largest
