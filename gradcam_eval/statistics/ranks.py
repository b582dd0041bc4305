"""Do several models, data sets, protocols or checkpoints rank the cells alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values
from gradcam_eval.statistics.units import FEWEST, unit_sums

_SWEEPS, _STARTS = 4, 12  # of the search for the smallest and the largest W


@dataclass(frozen=True)
class Concordance:
    """Kendall's W of m rankings of k items: 0 no agreement, 1 the same order.

    Attributes
    ----------
    w, low, high : W, and the smallest and the largest one that the images allow at 1 − level
    chance : 1 / m, the expected W of unrelated rankings
    rankings, items : m and k
    """

    w: float
    low: float
    high: float
    chance: float
    rankings: int
    items: int


def kendall_w(ranks: Values) -> float:
    """Return W = 12 S / (m² (k³ − k) − m Σ T) of ranks (m, k); ties have mean ranks.

    S = Σ_j (R_j − m (k + 1) / 2)², R_j the sum of item j's ranks; T = Σ (t³ − t) over the ties of
    one ranking. Without any difference in any ranking, W is 0.
    """
    m, k = ranks.shape
    spread = float(((ranks.sum(0) - m * (k + 1) / 2) ** 2).sum())
    ties = sum(
        float((counts**3 - counts).sum())
        for counts in (np.unique(row, return_counts=True)[1] for row in ranks)
    )
    full = m**2 * (k**3 - k) - m * ties
    return 12 * spread / full if full > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Ranking:
    """The scores of k items on the images of one model, data set, protocol or checkpoint.

    Attributes
    ----------
    label : what the ranking is of
    values : float64 (n, k), larger = better
    units : int (n,), the unit of each image; every image by itself where None
    tolerance : by how much the metric's own computation may be off in a difference of two items
    """

    label: str
    values: Values
    units: NDArray[np.intp] | None = None
    tolerance: float = 0.0


def concordance(rankings: Sequence[Ranking], *, level: float = 0.05) -> Concordance | Undefined:
    """Return how far several rankings of the same items agree, and how far they may.

    Each ranking orders its items by their means. The interval has the smallest and the largest W of
    all orders that the images allow: those in which no pair of items is turned round that differs
    by more than its simultaneous interval, all pairs of all rankings at once.

    Parameters
    ----------
    rankings : m ≥ 2 of the same k ≥ 2 items
    level : error rate of the interval

    Notes
    -----
    The pairs' intervals are Student's, d̄ ∓ (t se + τ) with the tolerance τ and the level divided
    by m k (k − 1) / 2 (Bonferroni), over the units. Noise in the means only lowers W, so that W
    itself tends to be low, and a bootstrap's percentiles cover the true W in 0 to 99 % of simulated
    studies; this interval covers it in 1 − level or more, and is wide where few images order few
    pairs. Its ends are found by a search, which may miss the last few thousandths. It speaks of
    other images, not of other models.

    References
    ----------
    Kendall & Smith 1939, Annals of Mathematical Statistics 10, 275-287.
    """
    from scipy.stats import rankdata

    counts = {each.values.shape[1] for each in rankings}
    if len(rankings) < 2 or min(counts) < 2:
        return Undefined("agreement of rankings needs two rankings of two items")
    if min(len(each.values) for each in rankings) == 0:
        return Undefined("a ranking has no image with a value of all items")
    m, k = len(rankings), min(counts)
    ranks = np.array([rankdata(-each.values.mean(0)) for each in rankings])
    share = level / (m * k * (k - 1))  # of one side of one pair
    above = [_ordered(each, share) for each in rankings]
    w = kendall_w(ranks)
    low, high = _least(ranks, above), _most(ranks, above)
    return Concordance(w, min(w, low), max(w, high), 1 / m, m, k)


def _ordered(ranking: Ranking, share: float) -> NDArray[np.bool_]:
    """Say which items (first axis) are shown to be above which (second axis): (k, k)."""
    from scipy.stats import t

    sums = unit_sums(ranking.values - ranking.values.mean(1, keepdims=True), ranking.units)
    size, total = len(sums), sums.sum(0)
    if size < FEWEST:
        return np.zeros((sums.shape[1],) * 2, np.bool_)
    gram = sums.T @ sums
    apart = total[:, None] - total
    squares = np.diag(gram)[:, None] + np.diag(gram) - 2 * gram
    spread = np.maximum(squares - apart**2 / size, 0) * size / (size - 1)
    half = np.maximum(t.isf(share, size - 1) * np.sqrt(spread), 1e-9)
    return np.asarray(apart > half + ranking.tolerance * len(ranking.values))


def _extension(above: NDArray[np.bool_], wish: Values) -> Values:
    """Return ranks (k,), 1 = first, that keep the order `above` and follow a wish otherwise.

    Of the items with none left above them, the one with the smallest wish comes next.
    """
    left = np.ones(len(wish), bool)
    ranks = np.empty(len(wish))
    for rank in range(1, len(wish) + 1):
        free = left & ~above[left].any(0)
        at = int(np.argmin(np.where(free, wish, np.inf)))
        ranks[at], left[at] = rank, False
    return ranks


def _most(ranks: Values, above: Sequence[NDArray[np.bool_]]) -> float:
    """Return the largest W that the orders allow: all rankings follow one wish, again and again."""
    best = 0.0
    order = _extension(_acyclic(above), ranks.sum(0))
    for start in (ranks.sum(0), order, *ranks):
        wish = start
        for _ in range(_SWEEPS):
            found = np.array([_extension(each, wish) for each in above])
            best, wish = max(best, kendall_w(found)), found.sum(0) + 1e-6 * wish
    return best


def _acyclic(above: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return all rankings' orders together, without the pairs that two of them order otherwise."""
    together = np.any(above, axis=0)
    for middle in range(len(together)):
        together = together | (together[:, [middle]] & together[middle])
    return np.asarray(together & ~together.T)


