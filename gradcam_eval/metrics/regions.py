"""The truth as a region of pixels, and the one way in which it meets a heatmap.

Pixels that are ignored count neither as hit nor as miss; where an object covers one, it is the
object's. A box that lies outside the image holds no pixel of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Boxes, Heatmap, InputError, Mask, Truth, Undefined
from gradcam_eval.metrics.inputs import Heatmaps, checked_heatmaps
from gradcam_eval.metrics.ranking import Ranking, ranking
from gradcam_eval.metrics.resized import Resized
from gradcam_eval.protocols.localization_kinds import Drawn

NOTHING = "no object is annotated"
OUTSIDE = "every box lies outside the image"
Found = TypeVar("Found")
Ignore: TypeAlias = Sequence[Mask | None] | NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Region:
    """The object's pixels, (H, W), those that do not count, and why there are none if so."""

    inside: Mask
    ignore: Mask | None = None
    reason: str = NOTHING

    @cached_property
    def counted(self) -> Mask:
        """The pixels that count as hit or miss."""
        return np.ones_like(self.inside) if self.ignore is None else ~self.ignore

    @cached_property
    def background(self) -> Mask:
        """The pixels that count as a miss."""
        return ~self.inside if self.ignore is None else ~(self.inside | self.ignore)


@dataclass(frozen=True, eq=False)
class FramedMap:
    """A heatmap in the frame of its truth, (H, W), and the region that the truth is there."""

    heatmap: Heatmap
    region: Region

    @cached_property
    def ranking(self) -> Ranking:
        """The pixels that count, from the highest value down."""
        values, inside = self.heatmap.reshape(-1), self.region.inside.reshape(-1)
        if self.region.ignore is not None:
            counted = self.region.counted.reshape(-1)
            values, inside = values[counted], inside[counted]
        return ranking(values, inside)


def make_region(inside: Mask, ignore: Mask | None, reason: str = NOTHING) -> Region:
    """Return a region whose ignored pixels are not the object's."""
    return Region(inside, None if ignore is None else ignore & ~inside, reason)


def region_of(truth: Truth, drawn: Drawn = "mask") -> Region:
    """Return a truth as a region: from its mask or its boxes, whichever is asked for and known."""
    has_mask = truth.mask is not None and bool(truth.mask.any())
    has_boxes = len(truth.boxes) > 0
    if truth.mask is not None and has_mask and (drawn == "mask" or not has_boxes):
        return make_region(truth.mask, truth.ignore)
    reason = OUTSIDE if has_boxes else NOTHING
    return make_region(region_of_boxes(truth.boxes, truth.size), truth.ignore, reason)


def regions(
    heatmaps: list[Heatmap],
    boxes: Sequence[Boxes] | None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None,
    ignore: Ignore | None,
    size: tuple[int, int] | None,
) -> list[Region]:
    """Return the truth of each heatmap, given as boxes or as masks, checked."""
    if (boxes is None) == (masks is None):
        raise InputError("give the truth either as boxes or as masks, one for each heatmap.")
    truths: Sequence[NDArray] = boxes if boxes is not None else masks  # type: ignore[assignment]
    ignored: Sequence[Mask | None] = [None] * len(heatmaps) if ignore is None else list(ignore)
    for kind, given in (("boxes" if masks is None else "masks", truths), ("ignore", ignored)):
        if len(given) != len(heatmaps):
            raise InputError(
                f"{kind} for {len(given)} heatmaps, but {len(heatmaps)} heatmaps: give {kind} "
                "for each."
            )
    found = []
    for heatmap, truth, left_out in zip(heatmaps, truths, ignored, strict=True):
        if masks is not None:
            inside, reason = _checked_mask(np.asarray(truth), size, "a mask"), NOTHING
        else:
            inside = region_of_boxes(np.asarray(truth), size or heatmap.shape)
            reason = OUTSIDE if np.size(truth) else NOTHING
        if left_out is not None:
            left_out = _checked_mask(np.asarray(left_out), inside.shape, "an ignore mask")
        found.append(make_region(inside, left_out, reason))
    return found


def _checked_mask(mask: Mask, size: tuple[int, ...] | None, kind: str) -> Mask:
    if mask.ndim != 2 or mask.dtype != bool:
        raise InputError(
            f"{kind} has shape {mask.shape} and dtype {mask.dtype}: wanted bool (H, W), "
            "for instance mask > 0."
        )
    if size is not None and mask.shape != tuple(size):
        raise InputError(f"{kind} has shape {mask.shape}, but size is {tuple(size)}: wanted that.")
    return mask


def region_of_boxes(boxes: Boxes, size: tuple[int, ...]) -> Mask:
    """Return the mask (H, W) of every pixel that a box touches; boxes are cut at the frame."""
    height, width = size
    region = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in checked_boxes(boxes).tolist():
        rows = slice(max(math.floor(y0), 0), max(math.ceil(y1), 0))
        region[rows, max(math.floor(x0), 0) : max(math.ceil(x1), 0)] = True
    return region


def checked_boxes(boxes: Boxes) -> Boxes:
    """Return the boxes of one heatmap as (n, 4), each with a width and a height."""
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise InputError(f"boxes have shape {boxes.shape}: wanted finite (n, 4), x0, y0, x1, y1.")
    for x0, y0, x1, y1 in boxes.tolist():
        if not (x0 < x1 and y0 < y1):
            raise InputError(
                f"the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) holds no pixel: wanted x0 < x1 and "
                "y0 < y1."
            )
    return boxes


def framed_map(resized: Resized, region: Region) -> FramedMap | Undefined:
    """Return a heatmap in its region's frame, or say what is wrong with either."""
    if not region.inside.any():
        return Undefined(region.reason)
    heatmap = resized.bilinear(region.inside.shape)
    return heatmap if isinstance(heatmap, Undefined) else FramedMap(heatmap, region)


def judge_maps(
    heatmaps: Heatmaps,
    truth: tuple[
        Sequence[Boxes] | None,
        Sequence[Mask] | NDArray[np.bool_] | None,
        Ignore | None,
        tuple[int, int] | None,
    ],
    measure: Callable[[FramedMap], Found],
) -> list[Found | Undefined]:
    """Measure each heatmap against its truth: boxes, masks, ignore and size of a public metric."""
    maps = checked_heatmaps(heatmaps)
    found = []
    for heatmap, region in zip(maps, regions(maps, *truth), strict=True):
        framed = framed_map(Resized(heatmap), region)
        found.append(framed if isinstance(framed, Undefined) else measure(framed))
    return found
