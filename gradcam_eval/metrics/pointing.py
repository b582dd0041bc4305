"""The pointing game: does a heatmap's highest point lie on the object?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Boxes, InputError, Mask, Tally, Undefined
from gradcam_eval.metrics.cases import Prepared, case_by_case
from gradcam_eval.metrics.inputs import Heatmaps
from gradcam_eval.metrics.regions import FramedMap, Ignore, judge_maps
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.protocols import PointingProtocol


def pointing_game(  # noqa: PLR0913 - the truth in either form, and when it is hit
    heatmaps: Heatmaps,
    *,
    boxes: Sequence[Boxes] | None = None,
    masks: Sequence[Mask] | NDArray[np.bool_] | None = None,
    ignore: Ignore | None = None,
    tolerance: float = 15.0,
    is_strict: bool = False,
    size: tuple[int, int] | None = None,
) -> list[bool | Undefined]:
    """Say whether each heatmap's highest point hits the object.

    ``hit = min over object pixels q of ||p - q|| <= tolerance``, where ``p`` is the first
    arg-max, in row-major order, of the heatmap resized bilinearly to the frame (H, W).

    Parameters
    ----------
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
        Larger is more relevant.
    boxes : N arrays (n_i, 4), optional
        x0, y0, x1, y1 in pixels of the frame, half-open. A box holds every pixel that it touches.
        Several boxes are several objects of the class: hitting one is enough.
    masks : bool (N, H, W), or N arrays (H, W), optional
        True on the object. Give either boxes or masks.
    ignore : N masks (H, W) or None each, optional
        Pixels that count neither as hit nor as miss, such as objects that VOC calls difficult.
    tolerance : float, pixels of the frame
        Euclidean distance between pixel centres.
    is_strict : bool
        Whether the distance must be below the tolerance; else the limit is a hit too.
    size : (H, W), optional
        The frame of the boxes, for all heatmaps; by default each heatmap's own size.

    Returns
    -------
    list of bool or Undefined, one for each heatmap
        True is a hit; more hits are better. Undefined where the truth is empty or outside the
        image, where the heatmap has no highest point (constant, not finite, 1x1), and where that
        point is ignored and no object is within the tolerance.

    Raises
    ------
    InputError
        Neither or both of boxes and masks, counts or shapes that do not fit, a box without area.

    Notes
    -----
    The paper counts a hit when the point lies on the object or within 15 pixels of it, at the
    image's original size, and averages over the classes: the metric `pointing_game_class_mean` of
    a study does. `pointing_game` there is the mean over the images. TorchRay, the code that most
    numbers come from (torchray/benchmark/pointing_game.py), asks for a distance *below* 15 pixels:
    the protocol "pointing2018_strict". 15 pixels are 3 % of the longer side of a picture of VOC and
    half of one of CIFAR: "pointing_exact" has no tolerance, "pointing_relative" those 3 %.
    Where the highest values lie in the outer cells of a coarse map, bilinear resizing leaves a
    flat corner, and the first pixel of it counts.

    References
    ----------
    Zhang, Bargal, Lin, Brandt, Shen, Sclaroff: Top-down Neural Attention by Excitation Backprop,
    IJCV 2018, arXiv:1608.00507.

    Examples
    --------
    >>> heatmap = np.zeros((1, 8, 8), np.float32)
    >>> heatmap[0, 2, 2] = 1
    >>> pointing_game(heatmap, boxes=[np.array([[5, 0, 8, 8]])], tolerance=3)
    [True]
    >>> pointing_game(heatmap, boxes=[np.array([[5, 0, 8, 8]])], tolerance=3, is_strict=True)
    [False]
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"tolerance is {tolerance}: give a number of pixels, 0 or more.")
    point = partial(_points_at, tolerance=tolerance, is_strict=is_strict)
    return judge_maps(heatmaps, (boxes, masks, ignore, size), point)


def _points_at(framed: FramedMap, *, tolerance: float, is_strict: bool) -> bool | Undefined:
    heatmap, region = framed.heatmap, framed.region
    row, column = map(int, np.unravel_index(int(np.argmax(heatmap)), heatmap.shape))
    is_hit = _is_near(region.inside, (row, column), tolerance, is_strict)
    if not is_hit and region.ignore is not None and region.ignore[row, column]:
        return Undefined("the heatmap's highest point is an ignored pixel")
    return is_hit


def _is_near(inside: Mask, point: tuple[int, int], tolerance: float, is_strict: bool) -> bool:
    """Whether a pixel of the object lies within `tolerance` of the point."""
    row, column = point
    reach = int(tolerance)
    top, left = max(row - reach, 0), max(column - reach, 0)
    rows, columns = np.nonzero(inside[top : row + reach + 1, left : column + reach + 1])
    squared = (rows + top - row) ** 2 + (columns + left - column) ** 2
    limit = tolerance**2
    return bool((squared < limit if is_strict else squared <= limit).any())


def _hit(prepared: Prepared, rules: PointingProtocol) -> bool | Undefined:
    framed = prepared.framed(frame=rules.frame)
    if isinstance(framed, Undefined):
        return framed
    return _points_at(
        framed, tolerance=rules.tolerance(framed.heatmap.shape), is_strict=rules.is_strict
    )


_PROTOCOLS = ("pointing2018", "pointing2018_strict", "pointing_exact", "pointing_relative")


@register_metric(
    "pointing_game",
    needs="truth",
    unit="hit (1) or miss (0)",
    bounds="0..1",
    higher_is_better=True,
    protocols=_PROTOCOLS,
)
@case_by_case("pointing_game", PointingProtocol)
def _pointing(prepared: Prepared, rules: PointingProtocol) -> bool | Undefined:
    """Share of images on which the heatmap's highest point hits the annotated object."""
    return _hit(prepared, rules)


@register_metric(
    "pointing_game_class_mean",
    needs="truth",
    unit="hit (1) or miss (0)",
    bounds="0..1",
    higher_is_better=True,
    protocols=_PROTOCOLS,
    aggregate="mean_over_classes",
)
@case_by_case("pointing_game_class_mean", PointingProtocol)
def _pointing_by_class(prepared: Prepared, rules: PointingProtocol) -> Tally | Undefined:
    """Mean over the explained classes of the share of images whose highest point hits."""
    hit = _hit(prepared, rules)
    if isinstance(hit, Undefined):
        return hit
    return Tally(float(hit), np.array([[prepared.case.target, hit]]))
