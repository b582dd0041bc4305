"""Several objects of one class: does a heatmap find each, and how does it share itself out?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Heatmap, InputError, Mask, Truth, Undefined
from gradcam_eval.metrics.cases import Prepared, case_by_case
from gradcam_eval.metrics.inputs import Heatmaps, checked_heatmaps
from gradcam_eval.metrics.regions import NOTHING, region_of_boxes
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.metrics.resized import Resized
from gradcam_eval.protocols import InstanceProtocol

# (heatmap in the frame, masks of its objects, protocol) → value
_Measure: TypeAlias = Callable[[Heatmap, NDArray[np.bool_], InstanceProtocol], float | Undefined]


def instance_recall(
    heatmaps: Heatmaps,
    instances: Sequence[Sequence[Mask] | NDArray[np.bool_]],
    *,
    level: float = 0.5,
) -> list[float | Undefined]:
    """Return the share of the objects that each heatmap finds.

    ``|{i : max over object i of L >= level · max L}| / n``, with L resized bilinearly to the frame.

    Parameters
    ----------
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
    instances : N sequences of bool masks (H, W)
        One for each object of the explained class, all of one size.
    level : float, above 0, at most 1
        The share of the map's maximum that an object's own maximum must reach.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0..1, higher is better. Undefined where there are fewer than two objects with a pixel in
        the frame, and where the heatmap is constant, not finite or nowhere positive.

    Raises
    ------
    InputError
        Counts or shapes that do not fit, or a level outside 0..1.

    Notes
    -----
    Ours: nothing published. A map that is high everywhere finds all; read it beside
    `energy_pointing_game`.
    """
    if not 0 < level <= 1:
        raise InputError(f"level is {level}: give a share of the maximum above 0, at most 1.")
    return _judge_all(heatmaps, instances, lambda heatmap, each: _found(heatmap, each, level))


def instance_evenness(
    heatmaps: Heatmaps, instances: Sequence[Sequence[Mask] | NDArray[np.bool_]]
) -> list[float | Undefined]:
    """Return how evenly each heatmap shares itself out among the objects.

    ``-Σ_i p_i ln p_i / ln n`` with ``p_i`` proportional to the mean of [L]₊ on object i: the
    normalised entropy, which a large object does not win by its size.

    Parameters
    ----------
    heatmaps, instances
        As for `instance_recall`.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0 (all on one object) to 1 (alike on all), higher is better. Undefined as for
        `instance_recall`, and where no object has a positive value.

    Raises
    ------
    InputError
        Counts or shapes that do not fit.

    Notes
    -----
    Ours: nothing published. What lies beside the objects has no part in it, and so it cannot tell a
    heatmap from noise: noise and a constant are even, and two parts to one still give .918. On
    seven photographs with several objects Grad-CAM had .986 on average and noise 1.000. Use it for
    maps of which `instance_fair_share` has said that they are on the objects.
    """
    return _judge_all(heatmaps, instances, _evenness)


def instance_fair_share(
    heatmaps: Heatmaps, instances: Sequence[Sequence[Mask] | NDArray[np.bool_]]
) -> list[float | Undefined]:
    """Return what share of its fair share of each heatmap the weakest object gets.

    ``min_i (E_i / E) / (a_i / Σ_j a_j)``: E_i is the sum of [L]₊ on object i and E the sum over the
    whole frame, a_i are the object's pixels. A pixel of k objects counts 1/k for each of them.

    Parameters
    ----------
    heatmaps, instances
        As for `instance_recall`.

    Returns
    -------
    list of float or Undefined, one for each heatmap
        0 (an object has nothing) to 1 (all of the map is on the objects, and no object has less a
        pixel than another), higher is better. A constant map has the share of the frame that the
        objects cover, and noise about that. Undefined as for `instance_recall`.

    Raises
    ------
    InputError
        Counts or shapes that do not fit.

    Notes
    -----
    Ours: nothing published. At most the share of the map that is on the objects
    (`relevance_mass_accuracy`), and less the less even it is. On the photographs of
    `instance_evenness`, whose objects cover .357 of the frame, Grad-CAM had .494, noise .354,
    coarse noise of 7 × 7 values .313, and the objects' own boxes 1.
    """
    return _judge_all(heatmaps, instances, _fair_share)


def _judge_all(
    heatmaps: Heatmaps,
    instances: Sequence[Sequence[Mask] | NDArray[np.bool_]],
    measure: Callable[[Heatmap, NDArray[np.bool_]], float | Undefined],
) -> list[float | Undefined]:
    maps = checked_heatmaps(heatmaps)
    if len(instances) != len(maps):
        raise InputError(
            f"instances for {len(instances)} heatmaps, but {len(maps)}: give masks for each."
        )
    return [
        _judge(Resized(heatmap), _checked(masks), measure)
        for heatmap, masks in zip(maps, instances, strict=True)
    ]


def _checked(masks: Sequence[Mask] | NDArray[np.bool_]) -> NDArray[np.bool_]:
    shapes = {np.shape(mask) for mask in masks}
    if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
        raise InputError(f"instances have shapes {sorted(shapes)}: wanted one (H, W) for all.")
    stacked = np.asarray(masks)
    if len(masks) and stacked.dtype != bool:
        raise InputError(f"instances have dtype {stacked.dtype}: wanted bool, e.g. mask > 0.")
    return stacked if len(masks) else np.zeros((0, 1, 1), bool)


def _judge(
    resized: Resized,
    masks: NDArray[np.bool_],
    measure: Callable[[Heatmap, NDArray[np.bool_]], float | Undefined],
) -> float | Undefined:
    masks = masks[masks.any((1, 2))]
    if len(masks) < 2:
        only = "one object of the class is annotated: nothing to share out"
        return Undefined(only if len(masks) else NOTHING)
    framed = resized.bilinear(masks.shape[1:])
    return framed if isinstance(framed, Undefined) else measure(framed, masks)


def _found(heatmap: Heatmap, masks: NDArray[np.bool_], level: float) -> float | Undefined:
    highest = float(heatmap.max())
    if highest <= 0:
        return Undefined("the heatmap has no positive value")
    return float(np.mean([heatmap[mask].max() >= level * highest for mask in masks]))


def _evenness(heatmap: Heatmap, masks: NDArray[np.bool_]) -> float | Undefined:
    energy = np.array([np.maximum(heatmap[mask], 0).mean(dtype=np.float64) for mask in masks])
    if energy.sum() == 0:
        return Undefined("the heatmap has no positive value on any object")
    share = energy[energy > 0] / energy.sum()
    return max(float(-(share * np.log(share)).sum() / np.log(len(energy))), 0.0)


def _fair_share(heatmap: Heatmap, masks: NDArray[np.bool_]) -> float | Undefined:
    energy = np.maximum(heatmap, 0).astype(np.float64)
    total = float(energy.sum())
    if total == 0:
        return Undefined("the heatmap has no positive value")
    part = 1 / np.maximum(masks.sum(axis=0), 1)  # of a pixel, that each of its objects has
    sizes = np.array([part[mask].sum() for mask in masks])
    sums = np.array([(energy * part)[mask].sum() for mask in masks])
    return min(float((sums / sizes).min() * sizes.sum() / total), 1.0)  # rounding may leave 1 + ε


def _masks_of(truth: Truth) -> NDArray[np.bool_]:
    """Return a mask for each object: its own, or its box."""
    if truth.instances:
        return np.stack(truth.instances)
    return _checked([region_of_boxes(box[None], truth.size) for box in truth.boxes])


_TABLE: tuple[tuple[str, str, str, str, _Measure], ...] = (  # name, protocol, unit, what it is
    (
        "instance_recall",
        "instances_v1",
        "share of objects",
        "Share of several objects of the class on which the heatmap reaches half its maximum.",
        lambda heatmap, masks, rules: _found(heatmap, masks, rules.level or 0.0),
    ),
    (
        "instance_evenness",
        "instances_v1",
        "normalised entropy",
        "How evenly the heatmap's energy is shared out among several objects of the class.",
        lambda heatmap, masks, rules: _evenness(heatmap, masks),
    ),
    (
        "instance_fair_share",
        "fair_share_v1",
        "share of the fair share",
        "What share of its fair share of the heatmap the weakest of several objects gets.",
        lambda heatmap, masks, rules: _fair_share(heatmap, masks),
    ),
)


def _metric_of(says: str, measure: _Measure) -> Callable[[Prepared, InstanceProtocol], Any]:
    def metric(prepared: Prepared, rules: InstanceProtocol) -> float | Undefined:
        masks = _masks_of(prepared.case.truth)
        return _judge(prepared.resized, masks, lambda heatmap, each: measure(heatmap, each, rules))

    metric.__doc__ = says
    return metric


for _name, _protocol, _unit, _says, _of in _TABLE:
    register_metric(
        _name,
        needs="truth",
        unit=_unit,
        bounds="0..1",
        higher_is_better=True,
        protocols=(_protocol,),
    )(case_by_case(_name, InstanceProtocol)(_metric_of(_says, _of)))
