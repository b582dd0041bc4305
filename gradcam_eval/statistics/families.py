"""Many cells against one reference: tests and intervals that hold for all of them at once.

Twelve cells that are all as good as the reference beat it "significantly" somewhere in a third of
all studies if each is tested by itself. Here the largest statistic of the whole family decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values
from gradcam_eval.statistics.design import DESIGN, Design
from gradcam_eval.statistics.flips import flipped_sums, resampled_sums
from gradcam_eval.statistics.units import FEWEST, plural_units, unit_counts, unit_sums

_SLACK = 1e-9  # of a statistic: equal but for float64
_BLOCK = 8_000_000  # sums of units copied at once: 64 MB
_FEW = 15  # units: so few seldom show the tail that makes a bootstrap-t as wide as it should be


@dataclass(frozen=True, eq=False)
class Family:
    """K comparisons, tested together.

    Attributes
    ----------
    difference, error : float64 (K,): mean paired differences, and their standard errors
    low, high : simultaneous bounds, difference ∓ quantile · error; `high` is +inf where the
        alternative is "better", `low` −inf where it is "worse"
    p : adjusted p-values; p ≤ level exactly where the interval excludes 0
    quantile : of the largest studentized statistic of the family, under equality
    images, units : int (K,): how many pairs there are, and how many independent units
    tolerance : of the design: how far the metric's own computation may be off in a difference
    """

    difference: Values
    error: Values
    low: Values
    high: Values
    p: Values
    quantile: float
    images: NDArray[np.int64]
    units: NDArray[np.int64]
    tolerance: float = 0.0


def simultaneous(
    differences: Values,
    *,
    units: NDArray[np.intp] | None = None,
    is_hits: bool = False,
    design: Design = DESIGN,
) -> Family | Undefined:
    """Test K mean paired differences against 0, all at once, by sign flips (max-t).

    With S_uk = Σ_(i in u) d_ik over unit u (an image or a cluster), U units and n images:
    d̄_k = Σ_u S_uk / n; se_k² = U/(U − 1) (Σ_u S_uk² − (Σ_u S_uk)²/U) / n²; t_k = d̄_k / se_k.
    A flip ε of ±1 by unit gives t_k(ε); p_k = share of flips with max_j t_j(ε) ≥ t_k, with |t| for
    "two-sided". All 2^U flips up to 12 units, else 1,999 random ones and the observed.

    Parameters
    ----------
    differences : float (n, K), cell minus reference, positive = better; NaN where one has no value
    units : int (n,), the unit of each image; every image by itself where None
    is_hits : whether the differences are −1, 0 or 1
    design : level, alternative and seed

    Returns
    -------
    Family; Undefined below 6 units in every comparison: too few for any claim. A comparison with
    fewer than that has p = 1 and infinite bounds.

    Notes
    -----
    The flips are exact where each difference is symmetric about 0, and control the error in the
    strong sense: cells that do differ do not change it, because the largest of more statistics is
    not smaller. They are too generous where a reference has as good a mean and another *skew*
    (12-32 % false claims in simulations). So p and quantile are the larger ones of the flips and of
    the bootstrap-t of the same largest statistic (resampled units, centred, studentized anew). Few
    units seldom contain a long tail, so the bootstrap-t has the level · U / (U + 15), and its p is
    larger by as much; U is the smallest number of units of a tested column. Hits have no skew under
    equality; for them the second one is the flips of the centred differences, which have the
    correlation of the cells whatever their means. Seven wins in seven images have no spread, and
    d̄ ∓ q se would be [1, 1]. So an interval of hits is at least as wide as with half a win and half
    a loss more, on n + 2 images (Agresti & Min 2005), unless that contradicts the test.

    With a tolerance τ (`Design`), t_k = sign(d̄_k) max(|d̄_k| − τ, 0) / se_k, and each bound lies τ
    further out.

    References
    ----------
    Westfall & Young 1993 (max-t); Romano & Wolf 2005, Econometrica 73, 1237-1282; Efron &
    Tibshirani 1993, chapter 12 (bootstrap-t); Agresti & Min 2005, Statistics in Medicine 24,
    729-740.
    """
    turn = -1 if design.alternative == "worse" else 1
    sums, counts = unit_sums(differences, units), unit_counts(differences, units)
    images, size = counts.sum(0), (counts > 0).sum(0)
    if not (size >= FEWEST).any():
        few = int(size.max(initial=0))
        return Undefined(f"{plural_units(few)}: a claim needs {FEWEST}")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = turn * sums.sum(0) / images
        spread = np.maximum(_squares(sums) - sums.sum(0) ** 2 / size, 0)
        error = np.nan_to_num(np.sqrt(size / (size - 1) * spread) / images)
    is_tested = size >= FEWEST
    table = _Table(turn, sums, counts, size, np.nan_to_num(mean))
    p, quantile = _worst(table, is_hits, design)
    half = quantile * error + design.tolerance
    ends = np.stack([mean - half, mean + half])
    ends[np.abs(ends) <= _SLACK * half] = 0
    if is_hits:
        ends = _of_shares(ends, _wide(turn * sums.sum(0), _squares(sums), images, quantile))
    low, high = np.where(is_tested, ends, [[-np.inf], [np.inf]])
    if design.alternative != "two-sided":
        high = np.full_like(mean, np.inf)
    if turn < 0:
        mean, low, high = -mean, -high, -low
    p = np.where(is_tested, p, 1.0)
    counted = images.astype(int), size.astype(int)
    return Family(mean, error, low, high, p, quantile, *counted, design.tolerance)


def _wide(total: Values, squares: Values, images: Values, quantile: float) -> Values:
    """Return the interval (2, K) of a difference of shares with half a win and half a loss more.

    d̃ = S / (n + 2), se² = (Σ S_u² + 1 − S² / (n + 2)) / (n + 2)².
    """
    n = images + 2
    centre = total / n
    half = quantile * np.sqrt(np.maximum(squares + 1 - total**2 / n, 0)) / n
    return np.stack([centre - half, centre + half])


def _of_shares(ends: Values, wide: Values) -> Values:
    """Return the wider ends within −1 and 1, but where a wider one contradicts the test."""
    (low, high), (lower, higher) = ends, wide
    low = np.where((low > 0) & (lower <= 0), low, np.minimum(low, lower))
    high = np.where((high < 0) & (higher >= 0), high, np.maximum(high, higher))
    return np.stack([np.maximum(low, -1), np.minimum(high, 1)])


@dataclass(frozen=True, eq=False)
class _Table:
    """Sums and counts (U, K) of U units, how many units each column has, and its mean (K,).

    `turn` · sums is larger = better. Its blocks of columns keep the memory bounded.
    """

    turn: int
    sums: Values
    counts: Values
    size: NDArray[np.int64]
    mean: Values

    def blocks(self) -> Iterator[slice]:
        """Yield the columns in blocks."""
        step = max(1, _BLOCK // max(1, len(self.sums)))
        for start in range(0, len(self.mean), step):
            yield slice(start, min(start + step, len(self.mean)))

    def less(self, off: Values, part: slice) -> Values:
        """Return the sums of some columns when each image's value is less by `off`."""
        return np.asarray(self.turn * self.sums[:, part] - off[part] * self.counts[:, part])

    def flipped(self, off: Values, part: slice, seed: int) -> Values:
        """Return t of each flip of some columns, (B, k), the observed one first."""
        sums = self.less(off, part)
        size = self.size[part].astype(float)
        return _studentized(flipped_sums(sums, seed=seed), _squares(sums), size)

    def resampled(self, part: slice, seed: int) -> Values:
        """Return t of each resample of some columns, centred, the error computed anew.

        The error is at least a quarter of that of all units: where one unit has all the spread,
        resamples without it have none.
        """
        rest, size = self.less(self.mean, part), np.maximum(self.size[part], 2)
        totals, squares = resampled_sums(rest, rest**2, seed=seed)
        spread = np.maximum(squares - totals**2 / size, _squares(rest) / 16)
        root = np.sqrt(spread * size / (size - 1))
        found = np.divide(totals, root, out=np.zeros_like(totals), where=root > 0)
        return np.concatenate([np.zeros((1, rest.shape[1])), found])


