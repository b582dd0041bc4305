"""Mosaics of class-labelled images: localization without any annotation.

The grid pointing game explains each class of a mosaic and asks how much of the heatmap lies in that
class's cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import (
    Boxes,
    Heatmap,
    Image,
    InputError,
    Sample,
    Truth,
    Undefined,
    check_whole,
)
from gradcam_eval.metrics.cases import chosen
from gradcam_eval.metrics.energy import energy_pointing_game
from gradcam_eval.protocols import GridProtocol


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Images of different classes side by side, in row-major order.

    Attributes
    ----------
    image : float32 (H, W, C), 0..255
    labels : the class of each cell
    members : which of the images each cell shows
    """

    image: Image
    labels: tuple[int, ...]
    members: tuple[int, ...]


class ExplainTargets(Protocol):
    """What makes heatmaps: float32 (n, H, W, C) images, 0..255, and n classes → (n, h, w)."""

    def __call__(
        self, images: NDArray[np.float32], targets: NDArray[np.int64], /
    ) -> NDArray[np.float32]:
        """Return the heatmap of each image for its class."""
        ...


def make_mosaics(
    images: NDArray[np.float32],
    labels: Sequence[int],
    *,
    count: int,
    grid: int = 3,
    seed: int = 0,
) -> list[Mosaic]:
    """Draw mosaics of grid x grid images, each of another class.

    Parameters
    ----------
    images : float32 (N, H, W, C), 0..255
        The published games take images that the model classifies right, the most confident first:
        choose them before.
    labels : N ints
    count : how many mosaics
    grid : cells along a side
    seed : of the draws; classes are drawn first, then an image of each

    Returns
    -------
    list of Mosaic, images of (grid H, grid W, C)

    Raises
    ------
    InputError
        Fewer classes than cells, or shapes that do not fit.
    """
    check_whole("grid", grid)
    check_whole("count", count, 0)
    check_whole("seed", seed, 0)
    pictures, classes = np.asarray(images), np.asarray(labels)
    if pictures.ndim != 4 or classes.shape != (len(pictures),) or grid < 1:
        raise InputError(
            f"images {pictures.shape}, labels {classes.shape}, grid {grid}: wanted (N, H, W, C), "
            "(N,) and 1 or more."
        )
    known = np.unique(classes)
    if len(known) < grid**2:
        raise InputError(
            f"{len(known)} classes for a grid of {grid} x {grid}: give images of {grid**2} "
            "classes, or a smaller grid."
        )
    generator = np.random.default_rng(seed)
    mosaics = []
    for _ in range(count):
        chosen = generator.choice(known, grid**2, replace=False)
        members = [int(generator.choice(np.flatnonzero(classes == label))) for label in chosen]
        image = tiled(pictures[members], grid)
        mosaics.append(Mosaic(image, tuple(chosen.tolist()), tuple(members)))
    return mosaics


def mosaic_samples(mosaics: Sequence[Mosaic]) -> list[Sample]:
    """Return each cell of each mosaic as a sample: the mosaic, the cell's class, and its box.

    Judged by `energy_pointing_game`, these samples are the grid pointing game, with the layers,
    controls and intervals of a study. The study must explain labels (``target="label"``), and the
    mosaics must have the model's input size.

    Examples
    --------
    >>> images = np.arange(4, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 3))
    >>> samples = mosaic_samples(make_mosaics(images, [0, 1, 2, 3], count=1, grid=2))
    >>> [(sample.name, sample.truth.boxes.tolist()) for sample in samples][1]
    ('mosaic 0, cell 1', [[2.0, 0.0, 4.0, 2.0]])
    """
    return [
        _cell_sample(f"mosaic {n}, cell {cell}", mosaic, cell)
        for n, mosaic in enumerate(mosaics)
        for cell in range(len(mosaic.labels))
    ]


def _cell_sample(name: str, mosaic: Mosaic, cell: int) -> Sample:
    size = (mosaic.image.shape[0], mosaic.image.shape[1])
    truth = Truth(size, boxes=_cell_box(cell, _side(mosaic), size))
    found = hashlib.sha256(mosaic.image.tobytes() + bytes([cell])).hexdigest()
    return Sample(found, name, mosaic.image, (mosaic.labels[cell],), truth, truth)


