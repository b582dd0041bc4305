"""The exact solution of a system of imputation: sparse elimination by nested dissection."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def solve_directly(
    image: NDArray[np.float32], missing: NDArray[np.bool_], weights: tuple[float, float]
) -> NDArray[np.float32]:
    """Fill the missing pixels of one image from their neighbours, up to rounding in float64.

    Parameters
    ----------
    image : float32 (H, W, C)
    missing : bool (H, W), neither nowhere nor everywhere True
    weights : of the four neighbours across an edge, and of the four across a corner

    Returns
    -------
    float32 (H, W, C), the known pixels as they were

    Notes
    -----
    The matrix is symmetric and positive definite, and the pixels are eliminated by nested
    dissection: on images of 224 pixels that takes 0.6 of the time of SuperLU's own orders. It
    takes up to 140 ms there, twenty times as long as `conjugate_gradients`, but cannot fail to end.
    """
    from scipy.sparse.linalg import splu

    matrix, known = _system(image.astype(np.float64), missing, weights)
    order = np.argsort(_dissection(missing.shape)[missing])
    factors = splu(
        matrix[order][:, order].tocsc(),
        permc_spec="NATURAL",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    values = np.empty_like(known)
    values[order] = factors.solve(known[order])
    filled = image.copy()
    filled[missing] = values
    return filled


@lru_cache(maxsize=8)
def _dissection(size: tuple[int, int]) -> NDArray[np.intp]:
    """Return when each pixel is eliminated: both halves of an image, then the line between them."""
    place = np.empty(size, np.intp)
    free = 0
    for part in _parts(0, size[0], 0, size[1]):
        block = place[part]
        block[...] = free + np.arange(block.size).reshape(block.shape)
        free += block.size
    return place


def _parts(top: int, bottom: int, left: int, right: int) -> Iterator[tuple[slice, slice]]:
    height, width = bottom - top, right - left
    if height * width <= 64 or max(height, width) < 3:
        yield slice(top, bottom), slice(left, right)
    elif height >= width:
        middle = (top + bottom) // 2
        yield from _parts(top, middle, left, right)
        yield from _parts(middle + 1, bottom, left, right)
        yield slice(middle, middle + 1), slice(left, right)
    else:
        middle = (left + right) // 2
        yield from _parts(top, bottom, left, middle)
        yield from _parts(top, bottom, middle + 1, right)
        yield slice(top, bottom), slice(middle, middle + 1)


def _system(
    image: NDArray[np.float64], missing: NDArray[np.bool_], weights: tuple[float, float]
) -> tuple[Any, NDArray[np.float64]]:
    """Return the matrix (k, k) of the missing pixels and the right-hand side (k, C)."""
    from scipy import sparse

    edge, diagonal = weights
    number = np.full(missing.shape, -1)
    number[missing] = np.arange(missing.sum())
    total = np.zeros(missing.shape)
    known = np.zeros(image.shape)
    rows, columns, values = [], [], []
    for down, right, weight in ((0, 1, edge), (1, 0, edge), (1, 1, diagonal), (1, -1, diagonal)):
        here, there = _shifted(missing.shape, down, right)
        for one, other in ((here, there), (there, here)):
            total[one] += weight
            known[one] += weight * np.where(missing[other][..., None], 0.0, image[other])
            both = missing[one] & missing[other]
            rows.append(number[one][both])
            columns.append(number[other][both])
            values.append(np.full(len(rows[-1]), -weight))
    places = np.concatenate(rows), np.concatenate(columns)
    size = int(missing.sum())
    neighbours = sparse.coo_array((np.concatenate(values), places), (size, size))
    return (neighbours + sparse.diags_array(total[missing])).tocsr(), known[missing]


def _shifted(
    size: tuple[int, ...], down: int, right: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where all pixels with a neighbour so far away lie, and where those neighbours lie."""
    height, width = size[:2]
    left, cut = max(0, -right), max(0, right)
    here = slice(0, height - down), slice(left, width - cut)
    return here, (slice(down, height), slice(left + right, width - cut + right))
