"""Curves at few points: where they bend the points are close, and elsewhere far apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# (curve of each point, grid index of each point) → scores; one call, however many points
ScoreAt: TypeAlias = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]

_FIRST = 16  # intervals that every curve begins with
_SAFETY = 0.5  # of the tolerance is aimed at: the estimate is no bound


def adaptive_curves(
    score_at: ScoreAt, fractions: NDArray[np.float64], curves: int, *, tolerance: float
) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Read curves at some points of a grid, until their areas are near those of the whole grid.

    Every interval [a, b] that was split at m had, between its ends, an error of about
    ``e = |s_m − (s_a (b − m) + s_b (m − a)) / (b − a)| (b − a) / 2``: how far the trapezoid's area
    moved. Each half is expected to move by e / 2: a smooth curve's halves move by e / 8, and a jump
    in one half moves that by up to e and the other not at all. While the expected errors of a
    curve's intervals sum to more than half of the tolerance, the largest of them are split, those
    of all curves in one call.

    Parameters
    ----------
    score_at : the scores at some points of some curves
    fractions : float64 (S,), the grid of the full protocol, ascending
    curves : how many curves there are
    tolerance : of an area, in the unit of the score times a fraction; 0 reads every point

    Returns
    -------
    for each curve the indices of its points in the grid, ascending, and the scores there

    Notes
    -----
    The estimate is no bound: a spike between two points that were read is not seen. Intervals of
    the grid itself are not split, so that no curve is read at more points than the full protocol.
    """
    first = np.unique(np.linspace(0, len(fractions) - 1, _FIRST + 1).round().astype(np.intp))
    owner, place = np.repeat(np.arange(curves), len(first)), np.tile(first, curves)
    scores = score_at(owner, place).reshape(curves, -1)
    found = [_Refined(fractions, first, each, tolerance * _SAFETY) for each in scores]
    while any(wanted := [curve.wanted() for curve in found]):
        owner = np.repeat(np.arange(curves), [len(each) for each in wanted])
        place = np.concatenate([np.array(each, np.intp) for each in wanted])
        scores = score_at(owner, place)
        for n, curve in enumerate(found):
            curve.add(place[owner == n], scores[owner == n])
    return [curve.points() for curve in found]


class _Refined:
    """One curve, and the error that is expected of each of its intervals."""

    def __init__(
        self,
        fractions: NDArray[np.float64],
        places: NDArray[np.intp],
        scores: NDArray[np.float64],
        aim: float,
    ) -> None:
        self._fractions, self._aim = fractions, aim
        self._scores = dict(zip(places.tolist(), scores.tolist(), strict=True))
        self._errors = dict(self._first_errors(places.tolist()))

    def _first_errors(self, places: list[int]) -> list[tuple[tuple[int, int], float]]:
        """Take for each first interval the larger bend at its two ends."""
        inner = zip(places, places[1:], places[2:], strict=False)
        bends = [self._moved(a, m, b) / 2 for a, m, b in inner]
        ends = zip([*bends[:1], *bends], [*bends, *bends[-1:]], strict=True)
        largest = [max(pair) for pair in ends] or [0.0]
        return list(zip(itertools.pairwise(places), largest, strict=True))

    def _moved(self, a: int, m: int, b: int) -> float:
        """How far the area over [a, b] moves when m is read as well."""
        x, s = self._fractions, self._scores
        straight = (s[a] * (x[b] - x[m]) + s[b] * (x[m] - x[a])) / (x[b] - x[a])
        return float(abs(s[m] - straight) * (x[b] - x[a]) / 2)

    def wanted(self) -> list[int]:
        """Return the middles of the intervals that have to be split, the worst first."""
        open_ones = {each: error for each, error in self._errors.items() if each[1] - each[0] > 1}
        left = sum(open_ones.values())
        middles = []
        for (a, b), error in sorted(open_ones.items(), key=lambda item: -item[1]):
            if left <= self._aim:
                break
            middles.append((a + b) // 2)
            left -= error
        return middles

    def add(self, places: NDArray[np.intp], scores: NDArray[np.float64]) -> None:
        """Split the intervals round the places at which the curve was read."""
        self._scores.update(zip(places.tolist(), scores.tolist(), strict=True))
        ends = {(a + b) // 2: (a, b) for a, b in self._errors if b - a > 1}
        for m in places.tolist():
            a, b = ends[m]
            del self._errors[a, b]
            expected = self._moved(a, m, b) / 2
            self._errors |= {(a, m): expected, (m, b): expected}

    def points(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the places in ascending order, and the scores there."""
        places = np.array(sorted(self._scores), np.intp)
        return places, np.array([self._scores[each] for each in places.tolist()])
