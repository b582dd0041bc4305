"""Array operations that heatmaps, metrics and pictures share: NumPy and SciPy, no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gradcam_eval.core import Heatmap, Undefined


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
    rows, columns = (_resizing(m, n) for n, m in zip(size, maps.shape[-2:], strict=True))
    return _interpolated(maps, rows, columns)


def interpolate(
    heatmap: Heatmap, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> Heatmap:
    """Return a heatmap's values at some rows and columns, bilinearly; the border is repeated.

    Parameters
    ----------
    heatmap : float (h, w)
    rows, columns : (H,) and (W,), places in its positions: 0 is the middle of the first one

    Returns
    -------
    float32 (H, W)
    """
    places = zip(heatmap.shape, (rows, columns), strict=True)
    return _interpolated(
        heatmap, *(_linear(np.arange(n, dtype=np.float64), at) for n, at in places)
    )


@lru_cache(maxsize=64)  # heatmaps of a study have a few sizes
def _resizing(n: int, m: int) -> NDArray[np.float64]:
    """Return the (m, n) matrix that resizes n values to m."""
    return _linear(np.arange(n, dtype=np.float64), (np.arange(m) + 0.5) * n / m - 0.5)


def resize_cubic(heatmap: Heatmap, size: tuple[int, int]) -> Heatmap:
    """Resize a heatmap by cubic convolution as OpenCV's `INTER_CUBIC` does; it may overshoot.

    The kernel (Keys 1981, a = -0.75) over the four nearest values of each axis: ``(a + 2)|d|³ -
    (a + 3)|d|² + 1`` for ``|d| <= 1``, ``a|d|³ - 5a|d|² + 8a|d| - 4a`` for ``|d| < 2``. Pixel
    centres lie at half integers, the border value is repeated; there is no anti-aliasing. Pillow
    and scikit-image have other kernels.

    Parameters
    ----------
    heatmap : float (h, w)
    size : (H, W), the size wanted

    Returns
    -------
    float32 (H, W)
    """
    rows, columns = (_cubic(n, m) for n, m in zip(heatmap.shape, size, strict=True))
    return _interpolated(heatmap, rows, columns)


@lru_cache(maxsize=64)
def _cubic(n: int, m: int) -> NDArray[np.float64]:
    """Return the (m, n) matrix of cubic convolution from n values to m."""
    a = -0.75
    place = (np.arange(m) + 0.5) * n / m - 0.5
    matrix = np.zeros((m, n))
    for neighbour in (-1, 0, 1, 2):
        known = np.floor(place) + neighbour
        d = np.abs(place - known)
        near = ((a + 2) * d - (a + 3)) * d**2 + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        column = np.clip(known, 0, n - 1).astype(int)
        np.add.at(matrix, (np.arange(m), column), np.where(d <= 1, near, far))
    return matrix


Geometry: TypeAlias = Literal["auto", "stretch", "receptive_field"]  # how a map is laid on an image


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the positions of a layer's map lie on an image of (H, W) pixels.

    Attributes
    ----------
    centres : float64 (h,) and (w,), where the map's rows and columns lie, in pixels of the image:
        0 is the middle of its first pixel; they may lie beyond its border
    seen : the rows, and the columns, that any position sees: first, and one after the last
    frame : (H, W)
    """

    centres: tuple[NDArray[np.float64], NDArray[np.float64]]
    seen: tuple[tuple[int, int], tuple[int, int]]
    frame: tuple[int, int]

    def __str__(self) -> str:
        """Say what of the image the map sees: rows and columns, from the first to the last."""
        (top, bottom), (left, right) = self.seen
        height, width = self.frame
        return (
            f"rows {top} to {bottom - 1}, columns {left} to {right - 1} of the image's "
            f"{height}×{width}"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Return (h, w) of the map."""
        return len(self.centres[0]), len(self.centres[1])

    def of_shape(self, shape: tuple[int, int]) -> Placement:
        """Return where the positions of another map (h, w) lie that covers what this one does.

        A method may return a finer or a coarser map than its layer's.
        """
        if shape == self.shape:
            return self
        sides = zip(self.centres, self.seen, shape, strict=True)
        rows, columns = (_divided(*each) for each in sides)
        return replace(self, centres=(rows, columns))

    def shares(self, shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return R (h, H) and C (w, W): ``R @ region @ C.T`` is a region of the image on the map.

        A position covers half a stride on either side of its middle, and its value is the share of
        that which is inside. `shape` is (H, W) of the region, which covers the whole image.
        """
        sides = zip(self.centres, self.seen, self.frame, shape, strict=True)
        rows, columns = (
            _share(_edges(c, seen), n * np.arange(m + 1) / m) for c, seen, n, m in sides
        )
        return rows, columns

    def matrices(
        self, size: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return R (H, h) and C (W, w): ``R @ map @ C.T`` is the map on the image.

        `size` is (H, W) of the result, by default the image's. Linear between the positions,
        nearest beyond the outermost ones, also where none of them sees anything.
        """
        places = zip(self.centres, self._pixels(size), strict=True)
        rows, columns = (_linear(centres, at) for centres, at in places)
        return rows, columns

    def is_seen(
        self, size: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which rows (H,) and which columns (W,) of the result any position sees."""
        sides = zip(self.seen, self._pixels(size), strict=True)
        rows, columns = ((at >= low - 0.5) & (at <= end - 0.5) for (low, end), at in sides)
        return rows, columns

    def _pixels(self, size: tuple[int, int] | None) -> list[NDArray[np.float64]]:
        """Return where the pixels of the result lie, in pixels of the image."""
        sides = zip(self.frame, size or self.frame, strict=True)
        return [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in sides]


Placing: TypeAlias = Placement | Undefined | None  # None: corner to corner; Undefined: not known


def place(maps: Heatmap, placement: Placement, size: tuple[int, int] | None = None) -> Heatmap:
    """Put each value of a heatmap where it lies on the image.

    Bilinear between the positions, nearest beyond the outermost ones, and 0 (no evidence) on the
    pixels that none of them sees. A map without an order (constant, one value) stays without one.

    Parameters
    ----------
    maps : float (h, w) or (N, h, w)
    placement : where its positions lie
    size : (H, W), the size wanted; by default the image's

    Returns
    -------
    float32 (H, W) or (N, H, W), on the maps' own scale
    """
    placed = _interpolated(maps, *placement.matrices(size))
    is_seen = np.logical_and.outer(*placement.is_seen(size))
    lowest = maps.min(axis=(-2, -1), keepdims=True)
    is_flat = lowest == maps.max(axis=(-2, -1), keepdims=True)
    return np.where(is_flat, lowest, np.where(is_seen, placed, 0)).astype(np.float32)


def _edges(centres: NDArray[np.float64], seen: tuple[int, int]) -> NDArray[np.float64]:
    """Return where the n positions begin and the last one ends, (n + 1,); 0 is the image's edge.

    A single position covers all that it sees.
    """
    if len(centres) == 1:
        return np.array(seen, float)
    stride = (centres[-1] - centres[0]) / (len(centres) - 1)
    return centres[0] + 0.5 + (np.arange(len(centres) + 1) - 0.5) * stride


def _divided(
    centres: NDArray[np.float64], seen: tuple[int, int], count: int
) -> NDArray[np.float64]:
    """Return the middles of `count` positions that cover evenly what these cover."""
    edges = _edges(centres, seen)
    return edges[0] + (np.arange(count) + 0.5) * (edges[-1] - edges[0]) / count - 0.5


def _share(edges: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of each interval between edges (n + 1,) each part (m) covers, (n, m)."""
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    common = np.minimum(high[:, None], parts[1:]) - np.maximum(low[:, None], parts[:-1])
    return np.maximum(common, 0) / (high - low)[:, None]


def _interpolated(
    maps: Heatmap, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> Heatmap:
    return np.asarray(rows @ maps.astype(np.float64) @ columns.T, np.float32)


def _linear(known: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (m, n) matrix that interpolates values at n places, in order, at m others."""
    n, m = len(known), len(wanted)
    if known[0] > known[-1]:  # a map of a mirrored image
        return _linear(known[::-1], wanted)[:, ::-1]
    if n == 1:
        return np.ones((m, 1))
    inside = np.clip(wanted, known[0], known[-1])
    left = np.clip(np.searchsorted(known, inside, side="right") - 1, 0, n - 2)
    weight = (inside - known[left]) / (known[left + 1] - known[left])
    matrix = np.zeros((m, n))
    matrix[np.arange(m), left] = 1 - weight
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


def stable_order(values: Heatmap) -> NDArray[np.int64]:
    """Return the order that sorts finite float32 values (n,) ascending; ties keep their places.

    What ``np.argsort(values, kind="stable")`` returns, in half its time: NumPy sorts 16-bit keys by
    counting, so the lower halves of the values' bits are sorted, and then the upper halves.
    """
    bits = (values + np.float32(0)).view(np.int32)  # -0 becomes 0, its equal
    keys = (bits ^ (bits >> 31 | np.int32(-(2**31)))).view(np.uint32)  # in the values' order
    low, high = keys.astype(np.uint16), (keys >> 16).astype(np.uint16)
    order = np.argsort(low, kind="stable")
    return order[np.argsort(high[order], kind="stable")]


def rank_at_random(heatmap: Heatmap, generator: np.random.Generator) -> NDArray[np.int32]:
    """Rank one map's pixels as `rank_pixels` does, but ties in an order that is drawn."""
    flat = heatmap.reshape(-1)
    order = np.lexsort((generator.random(flat.size), -flat.astype(np.float64)))
    ranks = np.empty(flat.size, np.int32)
    ranks[order] = np.arange(flat.size, dtype=np.int32)
    return ranks.reshape(heatmap.shape)


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
