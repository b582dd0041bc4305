"""The grids of multigrid for one image: from all its pixels to a few dozen nodes."""

from __future__ import annotations

import numpy as np
from numba.typed import List
from numpy.typing import NDArray

from gradcam_eval.perturb.multigrid import (
    Grids,
    Operator,
    galerkin,
    jacobi,
    laplacian,
    residual,
)

_SMALLEST = 64  # unknowns at most that are solved by the inverse matrix


def grids(missing: NDArray[np.bool_], corner: float, channels: int) -> Grids:
    """Prepare V-cycles for the missing pixels of an image.

    Parameters
    ----------
    missing : bool (H, W), the unknown pixels
    corner : weight of a neighbour across a corner, where one across an edge has 1
    channels : C of the right-hand sides

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
    operators, factors, right, found, rest = (List() for _ in range(5))
    operator = laplacian(missing, corner)
    size = missing.shape
    while True:
        operators.append(operator)
        factors.append(jacobi(operator, damping(size, corner)))
        for fields in (right, found, rest):
            fields.append(np.zeros((channels, *operator.shape[2:]), np.float32))
        if size[0] * size[1] <= _SMALLEST:
            return Grids(operators, factors, right, found, rest, _inverse(operator))
        operator = galerkin(operator)
        size = (size[0] + 1) // 2, (size[1] + 1) // 2
        corner = 1.0  # the operators of coarser grids approach equal weights


def damping(size: tuple[int, int], corner: float) -> float:
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


def _inverse(operator: Operator) -> NDArray[np.float32]:
    """Return the inverse matrix on a small grid; nodes that are joined with nothing get 0.

    Where fewer pixels are unknown than nodes see them, the matrix is singular: 1e-5 more on its
    diagonal answers that, and is little beside what known pixels put there.
    """
    height, width = operator.shape[2] - 2, operator.shape[3] - 2
    count = height * width
    units = np.zeros((count, height + 2, width + 2), np.float32)
    units[:, 1:-1, 1:-1] = np.eye(count).reshape(count, height, width)
    rest = np.empty_like(units)
    residual(operator, units, np.zeros_like(units), rest)
    matrix = -rest[:, 1:-1, 1:-1].reshape(count, count).astype(np.float64)
    used = matrix.diagonal() > 0
    matrix[np.diag_indices(count)] = np.where(used, matrix.diagonal() * (1 + 1e-5), 1)
    return (np.linalg.inv(matrix) * used).astype(np.float32)
