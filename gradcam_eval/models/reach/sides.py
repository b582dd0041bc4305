"""Which pixels of one side of the image each position of a tensor can depend on: the arithmetic.

A tensor's positions along one of its axes see intervals of image rows (or columns). The rules for
single operations stand in `reach_rules`, the walk over a model's graph in `receptive_field`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Interval = tuple[int, int]  # first and last pixel, both inside

FAR = 2**40
NOTHING: Interval = (FAR, -FAR)  # the neutral element of `join`: sees no pixel
_ROUNDING = 1e-6  # of a stride
OUTSIDE = -1  # in an index: a position that is padding


class NotComputedError(Exception):
    """An operation whose reach is not known; the message says which, and why."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The places of a map's positions as if the image had no border, in pixels (0 = first pixel).

    Attributes
    ----------
    centres : float64 (n,), the middle of what each position sees; NaN for a position without one
    stride : pixels from one position to the next
    size : pixels that one position sees
    """

    centres: NDArray[np.float64]
    stride: float
    size: float

    @property
    def is_even(self) -> bool:
        """Whether the positions lie `stride` apart: only then can they be continued."""
        return bool(np.allclose(np.diff(self.centres), self.stride))


@dataclass(frozen=True, eq=False)
class Side:
    """How a tensor depends on one side (the rows, or the columns) of the image.

    Attributes
    ----------
    axis : the tensor's axis whose positions see different intervals; None where there is none
    first, last : int64 (n,), the pixels that each position along `axis` sees, both inside; those
        of `NOTHING` where it sees padding alone
    everywhere : the pixels that all positions see besides, through a global operation
    grid : where the positions lie; None where they do not lie evenly
    dilation : > 1 between TensorFlow's SpaceToBatchND and BatchToSpaceND
    is_apart : whether paths were joined on which a position sees places that lie apart, as of two
        crops that are stacked: the interval that holds both is no place then
    """

    axis: int | None
    first: Integers
    last: Integers
    everywhere: Interval = NOTHING
    grid: Grid | None = None
    dilation: int = 1
    is_apart: bool = False

    @property
    def is_blind(self) -> NDArray[np.bool_]:
        """Which positions see nothing but padding, global operations aside."""
        return self.first > self.last


def image_side(axis: int, pixels: int) -> Side:
    """Return the side of the image itself: each pixel sees itself."""
    index = np.arange(pixels, dtype=np.int64)
    return Side(axis, index, index, grid=Grid(index.astype(np.float64), 1.0, 1.0))


def join(one: Interval, other: Interval) -> Interval:
    """Return the smallest interval that holds both."""
    return min(one[0], other[0]), max(one[1], other[1])


def hull(side: Side) -> Interval:
    """Return the interval that all positions together see."""
    if side.axis is None or not side.first.size:
        return side.everywhere
    return join(side.everywhere, (int(side.first.min()), int(side.last.max())))


def spread(side: Side) -> Side:
    """Return the side of a tensor each of whose positions depends on all of this one's."""
    none = np.zeros(0, np.int64)
    return Side(None, none, none, hull(side))


def taken(side: Side, index: Integers, at: NDArray[np.float64] | None = None) -> Side:
    """Return the side of the positions `index`, of which OUTSIDE sees nothing.

    `at` says where they lie on the axis as it was, if not at `index`.
    """
    inside = index >= 0
    first = np.where(inside, side.first[index], NOTHING[0])
    last = np.where(inside, side.last[index], NOTHING[1])
    grid = side.grid and _grid_at(side.grid, index.astype(float) if at is None else at)
    return replace(side, first=first, last=last, grid=grid)


