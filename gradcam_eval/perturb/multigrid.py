"""Multigrid: an approximate solution of a system on a grid, by way of ever coarser grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.perturb.grid import (
    Field,
    Size,
    Stencil,
    UniformStencil,
    VariableStencil,
    Zeros,
    halved,
    inside,
    prolong,
    restrict,
    zeros,
)

_SMALLEST = 64  # unknowns at most that are solved by the inverse matrix


@dataclass(frozen=True, eq=False)
class _Level:
    """One grid: its operator, the factor of its Jacobi sweep, and room for fields."""

    stencil: Stencil
    factor: Field
    solution: Field
    residual: Field
    spare: Field
    right: Field

    @classmethod
    def of(cls, stencil: Stencil, damping: float, channels: int, room: Zeros) -> _Level:
        size = inside(stencil.mask).shape
        factor = zeros(1, size, np.float32, room)[0]
        np.divide(damping, stencil.scale(), out=factor, where=stencil.mask > 0)
        return cls(stencil, factor, *(zeros(channels, size, np.float32, room) for _ in range(4)))


class Multigrid:
    """A symmetric approximation M of A⁻¹ for the missing pixels of an image: one V-cycle.

    Parameters
    ----------
    missing : bool (H, W), the unknown pixels
    corner : weight of a neighbour across a corner, where one across an edge has 1
    channels : C of the right-hand sides
    room : what makes its arrays; the cycle can be used until these are handed out again

    Notes
    -----
    Each coarser grid has every second node of the last. Its operator is Galerkin's, Pᵀ A P, where
    P interpolates bilinearly and then sets known pixels to 0: so a mask of any shape is seen on
    every grid. One damped Jacobi sweep before and one after the coarser grid; with 1/6 across an
    edge and 1/12 across a corner a sweep leaves at most 1/3 of what the coarser grid cannot see.

    References
    ----------
    Briggs, Henson, McCormick: A Multigrid Tutorial, 2nd ed., SIAM 2000, chapters 3, 4 and 10.
    """

    def __init__(
        self,
        missing: NDArray[np.bool_],
        corner: float,
        channels: int,
        room: Zeros = np.zeros,
    ) -> None:
        stencil: Stencil = UniformStencil.of(missing, corner, np.float32, room)
        size = missing.shape
        self._levels = [_Level.of(stencil, _damping(size, corner), channels, room)]
        while size[0] * size[1] > _SMALLEST:
            stencil, size = _galerkin(stencil, size, room), halved(size)
            # the operators of coarser grids approach equal weights, whatever the finest has
            self._levels.append(_Level.of(stencil, _damping(size, 1.0), channels, room))
        self._inverse = _inverse(stencil, size)

    @property
    def stencil(self) -> Stencil:
        """The operator A itself, in float32."""
        return self._levels[0].stencil

    def __call__(self, right: Field) -> Field:
        """Return M r, in an array that the next call writes again."""
        return self._cycle(0, right)

    def _cycle(self, depth: int, right: Field) -> Field:
        level = self._levels[depth]
        found = level.solution
        if depth == len(self._levels) - 1:
            known = inside(right)
            inside(found)[...] = (known.reshape(len(known), -1) @ self._inverse).reshape(
                known.shape
            )
            return found
        np.multiply(right, level.factor, out=found)
        coarser = self._levels[depth + 1].right
        restrict(self._residual(level, right), coarser)
        prolong(self._cycle(depth + 1, coarser), level.residual)
        found += level.residual
        found *= level.stencil.mask
        step = self._residual(level, right)
        step *= level.factor
        found += step
        return found

    @staticmethod
    def _residual(level: _Level, right: Field) -> Field:
        residual = level.stencil.negative(level.solution, level.residual, level.spare)
        residual += right
        return residual


def _damping(size: Size, corner: float) -> float:
    """Return the ω of the Jacobi sweep that leaves least of what the coarser grid cannot see.

    Far from borders the eigenvalues of D⁻¹A of waves with a period below four pixels, along one
    axis at least, lie between 1 − high and 1 − low; the best ω is 2 / (2 − low − high).
    """
    if min(size) == 1:  # cos a for a from π/2 to π
        return 2 / 3
    total = 4 + 4 * corner
    low = min(-4 * corner, 4 * corner - 4, -2) / total
    high = max(2, 4 * corner - 4) / total
    return 2 / (2 - low - high)


def _galerkin(stencil: Stencil, size: Size, room: Zeros = np.zeros) -> VariableStencil:
    """Return Pᵀ A P, first along the rows and then along the columns, as P is a product as well."""
    coarse = halved(size)
    whole = room((2, 3, 2 * coarse[0] + 1, 2 * coarse[1] + 1), np.float32)
    own, right, *below = stencil.joined(room)
    same_row, next_row = whole[..., 1 : size[0] + 1, :]
    next_row[:, :, 1 : size[1] + 1] = inside(np.stack(below))
    same_row[1:, :, 1 : size[1] + 1] = inside(np.stack((own, right)))
    same_row[0, :, 1:] = same_row[2, :, :-1]
    rows = room((2, 3, whole.shape[2], coarse[1] + 2), np.float32)
    for entries, found in zip(_halved(*whole.swapaxes(0, 1)), rows.swapaxes(0, 1), strict=True):
        found[..., 1:-1] = entries
    same, after = rows
    before = np.zeros_like(after)
    for step in (-1, 0, 1):  # the entry with a node is that of this node with the first
        before[1 + step, 1:, 1:-1] = after[1 - step, :-1, 1 + step : coarse[1] + 1 + step]
    _, same, after = _halved(*(each.swapaxes(1, 2) for each in (before, same, after)))
    entries = zeros(5, coarse)
    inside(entries)[:2] = same.swapaxes(1, 2)[1:, :, 1:-1]
    inside(entries)[2:] = after.swapaxes(1, 2)[..., 1:-1]
    return VariableStencil.of(entries)


def _halved(before: Field, own: Field, after: Field) -> tuple[Field, Field, Field]:
    """Return Pᵀ A P along the last axis, where P interpolates between every second pixel.

    Parameters
    ----------
    before, own, after : (..., 2 n + 1), the entries of A of each pixel with the one before it, with
        itself and with the next; 0 where there is none, always so at the first

    Returns
    -------
    the same of the n nodes, at the pixels 1, 3, ...
    """
    n = own.shape[-1] // 2
    left, right = (np.full(n, 0.5, np.float32) for _ in range(2))
    left[-1], right[-1] = 1, 0  # nearest beyond the last node
    half = np.float32(0.5)
    last, here, following = (
        (..., slice(0, -1, 2)),
        (..., slice(1, None, 2)),
        (..., slice(2, None, 2)),
    )
    back = before[here] + half * own[last]
    forth = after[here] + left * own[following]
    found = own[here] + half * (after[last] + back)
    found += left * (before[following] + forth)
    return half * (before[last] + back), found, left * after[following] + right * forth


def _inverse(stencil: Stencil, size: Size) -> NDArray[np.float32]:
    """Return the inverse matrix of a small grid; nodes that are joined with nothing get 0.

    Where fewer pixels are unknown than nodes see them, the matrix is singular: 1e-5 more on its
    diagonal answers that, and is little beside what known pixels put there.
    """
    count = size[0] * size[1]
    units = zeros(count, size)
    inside(units)[...] = np.eye(count).reshape(count, *size)
    units *= stencil.mask
    rows: Any = -inside(stencil.negative(units, np.empty_like(units), np.empty_like(units)))
    matrix = rows.reshape(count, count).astype(np.float64)
    used = inside(stencil.mask).ravel() > 0
    matrix[np.diag_indices(count)] = np.where(used, matrix.diagonal() * (1 + 1e-5), 1)
    return (np.linalg.inv(matrix) * used).astype(np.float32)
