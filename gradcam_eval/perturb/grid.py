"""Images on a padded grid: sums over each pixel's neighbours, and every second pixel as a grid.

A grid of (H, W) is kept as (C, H + 2, W + 1), zero but for [1:H+1, 1:]. One column of zeros parts
the rows on both sides, so a neighbour lies at a fixed distance in memory, and one addition of whole
arrays serves all pixels. What that leaves in the padding is masked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Size: TypeAlias = tuple[int, int]
Zeros: TypeAlias = Callable[[tuple[int, ...], Any], NDArray[Any]]  # of a shape and a dtype
Field: TypeAlias = NDArray[Any]  # float (C, H + 2, W + 1), or (H + 2, W + 1) for all channels


class Room:
    """Makes arrays of zeros as `np.zeros` does; after `clear` it hands the same memory out again.

    So the operating system need not map and clear a few thousand pages for each image.
    """

    def __init__(self) -> None:
        self._used: list[NDArray[Any]] = []
        self._free: dict[tuple[tuple[int, ...], Any], list[NDArray[Any]]] = {}

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return zeros that no one else has until `clear`."""
        free = self._free.get((shape, np.dtype(dtype)))
        array = free.pop() if free else np.empty(shape, dtype)
        array.fill(0)
        self._used.append(array)
        return array

    def clear(self) -> None:
        """Take back all arrays handed out since the last `clear`, and let go of all others."""
        free = defaultdict(list)
        for array in self._used:
            free[array.shape, array.dtype].append(array)
        self._used, self._free = [], free


def zeros(channels: int, size: Size, dtype: Any = np.float32, room: Zeros = np.zeros) -> Field:
    """Return a field of zeros, (C, H + 2, W + 1)."""
    return room((channels, size[0] + 2, size[1] + 1), dtype)


def inside(field: Field) -> Field:
    """Return a view of the pixels without the padding, (..., H, W)."""
    return field[..., 1:-1, 1:]


def flat(field: Field) -> Field:
    """Return a view of each channel as one row, (C, (H + 2)(W + 1))."""
    return field.reshape(*field.shape[:-2], -1)


@dataclass(frozen=True, eq=False)
class UniformStencil:
    """``(A x)_i = Σ_j w_ij (x_i − x_j)`` for the unknown pixels i, over their neighbours j.

    Attributes
    ----------
    mask : 1 at unknown pixels, else 0
    total : Σ_j w_ij, over the neighbours inside the image
    corner : w of a neighbour across a corner, where one across an edge has 1
    """

    mask: Field
    total: Field
    corner: float

    @classmethod
    def of(
        cls, missing: NDArray[np.bool_], corner: float, dtype: Any, room: Zeros = np.zeros
    ) -> UniformStencil:
        """Return the operator of the missing pixels of an image."""
        mask, total = zeros(2, missing.shape, dtype, room)
        inside(mask)[...] = missing
        up, left = (np.full(n, 2.0) for n in missing.shape)  # neighbours along each axis
        for count in (up, left):
            count[0] -= 1
            count[-1] -= 1
        inside(total)[...] = up[:, None] + left + corner * up[:, None] * left
        return cls(mask, total, corner)

    def negative(self, x: Field, out: Field, spare: Field) -> Field:
        """Write −A x into `out` and return it; `spare` is another array of its shape."""
        step = x.shape[-1]
        pixels, found, other = flat(x), flat(out), flat(spare)
        np.add(pixels[:, :-2], pixels[:, 2:], out=found[:, 1:-1])
        found[:, [0, -1]] = 0
        np.multiply(found, self.corner, out=other)
        other += pixels
        found[:, step:-step] += other[:, : -2 * step]
        found[:, step:-step] += other[:, 2 * step :]
        np.multiply(x, self.total, out=spare)
        out -= spare
        out *= self.mask
        return out

    def joined(self, room: Zeros = np.zeros) -> Field:
        """Return the matrix's entries, as `VariableStencil.entries`."""
        entries = room((5, *self.mask.shape), self.mask.dtype)
        np.multiply(self.total, self.mask, out=entries[0])
        mask, columns = flat(self.mask), self.mask.shape[1] - 1
        for n, step in enumerate((1, columns, columns + 1, columns + 2), 1):
            weight = mask.dtype.type(1 if n % 2 else self.corner)
            np.multiply(mask[:-step], mask[step:] * -weight, out=flat(entries[n])[:-step])
        return entries

    def scale(self) -> Field:
        """Return what a Jacobi sweep divides by, (H + 2, W + 1): the diagonal."""
        return self.total


