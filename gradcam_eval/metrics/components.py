"""Connected components of a map at every threshold at once.

A map of 8-bit levels has at most 255 sets {map > t}. Each is cut into runs, stretches of pixels
along a row, and runs that touch are joined: a smooth map has a few hundred runs a level where it
has fifty thousand pixels. NumPy and SciPy's `connected_components` do it for all levels in one go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Levels: TypeAlias = NDArray[np.int64]
_MOST_RUNS = 400_000  # joined at once: about 60 MB


@dataclass(frozen=True, eq=False)
class Components:
    """The connected components of all levels, level by level.

    Attributes
    ----------
    level : int64 (C,), ascending
    boxes : int64 (C, 4), x0, y0, x1, y1 of the first and the last pixel, both inside
    area : float64 (C,), of the polygon through the centres of the component's border pixels;
        exact where the component has no hole
    """

    level: Levels
    boxes: Levels
    area: NDArray[np.float64]


def components(low: Levels, high: Levels, *, diagonal: bool) -> Components:
    """Return the components of {pixels with low <= t < high} for every level t.

    ``area = Σ over 2x2 blocks: 1 where all four pixels are inside, 1/2 where three are``, which is
    the area that the contour through pixel centres encloses.

    Parameters
    ----------
    low, high : int (H, W), 0..levels
    diagonal : whether pixels that share only a corner touch (8-connectivity)
    """
    blocks = [
        _components_of_block(low, high, diagonal, first, last)
        for first, last in _level_blocks(low, high)
    ]
    if not blocks:
        return Components(np.zeros(0, int), np.zeros((0, 4), int), np.zeros(0, float))
    return Components(
        np.concatenate([block.level for block in blocks]),
        np.concatenate([block.boxes for block in blocks]),
        np.concatenate([block.area for block in blocks]),
    )


def _level_blocks(low: Levels, high: Levels) -> Iterator[tuple[int, int]]:
    """Yield ranges of levels that together hold every level, each with a bounded number of runs."""
    first, last = int(low.min()), int(high.max())
    rises = np.abs(np.diff(high, axis=1)).sum() + np.abs(np.diff(low, axis=1)).sum()
    runs = int(rises) // 2 + last * low.shape[0]
    step = max(1, (last - first) * _MOST_RUNS // max(runs, 1))
    for start in range(first, last, step):
        yield start, min(start + step, last)


def _components_of_block(
    low: Levels, high: Levels, diagonal: bool, first: int, last: int
) -> Components:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    height, width = low.shape
    stride, reach = width + 3, int(diagonal)
    starts, stops = _runs(np.clip(low, first, last), np.clip(high, first, last), stride)
    upper, lower = _touching(starts, stops, stride, reach)
    graph = coo_array((np.ones(len(upper), np.int8), (upper, lower)), shape=2 * (len(starts),))
    count, owner = connected_components(graph, directed=False)
    line, left = np.divmod(starts, stride)
    right = stops - line * stride  # one past the last pixel
    level, row = np.divmod(line, height + 1)
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, -1
    np.minimum.at(boxes[:, 0], owner, left)
    np.minimum.at(boxes[:, 1], owner, row)
    np.maximum.at(boxes[:, 2], owner, right - 1)
    np.maximum.at(boxes[:, 3], owner, row)
    levels = np.empty(count, np.int64)
    levels[owner] = level
    boxes[:, ::2] -= 1  # the first column of a line is left free
    shared = np.minimum(right[upper], right[lower]) - np.maximum(left[upper], left[lower])
    bevels = (left[upper] != left[lower]).astype(float) + (right[upper] != right[lower])
    block = np.where(shared > 0, shared - 1 + bevels / 2, 0.0)
    area = np.bincount(owner[upper], weights=block, minlength=count).astype(float)
    order = np.argsort(levels, kind="stable")
    return Components(levels[order], boxes[order], area[order])


def _runs(low: Levels, high: Levels, stride: int) -> tuple[Levels, Levels]:
    """Return where each run of each level starts and stops, ascending.

    A place is ``(level (H + 1) + row) stride + column + 1``: a free line and free columns lie
    between what must not touch.
    """
    height = low.shape[0]
    low, high = (np.pad(each, ((0, 0), (1, 1))) for each in (low, high))
    starts = _where_new(low[:, 1:], high[:, 1:], low[:, :-1], high[:, :-1])
    stops = _where_new(low[:, :-1], high[:, :-1], low[:, 1:], high[:, 1:])
    first, last = (
        np.sort((level * (height + 1) + row) * stride + column + 1)
        for level, row, column in (starts, stops)
    )
    return first, last


def _where_new(
    low: Levels, high: Levels, low_beside: Levels, high_beside: Levels
) -> tuple[Levels, Levels, Levels]:
    """Return level, row and column of each pixel that is inside while the one beside it is not."""
    below = _spread(low, np.minimum(high, low_beside))
    above = _spread(np.maximum(low, high_beside), high)
    level, row, column = (np.concatenate(pair) for pair in zip(below, above, strict=True))
    return level, row, column


def _spread(first: Levels, last: Levels) -> tuple[Levels, Levels, Levels]:
    """Return level, row and column of each level in first <= level < last of each pixel."""
    rows, columns = np.nonzero(last > first)
    first, count = first[rows, columns], (last - first)[rows, columns]
    level = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    return level, np.repeat(rows, count), np.repeat(columns, count)


def _touching(starts: Levels, stops: Levels, stride: int, reach: int) -> tuple[Levels, Levels]:
    """Return the pairs of runs that touch across two rows: the upper one's index, the lower's."""
    begin = np.searchsorted(stops, starts + stride - reach, side="right")
    end = np.searchsorted(starts, stops + stride + reach, side="left")
    count = np.maximum(end - begin, 0)
    upper = np.repeat(np.arange(len(starts)), count)
    lower = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum())
    return upper, lower