def windowed(side: Side, index: Integers, at: NDArray[np.float64], reach: float) -> Side:
    """Return the side of positions that each look at a window of positions.

    Parameters
    ----------
    index : int64 (m, k), the positions that each of m windows looks at; OUTSIDE for padding
    at : float64 (m,), the middle of each window on the axis as it was
    reach : positions from a window's first to its last
    """
    inside = index >= 0
    first = np.where(inside, side.first[index], NOTHING[0]).min(axis=1)
    last = np.where(inside, side.last[index], NOTHING[1]).max(axis=1)
    grid = side.grid and _grid_at(side.grid, at)
    if grid is not None and side.grid is not None:
        grid = replace(grid, size=grid.size + reach * side.grid.stride)
    return replace(side, first=first, last=last, grid=grid)


def _grid_at(grid: Grid, at: NDArray[np.float64]) -> Grid | None:
    """Return the grid at other positions of its axis, continued evenly beyond its ends."""
    if grid.is_even:
        steps = np.diff(at)
        step = float(steps[0]) if steps.size and np.allclose(steps, steps[0]) else 1.0
        return Grid(grid.centres[0] + at * grid.stride, grid.stride * (step or 1.0), grid.size)
    if np.any(at != np.round(at)) or at.min() < 0 or at.max() >= len(grid.centres):
        return None
    return Grid(grid.centres[at.astype(int)], grid.stride, grid.size)


def evened(side: Side) -> Side:
    """Spread the copies of a position over its place: 0 0 1 1 come to lie at -¼, ¼, ¾, 1¼."""
    grid = side.grid
    if grid is None or grid.is_even or np.isnan(grid.centres).any():
        return side
    times = int(np.argmax(np.append(grid.centres != grid.centres[0], True)))
    if times < 2 or not Grid(grid.centres[::times], grid.stride, grid.size).is_even:
        return side
    if not np.array_equal(grid.centres, np.repeat(grid.centres[::times], times)):
        return side
    within = (np.arange(len(grid.centres)) % times - (times - 1) / 2) / times
    spaced = Grid(grid.centres + within * grid.stride, grid.stride / times, grid.size)
    return replace(side, grid=spaced)


def united(sides: Sequence[Side]) -> Side:
    """Return the side of a tensor computed position by position from several of one rank.

    Where they lie on different axes (the scores of an attention: queries × keys), the earlier axis
    is kept, and the others' positions count as seen from everywhere, which is never too little.
    """
    axes = [side.axis for side in sides if side.axis is not None]
    if not axes:
        return _everywhere(spread(sides[0]), sides)
    length = max(len(side.first) for side in sides if side.axis == min(axes))
    fitting = [s for s in sides if s.axis == min(axes) and len(s.first) == length]
    others = [side for side in sides if not any(side is each for each in fitting)]
    joined = replace(
        fitting[0],
        first=np.minimum.reduce([side.first for side in fitting]),
        last=np.maximum.reduce([side.last for side in fitting]),
        grid=_united_grid([side.grid for side in fitting]),
        is_apart=any(_are_apart(fitting[0], side) for side in fitting),
    )
    return _everywhere(joined, [*fitting, *map(spread, others)])


def _are_apart(one: Side, other: Side) -> bool:
    """Whether the same positions of two tensors lie more than one stride apart."""
    if one.is_apart or other.is_apart:
        return True
    if one.grid is not None and other.grid is not None:
        stride = max(abs(one.grid.stride), abs(other.grid.stride))
        distance = np.abs(one.grid.centres - other.grid.centres)
        return bool((distance > stride * (1 + _ROUNDING)).any())  # false of a NaN: it has no place
    gap = np.maximum(one.first, other.first) - np.minimum(one.last, other.last)
    return bool((gap[~(one.is_blind | other.is_blind)] > 1).any())


def _everywhere(side: Side, sides: Sequence[Side]) -> Side:
    seen = side.everywhere
    for each in sides:
        seen = join(seen, each.everywhere)
    return replace(side, everywhere=seen)


def _united_grid(grids: Sequence[Grid | None]) -> Grid | None:
    first = grids[0]
    if first is None or any(g is None or not np.isclose(g.stride, first.stride) for g in grids):
        return None
    known = [grid for grid in grids if grid is not None]
    low = np.minimum.reduce([grid.centres - (grid.size - 1) / 2 for grid in known])
    high = np.maximum.reduce([grid.centres + (grid.size - 1) / 2 for grid in known])
    sizes = (high - low)[~np.isnan(low)]
    if not sizes.size or not np.allclose(sizes, sizes[0]):
        return None
    return Grid((low + high) / 2, first.stride, float(sizes[0]) + 1)


