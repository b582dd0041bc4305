"""Six formulas of `cam` at once, for CPUs: A and G are read from memory thrice, not thirty times.

TensorFlow computes each product, rectification and sum of a formula as a pass through memory of its
own. Here one loop makes all of them, and images and layers are shared among the cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.jit import compiled_sum
from gradcam_eval.methods import cam

FUSED: tuple[Callable[..., Any], ...] = (
    cam.grad_cam,
    cam.grad_cam_pp,
    cam.xgrad_cam,
    cam.hires_cam,
    cam.grad_cam_elementwise,
    cam.layer_cam,
)

Values: TypeAlias = NDArray[np.float32]

_VALUES = 2_000_000  # of A, at most, in what one thread takes at a time


def fused_maps(pairs: Iterable[tuple[Values, Values]]) -> list[Values]:
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
    if len(parts) == 1:
        write_maps(*parts[0])
    elif parts:
        with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
            list(pool.map(lambda part: write_maps(*part), parts))
    return found


@compiled_sum
def write_maps(activations: Values, gradients: Values, maps: Values) -> None:
    """Write the maps of the formulas `FUSED`, (6, N, h, w), image by image."""
    for n in range(len(activations)):
        total = _sum_of_positions(activations[n])
        weights = _write_products(activations[n], gradients[n], total, maps[3:, n])
        _write_weighted_sums(activations[n], weights, maps[:3, n])


@compiled_sum
def _positive(value: np.float32) -> np.float32:
    """Return [x]₊, and NaN where x is."""
    return np.float32(0) if value < 0 else value


@compiled_sum
def _ratio(one: np.float32, other: np.float32) -> np.float32:
    return one / other if other != 0 else np.float32(0)


@compiled_sum
def _sum_of_positions(activations: Values) -> Values:
    """Return Σᵢⱼ Aᵏ, (K,), added up row by row, so that float32 does for many positions."""
    height, width, channels = activations.shape
    total = np.zeros(channels, np.float32)
    for i in range(height):
        row = np.zeros(channels, np.float32)
        for j in range(width):
            for k in range(channels):
                row[k] += activations[i, j, k]
        total += row
    return total


@compiled_sum
def _write_products(activations: Values, gradients: Values, total: Values, maps: Values) -> Values:
    """Write the maps that weigh each element; return the channels' weights for the others, (3, K).

    These are Σᵢⱼ G / Z, Σᵢⱼ [G]₊ / (2 + ΣA [G]₊) and Σᵢⱼ A ∘ G / ΣA: see `cam`.
    """
    height, width, channels = activations.shape
    weights = np.zeros((3, channels), np.float32)
    for i in range(height):
        row = np.zeros((3, channels), np.float32)
        for j in range(width):
            signed, positive_products, of_positive = np.float32(0), np.float32(0), np.float32(0)
            for k in range(channels):
                a, g = activations[i, j, k], gradients[i, j, k]
                product, positive = a * g, _positive(g)
                row[0, k] += g
                row[1, k] += _ratio(positive, np.float32(2) + total[k] * positive)
                row[2, k] += product
                signed += product
                positive_products += _positive(product)
                of_positive += positive * a
            maps[0, i, j] = _positive(signed)
            maps[1, i, j] = positive_products
            maps[2, i, j] = _positive(of_positive)
        weights += row
    for k in range(channels):
        weights[0, k] /= np.float32(height * width)
        weights[2, k] = _ratio(weights[2, k], total[k])
    return weights


@compiled_sum
def _write_weighted_sums(activations: Values, weights: Values, maps: Values) -> None:
    """Write [Σₖ wₖ Aᵏ]₊ for three sets of weights."""
    height, width, channels = activations.shape
    for i in range(height):
        for j in range(width):
            first, second, third = np.float32(0), np.float32(0), np.float32(0)
            for k in range(channels):
                first += weights[0, k] * activations[i, j, k]
                second += weights[1, k] * activations[i, j, k]
                third += weights[2, k] * activations[i, j, k]
            maps[0, i, j] = _positive(first)
            maps[1, i, j] = _positive(second)
            maps[2, i, j] = _positive(third)
