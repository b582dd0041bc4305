"""Many cells against one reference: tests and intervals that hold for all of them at once.

Twelve cells that are all as good as the reference beat it "significantly" somewhere in a third of
all studies if each is tested by itself. Here the largest statistic of the whole family decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values
from gradcam_eval.statistics.flips import flipped_sums, resampled_sums
from gradcam_eval.statistics.units import FEWEST, unit_counts, unit_sums

Alternative: TypeAlias = Literal["greater", "two-sided"]
_SLACK = 1e-9  # of a statistic: equal but for float64


@dataclass(frozen=True, eq=False)
class Family:
    """K comparisons, tested together.

    Attributes
    ----------
    difference, error : float64 (K,): mean paired differences, and their standard errors
    low, high : simultaneous bounds, difference ∓ quantile · error; `high` is +inf where the
        alternative is "greater"
    p : adjusted p-values; p ≤ level exactly where the interval excludes 0 (on the upper side)
    quantile : of the largest studentized statistic of the family, under equality
    images, units : int (K,): how many pairs there are, and how many independent units
    """

    difference: Values
    error: Values
    low: Values
    high: Values
    p: Values
    quantile: float
    images: NDArray[np.int64]
    units: NDArray[np.int64]


def simultaneous(
    differences: Values,
    *,
    units: NDArray[np.intp] | None = None,
    alternative: Alternative = "greater",
    level: float = 0.05,
    is_hits: bool = False,
    seed: int = 0,
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
    alternative : "greater" or "two-sided"
    level : error rate of the whole family
    is_hits : whether the differences are −1, 0 or 1
    seed : of the random flips and resamples

    Returns
    -------
    Family; Undefined below 6 units in every comparison: too few for any claim. A comparison with
    fewer than that has p = 1 and infinite bounds.

    Notes
    -----
    The flips are exact where each difference is symmetric about 0, and control the error in the
    strong sense: cells that do differ do not change it, because the largest of more statistics is
    not smaller. They are too generous where a reference has as good a mean and another *skew*
    (10-23 % false claims in simulations). So p and quantile are the larger ones of the flips and of
    the bootstrap-t of the same largest statistic (resampled units, centred, studentized anew),
    which is right there. Hits have no skew under equality; for them the second one is the flips of
    the centred differences, which have the correlation of the cells whatever their means.

    References
    ----------
    Westfall & Young 1993 (max-t); Romano & Wolf 2005, Econometrica 73, 1237-1282; Efron &
    Tibshirani 1993, chapter 12 (bootstrap-t).
    """
    sums, counts = unit_sums(differences, units), unit_counts(differences, units)
    images, size = counts.sum(0), (counts > 0).sum(0)
    if not (size >= FEWEST).any():
        few = int(size.max(initial=0))
        return Undefined(f"{few} independent units: a claim needs {FEWEST}")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums.sum(0) / images
        rest = sums - mean * counts
        error = np.sqrt(size / (size - 1) * (sums**2 - sums.sum(0) ** 2 / size**2).sum(0)) / images
    error = np.nan_to_num(error)
    is_tested = size >= FEWEST
    fold = np.abs if alternative == "two-sided" else np.positive
    observed = fold(_studentized(sums.sum(0)[None], (sums**2).sum(0), size)[0])
    nulls = [_flipped(sums, size, seed)]
    nulls.append(_flipped(rest, size, seed) if is_hits else _resampled(rest, size, seed))
    p, quantile = np.zeros(len(mean)), -np.inf
    for null in nulls:
        largest = fold(null[:, is_tested]).max(1)
        p = np.maximum(p, _shares(largest, observed))
        quantile = max(quantile, _quantile(largest, level))
    half = np.where(is_tested, quantile * error, np.inf)
    low, high = mean - half, mean + half
    if alternative == "greater":
        high = np.full_like(mean, np.inf)
    p = np.where(is_tested, p, 1.0)
    return Family(mean, error, low, high, p, quantile, images.astype(int), size.astype(int))


def _studentized(totals: Values, squares: Values, size: Values) -> Values:
    """Return t of sums (B, K) with Σ S² (K,): t = T √((U−1)/(U−T²)), T = Σ S / √(Σ S²)."""
    root = np.sqrt(squares)
    known = root > 0
    share = np.divide(totals, root, out=np.zeros_like(totals), where=known)
    left = np.maximum(size - share**2, 1e-12 * size)
    return np.asarray(share * np.sqrt(np.maximum(size - 1, 0) / np.where(size, left, 1)))


def _flipped(sums: Values, size: Values, seed: int) -> Values:
    """Return t of each flip, the observed one first."""
    return _studentized(flipped_sums(sums, seed=seed), (sums**2).sum(0), size)


def _resampled(rest: Values, size: Values, seed: int) -> Values:
    """Return t of each resample of centred sums, its error computed anew.

    The error is at least a quarter of that of all units: where one unit has all the spread,
    resamples without it have none.
    """
    totals, squares = resampled_sums(rest, rest**2, seed=seed)
    spread = squares - totals**2 / np.maximum(size, 1)
    spread = np.maximum(spread, (rest**2).sum(0) / 16)
    root = np.sqrt(spread * size / np.maximum(size - 1, 1))
    found = np.divide(totals, root, out=np.zeros_like(totals), where=root > 0)
    return np.concatenate([np.zeros((1, rest.shape[1])), found])


def _shares(largest: Values, observed: Values) -> Values:
    """Return for each observed statistic the share of the largest ones that reach it."""
    ordered = np.sort(largest)
    reach = observed - _SLACK * np.maximum(1, np.abs(observed))
    count = len(ordered) - np.searchsorted(ordered, reach)
    return np.maximum(count, 1) / len(ordered)


def _quantile(largest: Values, level: float) -> float:
    """Return the value that a statistic must exceed for its share to be at most `level`."""
    return float(np.sort(largest)[::-1][int(np.floor(level * len(largest) + _SLACK))])
