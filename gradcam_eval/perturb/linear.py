"""Noisy linear imputation: a removed pixel becomes the weighted mean of its neighbours."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Image, InputError, Mask
from gradcam_eval.perturb.direct import solve_directly

_AHEAD = 32  # images: a chunk of the model's


@dataclass(frozen=True, eq=False)
class Job:
    """An image, the pixels that are missing in it, and what is added to each imputed value."""

    image: Image
    missing: Mask
    noise: Image


def imputed(jobs: Iterable[Job], *, edge_weight: float, diagonal_weight: float) -> Iterator[Image]:
    """Yield the imputed image of each job, in order; some are solved ahead, on up to eight cores.

    So the next images are made while the model looks at the last ones. The numbers do not depend
    on it.
    """

    def solve(job: Job) -> Image:
        found = _imputed(job.image, job.missing, (edge_weight, diagonal_weight))
        return np.where(job.missing[..., None], found + job.noise, found)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="impute") as pool:
        ahead: deque[Future[Image]] = deque()
        for job in jobs:
            ahead.append(pool.submit(solve, job))
            if len(ahead) > _AHEAD:
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
    edge_weight, diagonal_weight : w of the four neighbours across an edge, more than 0, and of the
        other four, at least 0

    Returns
    -------
    float32 (H, W, C), in the range of the known pixels; these are as they were. An imputed value
    is off by `TOLERANCE`, 0.01, at most: see `solve_iteratively` for why, and for how it is known

    Raises
    ------
    InputError : every pixel is missing, so that nothing says what they could be; or weights that
        leave pixels without neighbours

    Notes
    -----
    The repository of the authors solves the same equations, with the signs turned, by elimination.

    References
    ----------
    Rong et al. 2022 (arXiv:2202.00449); repository tleemann/road_evaluation, imputations.py.
    """
    return _imputed(image, missing, (edge_weight, diagonal_weight))


def _imputed(
    image: NDArray[np.float32], missing: NDArray[np.bool_], weights: tuple[float, float]
) -> NDArray[np.float32]:
    from gradcam_eval.perturb.conjugate_gradients import solve_iteratively  # Numba: 0.4 s

    if not (0 < weights[0] < np.inf and 0 <= weights[1] < np.inf):
        raise InputError(
            f"impute got the weights {weights[0]} and {weights[1]}: wanted more than 0 "
            "across an edge, and 0 or more across a corner."
        )
    if missing.all():
        raise InputError("every pixel is removed: impute needs at least one that is known.")
    if not missing.any():
        return image.copy()
    found = solve_iteratively(image, missing, weights)
    return solve_directly(image, missing, weights) if found is None else found
