"""How large a difference is, in figures that do not grow with the number of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import LEVEL, Values, wilson_interval
from gradcam_eval.statistics.units import clustered_interval


@dataclass(frozen=True)
class Effect:
    """One paired comparison, positive = better.

    Attributes
    ----------
    relative : mean difference over the score's range, −1..1; None where the range is 0
    share, share_low, share_high : images on which the cell is better, ties half, 0..1, with
        Wilson's interval
    rank_biserial : −1..1; None where all differences are 0
    """

    relative: float | None
    share: float
    share_low: float
    share_high: float
    rank_biserial: float | None


def effect_of(
    differences: Values,
    score_range: float,
    *,
    units: NDArray[np.intp] | None = None,
    level: float = LEVEL,
) -> Effect:
    """Return the effect sizes of paired differences.

    relative = d̄ / range; share = (#(d > 0) + #(d = 0) / 2) / n; rank-biserial = (W⁺ − W⁻) /
    (W⁺ + W⁻), where W± sum the ranks of |d| over the positive and the negative d, zeros left out.

    Parameters
    ----------
    differences : float (n,), n ≥ 1, without gaps, cell minus reference
    score_range : largest minus smallest value of the metric, over all cells and images
    units : int (n,), the cluster of each image, where images are not independent
    level : the interval misses the true share in this share of samples

    References
    ----------
    Kerby 2014, Comprehensive Psychology 3 (rank-biserial correlation of matched pairs).
    """
    from scipy.stats import rankdata  # a second to import

    n = len(differences)
    won = (differences > 0) + (differences == 0) / 2
    wins = float(won.sum())
    if units is None:
        low, high = wilson_interval(wins, n, level=level)
    else:
        low, high = clustered_interval(won, units, is_hits=True, level=level)
    moved = differences[differences != 0]
    ranks = rankdata(np.abs(moved))
    biserial = float((ranks * np.sign(moved)).sum() / ranks.sum()) if len(moved) else None
    relative = float(differences.mean() / score_range) if score_range > 0 else None
    return Effect(relative, wins / n, low, high, biserial)
