"""Multigrid: an approximate solution of a system on a grid, by way of ever coarser grids.

A field on a grid of (H, W) is kept as (C, H + 2, W + 2) with a border of zeros, so that every node
has eight neighbours. An operator is (3, 3, H + 2, W + 2): the entry [1 + a, 1 + b, i, j] joins node
(i, j) with node (i + a, j + b). All are float32.

The loops are compiled: in NumPy each of these sums is a pass of its own through memory, and so
many short calls keep other threads waiting for Python's lock.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numba.typed import List
from numpy.typing import NDArray

from gradcam_eval.jit import compiled

Field: TypeAlias = NDArray[np.float32]  # (C, H + 2, W + 2), or without C for all channels
Operator: TypeAlias = NDArray[np.float32]  # (3, 3, H + 2, W + 2)


class Grids(NamedTuple):
    """What a V-cycle needs, from the finest grid to the coarsest.

    Attributes
    ----------
    operators : of each grid
    factors : (H + 2, W + 2) of each grid, what a sweep multiplies a residual by
    right, found, rest : room for three fields on each grid: b, x and b − A x
    inverse : (n, n), of the operator on the coarsest
    """

    operators: List[Operator]
    factors: List[Field]
    right: List[Field]
    found: List[Field]
    rest: List[Field]
    inverse: NDArray[np.float32]


@compiled
def laplacian(missing: NDArray[np.bool_], corner: float) -> Operator:
    """Return the operator ``(A x)_i = Σ_j w_ij (x_i − x_j)`` for the missing pixels i.

    Over the up to eight neighbours j inside the image, where x is 0 at the known ones.
    """
    height, width = missing.shape
    operator = np.zeros((3, 3, height + 2, width + 2), np.float32)
    mask = np.zeros((height + 2, width + 2), np.float32)
    mask[1:-1, 1:-1] = missing
    inside = np.zeros((height + 2, width + 2), np.float32)
    inside[1:-1, 1:-1] = 1
    for a in range(-1, 2):
        for b in range(-1, 2):
            if a == 0 and b == 0:
                continue
            weight = np.float32(corner if a * b else 1.0)
            for i in range(1, height + 1):
                for j in range(1, width + 1):
                    here = weight * mask[i, j]
                    operator[1 + a, 1 + b, i, j] = -here * mask[i + a, j + b]
                    operator[1, 1, i, j] += here * inside[i + a, j + b]
    return operator


@compiled
def jacobi(operator: Operator, omega: float) -> Field:
    """Return ω / d for each node, and 0 where it is joined with nothing.

    d is the diagonal, or half of Σ_j |A_ij| where that is more, so that no eigenvalue of the
    quotient exceeds 2. It is more where several nodes see the same few pixels.
    """
    height, width = operator.shape[2], operator.shape[3]
    factor = np.zeros((height, width), np.float32)
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            total = np.float32(0)
            for a in range(3):
                for b in range(3):
                    total += abs(operator[a, b, i, j])
            most = max(operator[1, 1, i, j], total / 2)
            factor[i, j] = omega / most if most > 0 else 0
    return factor


@compiled
def galerkin(operator: Operator) -> Operator:
    """Return Pᵀ A P, first down the columns and then along the rows, as P is a product as well."""
    return _turned(_halved(_turned(_halved(operator))))


@compiled
def _turned(operator: Operator) -> Operator:
    """Return the operator of the grid whose rows are this one's columns."""
    return operator.transpose(1, 0, 3, 2).copy()


@compiled
def _halved(fine: Operator) -> Operator:
    """Return Pᵀ A P down the columns, where P interpolates between every second row.

    Row 2 n of the fine grid is row n of the coarse one; the row below it has half of n and half of
    n + 1, or all of n where that is the last.
    """
    rows, columns = (fine.shape[2] - 1) // 2, fine.shape[3]
    half = np.float32(0.5)
    coarse = np.zeros((3, 3, rows + 2, columns), np.float32)
    for b in range(3):
        up, same, down = fine[0, b], fine[1, b], fine[2, b]
        for n in range(rows):
            over, here, under = 2 * n, 2 * n + 1, 2 * n + 2  # with the border of zeros
            mine, next_one = (half, half) if n < rows - 1 else (np.float32(1), np.float32(0))
            for j in range(1, columns - 1):
                coarse[0, b, n + 1, j] = half * (up[over, j] + half * same[over, j] + up[here, j])
                coarse[1, b, n + 1, j] = (
                    half * (half * same[over, j] + down[over, j] + up[here, j])
                    + same[here, j]
                    + mine * (down[here, j] + up[under, j] + mine * same[under, j])
                )
                coarse[2, b, n + 1, j] = (
                    next_one * (down[here, j] + mine * same[under, j]) + mine * down[under, j]
                )
    return coarse


