"""How the results of single images become one value of the data set: a table of short formulas.

A threshold that a data set shares, a precision pooled over images and a mean over classes are no
means of per-image values. Each formula takes weights, how often each image counts, so that a
bootstrap resample is one row of them, and all rows are computed together.
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
    "mean_of_maxima": "at the best threshold",
    "pooled_average_precision": "all pixels pooled",
}
