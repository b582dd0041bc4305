"""Intervals of means, shares and other aggregates, by default 95 %: NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.aggregates import MEAN, contributions

Values: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]

RESAMPLES = 10_000
LEVEL = 0.05  # share of samples whose interval misses the true value
ANY: Interval = (-np.inf, np.inf)  # the range of a metric that declares none
MOST_ZEROS = 0.7  # a larger share of zeros leaves no interval of the mean that holds
_FROM = 10  # values: below, Student's t, since resamples of few values are too coarse
_FEW, _FEW_OF_TAIL = 5, 25  # values: so few seldom show the ends of a tail; see `_tails`
_SKEWED = 0.5  # skewness from which a side counts as the longer tail in full
_OUTWARD = np.array([-1.0, 1.0])  # of low and high
_BLOCK = 4_000_000  # bootstrap weights held at once: 32 MB


@dataclass(frozen=True)
class Estimator:
    """How a cell's value and its interval come from its images.

    Attributes
    ----------
    aggregate : a key of `AGGREGATES`
    is_hits : whether the values are hits or misses; for the mean alone
    seed, resamples : of the bootstrap
    tolerance : by how much a value may be off; intervals are wider by it
    level : an interval misses the true value in this share of samples
    bounds : the smallest and the largest value that the metric can have; no interval leaves them
    """

    aggregate: str = MEAN
    is_hits: bool = False
    seed: int = 0
    resamples: int = RESAMPLES
    tolerance: float = 0.0
    level: float = LEVEL
    bounds: Interval = ANY

    @property
    def interval(self) -> str:
        """The kind of interval."""
        return "wilson" if self.is_hits else "bootstrap-t"

    @property
    def widest(self) -> float:
        """The largest difference of two values, +inf where the metric's range is not bounded."""
        return self.bounds[1] - self.bounds[0]

    def shares(self, column: Values) -> Values:
        """Return what each image adds to the value, (n,); see `aggregates.contributions`."""
        return contributions(column, self.aggregate, seed=self.seed) if len(column) else column

    def single(self, columns: Sequence[Values]) -> Values:
        """Return value, low and high of each column, (k, 3), NaN where there is none.

        Parameters
        ----------
        columns : float (n,), or (n, R, S) for an aggregate, one for each cell
        """
        columns = [self.shares(column) for column in columns]
        means = np.array([column.mean() if len(column) else np.nan for column in columns])
        return np.column_stack([means, self.within(means, mean_intervals(columns, self))])

    def within(self, means: Values, ends: Values) -> Values:
        """Return intervals (k, 2) wider by the tolerance, within the metric's range.

        A mean outside the declared range, which is wrong then, stays in its interval.
        """
        low, high = (ends + self.tolerance * _OUTWARD).T
        low = np.minimum(np.maximum(low, self.bounds[0]), means)
        return np.stack([low, np.maximum(np.minimum(high, self.bounds[1]), means)], axis=1)


def mean_intervals(columns: Sequence[Values], rule: Estimator) -> Values:
    """Return the interval of each column's mean: Wilson's for hits, else the bootstrap's.

    Parameters
    ----------
    columns : float (n,) each
    rule : is_hits, level, seed and resamples

    Returns
    -------
    float64 (k, 2), NaN where a column has fewer than two values
    """
    bounds = np.full((len(columns), 2), np.nan)
    if rule.is_hits:
        for at, values in enumerate(columns):
            if len(values) > 1:
                bounds[at] = wilson_interval(values.sum(), len(values), level=rule.level)
        return bounds
    draws = {"seed": rule.seed, "resamples": rule.resamples}
    for n in {len(values) for values in columns if len(values) > 1}:
        alike = [i for i, values in enumerate(columns) if len(values) == n]
        matrix = np.stack([columns[i] for i in alike], axis=1)
        bounds[alike] = bootstrap_interval(matrix, level=rule.level, **draws).T
    return bounds


