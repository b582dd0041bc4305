"""The pixels of a heatmap from its highest value down, and how many of them are the object's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Heatmap, Mask


@dataclass(frozen=True, eq=False)
class Ranking:
    """How many pixels have each distinct value of a map, or a higher one.

    The values stand from the highest down; pixels of one value are taken together, so no tie has
    an order. The ROC curve, the precision and the hits among the highest pixels are read off it.

    Attributes
    ----------
    pixels : int64 (D,), of all pixels that count
    hits : int64 (D,), of the object's
    """

    pixels: NDArray[np.int64]
    hits: NDArray[np.int64]

    @cached_property
    def misses(self) -> NDArray[np.int64]:
        """Of the background's pixels, (D,)."""
        return self.pixels - self.hits


def ranking(values: Heatmap, inside: Mask) -> Ranking:
    """Return the ranking of some pixels.

    Parameters
    ----------
    values : float32 (n,), finite
    inside : bool (n,), True on the object
    """
    order = arrays.stable_order(values)[::-1]
    descending = values[order]
    last = np.append(np.flatnonzero(descending[1:] != descending[:-1]), values.size - 1)
    return Ranking(last + 1, np.cumsum(inside[order], dtype=np.int64)[last])