def _least(ranks: Values, above: Sequence[NDArray[np.bool_]]) -> float:
    """Return the smallest W that the orders allow: each ranking turns against the others' sum."""
    generator = np.random.default_rng(0)
    starts = [ranks, *(generator.permuted(ranks, axis=1) for _ in range(_STARTS))]
    least = 1.0
    for start in starts:
        found = np.array([_extension(*each) for each in zip(above, start, strict=True)])
        for _ in range(_SWEEPS):
            for at, each in enumerate(above):
                found[at] = _extension(each, -(found.sum(0) - found[at]))
            least = min(least, kendall_w(found))
    return least


def mean_ranks(values: Values) -> Values:
    """Return each cell's rank, 1 = best, as a mean over images (Friedman): (n, K) → (K,).

    They draw the critical-difference diagram and make no claim.
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(-values, axis=1).mean(0))


def friedman_p(values: Values) -> float:
    """Return the p-value of Friedman's test that all cells have the same ranks: (n, K ≥ 3) → 0..1.

    It stands beside the critical-difference diagram and makes no claim. Where no image tells any
    two cells apart it is 1.
    """
    from scipy.stats import friedmanchisquare

    if (values == values[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*values.T).pvalue)


def cliques(ranks: Values, difference: float) -> list[tuple[int, int]]:
    """Return the longest runs of cells whose mean ranks are at most `difference` apart.

    Parameters
    ----------
    ranks : mean ranks (K,), ascending

    Returns
    -------
    (first, last) of each run of two cells or more that is in no longer one
    """
    ends = np.searchsorted(ranks, ranks + difference + 1e-9, side="right") - 1
    found: list[tuple[int, int]] = []
    for first, last in enumerate(ends.tolist()):
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def critical_difference(cells: int, images: int, level: float = 0.05) -> float:
    """Return Nemenyi's CD = q √(k (k + 1) / (6 n)), q = studentized range quantile / √2.

    References
    ----------
    Demšar 2006, Journal of Machine Learning Research 7, 1-30.
    """
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - level, cells, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(cells * (cells + 1) / (6 * images)))