@dataclass(frozen=True, eq=False)
class VariableStencil:
    """A symmetric operator that joins each node with its eight neighbours by numbers of its own.

    Attributes
    ----------
    mask : 1 at nodes that are joined with anything, else 0
    entries : (5, H + 2, W + 1), the matrix's entry of a node with itself, and with its
        neighbours to the right, below left, below, and below right
    """

    mask: Field
    entries: Field

    @classmethod
    def of(cls, entries: Field) -> VariableStencil:
        """Return the operator of given entries."""
        return cls((entries[0] > 0).astype(entries.dtype), entries)

    def joined(self, room: Zeros = np.zeros) -> Field:
        """Return the matrix's entries; they need no room."""
        return self.entries

    def negative(self, x: Field, out: Field, spare: Field) -> Field:
        """Write −A x into `out` and return it; `spare` is another array of its shape."""
        columns = x.shape[-1] - 1
        pixels, found, other = flat(x), flat(out), flat(spare)
        own, *joined = flat(self.entries)
        np.multiply(pixels, -own, out=found)
        for entry, step in zip(joined, (1, columns, columns + 1, columns + 2), strict=True):
            part, ahead, behind = other[:, :-step], (..., slice(step, None)), (..., slice(-step))
            np.multiply(pixels[ahead], entry[behind], out=part)
            found[behind] -= part
            np.multiply(pixels[behind], entry[behind], out=part)
            found[ahead] -= part
        return out

    def scale(self) -> Field:
        """Return what a Jacobi sweep divides by, (H + 2, W + 1).

        The diagonal, or half of Σ_j |A_ij| where that is more, so that no eigenvalue of the
        quotient exceeds 2. It is more where several nodes see the same few pixels.
        """
        sizes = VariableStencil(self.mask, np.abs(self.entries))
        ones = np.ones_like(self.entries[:1])
        sums = sizes.negative(ones, np.empty_like(ones), np.empty_like(ones))[0]
        return np.maximum(self.entries[0], sums / -2)


Stencil: TypeAlias = UniformStencil | VariableStencil


def halved(size: Size) -> Size:
    """Return the size of the grid of every second pixel, first ones included."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def prolong(coarse: Field, out: Field) -> None:
    """Write a field of every second pixel into one of all, bilinear between, nearest beyond."""
    rows = np.empty((len(coarse), coarse.shape[1] - 2, out.shape[2] - 1), out.dtype)
    _prolong_rows(inside(coarse).swapaxes(1, 2), rows.swapaxes(1, 2))
    _prolong_rows(rows, inside(out))


def restrict(fine: Field, out: Field) -> None:
    """Write the transpose of `prolong`, from a field of all pixels to one of every second."""
    rows = np.empty((len(fine), out.shape[1] - 2, fine.shape[2] - 1), out.dtype)
    _restrict_rows(inside(fine), rows)
    _restrict_rows(rows.swapaxes(1, 2), inside(out).swapaxes(1, 2))


def _prolong_rows(coarse: Field, out: Field) -> None:
    nodes, rows = coarse.shape[1], out.shape[1]
    out[:, ::2] = coarse
    between = out[:, 1 : 2 * nodes - 1 : 2]
    np.add(coarse[:, :-1], coarse[:, 1:], out=between)
    between *= 0.5
    if rows % 2 == 0:
        out[:, -1] = coarse[:, -1]


def _restrict_rows(fine: Field, out: Field) -> None:
    rows, nodes = fine.shape[1], out.shape[1]
    half = fine[:, 1::2] * np.float32(0.5)
    np.copyto(out, fine[:, ::2])
    out[:, : rows // 2] += half
    out[:, 1:] += half[:, : nodes - 1]
    if rows % 2 == 0:
        out[:, -1] += half[:, -1]