def _squares(sums: Values) -> Values:
    """Return Σ_u s_uk² without a copy of the sums."""
    return np.asarray(np.einsum("uk,uk->k", sums, sums))


def _worst(table: _Table, is_hits: bool, design: Design) -> tuple[Values, float]:
    """Return the larger p-values and the larger quantile of the two null distributions."""
    fold = np.abs if design.alternative == "two-sided" else np.positive
    is_tested = table.size >= FEWEST
    strict = 1.0 if is_hits else 1 + _FEW / float(table.size[is_tested].min())
    off = np.clip(table.mean, -design.tolerance, design.tolerance)
    observed = np.empty(len(table.mean))
    largest = [np.array([-np.inf])] * 2  # of each null distribution, over all columns
    for part in table.blocks():
        flipped = fold(table.flipped(off, part, design.seed))
        observed[part] = flipped[0]
        if is_hits:
            other = fold(table.flipped(table.mean, part, design.seed))
        else:
            other = fold(table.resampled(part, design.seed))
        for at, null in enumerate((flipped, other)):
            top = null[:, is_tested[part]].max(1, initial=-np.inf)
            largest[at] = np.maximum(largest[at], top)
    p, quantile = np.zeros(len(observed)), -np.inf
    for tops, factor in zip(largest, (1.0, strict), strict=True):
        p = np.maximum(p, np.minimum(factor * _shares(tops, observed), 1))
        quantile = max(quantile, _quantile(tops, design.level / factor))
    return p, quantile


def _studentized(totals: Values, squares: Values, size: Values) -> Values:
    """Return t of sums (B, K) with Σ S² (K,): t = T √((U−1)/(U−T²)), T = Σ S / √(Σ S²)."""
    root = np.sqrt(squares)
    known = root > 0
    share = np.divide(totals, root, out=np.zeros_like(totals), where=known)
    left = np.maximum(size - share**2, 1e-12 * size)
    return np.asarray(share * np.sqrt(np.maximum(size - 1, 0) / np.where(size, left, 1)))


def _shares(largest: Values, observed: Values) -> Values:
    """Return for each observed statistic the share of the largest ones that reach it."""
    ordered = np.sort(largest)
    reach = observed - _SLACK * np.maximum(1, np.abs(observed))
    count = len(ordered) - np.searchsorted(ordered, reach)
    return np.maximum(count, 1) / len(ordered)


def _quantile(largest: Values, level: float) -> float:
    """Return the value that a statistic must exceed for its share to be at most `level`."""
    return float(np.sort(largest)[::-1][int(np.floor(level * len(largest) + _SLACK))])
