"""Outlines in pixels: from polygons and boxes in a file's frame to masks in any frame.

A point (x, y) lies in a continuous frame whose origin is the outer corner of the first pixel:
pixel (row i, column j) covers [j, j + 1) × [i, i + 1), and its centre is (j + ½, i + ½).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradcam_eval.core import Boxes, Mask, Truth

Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Outline:
    """One object: what lies inside any of its polygons and inside none of its holes."""

    polygons: tuple[Polygon, ...]
    holes: tuple[Polygon, ...]
    box: tuple[float, float, float, float]  # x0, y0, x1, y1, half-open


def truth_in_frame(
    outlines: tuple[Outline, ...], original: tuple[int, int], size: tuple[int, int]
) -> Truth:
    """Return boxes and mask of objects, drawn in the frame `original`, in the frame `size`.

    Polygons are scaled and then rasterised, so no mask is resampled: a pixel belongs to the object
    where its centre does.

    Parameters
    ----------
    outlines : the objects, in pixels of the frame `original`
    original : (H, W) of the file
    size : (H, W) of the frame wanted
    """
    scale = (size[1] / original[1], size[0] / original[0])
    boxes = np.array([outline.box for outline in outlines], np.float64).reshape(-1, 4)
    mask = np.zeros(size, bool)
    for outline in outlines:
        inside = _fill(outline.polygons, scale, size) & ~_fill(outline.holes, scale, size)
        mask |= inside
    return Truth(size, _scaled(boxes, scale), mask if outlines else None)


def _scaled(boxes: np.ndarray, scale: tuple[float, float]) -> Boxes:
    return (boxes * np.array(scale + scale)).astype(np.float32)


def _fill(polygons: tuple[Polygon, ...], scale: tuple[float, float], size: tuple[int, int]) -> Mask:
    from skimage.draw import polygon2mask  # slow to import, and wanted only where truth is drawn

    mask = np.zeros(size, bool)
    for polygon in polygons:
        x, y = (np.array(polygon) * scale).T
        # polygon2mask tests integer points; ours are pixel centres, half a pixel further on.
        mask |= polygon2mask(size, np.column_stack([y, x]) - 0.5)
    return mask
