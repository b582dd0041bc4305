"""Operations that move, drop or repeat values and compute none: reshape, transpose, slice, tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gradcam_eval.models.reach.operation import (
    Reach,
    Rule,
    constant,
    each_side,
    only,
    static_shape,
)
from gradcam_eval.models.reach.sides import (
    Integers,
    NotComputedError,
    Side,
    evened,
    rearranged,
    taken,
)


def _rearrange(op: Any, reach: Reach, change: Callable[[Integers], Integers]) -> Reach:
    return reach and _rearranged(reach, static_shape(op.inputs[0]), change)


def _rearranged(
    reach: tuple[Side, Side], shape: tuple[int, ...], change: Callable[[Integers], Integers]
) -> Reach:
    rows, columns = (rearranged(side, shape, change) for side in reach)
    if rows.axis != columns.axis:
        return evened(rows), evened(columns)
    return rows, columns


def _reshape(op: Any, reaches: list[Reach]) -> Reach:
    reach, before, after = only(reaches), static_shape(op.inputs[0]), static_shape(op.outputs[0])

    def stays(side: Side) -> int | None:
        """Return where a side's axis is found again whole."""
        leading = np.prod(before[: side.axis], dtype=int)
        for axis, n in enumerate(after):
            if n == before[side.axis or 0] and np.prod(after[:axis], dtype=int) == leading:
                return axis
        return None

    new = [None if side.axis is None else stays(side) for side in reach]
    if all(side.axis is None or axis is not None for side, axis in zip(reach, new, strict=True)):
        rows, columns = (replace(s, axis=axis) for s, axis in zip(reach, new, strict=True))
        return rows, columns
    while before[-1] == after[-1] and all(side.axis != len(before) - 1 for side in reach):
        before, after = before[:-1], after[:-1]  # channels that stay would only cost time
    return _rearranged(reach, before, lambda positions: positions.reshape(after))


def _transpose(op: Any, reaches: list[Reach]) -> Reach:
    order = [int(axis) for axis in constant(op, 1)]
    return each_side(
        only(reaches),
        lambda side: side if side.axis is None else replace(side, axis=order.index(side.axis)),
    )


def _strided_slice(op: Any, reaches: list[Reach]) -> Reach:
    key = _slices(op)
    return _rearrange(op, only(reaches), lambda positions: positions[key])


def _slices(op: Any) -> tuple[Any, ...]:
    """Return the NumPy index that a StridedSlice stands for."""
    masks = {
        name: op.get_attr(f"{name}_mask")
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    bounds = [constant(op, position) for position in (1, 2, 3)]
    key: list[Any] = []
    for i, (begin, end, step) in enumerate(zip(*bounds, strict=True)):
        has = {name: bool(mask >> i & 1) for name, mask in masks.items()}
        if has["ellipsis"]:
            key.append(Ellipsis)
        elif has["new_axis"]:
            key.append(None)
        elif has["shrink_axis"]:
            key.append(int(begin))
        else:
            start, stop = None if has["begin"] else begin, None if has["end"] else end
            key.append(slice(start, stop, step))
    return tuple(key)


def _slice(op: Any, reaches: list[Reach]) -> Reach:
    begin, size = constant(op, 1), constant(op, 2)
    key = tuple(slice(b, None if n == -1 else b + n) for b, n in zip(begin, size, strict=True))
    return _rearrange(op, only(reaches), lambda positions: positions[key])


def _by_numpy(change: Callable[[Integers, list[Any]], Integers]) -> Rule:
    """Make a rule of a NumPy function of the tensor and the operation's constants."""

    def rule(op: Any, reaches: list[Reach]) -> Reach:
        reach = only(reaches)
        values = [constant(op, i) for i in range(1, len(op.inputs))]
        return _rearrange(op, reach, lambda positions: change(positions, values))

    return rule


def _repeat(op: Any, reaches: list[Reach]) -> Reach:
    """Tile or broadcast: how often is read from the shapes."""
    after = static_shape(op.outputs[0])

    def repeat(positions: Integers) -> Integers:
        aligned = positions.reshape((1,) * (len(after) - positions.ndim) + positions.shape)
        return np.tile(aligned, [n // m for n, m in zip(after, aligned.shape, strict=True)])

    return _rearrange(op, only(reaches), repeat)


def _squeeze(op: Any, reaches: list[Reach]) -> Reach:
    axes = tuple(op.get_attr("squeeze_dims")) or None
    return _rearrange(op, only(reaches), lambda positions: np.squeeze(positions, axes))


def _gather(op: Any, reaches: list[Reach]) -> Reach:
    if op.get_attr("batch_dims"):
        raise NotComputedError("it gathers by batch")
    index, axis = constant(op, 1), int(constant(op, 2))
    return _rearrange(op, only(reaches), lambda places: np.take(places, index, axis))


def _split(op: Any, reaches: list[Reach]) -> list[Reach]:
    """Split takes (axis, value); SplitV (value, sizes, axis)."""
    place, at = (1, 0) if op.type == "Split" else (0, 2)
    axis, reach = int(constant(op, at)), reaches[place]
    lengths = [static_shape(output)[axis] for output in op.outputs]
    starts = np.cumsum([0, *lengths[:-1]])

    def part(side: Side, start: int, n: int) -> Side:
        is_cut = side.axis == axis % op.inputs[place].shape.rank
        return taken(side, np.arange(start, start + n)) if is_cut else side

    return [
        each_side(reach, lambda side, s=s, n=n: part(side, int(s), n))  # type: ignore[misc]
        for s, n in zip(starts, lengths, strict=True)
    ]


def _unpack(op: Any, reaches: list[Reach]) -> list[Reach]:
    axis = op.get_attr("axis")
    return [
        _rearrange(op, reaches[0], lambda positions, i=i: np.take(positions, i, axis))  # type: ignore[misc]
        for i in range(len(op.outputs))
    ]


RULES: dict[str, Rule] = {
    "Reshape": _reshape,
    "Transpose": _transpose,
    "StridedSlice": _strided_slice,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "ExpandDims": _by_numpy(lambda x, v: np.expand_dims(x, int(v[0]))),
    "Tile": _repeat,
    "BroadcastTo": _repeat,
    "ReverseV2": _by_numpy(lambda x, v: np.flip(x, tuple(v[0]))),
    "Roll": _by_numpy(lambda x, v: np.roll(x, tuple(np.ravel(v[0])), tuple(np.ravel(v[1])))),
    "GatherV2": _gather,
    "Split": _split,
    "SplitV": _split,
    "Unpack": _unpack,
}
