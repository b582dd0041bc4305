"""How the results of single images become one value of the data set: a table of short formulas.

A threshold that a data set shares, a precision pooled over images and a mean over classes are no
means of per-image values. Each formula takes weights, how often each image counts, so that a
bootstrap resample is one row of them, and all rows are computed together.

`contributions` says what each image adds, so that one analysis serves all metrics. A threshold that
is tuned on the images that it is reported on makes the value optimistic (.562 for a true .410 at 10
images); tuned on other images it makes it about as pessimistic. A study reports the middle of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = NDArray[np.float64]  # (B, n), how often each of n images counts in a resample
Parts: TypeAlias = NDArray[np.float64]  # (n, R, S), what each image adds
Aggregate: TypeAlias = Callable[[Weights, Parts], NDArray[np.float64]]  # → (B,)

MEAN = "mean"


def mean(weights: Weights, parts: Parts) -> NDArray[np.float64]:
    """Return Σ w v / Σ w; parts (n, 1, 1) hold v."""
    return np.asarray(weights @ parts[:, 0, 0] / weights.sum(1))


def mean_over_classes(weights: Weights, parts: Parts) -> NDArray[np.float64]:
    """Return the mean over classes of each class's mean; parts (n, 1, 2) hold class and value.

    Each class counts alike, however many images it has; one without any is left out.
    """
    labels, values = parts[:, 0, 0], parts[:, 0, 1]
    member = (labels[:, None] == np.unique(labels)).astype(np.float64)
    count, total = weights @ member, weights @ (member * values[:, None])
    return np.asarray((total / np.maximum(count, 1)).sum(1) / (count > 0).sum(1))


def mean_of_maxima(weights: Weights, parts: Parts) -> NDArray[np.float64]:
    """Return Σ_r max_s mean_images parts[r, s] / R: the maximum is one place for all images.

    Never the mean of each image's own maximum, which would choose a threshold by the truth.
    """
    return np.asarray(_sums(weights, parts).max(-1).mean(-1) / weights.sum(1))


def pooled_average_precision(weights: Weights, parts: Parts) -> NDArray[np.float64]:
    """Return Σ_s precision_s (recall_s - recall_(s-1)), s from the highest bin to the lowest.

    Parts (n, 2, S) hold the numbers of positive and of negative pixels in each bin, ascending.
    """
    true, false = np.moveaxis(_sums(weights, parts)[..., ::-1].cumsum(-1), 1, 0)
    precision = true / np.maximum(true + false, 1)
    gained = np.diff(true, axis=-1, prepend=0.0)
    return np.asarray((precision * gained).sum(-1) / true[:, -1])


def _sums(weights: Weights, parts: Parts) -> NDArray[np.float64]:
    flat = parts.reshape(len(parts), -1)
    return np.asarray(weights @ flat).reshape(len(weights), *parts.shape[1:])


AGGREGATES: dict[str, Aggregate] = {
    MEAN: mean,
    "mean_over_classes": mean_over_classes,
    "mean_of_maxima": mean_of_maxima,
    "pooled_average_precision": pooled_average_precision,
}
# what stands over such a value where a metric without an aggregate has "mean"
TITLES = {
    MEAN: "mean",
    "mean_over_classes": "class mean",
    "mean_of_maxima": "at the best threshold, corrected",
    "pooled_average_precision": "all pixels pooled",
}

FOLDS = 10  # a threshold is tuned on nine, and its images' share is that of the tenth


def contributions(
    parts: NDArray[np.float64], aggregate: str, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return what each image adds: (n,), whose mean is the value of the data set.

    mean : the values themselves.
    mean_over_classes : v_i n / (C n_c), for image i of class c with n_c images, of C classes.
    mean_of_maxima : c_i + (M − mean of c) / 2, with c_i = Σ_r parts_i[r, s*_r] / R, where the
        threshold s*_r is the best one on the images of the other folds (10 seeded folds, or n of
        fewer images), and M the published value, whose threshold is the best on all images.
    any other : A + (n − 1) (mean of A_(−j) over j − A_(−i)), A of all images and A_(−i) of all
        but i: the jackknife's pseudo-values, centred at the value itself.

    Parameters
    ----------
    parts : float (n,) of a mean, or (n, R, S); see `aggregates`
    aggregate : a key of `AGGREGATES`
    seed : of the folds
    """
    n = len(parts)
    if aggregate == MEAN or n < 2:
        if n == 1 and aggregate != MEAN:
            return np.asarray(AGGREGATES[aggregate](np.ones((1, 1)), parts))
        return np.asarray(parts, float)
    if aggregate == "mean_over_classes":
        _, member, counts = np.unique(parts[:, 0, 0], return_inverse=True, return_counts=True)
        return np.asarray(parts[:, 0, 1] * n / (len(counts) * counts[member]))
    if aggregate == "mean_of_maxima":
        other = _cross_fitted(parts, seed)
        whole = float(mean_of_maxima(np.ones((1, n)), parts)[0])
        return other + (whole - other.mean()) / 2
    rule = AGGREGATES[aggregate]
    whole = float(rule(np.ones((1, n)), parts)[0])
    without = np.concatenate([rule(1.0 - np.eye(n)[at], parts) for at in _blocks(n, parts)])
    return np.asarray(whole + (n - 1) * (without.mean() - without))


def _cross_fitted(parts: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Score each image at the thresholds that are best on the other folds; ties: the middle."""
    n = len(parts)
    folds = np.random.default_rng(seed).permutation(n) % min(FOLDS, n)
    total = parts.sum(0)
    values = np.empty(n)
    for fold in range(folds.max() + 1):
        mine = folds == fold
        rest = total - parts[mine].sum(0)
        best = rest >= rest.max(-1, keepdims=True) - 1e-9
        middle = (np.cumsum(best, -1) > (best.sum(-1, keepdims=True) - 1) // 2).argmax(-1)
        values[mine] = np.take_along_axis(parts[mine], middle[None, :, None], 2)[..., 0].mean(1)
    return values


def _blocks(n: int, parts: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    step = max(1, 4_000_000 // max(n, parts[0].size))
    return [np.arange(start, min(start + step, n)) for start in range(0, n, step)]