def concatenated(
    sides: Sequence[Side | None], lengths: Sequence[int], axis: int, *, is_padding: bool = False
) -> Side:
    """Return the side of tensors put behind each other along an axis that carries positions.

    Parameters
    ----------
    sides : of each tensor; None for one that does not depend on the image
    lengths : of each tensor along `axis`
    is_padding : whether what does not depend on the image continues the one map that does; a class
        token beside its patches has no place
    """
    parts = [_as_part(side, length, axis) for side, length in zip(sides, lengths, strict=True)]
    own = [s.everywhere for s in sides if s is not None and s.axis == axis]
    seen = NOTHING
    for interval in own:
        seen = join(seen, interval)
    grids = [part.grid for part in parts if part.grid is not None]
    grid = None
    if len(grids) == 1:  # a class token before the patches: it has no place
        places = [
            part.grid.centres if part.grid else np.full(len(part.first), np.nan) for part in parts
        ]
        grid = replace(grids[0], centres=np.concatenate(places))
    known = [n for n, side in enumerate(sides) if side is not None]
    if is_padding and len(known) == 1 and grids and grids[0].is_even:
        before = sum(lengths[: known[0]])
        grid = _grid_at(grids[0], np.arange(sum(lengths), dtype=np.float64) - before)
    first, last = (np.concatenate([getattr(p, end) for p in parts]) for end in ("first", "last"))
    is_apart = any(part.is_apart for part in parts)
    return Side(axis, first, last, seen, grid, is_apart=is_apart)


def _as_part(side: Side | None, length: int, axis: int) -> Side:
    if side is not None and side.axis == axis:
        return side
    low, high = NOTHING if side is None else hull(side)
    return Side(axis, np.full(length, low, np.int64), np.full(length, high, np.int64))


def rearranged(side: Side, shape: tuple[int, ...], change: Callable[[Integers], Integers]) -> Side:
    """Return the side after an operation that only moves, drops or repeats values.

    Parameters
    ----------
    shape : of the tensor before
    change : the operation, on an array of that shape
    """
    if side.axis is None:
        return side

    def changed(positions: Integers) -> Integers:
        line = positions.reshape([-1 if a == side.axis else 1 for a in range(len(shape))])
        return change(np.broadcast_to(line, shape))

    found = _along_one_axis(changed(np.arange(len(side.first))))
    if found is None:  # tokens that become a map again: those of one row see the same rows
        found = _along_one_axis(changed(_first_alike(side)))
    if found is None:
        raise NotComputedError("it interleaves positions of the image")
    axis, index = found
    if axis is None:
        return spread(taken(side, index))
    return replace(taken(side, index), axis=axis)


def _first_alike(side: Side) -> Integers:
    """Return for each position the first one that sees and lies the same."""
    centres = side.grid.centres if side.grid else np.zeros(len(side.first))
    seen = np.stack([side.first, side.last, np.nan_to_num(centres, nan=-np.inf)], axis=1)
    _, first, group = np.unique(seen, axis=0, return_index=True, return_inverse=True)
    return first[group.reshape(-1)]


def _along_one_axis(positions: Integers) -> tuple[int | None, Integers] | None:
    """Return the one axis along which an array changes, with its values there; None for several."""
    varying = [
        axis
        for axis, (n, step) in enumerate(zip(positions.shape, positions.strides, strict=True))
        if n > 1 and step and (np.take(positions, [0], axis) != positions).any()
    ]
    if len(varying) > 1:
        return None
    if not varying:
        return None, positions.reshape(-1)[:1]
    key = tuple(slice(None) if axis == varying[0] else 0 for axis in range(positions.ndim))
    return varying[0], np.ascontiguousarray(positions[key])