@compiled
def residual(operator: Operator, x: Field, right: Field, out: Field) -> None:
    """Write b − A x into `out`, for a symmetric A, of which five of the nine entries are read."""
    for c in range(x.shape[0]):
        for i in range(1, x.shape[1] - 1):
            for j in range(1, x.shape[2] - 1):
                out[c, i, j] = right[c, i, j] - (
                    operator[1, 1, i, j] * x[c, i, j]
                    + operator[1, 2, i, j] * x[c, i, j + 1]
                    + operator[1, 2, i, j - 1] * x[c, i, j - 1]
                    + operator[2, 1, i, j] * x[c, i + 1, j]
                    + operator[2, 1, i - 1, j] * x[c, i - 1, j]
                    + operator[2, 0, i, j] * x[c, i + 1, j - 1]
                    + operator[2, 0, i - 1, j + 1] * x[c, i - 1, j + 1]
                    + operator[2, 2, i, j] * x[c, i + 1, j + 1]
                    + operator[2, 2, i - 1, j - 1] * x[c, i - 1, j - 1]
                )


@compiled
def restrict(fine: Field, coarse: Field) -> None:
    """Write the transpose of `prolong`, from a field of all nodes to one of every second."""
    height, width = coarse.shape[1] - 2, coarse.shape[2] - 2
    half, one = np.float32(0.5), np.float32(1)
    line = np.zeros(fine.shape[2] + 1, np.float32)
    for c in range(fine.shape[0]):
        for i in range(height):
            lower = half if i < height - 1 else one
            for j in range(1, fine.shape[2] - 1):
                line[j] = (
                    half * fine[c, 2 * i, j] + fine[c, 2 * i + 1, j] + lower * fine[c, 2 * i + 2, j]
                )
            for j in range(width):
                coarse[c, i + 1, j + 1] = (
                    half * line[2 * j] + line[2 * j + 1] + half * line[2 * j + 2]
                )
            coarse[c, i + 1, width] += half * line[2 * width]


@compiled
def prolong(coarse: Field, factor: Field, fine: Field) -> None:
    """Add a field of every second node to one of all, bilinear between, nearest beyond.

    Only where `factor` is not 0: known pixels stay 0.
    """
    height, width = coarse.shape[1] - 2, coarse.shape[2] - 2
    half = np.float32(0.5)
    line = np.zeros(width + 2, np.float32)
    spread = np.zeros(2 * width + 1, np.float32)
    for c in range(fine.shape[0]):
        for i in range(fine.shape[1] - 2):
            above = i // 2 + 1
            below = min(above + i % 2, height)
            for j in range(1, width + 1):
                line[j] = half * (coarse[c, above, j] + coarse[c, below, j])
            line[width + 1] = line[width]
            for j in range(1, width + 1):
                spread[2 * j - 1] = line[j]
                spread[2 * j] = half * (line[j] + line[j + 1])
            for j in range(1, fine.shape[2] - 1):
                if factor[i + 1, j] > 0:
                    fine[c, i + 1, j] += spread[j]


@compiled
def v_cycle(grids: Grids) -> None:
    """Make found[0] = M b of b = right[0], where M is a symmetric approximation of A⁻¹."""
    last = len(grids.operators) - 1
    for n in range(last):
        _scale(grids.right[n], grids.factors[n], grids.found[n])
        residual(grids.operators[n], grids.found[n], grids.right[n], grids.rest[n])
        restrict(grids.rest[n], grids.right[n + 1])
    _solve(grids.inverse, grids.right[last], grids.found[last])
    for n in range(last - 1, -1, -1):
        prolong(grids.found[n + 1], grids.factors[n], grids.found[n])
        residual(grids.operators[n], grids.found[n], grids.right[n], grids.rest[n])
        _add_scaled(grids.rest[n], grids.factors[n], grids.found[n])


@compiled
def _scale(field: Field, factor: Field, out: Field) -> None:
    for c in range(field.shape[0]):
        for i in range(1, field.shape[1] - 1):
            for j in range(1, field.shape[2] - 1):
                out[c, i, j] = field[c, i, j] * factor[i, j]


@compiled
def _add_scaled(field: Field, factor: Field, out: Field) -> None:
    for c in range(field.shape[0]):
        for i in range(1, field.shape[1] - 1):
            for j in range(1, field.shape[2] - 1):
                out[c, i, j] += field[c, i, j] * factor[i, j]


@compiled
def _solve(inverse: NDArray[np.float32], right: Field, out: Field) -> None:
    height, width = out.shape[1] - 2, out.shape[2] - 2
    for c in range(out.shape[0]):
        for n in range(height * width):
            found = np.float32(0)
            for m in range(height * width):
                found += inverse[n, m] * right[c, 1 + m // width, 1 + m % width]
            out[c, 1 + n // width, 1 + n % width] = found
