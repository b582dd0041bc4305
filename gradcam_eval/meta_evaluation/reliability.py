"""Does a metric order the heatmaps as their quality does, and alike on every image?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values, bootstrap_interval
from gradcam_eval.meta_evaluation.concordance import krippendorff_alpha
from gradcam_eval.statistics.selection import ROUNDING


@dataclass(frozen=True)
class Reliability:
    """Validity (the order that is known) and reliability (the same order on every image).

    Attributes
    ----------
    monotony, low, high : mean over images of Spearman's ρ of score and quality, −1..1, with its
        95 % interval; 0 for an image whose scores are all equal
    of_means : Spearman's ρ of the mean scores and quality
    tied : images whose scores are all equal
    alpha : inter-rater reliability: Krippendorff's ordinal α with images as raters and heatmaps as
        units, of the ranks within each image. 1: every image orders the heatmaps alike; 0: as by
        chance
    inter_method : inter-method reliability: mean Spearman's ρ over images of the scores of two
        heatmaps. High where a score depends on the image more than on the heatmap

    None where the number does not exist.
    """

    monotony: float | None
    low: float | None
    high: float | None
    of_means: float | None
    tied: int
    alpha: float | None
    inter_method: float | None


def ranks_of(scores: Values) -> Values:
    """Return ranks within each row, the largest score last, ties at their mean rank.

    Scores are rounded to 1e-6 of the row's largest absolute value first, so that noise of the last
    digits makes no order. Rows with a NaN are NaN.
    """
    from scipy.stats import rankdata

    size = np.maximum(np.abs(scores).max(axis=1, keepdims=True, initial=0.0), 1e-12)
    return np.asarray(rankdata(np.round(scores / size / ROUNDING), axis=1, nan_policy="propagate"))


def reliability_of(scores: Values, *, seed: int = 0) -> Reliability:
    """Return how well a metric's scores follow the order of the ladder.

    Parameters
    ----------
    scores : float (n, k), without gaps, of n images and k heatmaps, the best heatmap first,
        higher = better
    seed : of the bootstrap

    References
    ----------
    Fresz, Lörcher & Huber 2024, Classification metrics for image explanations (arXiv:2406.05068);
    Tomsett et al. 2020, Sanity checks for saliency metrics, AAAI (inter-rater and inter-method
    reliability). There the units are saliency methods, whose true order nobody knows.
    """
    count = scores.shape[1]
    if not len(scores):
        return Reliability(None, None, None, None, 0, None, None)
    ranks, quality = ranks_of(scores), np.arange(count, 0, -1.0)
    rho = correlations(ranks, quality)
    low, high = bootstrap_interval(rho[:, None], seed=seed)[:, 0].tolist()
    alpha = krippendorff_alpha(ranks)
    return Reliability(
        monotony=float(rho.mean()),
        low=_known(low),
        high=_known(high),
        of_means=float(correlations(ranks_of(scores.mean(0)[None]), quality)[0]),
        tied=int((np.ptp(ranks, axis=1) == 0).sum()),
        alpha=None if isinstance(alpha, Undefined) else float(alpha),
        inter_method=_inter_method(scores),
    )


def correlations(rows: Values, target: Values) -> Values:
    """Return Pearson's correlation of each row with one vector, 0 for a constant row."""
    rows = rows - rows.mean(1, keepdims=True)
    target = target - target.mean()
    size = np.sqrt((rows**2).sum(1) * (target**2).sum())
    return np.divide(rows @ target, size, out=np.zeros(len(rows)), where=size > 0)


def _inter_method(scores: Values) -> float | None:
    """Return the mean Spearman's ρ of two heatmaps' scores over images; None below 3 images."""
    if len(scores) < 3:
        return None
    ranks = ranks_of(scores.T)
    matrix = np.stack([correlations(ranks, each) for each in ranks])
    varies = np.ptp(ranks, axis=1) > 0
    pairs = matrix[np.triu(varies[:, None] & varies, 1)]
    return float(pairs.mean()) if len(pairs) else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
