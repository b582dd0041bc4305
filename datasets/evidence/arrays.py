"""The pictures of a split as arrays, drawn on all cores, and kept between runs where wanted."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradcam_eval.data.evidence.variants import CLASSES, SIZE, make_scene, shown_classes

GRID = 12  # cells of 8 × 8 pixels a side, as the last map of two networks has them


@dataclass(frozen=True)
class Pictures:
    """Some pictures of one variant.

    Attributes
    ----------
    images : uint8 (N, 96, 96, 3)
    shares : float32 (N, 6), the share of each class in the label
    labels : int (N,), the class that counts as right
    marks : int (N,), the class that the watermark stands for, -1 without one
    objects : bool (N, 12, 12), the cells in which an object of any class is seen
    """

    images: np.ndarray
    shares: np.ndarray
    labels: np.ndarray
    marks: np.ndarray
    objects: np.ndarray


def pictures(variant: str, split: str, indices: range, cache: Path | None) -> Pictures:
    """Draw these pictures of a split, or read them from the folder in which they are kept."""
    file = cache and cache / f"{variant}-{split}-{indices.start}-{indices.stop}.npz"
    if file and file.exists():
        with np.load(file) as arrays:
            return Pictures(**arrays)
    with multiprocessing.get_context("spawn").Pool() as pool:
        drawn = pool.map(_picture, [(variant, split, index) for index in indices], chunksize=100)
    stacked = Pictures(*(np.stack(each) for each in zip(*drawn, strict=True)))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **vars(stacked))
    return stacked


def _picture(
    wanted: tuple[str, str, int],
) -> tuple[np.ndarray, np.ndarray, int, int, np.ndarray]:
    variant, split, index = wanted
    label, other, mark = shown_classes(variant, index, split=split)
    share = np.zeros(len(CLASSES), np.float32)
    share[[label, other] if other >= 0 else label] = 1
    scene = make_scene(variant, index, split=split)
    seen = np.zeros((SIZE, SIZE), bool)
    for thing in scene.seen("object", "other"):
        seen |= thing.mask
    cells = seen.reshape(GRID, SIZE // GRID, GRID, SIZE // GRID).any(axis=(1, 3))
    return scene.pixels, share / share.sum(), label, mark, cells
