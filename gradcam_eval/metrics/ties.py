"""Pixels of equal relevance: in which order they go, and how much the order matters.

A rectified 7 × 7 map has large plateaus at zero, so a curve depends on a rule that the heatmap does
not state. The declared rule is row-major. Where a curve's points cut no plateau the order is
without effect, and the expected value is exact; elsewhere it is the mean over random orders, which
has no closed form for a model that is not linear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Curve, Heatmap, InputError, Predict, TieOrders, Undefined
from gradcam_eval.metrics.inputs import Heatmaps, finite_scores
from gradcam_eval.protocols import FaithfulnessProtocol


def rankings(
    framed: Heatmap, rules: FaithfulnessProtocol, generator: np.random.Generator
) -> NDArray[np.int32]:
    """Return the orders in which a protocol changes the pixels of one map, row-major first.

    That one alone, (1, H, W) ranks, unless the protocol wants the expected value and the map has
    ties that its steps cut: then (1 + T, H, W), with T random orders behind it.
    """
    declared = arrays.rank_pixels(framed)
    if rules.ties == "stable" or not _cuts_ties(framed, rules.step(framed.size)):
        return declared[None]
    drawn = [arrays.rank_at_random(framed, generator) for _ in range(rules.tie_orders)]
    return np.stack([declared, *drawn])


def curve_over_orders(
    fraction: NDArray[np.float64], scores: NDArray[np.float64], rules: FaithfulnessProtocol
) -> Curve | Undefined:
    """Return the curve of one map from its scores in the orders of `rankings`.

    Parameters
    ----------
    fraction : float64 (S,), as `Curve` has it
    scores : float64 (1, S) or (1 + T, S)
    rules : the protocol that the orders were made by

    Returns
    -------
    The mean curve over the random orders, with `Curve.ties`; a protocol of one order has none.
    Undefined where a score is not finite.
    """
    known = finite_scores(scores)
    if isinstance(known, Undefined):
        return known
    declared = Curve(fraction, known[0])
    if rules.ties == "stable":
        return declared
    if len(known) == 1:
        return replace(declared, ties=TieOrders(declared.area, (declared.area,) * rules.tie_orders))
    areas = tuple(Curve(fraction, each).area for each in known[1:])
    return Curve(fraction, known[1:].mean(axis=0), TieOrders(declared.area, areas))


def _cuts_ties(framed: Heatmap, step: int) -> bool:
    """Whether some point of a curve lies inside a run of equal values."""
    values = np.sort(framed.reshape(-1))[::-1]
    after = np.arange(step, values.size, step)  # pixels changed at each inner point
    return bool((values[after - 1] == values[after]).any())


def tie_share(heatmap: Heatmap) -> float:
    """Return the share of pixels whose value another pixel of the heatmap has as well, 0..1.

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
    area : mean over random orders
    spread : standard deviation over them, with n - 1
    low, high : the extremes over them
    row_major : the area in the declared order, which may lie far outside low and high
    """

    share: float
    area: float
    spread: float
    low: float
    high: float
    row_major: float


def tie_sensitivity(
    metric: Any,
    predict: Predict | Any,
    image: NDArray[np.float32],
    heatmap: Heatmaps,
    rules: FaithfulnessProtocol,
) -> TieSensitivity | Undefined:
    """Measure one curve's area over random orders of its ties, and in the declared one.

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
    found = metric(predict, image[None], [heatmap], protocol=replace(rules, ties="expected"))[0]
    if isinstance(found, Undefined):
        return found
    share = tie_share(arrays.resize(np.asarray(heatmap), (image.shape[0], image.shape[1])))
    ties = found.ties
    low, high = min(ties.areas), max(ties.areas)
    return TieSensitivity(share, found.area, ties.spread, low, high, ties.row_major)
