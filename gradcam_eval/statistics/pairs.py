"""The largest statistic of all pairs of cells, corrected for skewness, under equality.

Student's t of differences with a long tail has a long tail on the other side. Where half of the
cells have a tail of high scores and half one of low scores, many pairs share it, and sign flips,
whose t is symmetric, are exceeded in 11 to 21 % of studies of equal cells. Hall's transformation of
t takes that skewness off, in the observed differences, in their flips and in resamples alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import Values, resamples_of
from gradcam_eval.statistics.flips import DRAWS, flips_of

_LEAST = 1e-9  # of the mean square: a variance below is none
_NEAR = 1e-6  # of the squares: a difference below has no exact third power
_SIXTEENTH = 1 / 16
_BLOCK = 4096  # units
_TINY = np.finfo(float).tiny


def corrected(first: Values, second: Values, third: Values, size: int, least: Values) -> Values:
    """Return Hall's transformation of t from sums of powers of U differences.

    With m = Σ e / U, s² = Σ e² / U − m², γ = (Σ e³ / U − 3 m Σ e² / U + 2 m³) / s³ and S = m / s:
    g = √(U − 1) (S + γ S² / 3 + γ² S³ / 27 + γ / (6 U)), which is t where γ = 0.

    Parameters
    ----------
    first, second, third : Σ e, Σ e², Σ e³ of each column, of any shapes that broadcast
    size : U
    least : s² is at least that; where it would be less γ is 0

    References
    ----------
    Hall 1992, Journal of the Royal Statistical Society B 54, 221-228; Johnson 1978, Journal of the
    American Statistical Association 73, 536-544.
    """
    mean, square = first / size, second / size
    variance = square - mean * mean
    is_known = variance > least
    variance = np.maximum(np.where(is_known, variance, least), _TINY)
    root = np.sqrt(variance)
    cubes = third / size + mean * (2 * mean * mean - 3 * square)
    share, most = mean / root, np.sqrt(size)  # no skewness of U numbers is larger
    skewness = np.clip(np.where(is_known, cubes, 0.0) / variance / root, -most, most)
    part = skewness * share
    cubic = share * (1 + part / 3 + part * part / 27)
    return np.asarray(np.sqrt(size - 1) * (cubic + skewness / (6 * size)))


def largest_flipped(sums: Values, is_apart: NDArray[np.bool_], seed: int) -> Values:
    """Return max_kl |g_kl| of each sign flip of the units, the observed one first: (U, K) → (B,).

    Parameters
    ----------
    sums : what each unit adds to each cell
    is_apart : bool (K, K); pairs that are equal count as 0
    seed : of random flips
    """
    found = []
    for signs in flips_of(len(sums), seed=seed):
        top = np.zeros(len(signs))
        for differences in _pairs(sums, is_apart):
            squares = (differences**2).sum(0)
            first, third = signs @ differences, signs @ differences**3
            g = corrected(first, squares, third, len(sums), _LEAST * squares / len(sums))
            np.maximum(top, np.abs(g).max(1), out=top)
        found.append(top)
    return np.concatenate(found)


def largest_resampled(sums: Values, is_apart: NDArray[np.bool_], seed: int) -> Values:
    """Return max_kl |g_kl| of each resample of the units, differences centred: (U, K) → (B,).

    s² is at least a sixteenth of that of all units: where one unit has all the spread, resamples
    without it have none.
    """
    found = []
    for weights in resamples_of(len(sums), DRAWS, seed):
        top = np.zeros(len(weights))
        for differences in _pairs(sums - sums.mean(0), is_apart):
            powers = (differences, differences**2, differences**3)
            first, second, third = (weights @ each for each in powers)
            least = _SIXTEENTH * powers[1].sum(0) / len(sums)
            g = corrected(first, second, third, len(sums), least)
            np.maximum(top, np.abs(g).max(1), out=top)
        found.append(top)
    return np.concatenate(found)


def _pairs(sums: Values, is_apart: NDArray[np.bool_]) -> Iterator[Values]:
    """Yield for each cell its differences to the later ones that it is apart from: (U, k)."""
    for k in range(sums.shape[1] - 1):
        later = np.flatnonzero(is_apart[k, k + 1 :]) + k + 1
        if len(later):
            yield sums[:, [k]] - sums[:, later]


def observed(
    sums: Values, is_apart: NDArray[np.bool_], slack: float, *, is_large: bool = False
) -> Values:
    """Return g of all pairs of cells, (K, K), the sign that of the difference of the means.

    Parameters
    ----------
    sums, is_apart : as of `largest_flipped`
    slack : Σ e of a pair is nearer to 0 by that, and 0 where it is smaller
    is_large : whether Σ e³ come from matrix products, which are fast, and not exact enough for
        cells that are nearly equal: their γ is 0
    """
    size, total = len(sums), sums.sum(0)
    apart = total[:, None] - total
    second, third = (_by_products if is_large else _by_pairs)(sums)
    near = np.sign(apart) * np.maximum(np.abs(apart) - slack, 0)
    moved = (near - apart) / size  # the moments are those of e + moved
    third = third + 3 * moved * second + 3 * moved**2 * apart + size * moved**3
    second = second + 2 * moved * apart + size * moved**2
    found = corrected(near, second, third, size, _LEAST * second / size)
    is_shown = is_apart & (near * found > 0)
    return np.where(is_shown, np.sign(near) * np.abs(found), 0.0)


def _by_pairs(sums: Values) -> tuple[Values, Values]:
    """Return Σ (s_k − s_l)² and Σ (s_k − s_l)³, (K, K)."""
    second, third = np.zeros((2, sums.shape[1], sums.shape[1]))
    for k in range(sums.shape[1]):
        differences = sums[:, [k]] - sums
        second[k], third[k] = (differences**2).sum(0), (differences**3).sum(0)
    return second, third


def _by_products(sums: Values) -> tuple[Values, Values]:
    """Return the same; for pairs that are nearly equal the third is that of γ = 0."""
    products, count = sums.T @ sums, sums.shape[1]
    cubes, cube = np.zeros((count, count)), np.zeros(count)
    for start in range(0, len(sums), _BLOCK):  # no copy of all sums
        part = sums[start : start + _BLOCK]
        cubes = cubes + (part**2).T @ part
        cube = cube + (part**3).sum(0)
    own, mean = np.diag(products), (sums.sum(0)[:, None] - sums.sum(0)) / len(sums)
    second = own[:, None] + own - 2 * products
    third = np.subtract.outer(cube, cube) - 3 * (cubes - cubes.T)
    plain = 3 * mean * second - 2 * len(sums) * mean**3
    return second, np.where(second > _NEAR * (own[:, None] + own), third, plain)
