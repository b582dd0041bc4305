"""Which pixels of the image each position of a map depends on, from the model's traced graph.

The graph knows nested, subclassed and shared models alike. The walk goes from the image to the
outputs, operation by operation, and never guesses: behind an operation without a rule, and behind
one whose arguments are not constants, nothing is computed, and the reason says where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.models.layout import Layout, TokenGrid
from gradcam_eval.models.reach.operation import Reach, called_with, static_value
from gradcam_eval.models.reach.rules import POINTWISE, RULES, WITHOUT_VALUES
from gradcam_eval.models.reach.sides import (
    NOTHING,
    Integers,
    NotComputedError,
    Side,
    image_side,
    rearranged,
)

Reaches: TypeAlias = dict[str, Reach | Undefined]  # by the tensor's name in its graph

NO_PLACE = Undefined("its positions do not lie on the image as rows and columns")
NO_IMAGE = Undefined("it does not depend on the images")
NO_ROW_EACH = Undefined("it returns a row for each part of an image, a window or a frame")
NOWHERE = (NO_PLACE, NO_IMAGE, NO_ROW_EACH)
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BRANCHES = ("If", "StatelessIf")


@dataclass(frozen=True, eq=False)
class FieldAxis:
    """What the positions of a map see along one side of the image (rows, or columns).

    Attributes
    ----------
    pixels : int64 (n, 2), the exact interval of pixels each position depends on, from the first
        to one after the last; both 0 where it sees nothing but padding (which, behind a global
        operation, counts as seeing what all see)
    local : int64 (n, 2), the same by local paths alone, those that no global operation interrupts
    has_place : (n,), whether a position sees anything by a local path
    is_global : whether a global operation (a pooled gate, attention, group normalisation) lets
        every position see more
    size, stride : pixels that a position sees by local paths if the image had no border, and from
        one to the next; None where positions do not lie evenly
    centres : float64 (n,), the middles of those fields, in pixels; None likewise
    is_apart : whether a position sees places that lie apart, so that the interval is none
    """

    pixels: NDArray[np.int64]
    local: NDArray[np.int64]
    has_place: NDArray[np.bool_]
    is_global: bool
    size: float | None = None
    stride: float | None = None
    centres: NDArray[np.float64] | None = None
    is_apart: bool = False

    @property
    def seen(self) -> tuple[int, int]:
        """The pixels that the positions together see by local paths: first, and one after last."""
        local = self.local[self.has_place]
        return (int(local[:, 0].min()), int(local[:, 1].max())) if local.size else (0, 0)


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What a map's positions see of the image: the product of an interval of rows and of columns.

    Notes
    -----
    Size, stride and place are those of Araujo, Norris & Sim, "Computing Receptive Fields of
    Convolutional Neural Networks", Distill 2019, where several paths are joined by their union.
    The intervals are hulls: a dilated kernel's gaps count as seen.
    """

    rows: FieldAxis
    columns: FieldAxis

    @property
    def blind(self) -> int:
        """How many positions see nothing but padding, so that their value is bias alone."""
        sees = self.rows.has_place[:, None] & self.columns.has_place
        return int(sees.size - sees.sum())


def image_reach(layout: str, size: tuple[int, int]) -> Reach:
    """Return the reach of the images themselves, of (H, W) pixels."""
    first = 2 if layout == "channels_first" else 1
    return image_side(first, size[0]), image_side(first + 1, size[1])


def walk(graph: Any, sources: Mapping[str, Reach]) -> Reaches:
    """Return the reach of every tensor of a graph that depends on the sources.

    Parameters
    ----------
    graph : of a concrete function, whose operations stand in the order in which they were made
    sources : reach of the tensors to begin at, by name
    """
    reaches: Reaches = dict(sources)
    for op in graph.get_operations():
        inputs = [reaches.get(tensor.name) for tensor in op.inputs]
        if any(each is not None for each in inputs) and op.type not in WITHOUT_VALUES:
            for tensor, reach in zip(op.outputs, _through(op, inputs), strict=True):
                if tensor.name not in sources:
                    reaches[tensor.name] = reach
    return {name: reach for name, reach in reaches.items() if reach is not None}


def _through(op: Any, inputs: list[Reach | Undefined]) -> list[Reach | Undefined]:
    if op.type in _CALLS:
        return _through_function(op, op.get_attr("f").name, op.inputs, inputs)
    if op.type in _BRANCHES and (taken := static_value(op.inputs[0])) is not None:
        branch = op.get_attr("then_branch" if taken else "else_branch")
        return _through_function(op, branch.name, op.inputs[1:], inputs[1:])
    unknown = next((each for each in inputs if isinstance(each, Undefined)), None)
    if unknown is not None:
        return [unknown] * len(op.outputs)
    known: list[Any] = inputs
    try:
        result = _rule(op, known)(op, known)
    except (NotComputedError, ValueError, IndexError) as error:
        reason = f"the operation {op.type} ({op.name}) is not computed: {error}"
        return [Undefined(reason)] * len(op.outputs)
    return list(result) if isinstance(result, list) else [result] * len(op.outputs)


