"""Pixels of equal relevance: in which order they go, and how much the order matters.

A rectified 7 × 7 map has large plateaus at zero, so a curve depends on a rule that the heatmap does
not state. The declared rule is row-major. Where a curve's points cut no plateau the order is
without effect, and the expected value is exact; elsewhere it is the mean over random orders, which
has no closed form for a model that is not linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Heatmap, InputError, Predict, Undefined
from gradcam_eval.metrics.inputs import Heatmaps
from gradcam_eval.protocols import FaithfulnessProtocol


def rankings(
    framed: Heatmap, rules: FaithfulnessProtocol, generator: np.random.Generator
) -> NDArray[np.int32]:
    """Return the orders in which a protocol changes the pixels of one map: (T, H, W) ranks.

    One, unless the protocol wants the expected value and the map has ties that its steps cut.
    """
    step = rules.step(framed.size)
    if rules.ties == "stable" or not _cuts_ties(framed, step):
        return arrays.rank_pixels(framed)[None]
    return np.stack([arrays.rank_at_random(framed, generator) for _ in range(rules.tie_orders)])


def _cuts_ties(framed: Heatmap, step: int) -> bool:
    """Whether some point of a curve lies inside a run of equal values."""
    values = np.sort(framed.reshape(-1))[::-1]
    after = np.arange(step, values.size, step)  # pixels changed at each inner point
    return bool((values[after - 1] == values[after]).any())


def tie_share(heatmap: Heatmap) -> float:
    """Return the share of pixels whose value another pixel of the map has as well, 0..1.

    Examples
    --------
    >>> tie_share(np.array([[3.0, 1.0], [0.0, 0.0]]))
    0.5
    """
    _, counts = np.unique(heatmap, return_counts=True)
    return float(counts[counts > 1].sum() / heatmap.size)


@dataclass(frozen=True)
class TieSensitivity:
    """How an area depends on the order of ties.

    Attributes
    ----------
    share : of the pixels, in the image's frame, that are tied
    area : mean over the orders
    spread : standard deviation over the orders, with n - 1
    low, high : the extremes over the orders
    """

    share: float
    area: float
    spread: float
    low: float
    high: float


def tie_sensitivity(
    metric: Any,
    predict: Predict | Any,
    image: NDArray[np.float32],
    heatmap: Heatmaps,
    rules: FaithfulnessProtocol,
) -> TieSensitivity | Undefined:
    """Measure one curve's area over random orders of its ties.

    Parameters
    ----------
    metric : `deletion`, `insertion`, `morf` or `lerf`, with its target bound:
        ``functools.partial(deletion, targets=[3])``
    predict : as for the metric
    image : float32 (H, W, C), 0..255
    heatmap : float (h, w)
    rules : a protocol; `tie_orders` says how many orders are drawn (two at least), `seed` which

    Raises
    ------
    InputError : fewer than two orders
    """
    if rules.tie_orders < 2:
        raise InputError(
            f"tie_orders is {rules.tie_orders}: a spread needs two orders at least; give "
            "dataclasses.replace(protocol, tie_orders=8)."
        )
    areas = []
    for order in range(rules.tie_orders):
        one = replace(rules, ties="expected", tie_orders=1, seed=rules.seed + order)
        found = metric(predict, image[None], [heatmap], protocol=one)[0]
        if isinstance(found, Undefined):
            return found
        areas.append(found.area)
    share = tie_share(arrays.resize(np.asarray(heatmap), (image.shape[0], image.shape[1])))
    return _summary(share, areas)


def _summary(share: float, areas: Sequence[float]) -> TieSensitivity:
    spread = float(np.std(areas, ddof=1))
    return TieSensitivity(share, float(np.mean(areas)), spread, min(areas), max(areas))
