"""The best set: all cells that the data cannot tell from the best one.

One name of several that tie is chosen by chance; the set is what a study can claim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import Values, resamples_of
from gradcam_eval.statistics.design import DESIGN, Design
from gradcam_eval.statistics.flips import DRAWS, flipped_sums
from gradcam_eval.statistics.units import FEWEST, unit_sums

ROUNDING = 1e-6  # of a value: what float32 leaves open. Less apart is equal
MOST_RESAMPLED = 100  # units: beyond, sign flips decide alone
_LENIENT = 0.5  # of the bootstrap's shares: it tests at twice the level
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

    For the cells still in, t_kl = d̄_kl / se_kl over all pairs; if the largest |t| exceeds the
    (1 − level) quantile of its flips, the loser of that pair is dropped, and so on until it does
    not. A flip takes ε_i (x_i − mean of x_i over the cells) for the values x_i of unit i. With the
    flipped sums M_k and the Gram matrix G of the units' values, T_kl = (M_k − M_l) /
    √(G_kk + G_ll − 2 G_kl), which orders as |t| does; no pair is ever resampled by itself.

    Parameters
    ----------
    values : float (n, K), without gaps; larger = better
    units : int (n,), the unit of each image
    design : level (the best cell is lost in at most this share of studies) and seed

    Notes
    -----
    With a tolerance τ (`Design`), t_kl = max(|d̄_kl| − τ, 0) / se_kl for the observed pairs: cells
    less than τ apart are not told apart. The quantile of a smaller set is not larger. So one
    quantile drops all losers that exceed it before it is computed anew; the set is that of dropping
    one at a time. Pairs less than `ROUNDING` of their size apart are equal.

    Flips are too generous where cells of one mean have opposite skew (log-normal): they lose one in
    11-21 % of studies at 10 to 50 images. So up to 100 units a cell is dropped only where the
    bootstrap-t of the same largest statistic (resampled units, centred, studentized anew) rejects
    as well, at twice the level. That leaves 5-10 %, and does not change what cells of similar skew
    show; at the level itself it would exclude a third less at 20 images. From 200 units on flips
    alone lose one in 9 %.

    References
    ----------
    Hansen, Lunde & Nason 2011, Econometrica 79, 453-497 (the range statistic T_R).
    """
    count = values.shape[1]
    is_in, p = np.ones(count, bool), np.ones(count)
    if not count:
        return Selection(is_in, p, np.inf, 0)
    sums = unit_sums(values - values.mean(1, keepdims=True), units)
    if len(sums) < FEWEST or count < 2:
        return Selection(is_in, p, np.inf, len(sums))
    flipped = flipped_sums(sums, seed=design.seed)
    scale = _scales(sums, float(np.einsum("uk,uk->", values, values)) / count)
    total = sums.sum(0)
    apart = total[:, None] - total
    slack = design.tolerance * len(values)
    observed = np.sign(apart) * np.maximum(np.abs(apart) - slack, 0) * scale
    reached, is_smaller = 0.0, True
    while is_smaller and is_in.sum() > 1:
        inside = scale[np.ix_(is_in, is_in)]
        largest = _largest(flipped[:, is_in], inside)
        dropped = _losers(observed, [(largest, 1.0)], is_in, design.level)
        if len(sums) <= MOST_RESAMPLED and dropped[0][1] <= design.level:
            resampled = _largest_resampled(sums[:, is_in], inside > 0, design.seed)
            nulls = [(largest, 1.0), (resampled, _LENIENT)]
            dropped = _losers(observed, nulls, is_in, design.level)
        is_smaller = False
        for loser, share in dropped:
            reached = max(reached, share)
            if share <= design.level:
                is_in[loser], p[loser], is_smaller = False, reached, True
    p[is_in] = 1.0 if is_in.sum() == 1 else reached
    size, quantile = len(sums), _quantile(largest, design.level)
    student = quantile * np.sqrt((size - 1) / max(size - quantile**2, 1e-12))
    return Selection(is_in, p, float(student), size)


def _losers(
    observed: Values,
    nulls: list[tuple[Values, float]],
    is_in: NDArray[np.bool_],
    level: float,
) -> list[tuple[int, float]]:
    """Return the losers that all null distributions drop, each with its p, and the first kept.

    `nulls` are the largest statistics under equality, each with a factor of its shares.
    """
    left, found = is_in.copy(), []
    while left.sum() > 1:
        inside = np.where(left[:, None] & left, observed, -np.inf)
        loser = int(inside.argmax()) % len(left)
        top = float(inside.max())
        reach = top - _SLACK * max(1.0, top)
        share = max(float(factor * (largest >= reach).mean()) for largest, factor in nulls)
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


def _largest_resampled(sums: Values, is_apart: NDArray[np.bool_], seed: int) -> Values:
    """Return max_kl of each bootstrap-t in the unit of a flip's statistic: (U, K) → (B,).

    r = t √(U / (U − 1 + t²)), where t² = (U − 1) T² / (U Q − T²), T = Σ_u w_u e_u and
    Q = Σ_u w_u e_u² for the centred differences e of two cells and weights w. Q − T² / U is at
    least a sixteenth of that of all units. Pairs that are equal count as 0.
    """
    size, centred = len(sums), sums - sums.mean(0)
    largest = []
    for weights in resamples_of(size, DRAWS, seed):
        top = np.zeros(len(weights))
        for k in range(centred.shape[1] - 1):
            apart = centred[:, k + 1 :] - centred[:, k : k + 1]
            squares = apart**2
            totals = weights @ apart
            spread = np.maximum(weights @ squares - totals**2 / size, squares.sum(0) / 16)
            known = is_apart[k, k + 1 :] & (spread > 0)
            t = np.divide(totals**2, spread, out=np.zeros_like(spread), where=known)
            np.maximum(top, t.max(1), out=top)
        largest.append(top * (size - 1) / size)
    squared = np.concatenate(largest)
    return np.asarray(np.sqrt(squared * size / (size - 1 + squared)))
