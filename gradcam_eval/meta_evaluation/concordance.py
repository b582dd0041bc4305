"""Do raters agree? Kendall's W and Krippendorff's ordinal α, from their definitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError, Undefined


def kendalls_w(ratings: NDArray[np.float64]) -> float | Undefined:
    """Kendall's coefficient of concordance, corrected for ties.

    W = 12 Σ_i (R_i − R̄)² / (m² (n³ − n) − m Σ_j T_j), with R_i the sum of object i's ranks over
    the m raters, ties at their mean rank, and T_j = Σ (t³ − t) over the groups of t tied ranks of
    rater j.

    Parameters
    ----------
    ratings : float (m, n), finite: m raters' scores or ranks of n objects, all in one direction

    Returns
    -------
    float
        0 (no agreement) to 1 (the same order by all), higher is more agreement.
    Undefined
        Fewer than two raters or objects, or every rater puts all objects alike.

    Raises
    ------
    InputError
        Not a table of finite numbers.

    References
    ----------
    Kendall & Babington Smith: The problem of m rankings, Annals of Mathematical Statistics 10,
    1939; Kendall: Rank correlation methods, 1948 (ties).
    """
    from scipy.stats import rankdata

    ratings = np.asarray(ratings, float)
    if ratings.ndim != 2 or not np.isfinite(ratings).all():
        raise InputError(
            f"ratings have shape {ratings.shape}: wanted finite numbers, raters × objects."
        )
    m, n = ratings.shape
    if m < 2 or n < 2:
        return Undefined(f"{m} raters of {n} objects: agreement needs two of each")
    ranks = rankdata(ratings, axis=1)
    tied = sum(
        float((counts**3 - counts).sum())
        for counts in (np.unique(row, return_counts=True)[1] for row in ranks)
    )
    possible = m**2 * (n**3 - n) - m * tied
    if possible == 0:
        return Undefined("every rater puts all objects alike")
    totals = ranks.sum(0)
    return float(12 * ((totals - totals.mean()) ** 2).sum() / possible)


def krippendorff_alpha(ratings: NDArray[np.float64]) -> float | Undefined:
    """Krippendorff's α for ordinal values.

    α = 1 − D_o / D_e, D_o = Σ o_ck δ²_ck / n, D_e = Σ n_c n_k δ²_ck / (n (n − 1)), from the
    coincidences o_ck: each unit with m_u values adds its ordered pairs of values of two raters,
    divided by m_u − 1. n_c = Σ_k o_ck, n = Σ n_c, and δ_ck = Σ_(g=c..k) n_g − (n_c + n_k) / 2.

    Parameters
    ----------
    ratings : float (m, N): m raters' values of N units, NaN where a rater has none

    Returns
    -------
    float
        1: all agree; 0: as by chance; below 0: raters contradict each other.
    Undefined
        No unit has two values, or all values are the same.

    Raises
    ------
    InputError
        Not a table, or an infinite number.

    References
    ----------
    Krippendorff: Computing Krippendorff's alpha-reliability, University of Pennsylvania, 2011.
    """
    ratings = np.asarray(ratings, float)
    if ratings.ndim != 2 or np.isinf(ratings).any():
        raise InputError(f"ratings have shape {ratings.shape}: wanted numbers, raters × units.")
    values = np.unique(ratings[~np.isnan(ratings)])
    counts = (ratings[:, :, None] == values).sum(0).astype(float)  # (N, C)
    counts = counts[counts.sum(1) > 1]
    if not len(counts):
        return Undefined("no unit has values of two raters")
    weights = 1 / (counts.sum(1) - 1)
    coincidences = (counts * weights[:, None]).T @ counts - np.diag(weights @ counts)
    each = coincidences.sum(1)
    middle = each.cumsum() - each / 2  # δ_ck is the difference of the two middles
    distance = (middle[:, None] - middle) ** 2
    n = each.sum()
    expected = float((np.outer(each, each) * distance).sum() / (n * (n - 1)))
    if expected == 0:
        return Undefined("all values are the same")
    return 1 - float((coincidences * distance).sum() / n) / expected
