"""From what the compiled passes return to the heatmaps that were asked for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import Placement, Placing, place
from gradcam_eval.core import Heatmap
from gradcam_eval.methods import member_of
from gradcam_eval.methods.cells import HeatmapCell
from gradcam_eval.methods.compiled import CompiledPass
from gradcam_eval.methods.formula import check_map
from gradcam_eval.methods.heatmaps import Key, Placed
from gradcam_eval.methods.registry import Method
from gradcam_eval.methods.traced import map_key
from gradcam_eval.models.output import SATURATED
from gradcam_eval.models.tap import LayerCall


def refused_cells(cells: Sequence[HeatmapCell], passes: Sequence[CompiledPass]) -> dict[Key, str]:
    """Return the cells that a method refused, or that are made from one, with the reason."""
    found: dict[Key, str] = {}
    for each in passes:
        found |= each.plan.found.refused
    reasons = {
        cell.key: next((found[key] for key in cell.members if key in found), None) for cell in cells
    }
    return {key: reason for key, reason in reasons.items() if reason is not None}


def maps_of(
    found: Mapping[str, NDArray[Any]], cells: Sequence[HeatmapCell], placings: Mapping[str, Placing]
) -> tuple[dict[Key, Heatmap], dict[Key, Placed]]:
    """Return the map of each cell, laid on the image, and those that were placed for it.

    A fusion fuses the maps of several layers, which are laid on the image before.

    Parameters
    ----------
    found : what the passes returned
    cells : whose maps are returned
    placings : where each layer's map lies, by path

    Warns
    -----
    UserWarning : maps that are not finite, and whose
    """
    maps = {key: each for name, each in found.items() if (key := map_key(name))}
    placed = _placed(maps, cells, placings)
    maps |= {key: place(each.maps, each.placement) for key, each in placed.items()}
    given = {
        cell.key: _fused(cell, maps) if cell.method.kind == "fusion" else maps[cell.key]
        for cell in cells
    }
    _warn_of_overflow(given)
    return given, {key: each for key, each in placed.items() if key in given}


def in_pixels(method: Method, maps: Heatmap, call: LayerCall, frame: tuple[int, int]) -> bool:
    """Whether a method's maps at a layer have the pixels of an image (H, W) for positions."""
    if method.in_pixels or method.kind != "layer":
        return method.in_pixels
    return maps.shape[-2:] == frame != call.map_shape[:2]


def _placed(
    maps: Mapping[Key, Heatmap], cells: Sequence[HeatmapCell], placings: Mapping[str, Placing]
) -> dict[Key, Placed]:
    found = {}
    for cell in cells:
        method = member_of(cell.method) if cell.method.kind == "fusion" else cell.method
        for call in cell.calls:
            key, placing = (call.path, method.label), placings.get(call.path)
            if not isinstance(placing, Placement):
                continue
            if not in_pixels(method, maps[key], call, placing.frame):
                found[key] = Placed(maps[key], placing.of_shape(maps[key].shape[-2:]))
    return found


def _warn_of_overflow(maps: Mapping[Key, Heatmap]) -> None:
    """Warn of maps that are not finite although the images are, which was checked before."""
    for (layer, method), each in maps.items():
        count = int((~np.isfinite(each).all(axis=(1, 2))).sum())
        if count:
            warnings.warn(
                f"{count} of {len(each)} maps by {method} at {layer!r} are not finite: the layer's "
                "values or their gradients are, or their products leave float32's range",
                stacklevel=4,
            )


def _fused(cell: HeatmapCell, maps: Mapping[Key, Heatmap]) -> Heatmap:
    members = [maps[key] for key in cell.members]
    fused: Heatmap = cell.method.formula(members, **cell.method.options)
    check_map(cell.method.label, fused)
    return fused


def warn_of_saturation(found: Mapping[str, NDArray[Any]], *, stacklevel: int) -> None:
    """Warn where the explained probability is so near 0 or 1 that its gradient is rounding."""
    p = np.take_along_axis(found["predictions"], found["targets"][:, None], axis=1)
    count = int(((p < SATURATED) | (p > 1 - SATURATED)).sum())
    if count:
        warnings.warn(
            f"the probability of {count} of {len(p)} images is saturated (within {SATURATED:g} of "
            "0 or 1): its gradient is lost in rounding; explain the logit",
            stacklevel=stacklevel + 1,
        )
