"""Independent units: images, or whole clusters of images that are alike (class, group, scene)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import LEVEL, Values, wilson_interval

FEWEST = 6  # independent units: below, no test can give a p-value under .05 on both sides


def plural_units(count: int) -> str:
    """Write a number of units."""
    return "1 independent unit" if count == 1 else f"{count} independent units"


def unit_codes(
    samples: Sequence[str], clusters: Mapping[str, str] | None = None
) -> NDArray[np.intp]:
    """Return the number of each image's unit: its cluster, or itself where it is in none.

    Parameters
    ----------
    samples : names of images
    clusters : sample → name of its cluster; "" and None are no cluster
    """
    named = [(clusters or {}).get(sample) for sample in samples]
    keys = [
        ("cluster", name) if name not in (None, "") else ("image", sample)
        for name, sample in zip(named, samples, strict=True)
    ]
    code = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([code[key] for key in keys], np.intp)


def unit_sums(values: Values, units: NDArray[np.intp] | None) -> Values:
    """Return the sums of values (n, K) over each unit, (units, K); NaN adds nothing.

    Without units and without NaN these are the values themselves, not a copy.
    """
    filled = np.where(gaps, 0.0, values) if (gaps := np.isnan(values)).any() else values
    if units is None:
        return filled
    sums = np.zeros((int(units.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, units, filled)
    return sums


def unit_counts(values: Values, units: NDArray[np.intp] | None) -> Values:
    """Return how many values each unit has, (units, K); a view where all have one."""
    known = ~np.isnan(values)
    if units is None and known.all():
        return np.broadcast_to(1.0, values.shape)
    return unit_sums(known.astype(np.float64), units)


def clustered_interval(
    values: Values, units: NDArray[np.intp], *, is_hits: bool = False, level: float = LEVEL
) -> tuple[float, float]:
    """Return the interval of a mean whose images come in clusters: x̄ ∓ t_(U−1) se.

    se² = U/(U − 1) Σ_u (S_u − x̄ m_u)² / n², for cluster u with sum S_u of m_u values. An interval
    of hits is at least as wide as Wilson's for x̄ (1 − x̄) / se² images, or U where se is 0:
    clusters that hit everywhere have no spread.

    Returns
    -------
    (low, high), NaN below two clusters
    """
    from scipy.stats import t  # a second to import

    kept = np.unique(units, return_inverse=True)[1]
    sums, counts = unit_sums(values[:, None], kept), unit_counts(values[:, None], kept)
    size, mean = len(sums), float(values.mean())
    if size < 2:
        return float("nan"), float("nan")
    error = np.sqrt(size / (size - 1) * ((sums - mean * counts) ** 2).sum()) / len(values)
    half = float(t.isf(level / 2, size - 1) * error)
    low, high = mean - half, mean + half
    if is_hits:
        images = mean * (1 - mean) / error**2 if error > 0 else float(size)
        least, most = wilson_interval(mean * images, images, level=level)
        low, high = max(0.0, min(low, least)), min(1.0, max(high, most))
    return low, high
