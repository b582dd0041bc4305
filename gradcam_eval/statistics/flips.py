"""Sign flips and resamples of independent units, in blocks, so that the units need not fit twice.

Where two cells are equally good, their paired difference is as likely to be +d as −d. A sign flip
of a unit (an image, or a whole cluster of images) swaps the cells on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import Values, resamples_of

MOST_EXACT = 12  # units: up to here all 2^n flips are taken
DRAWS = 1_999  # flips or resamples beyond that; p-values are multiples of 1 / 2,000
_BLOCK = 4_000_000  # signs held at once: 32 MB


def flips_of(units: int, *, seed: int = 0, draws: int = DRAWS) -> Iterator[NDArray[np.float64]]:
    """Yield blocks of sign vectors (b, units) of −1 and 1; the first vector is all ones.

    Up to `MOST_EXACT` units these are all 2^units vectors, else `draws` random ones and the first.
    """
    if units <= MOST_EXACT:
        codes = np.arange(2**units)[:, None]
        yield (1 - 2 * ((codes >> np.arange(units)) & 1)).astype(np.float64)
        return
    yield np.ones((1, units))
    generator = np.random.default_rng(seed)
    step = max(1, _BLOCK // units)
    for start in range(0, draws, step):
        size = (min(step, draws - start), units)
        yield (1 - 2 * generator.integers(0, 2, size, dtype=np.int8)).astype(np.float64)


def flipped_sums(sums: Values, *, seed: int = 0) -> Values:
    """Return Σ_u ε_u s_uk for each sign vector ε: (units, K) → (flips, K), the observed one first.

    Parameters
    ----------
    sums : float (units, K): what each unit adds to each of K sums
    """
    return np.concatenate([signs @ sums for signs in flips_of(len(sums), seed=seed)])


def resampled_sums(*sums: Values, seed: int = 0, draws: int = DRAWS) -> list[Values]:
    """Return Σ_u w_u s_uk where resample w takes unit u w_u times: each (units, K) → (draws, K)."""
    found: list[list[Values]] = [[] for _ in sums]
    for weights in resamples_of(len(sums[0]), draws, seed):
        for each, of in zip(found, sums, strict=True):
            each.append(weights @ of)
    return [np.concatenate(each) for each in found]