def bootstrap_interval(
    columns: Values, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Values:
    """Return the bootstrap-t interval of each column's mean over its rows.

    [x̄ − t*_(1−a) s/√n, x̄ − t*_b s/√n] with the quantiles of t* = (x̄* − x̄) / (s*/√n) over
    resamples; below 10 rows, Student's t instead of t*. The shares a and b are
    level / 2 · n / (n + 5 + 25 w), with w = min(1, |skewness| / 0.5) for the interval's end on the
    side of the longer tail, and 0 for the other one.

    Parameters
    ----------
    columns : float (n, k): n ≥ 2 images; all columns are resampled alike
    seed, resamples : of the bootstrap
    level : share of samples whose interval misses the true mean

    Returns
    -------
    float64 (2, k): low and high; NaN where more than 70 % of a column, but not all, are 0, and
    where there is one row

    Notes
    -----
    Shares of 2.5 % cover the mean of ten log-normal values (skewness 3.7) in 90 % of samples,
    because few samples contain the tail. These cover it in 95 %, and 96-97 % of normal means;
    docs/claims.md has the table. An interval may reach beyond what a metric can be: `Estimator`
    cuts it at the metric's range. s* is at least s / 4: where one image has all the spread,
    resamples without it have none. With more than 70 % zeros a sample says too little about the
    others for any interval of the mean: give the share of values that are not 0 instead
    (`share_of_others`).

    References
    ----------
    Efron & Tibshirani 1993, chapter 12 (the bootstrap-t); the shares are ours, by simulation.
    """
    n = len(columns)
    if n < 2:
        return np.full((2, columns.shape[1]), np.nan)
    mean = columns.mean(0)
    centred = columns - mean
    error = np.sqrt((centred**2).sum(0) / (n - 1) / n)
    drawn = _drawn(centred, error, seed, resamples)
    bounds = mean - _student(centred, drawn, level)[::-1] * error
    zeros = (columns == 0).mean(0)
    return np.where((zeros > MOST_ZEROS) & (zeros < 1), np.nan, bounds)


def _drawn(centred: Values, error: Values, seed: int, resamples: int) -> Values:
    """Return t* of each resample, (B, k); none below 10 rows."""
    n, found = len(centred), [np.empty((0, centred.shape[1]))]
    for weights in resamples_of(n, resamples if n >= _FROM else 0, seed, centred.shape[1]):
        mean = weights @ centred / n
        spread = np.maximum((weights @ centred**2 / n - mean**2) / (n - 1), error**2 / 16)
        with np.errstate(invalid="ignore"):
            found.append(np.where(error > 0, mean / np.sqrt(spread), 0.0))
    return np.concatenate(found)


def _student(centred: Values, drawn: Values, level: float) -> Values:
    """Return the lower and the upper quantile of t, (2, k)."""
    if not len(drawn):
        from scipy.stats import t  # a second to import

        high = np.full(centred.shape[1], t.isf(level / 2, len(centred) - 1))
        return np.stack([-high, high])
    ordered = np.sort(drawn, axis=0)
    lower, upper = _tails(centred, level)
    return np.stack([_quantiles(ordered, lower), _quantiles(ordered, 1 - upper)])


def _tails(centred: Values, level: float) -> Values:
    """Return which share of t lies below the lower quantile and above the upper one, (2, k).

    A long right tail makes t low, and the lower quantile of t gives the interval's upper end.
    """
    n = len(centred)
    size = np.sqrt((centred**2).mean(0))
    cubes = (centred**3).mean(0)
    skewness = np.divide(cubes, size**3, out=np.zeros_like(size), where=size > 0)
    sides = np.clip(np.stack([skewness, -skewness]) / _SKEWED, 0, 1)
    return np.asarray(level / 2 * n / (n + _FEW + _FEW_OF_TAIL * sides))


def _quantiles(ordered: Values, shares: Values) -> Values:
    """Return the quantile of each column (B, k), sorted, at its own share (k,), linearly."""
    place = shares * (len(ordered) - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, len(ordered) - 1)
    column = np.arange(ordered.shape[1])
    low, high = ordered[below, column], ordered[above, column]
    return np.asarray(low + (place - below) * (high - low))


def share_of_others(values: Values, *, level: float = LEVEL) -> tuple[float, float, float] | None:
    """Return the share of values that are not 0 with Wilson's interval, or None where it is not
    needed: at most 70 % of them are 0, or all.
    """
    others = int((values != 0).sum())
    if not others or (len(values) - others) / len(values) <= MOST_ZEROS:
        return None
    return (others / len(values), *wilson_interval(others, len(values), level=level))


def resamples_of(n: int, count: int, seed: int, width: int = 0) -> Iterator[Values]:
    """Yield how often each of n images is drawn in each of `count` resamples, in blocks: (b, n).

    One matrix product resamples all cells. A block holds n or `width` numbers for each row.
    """
    generator = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(n, width, 1))
    for start in range(0, count, step):
        size = min(step, count - start)
        drawn = generator.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def wilson_interval(hits: float, n: float, *, level: float = LEVEL) -> Interval:
    """Return Wilson's interval of a share of `hits` in `n`, 95 % by default."""
    z = NormalDist().inv_cdf(1 - level / 2)
    share, z2 = hits / n, z**2 / n
    centre = (share + z2 / 2) / (1 + z2)
    half = z * np.sqrt(share * (1 - share) / n + z2 / (4 * n)) / (1 + z2)
    # Both ends are exact where nothing or everything hits; rounding would leave 5e-17 there.
    low = 0.0 if hits == 0 else float(centre - half)
    return low, 1.0 if hits == n else float(centre + half)
