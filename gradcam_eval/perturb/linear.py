"""Noisy linear imputation: a removed pixel becomes the weighted mean of its neighbours."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Image, InputError, Mask


@dataclass(frozen=True, eq=False)
class Job:
    """An image, the pixels that are missing in it, and what is added to each imputed value."""

    image: Image
    missing: Mask
    noise: Image


def imputed(jobs: Iterable[Job], *, edge_weight: float, diagonal_weight: float) -> Iterator[Image]:
    """Yield the imputed image of each job, in order; some are solved ahead, one on each core.

    SciPy's solver and NumPy let other threads run, so that the next images are made while the
    model looks at the last ones. The numbers do not depend on it.
    """

    def solve(job: Job) -> Image:
        found = impute(
            job.image, job.missing, edge_weight=edge_weight, diagonal_weight=diagonal_weight
        )
        return np.where(job.missing[..., None], found + job.noise, found)

    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, thread_name_prefix="impute") as pool:
        ahead: deque[Future[Image]] = deque()
        for job in jobs:
            ahead.append(pool.submit(solve, job))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def impute(
    image: NDArray[np.float32],
    missing: NDArray[np.bool_],
    *,
    edge_weight: float = 1 / 6,
    diagonal_weight: float = 1 / 12,
) -> NDArray[np.float32]:
    """Fill the missing pixels of one image from their neighbours, without noise.

    ``x_i = Σ_j w_ij x_j / Σ_j w_ij`` for each missing pixel i, over its up to eight neighbours j
    inside the image, missing ones included: a sparse linear system.

    Parameters
    ----------
    image : float32 (H, W, C), 0..255
    missing : bool (H, W), True where a pixel is imputed; not everywhere
    edge_weight, diagonal_weight : w of the four neighbours across an edge, and of the other four

    Returns
    -------
    float32 (H, W, C), in the range of the known pixels; these are as they were

    Raises
    ------
    InputError : every pixel is missing, so that nothing says what they could be

    Notes
    -----
    The matrix is symmetric and positive definite, and the pixels are eliminated by nested
    dissection: on images of 224 pixels that takes 0.6 of the time of SuperLU's own orders. The
    repository of the authors solves the same equations with the signs turned.

    References
    ----------
    Rong et al. 2022 (arXiv:2202.00449); repository tleemann/road_evaluation, imputations.py.
    """
    from scipy.sparse.linalg import splu

    if missing.all():
        raise InputError("every pixel is removed: impute needs at least one that is known.")
    if not missing.any():
        return image.copy()
    matrix, known = _system(image.astype(np.float64), missing, (edge_weight, diagonal_weight))
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
