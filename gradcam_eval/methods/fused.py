"""Six formulas of `cam` at once, for CPUs: A and G are read from memory thrice, not thirty times.

TensorFlow computes each product, rectification and sum of a formula as a pass through memory of its
own. Here one loop makes all of them, and images and layers are shared among the cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.methods import cam

FUSED: tuple[Callable[..., Any], ...] = (
    cam.grad_cam,
    cam.grad_cam_pp,
    cam.xgrad_cam,
    cam.hires_cam,
    cam.grad_cam_elementwise,
    cam.layer_cam,
)

_VALUES = 2_000_000  # of A, at most, in what one thread takes at a time


def fused_maps(
    pairs: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> list[NDArray[np.float32]]:
    """Return the heatmaps of the formulas `FUSED`, in their order, for A and G of some layers.

    Parameters
    ----------
    pairs : A and G of each layer, float32 (N, h, w, K)

    Returns
    -------
    float32 (6, N, h, w) of each layer; as `cam` says of each formula, up to rounding. The maps of
    an image do not depend on the others in its batch
    """
    found, parts = [], []
    for activations, gradients in pairs:
        maps = np.empty((len(FUSED), *activations.shape[:3]), np.float32)
        size = max(1, _VALUES // max(1, activations[0].size)) if len(activations) else 1
        for start in range(0, len(activations), size):
            rows = slice(start, start + size)
            parts.append((activations[rows], gradients[rows], maps[:, rows]))
        found.append(maps)
    if not parts:
        return found
    from gradcam_eval.methods.fused_loops import write_maps  # imports Numba: 0.4 s

    if len(parts) == 1:
        write_maps(*parts[0])
    else:
        with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
            list(pool.map(lambda part: write_maps(*part), parts))
    return found
