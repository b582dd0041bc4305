"""Do several models, data sets or protocols rank the cells alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values

_DRAWS = 500


@dataclass(frozen=True)
class Concordance:
    """Kendall's W of m rankings of k items: 0 no agreement, 1 the same order.

    Attributes
    ----------
    w, low, high : W and its 95 % interval over images
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


def concordance(judges: Sequence[Values], *, seed: int = 0) -> Concordance | Undefined:
    """Return how far several rankings of the same items agree, with a bootstrap over images.

    Parameters
    ----------
    judges : m ≥ 2 arrays (n_j, k): the values of k items on the images of a model, data set or
        protocol, larger = better; each ranks the items by its means
    seed : of the bootstrap, 500 resamples of each judge's images

    Notes
    -----
    The interval is of percentiles: noise in the means only lowers W, so it tends to lie low. It
    speaks of other images, not of other models.

    References
    ----------
    Kendall & Smith 1939, Annals of Mathematical Statistics 10, 275-287.
    """
    from scipy.stats import rankdata

    counts = {values.shape[1] for values in judges}
    if len(judges) < 2 or counts == {0} or counts == {1}:
        return Undefined("agreement of rankings needs two rankings of two items")
    generator = np.random.default_rng(seed)
    means = np.array([values.mean(0) for values in judges])
    w = kendall_w(rankdata(means, axis=1))
    draws = np.empty((_DRAWS, *means.shape))
    for at, values in enumerate(judges):
        n = len(values)
        weights = generator.multinomial(n, np.full(n, 1 / n), _DRAWS)
        draws[:, at] = weights @ values / n
    found = [kendall_w(each) for each in rankdata(draws, axis=2)]
    low, high = np.quantile(found, [0.025, 0.975])
    return Concordance(
        w, min(w, float(low)), max(w, float(high)), 1 / len(judges), len(judges), means.shape[1]
    )


def mean_ranks(values: Values) -> Values:
    """Return each cell's rank, 1 = best, as a mean over images (Friedman): (n, K) → (K,).

    They draw the critical-difference diagram and make no claim.
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(-values, axis=1).mean(0))


def critical_difference(cells: int, images: int, level: float = 0.05) -> float:
    """Return Nemenyi's CD = q √(k (k + 1) / (6 n)), q = studentized range quantile / √2.

    References
    ----------
    Demšar 2006, Journal of Machine Learning Research 7, 1-30.
    """
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - level, cells, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(cells * (cells + 1) / (6 * images)))
