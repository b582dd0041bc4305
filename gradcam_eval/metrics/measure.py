"""What a measure of similarity is, and the rank and the correlation that several are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Heatmap, InputError, Undefined


@dataclass(frozen=True)
class Measure:
    """A measure of similarity in two parts, so that what one heatmap costs is paid once.

    Attributes
    ----------
    features : heatmap (H, W) → what is compared, or why it has none
    compare : the features of two heatmaps → their similarity
    """

    features: Callable[[Heatmap], NDArray[Any] | Undefined]
    compare: Callable[[Any, Any], float | Undefined]

    def prepare(self, heatmap: Heatmap) -> NDArray[Any] | Undefined:
        """Return a heatmap's features; Undefined where it cannot rank pixels."""
        reason = arrays.degenerate_reason(heatmap)
        return Undefined(reason) if reason else self.features(heatmap)

    def between(
        self, one: NDArray[Any] | Undefined, other: NDArray[Any] | Undefined
    ) -> float | Undefined:
        """Return the similarity of two heatmaps of one size by what `prepare` gave of each."""
        if isinstance(one, Undefined):
            return one
        return other if isinstance(other, Undefined) else self.compare(one, other)

    def of(self, one: Heatmap, other: Heatmap) -> float | Undefined:
        """Return the similarity of two heatmaps (H, W)."""
        if one.shape != other.shape or one.ndim != 2:
            raise InputError(
                f"heatmaps of shapes {one.shape} and {other.shape}: wanted two (H, W) of one size; "
                "resize them first"
            )
        return self.between(self.prepare(one), self.prepare(other))


def ranks(heatmap: Heatmap) -> NDArray[np.float64]:
    """Rank values from 1, equal ones by their mean, as `scipy.stats.rankdata` more slowly does."""
    values = heatmap.ravel()
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], values.size]
    found = np.empty(values.size)
    found[order] = np.repeat((starts + 1 + ends) / 2, ends - starts)
    return found


def pearson(one: NDArray[Any], other: NDArray[Any]) -> float | Undefined:
    """Pearson's correlation of two vectors; Undefined where all values of one are equal."""
    first, second = one - one.mean(), other - other.mean()
    scale = np.sqrt((first @ first) * (second @ second))
    if scale == 0:
        return Undefined("the absolute values of a heatmap are all equal")
    return float(np.clip(first @ second / scale, -1, 1))  # rounding may leave 1 + 2e-16
