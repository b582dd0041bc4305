"""95 % intervals of means, shares and paired differences: NumPy, vectorised over cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]

RESAMPLES = 10_000
_Z = 1.959963984540054  # the normal quantile of a two-sided 95 % interval
_BLOCK = 4_000_000  # bootstrap weights held at once: 32 MB


def mean_intervals(
    columns: Sequence[Values], is_hits: bool, *, seed: int, resamples: int
) -> Values:
    """Return the interval of each column's mean: Wilson's for hits, else the bootstrap's.

    Returns
    -------
    float64 (k, 2), NaN where a column has fewer than two values
    """
    if is_hits:
        return _each(columns, lambda values: wilson_interval(values.sum(), len(values)))
    bounds = np.full((len(columns), 2), np.nan)
    for n in {len(values) for values in columns if len(values) > 1}:
        alike = [i for i, values in enumerate(columns) if len(values) == n]
        matrix = np.stack([columns[i] for i in alike], axis=1)
        bounds[alike] = bootstrap_interval(matrix, seed=seed, resamples=resamples).T
    return bounds


def paired_intervals(
    sides: Sequence[tuple[Values, Values]], is_hits: bool, *, seed: int, resamples: int
) -> Values:
    """Return the interval of each mean difference, left minus right: Newcombe's for hits.

    Returns
    -------
    float64 (k, 2), NaN where there are fewer than two pairs
    """
    if is_hits:
        pairs = [np.stack(side, axis=1) for side in sides]
        return _each(pairs, lambda pair: newcombe_interval(pair[:, 0], pair[:, 1]))
    differences = [left - right for left, right in sides]
    return mean_intervals(differences, False, seed=seed, resamples=resamples)


def _each(columns: Sequence[Values], interval: Callable[[Values], Interval]) -> Values:
    """Return the interval of each column, NaN where it has fewer than two rows."""
    nothing = (np.nan, np.nan)
    return np.array([interval(c) if len(c) > 1 else nothing for c in columns]).reshape(-1, 2)


def bootstrap_interval(columns: Values, *, seed: int = 0, resamples: int = RESAMPLES) -> Values:
    """Return the 95 % percentile bootstrap interval of each column's mean over its rows.

    Parameters
    ----------
    columns : float (n, k): n images; all columns are resampled alike, so that pairs stay pairs

    Returns
    -------
    float64 (2, k): low and high
    """
    n, k = columns.shape
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, k))
    step = max(1, _BLOCK // n)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        # How often each image is drawn is multinomial: one matrix product then resamples all cells.
        weights = generator.multinomial(n, np.full(n, 1 / n), size=stop - start)
        means[start:stop] = weights @ columns / n
    return np.asarray(np.quantile(means, [0.025, 0.975], axis=0))


def wilson_interval(hits: float, n: int) -> Interval:
    """Return Wilson's 95 % interval of a share of `hits` in `n`."""
    share, z2 = hits / n, _Z**2 / n
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z * np.sqrt(share * (1 - share) / n + z2 / (4 * n)) / (1 + z2)
    # Both ends are exact where nothing or everything hits; rounding would leave 5e-17 there.
    low = 0.0 if hits == 0 else float(centre - half)
    return low, 1.0 if hits == n else float(centre + half)


def newcombe_interval(left: Values, right: Values) -> Interval:
    """Return Newcombe's 95 % interval (1998, method 10) of a difference of paired shares.

    With Wilson's limits l, u of each share and the correlation φ of the pairs:
    low = d - √((p1-l1)² - 2φ(p1-l1)(u2-p2) + (u2-p2)²), high likewise with u1 and l2.
    """
    n = len(left)
    (p1, l1, u1), (p2, l2, u2) = (
        (side.mean(), *wilson_interval(side.sum(), n)) for side in (left, right)
    )
    both, first = float((left * right).sum()), float((left * (1 - right)).sum())
    second = float(((1 - left) * right).sum())
    neither = n - both - first - second
    product = both * neither - first * second
    if product > 0:
        product = max(product - n / 2, 0.0)  # Newcombe's continuity correction of φ
    scale = np.sqrt(n**4 * p1 * (1 - p1) * p2 * (1 - p2))
    phi = product / scale if scale > 0 else 0.0
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    middle = p1 - p2
    return float(middle - np.sqrt(max(below, 0))), float(middle + np.sqrt(max(above, 0)))
