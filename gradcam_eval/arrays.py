"""Array operations that heatmaps, metrics and pictures share: NumPy and SciPy, no TensorFlow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gradcam_eval.core import Heatmap


def resize(maps: Heatmap, size: tuple[int, int]) -> Heatmap:
    """Resize a heatmap, or a stack of them, bilinearly; the raw scale is kept.

    Pixel centres lie at half integers and the border value is repeated, as `tf.image.resize` and
    scikit-image's `resize(order=1, anti_aliasing=False)` do; there is no anti-aliasing.

    Parameters
    ----------
    maps : float (h, w) or (N, h, w)
    size : (H, W), the size wanted

    Returns
    -------
    float32 (H, W) or (N, H, W)
    """
    if maps.shape[-2:] == tuple(size):
        return maps.astype(np.float32, copy=False)
    rows, columns = (_bilinear(n, m) for n, m in zip(maps.shape[-2:], size, strict=True))
    return np.asarray(rows @ maps.astype(np.float64) @ columns.T, np.float32)


def _bilinear(n: int, m: int) -> NDArray[np.float64]:
    """Return the (m, n) matrix that interpolates n values at m half-pixel centres."""
    position = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    left = np.minimum(position.astype(int), max(n - 2, 0))
    weight = position - left
    matrix = np.zeros((m, n))
    matrix[np.arange(m), left] = 1 - weight
    if n > 1:
        matrix[np.arange(m), left + 1] += weight
    return matrix


def min_max(heatmap: Heatmap) -> Heatmap:
    """Scale a heatmap linearly to 0..1; a constant map becomes all zeros.

    For pictures and for protocols that ask for it: never applied to what is stored.
    """
    low, high = float(heatmap.min()), float(heatmap.max())
    if high == low:
        return np.zeros_like(heatmap, dtype=np.float32)
    return ((heatmap - low) / (high - low)).astype(np.float32)


def rank_pixels(maps: Heatmap) -> NDArray[np.int32]:
    """Rank pixels by relevance: 0 is the most relevant one; ties keep row-major order (stable).

    Parameters
    ----------
    maps : float (H, W) or (N, H, W)

    Returns
    -------
    int32, the shape of `maps`; in each map a permutation of 0..H*W-1
    """
    flat = maps.reshape(*maps.shape[:-2], -1)
    if flat.dtype.kind != "f":
        flat = flat.astype(np.float64)  # the negative of an unsigned integer wraps round
    order = np.argsort(-flat, axis=-1, kind="stable")
    ranks = np.empty(order.shape, np.int32)
    np.put_along_axis(ranks, order, np.arange(flat.shape[-1], dtype=np.int32), axis=-1)
    return ranks.reshape(maps.shape)


def degenerate_reason(heatmap: Heatmap) -> str | None:
    """Say why a heatmap cannot rank pixels (non-finite, 1×1, constant), or None where it can."""
    if not np.isfinite(heatmap).all():
        return "the heatmap has values that are not finite"
    if heatmap.size == 1:
        return "the heatmap is a single pixel"
    if heatmap.max() == heatmap.min():
        return "the heatmap is all zero" if heatmap.max() == 0 else "the heatmap is constant"
    return None


def blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur an (H, W) or (H, W, C) array with a Gaussian of `sigma` pixels, edges repeated."""
    sigmas = (sigma, sigma) + (0,) * (image.ndim - 2)
    return ndimage.gaussian_filter(image, sigmas, mode="nearest").astype(np.float32)
