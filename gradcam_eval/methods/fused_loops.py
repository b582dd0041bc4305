"""The loops of `fused_maps`, which Numba compiles."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.jit import compiled_sum

Values: TypeAlias = NDArray[np.float32]


@compiled_sum
def write_maps(activations: Values, gradients: Values, maps: Values) -> None:
    """Write the maps of the formulas `fused.FUSED`, (6, N, h, w), image by image."""
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
def _share(positive: np.float32, total: np.float32) -> np.float32:
    """Return [G]₊ / (2 + ΣA [G]₊), by one division: 1 / ΣA where the product leaves float32."""
    product = total * positive
    is_out = abs(product) == np.inf
    one = np.float32(1) if is_out else positive
    return _ratio(one, total if is_out else np.float32(2) + product)


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
    for k in range(channels):
        if not np.isfinite(total[k]):  # a share of an infinite sum would be 0, and no fault seen
            total[k] = np.nan
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
                row[1, k] += _share(positive, total[k])
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
