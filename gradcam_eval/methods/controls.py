"""Controls: trivial heatmaps that stand in every study as its floor and its ceiling.

They look at no layer and no gradient. A method that does not beat `random`, `centre_gaussian` and
`edges` has shown nothing; none can beat `oracle` in localization; a metric that gives `constant` a
number has ranked pixels by their place in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from skimage.color import rgb2gray
from skimage.filters import sobel

from gradcam_eval.arrays import resize
from gradcam_eval.core import Heatmap, Image, Truth, Undefined

_LARGEST_CELL = 32  # pixels: the stride of a usual last layer
_FEWEST_CELLS = 7  # along the shorter side: that layer's map of a 224-pixel image


@dataclass(frozen=True, eq=False)
class ControlInput:
    """What a control may look at: the picture, its truth, and a generator of its own."""

    image: Image
    truth: Truth
    generator: np.random.Generator


def random(given: ControlInput) -> Heatmap:
    """Uniform noise on a coarse grid, bilinearly enlarged to (H, W). Range [0, 1].

    The cells are squares of 32 pixels, or smaller where the shorter side would have fewer than
    seven of them: as coarse as the heatmap of a usual last layer, so that it differs from one in
    where it points and not in how it tears the picture. Pixel-wise noise removes all detail at
    once, which by itself drops a model's score fast.
    """
    height, width = given.image.shape[:2]
    cell = min(_LARGEST_CELL, max(1, min(height, width) // _FEWEST_CELLS))
    grid = (-(-height // cell), -(-width // cell))
    return resize(given.generator.random(grid, np.float32), (height, width))


def centre_gaussian(given: ControlInput) -> Heatmap:
    """exp(−d²/2) with d the distance from the centre in quarters of each side. Range (0, 1]."""
    height, width = given.image.shape[:2]
    y = (np.arange(height) + 0.5 - height / 2) / (height / 4)
    x = (np.arange(width) + 0.5 - width / 2) / (width / 4)
    return np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 2).astype(np.float32)


def edges(given: ControlInput) -> Heatmap:
    """Sobel gradient magnitude of the picture's luminance, 0..1 as scikit-image scales it.

    Of images that are not RGB, the channels' mean takes the place of the luminance.
    """
    image = given.image / 255.0
    grey = rgb2gray(image) if image.shape[2] == 3 else image.mean(axis=2)
    return sobel(grey).astype(np.float32)


def constant(given: ControlInput) -> Heatmap:
    """1 everywhere: no pixel comes before another, so what metrics say is undefined."""
    return np.ones(given.image.shape[:2], np.float32)


def oracle(given: ControlInput) -> Heatmap | Undefined:
    """The truth itself: 1 on the object's mask (or, without one, in its boxes), 0 elsewhere."""
    truth = given.truth
    if not truth.is_known:
        return Undefined("nobody annotated where the object is")
    if truth.mask is not None and truth.mask.any():
        return truth.mask.astype(np.float32)
    heatmap = np.zeros(truth.size, np.float32)
    for x0, y0, x1, y1 in np.rint(truth.boxes).astype(int):
        heatmap[max(y0, 0) : y1, max(x0, 0) : x1] = 1
    return heatmap


CONTROLS: dict[str, Callable[[ControlInput], Heatmap | Undefined]] = {
    "random": random,
    "centre_gaussian": centre_gaussian,
    "edges": edges,
    "constant": constant,
    "oracle": oracle,
}
