"""Intersection over union of the object and the pixels that a threshold rule takes for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Boxes, InputError, Mask, Undefined
from gradcam_eval.metrics.cases import Prepared, case_by_case, chosen
from gradcam_eval.metrics.inputs import Heatmaps
from gradcam_eval.metrics.regions import FramedMap, Ignore, judge_maps
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.protocols import IouProtocol


def iou(  # noqa: PLR0913 - the truth in either form, and the rule
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    protocol: str | IouProtocol = "iou_half_max",
    size: tuple[int, int] | None = None,
) -> list[float | Undefined]:
    """Return the overlap of the object and the pixels that a rule selects from each heatmap.

    ``|selected ∩ object| / |selected ∪ object|``. The rules: "iou_half_max" selects L >= max L / 2,
    "iou_otsu" L above Otsu's threshold, "iou_top_fifth" the highest fifth of the pixels.

    Parameters
    ----------
    heatmaps, boxes, masks, ignore, size
        As for `pointing_game`. Ignored pixels are in no set, and no threshold sees them.
    protocol : str or IouProtocol
        One of the three names, or your own record with another level.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0..1, higher is better. Undefined where the truth is empty, the heatmap constant or not
        finite, or, for a share of the maximum, no counted pixel positive.

    Raises
    ------
    InputError
        As for `pointing_game`, or a level outside 0..1.

    Notes
    -----
    A share of the pixels is taken by rank and not by the value of a percentile: in a map of which
    60 % is zero, the 50th percentile is zero, and a threshold there selects all pixels or loses
    the order of all. Pixels that tie for the last place go in row-major order; pixels at the
    map's minimum are never selected, since nothing is less relevant than they are.
    """
    rules = chosen(protocol, "iou", IouProtocol)
    if not 0 <= rules.level <= 1:
        raise InputError(f"the level is {rules.level}: give a share, 0 to 1.")
    return judge_maps(heatmaps, (boxes, masks, ignore, size), partial(_overlap, rules=rules))


def _overlap(framed: FramedMap, rules: IouProtocol) -> float | Undefined:
    counted = framed.region.counted
    selected = _RULES[rules.rule](framed.heatmap[counted], rules.level)
    if isinstance(selected, Undefined):
        return selected
    inside = framed.region.inside[counted]
    return float((selected & inside).sum() / (selected | inside).sum())


def _of_maximum(values: NDArray[np.float32], level: float) -> Mask | Undefined:
    highest = float(values.max())
    if highest <= 0:
        return Undefined("the heatmap has no positive value")
    return values >= level * highest


def _above_otsu(values: NDArray[np.float32], level: float) -> Mask | Undefined:
    from skimage.filters import threshold_otsu

    if values.max() == values.min():
        return Undefined("the heatmap is constant where pixels count")
    return values > threshold_otsu(values)


def _highest(values: NDArray[np.float32], level: float) -> Mask:
    n = int(np.ceil(level * values.size))
    if n == 0:
        return np.zeros(values.shape, bool)
    last = np.partition(values, values.size - n)[values.size - n]
    selected = values > last
    tied = np.flatnonzero(values == last)
    selected[tied[: n - int(selected.sum())]] = True
    return selected & (values > values.min())


_RULES: dict[str, Callable[[NDArray[np.float32], float], Mask | Undefined]] = {
    "max": _of_maximum,
    "otsu": _above_otsu,
    "rank": _highest,
}


@register_metric(
    "iou",
    needs="truth",
    unit="intersection over union",
    bounds="0..1",
    higher_is_better=True,
    protocols=("iou_half_max", "iou_otsu", "iou_top_fifth"),
)
@case_by_case("iou", IouProtocol)
def _iou(prepared: Prepared, rules: IouProtocol) -> float | Undefined:
    """Overlap of the object and the pixels that the protocol's rule selects from the heatmap."""
    framed = prepared.framed(rules.drawn, rules.frame)
    return framed if isinstance(framed, Undefined) else _overlap(framed, rules)