def grid_pointing_game(
    explain: ExplainTargets,
    mosaics: Sequence[Mosaic],
    *,
    batch_size: int = 16,
    protocol: str | GridProtocol = "rao2022",
) -> list[list[float | Undefined]]:
    """Return, for each cell of each mosaic, the share of its class's heatmap inside the cell.

    ``Σ_(p in cell i) [L_p(class i)]₊ / Σ_(all p) [L_p(class i)]₊``.

    Parameters
    ----------
    explain : ExplainTargets
        Called with a mosaic and a class. The model must take images of the mosaic's size, as one
        that ends in global average pooling does when built for any size.
    mosaics : from `make_mosaics`
    batch_size : pairs of mosaic and class explained at once
    protocol : "rao2022" (published) enlarges the heatmap to the mosaic; "rao2022_map" does not

    Returns
    -------
    list of list of float or Undefined, a list for each mosaic, in the cells' order
        0..1, higher is better; 1 / grid² for an even heatmap. Undefined where the heatmap is
        constant, not finite or nowhere positive.

    Raises
    ------
    InputError
        `explain` returns another number of heatmaps.

    Notes
    -----
    Enlarged bilinearly, a coarse map leaks a little over the cells' borders. Published: 3 x 3
    images of the model's size, which it classifies right with a sigmoid above 0.5, the most
    confident first and each once; a heatmap without positive values scores 0 there and is undefined
    here; `make_mosaics` may draw an image for several mosaics. Of a model with a fixed input size,
    shrink the *images* before making the mosaic: smaller cells than published, and to be said
    beside the number.

    References
    ----------
    Böhle, Fritz, Schiele: Convolutional Dynamic Alignment Networks for Interpretable
    Classifications, CVPR 2021, arXiv:2104.00032; repository moboehle/CoDA-Nets,
    interpretability/analyses/localisation.py.
    """
    rules = chosen(protocol, "grid_pointing_game", GridProtocol)
    pairs = [(mosaic.image, label) for mosaic in mosaics for label in mosaic.labels]
    shares: list[float | Undefined] = []
    cells = [cell for mosaic in mosaics for cell in range(len(mosaic.labels))]
    for start in range(0, len(pairs), batch_size):
        batch = pairs[start : start + batch_size]
        images, targets = (np.stack(side) for side in zip(*batch, strict=True))
        heatmaps = explain(images, targets)
        if len(heatmaps) != len(batch):
            raise InputError(
                f"explain returned {len(heatmaps)} heatmaps for {len(batch)} images: wanted one "
                "for each."
            )
        for n, heatmap in enumerate(heatmaps, start=start):
            size = pairs[n][0].shape[:2] if rules.divided == "image" else np.shape(heatmap)
            shares.append(cell_share(heatmap, cells[n], _side(mosaics[0]), size))
    each = len(mosaics[0].labels) if mosaics else 1
    return [shares[start : start + each] for start in range(0, len(shares), each)]


def tiled(cells: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    """Put (grid², h, w, C) side by side in row-major order: (grid h, grid w, C)."""
    if len(cells) != grid**2:
        raise InputError(f"{len(cells)} cells for a grid of {grid} x {grid}.")
    _, height, width, channels = cells.shape
    rows = cells.reshape(grid, grid, height, width, channels).transpose(0, 2, 1, 3, 4)
    return rows.reshape(grid * height, grid * width, channels)


def cell_share(heatmap: Heatmap, cell: int, grid: int, size: tuple[int, ...]) -> float | Undefined:
    """Return the share of a heatmap's positive energy inside one cell of a grid, (H, W) = size.

    Raises
    ------
    InputError : a side is no multiple of the grid's, so that a value belongs to two cells
    """
    if any(side % grid for side in size[:2]):
        raise InputError(
            f"the heatmap is divided at {size[0]} × {size[1]} values among {grid} × {grid} cells: "
            "expected sides that are multiples of the grid's; enlarge the heatmap to the mosaic"
        )
    frame = (size[0], size[1])
    box = _cell_box(cell, grid, frame)
    return energy_pointing_game(np.asarray(heatmap)[None], boxes=[box], size=frame)[0]


def _cell_box(cell: int, grid: int, size: tuple[int, int]) -> Boxes:
    """Return the box (1, 4) of one cell of a grid in a frame (H, W)."""
    height, width = size[0] // grid, size[1] // grid
    row, column = divmod(cell, grid)
    box = np.array([[column, row, column + 1, row + 1]], np.float32)
    return box * np.array([width, height, width, height], np.float32)


def _side(mosaic: Mosaic) -> int:
    return round(len(mosaic.labels) ** 0.5)