def _rule(op: Any, inputs: list[Reach]) -> Any:
    if op.type not in RULES:
        raise NotComputedError("its receptive field is not known")
    is_dilated = any(side.dilation > 1 for reach in inputs if reach for side in reach)
    if is_dilated and op.type not in (*POINTWISE, "BatchToSpaceND", *_CONVOLUTIONS):
        raise NotComputedError("it stands inside a dilated convolution")
    return RULES[op.type]


def _through_function(
    op: Any, name: str, tensors: Sequence[Any], inputs: list[Reach | Undefined]
) -> list[Reach | Undefined]:
    """Walk the function that an operation calls, as grouped convolutions do."""
    inner = op.graph._get_function(name).graph  # there is no public way
    if len(inner.inputs) != len(inputs) or len(inner.outputs) != len(op.outputs):
        # a function that was loaded from a file, whose graph is not that of the call
        return [Undefined(f"the function that {op.name} calls cannot be looked into")] * len(
            op.outputs
        )
    pairs = zip(inner.inputs, inputs, strict=True)
    given = {tensor.name: reach for tensor, reach in pairs if reach is not None}
    with called_with(inner.inputs, tensors):
        reaches = walk(inner, given)  # type: ignore[arg-type]
    return [reaches.get(tensor.name) for tensor in inner.outputs]


def field_of(
    reach: Reach | Undefined, layout: Layout, shape: tuple[int | None, ...] = ()
) -> ReceptiveField | Undefined:
    """Return the receptive field of a map, given its tensor's reach and how it lies on the image.

    `shape` is the tensor's, with its axis of images: a map of one row (or column) lies on all rows
    that it sees.

    Returns
    -------
    ReceptiveField; Undefined with the reason where it is not computed, or where the tensor's axes
    are not the image's
    """
    if isinstance(reach, Undefined):
        return reach
    if reach is None:
        return NO_IMAGE
    if isinstance(layout, TokenGrid):
        reach = _on_grid(reach, layout)
    axes = (2, 3) if layout == "channels_first" else (1, 2)
    if reach is None:
        return NO_PLACE
    if len(shape) == 4 and any(side.axis is not None for side in reach):
        rows, columns = (_as_one(s, n, shape[n]) for s, n in zip(reach, axes, strict=True))
        reach = rows, columns
    if tuple(side.axis for side in reach) != axes:
        return NO_PLACE
    return ReceptiveField(_field_axis(reach[0]), _field_axis(reach[1]))


def fitting_grid(reach: Reach | Undefined) -> TokenGrid | None:
    """Return the grid in which the tokens (N, T, D) of this reach lie on the image, or None."""
    if reach is None or isinstance(reach, Undefined):
        return None
    rows, columns = reach
    if rows.axis != 1 or columns.axis != 1:
        return None
    prefix = int(np.argmin(np.append(rows.is_blind, False)))
    height = len(np.unique(np.stack([rows.first, rows.last], axis=1)[prefix:], axis=0))
    grid = TokenGrid(height, (len(rows.first) - prefix) // max(height, 1), prefix)
    fits = grid.tokens == len(rows.first) and _on_grid(reach, grid) is not None
    return grid if fits else None


def _on_grid(reach: Reach, grid: TokenGrid) -> Reach:
    """Return the reach of tokens (N, T, D) read as a map (N, rows, columns, D)."""
    if reach is None or any(s.axis != 1 or len(s.first) != grid.tokens for s in reach):
        return None

    def fold(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        return tokens[:, grid.prefix :].reshape(1, grid.rows, grid.columns, 1)

    try:
        rows, columns = (rearranged(side, (1, grid.tokens, 1), fold) for side in reach)
    except NotComputedError:
        return None
    return rows, columns


def _as_one(side: Side, axis: int, length: int | None) -> Side:
    """Return a side that a reduction left with one position, which sees all that it sees."""
    if side.axis is not None or length != 1 or side.everywhere == NOTHING:
        return side
    low, high = (np.array([end], np.int64) for end in side.everywhere)
    return Side(axis, low, high)


def _intervals(first: Integers, last: Integers) -> NDArray[np.int64]:
    pixels = np.stack([first, last + 1], axis=1)
    pixels[first > last] = 0
    return pixels


def _field_axis(side: Side) -> FieldAxis:
    low, high = side.everywhere
    pixels = _intervals(np.minimum(side.first, low), np.maximum(side.last, high))
    local = _intervals(side.first, side.last)
    field = FieldAxis(pixels, local, ~side.is_blind, is_global=low <= high, is_apart=side.is_apart)
    grid = side.grid
    if grid is None or not grid.is_even or not grid.stride:
        return field
    return replace(field, size=grid.size, stride=abs(grid.stride), centres=grid.centres)
