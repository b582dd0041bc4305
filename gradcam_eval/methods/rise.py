"""RISE: show the image through random masks and add up those under which it scores well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.methods.fills import check_fill, fill_colour
from gradcam_eval.methods.loops import blend, check_count, fold, per_image
from gradcam_eval.methods.probe import Probe
from gradcam_eval.methods.registry import Options, Passes, Sizes


def rise(
    probe: Probe, *, masks: int = 4000, cells: int = 7, p: float = 0.5, fill: str = "mean"
) -> Any:
    """RISE: the mean of random masks, each weighed by the score of the image seen through it.

    L = (1 / (p·n)) Σₙ f(X ∘ Mₙ) Mₙ, an estimate of E[f(X ∘ M) | pixel is shown]. A mask is a grid
    of cells × cells, each 1 with probability p and else 0, enlarged bilinearly to
    (cells + 1)·⌈H / cells⌉ by (cells + 1)·⌈W / cells⌉, the grid mirrored at its outermost values,
    and cut to (H, W) at a random shift of less than one cell. Range [0, max f / p] for a
    probability; signed for a logit.

    Parameters
    ----------
    probe : at no layer
    masks : how many, the n of the formula: 4000 as in the paper for VGG16 (8000 for ResNet50)
    cells : cells of the grid along each side
    p : probability that a cell is shown, above 0 and at most 1
    fill : what a mask of 0 leaves of the image: "mean", the image's own mean colour, or "black"

    Returns
    -------
    float32 (N, H, W), larger = more relevant

    Raises
    ------
    InputError : fewer masks or cells than 1, p outside (0, 1], an unknown fill

    Notes
    -----
    - The paper multiplies the normalised image, where 0 is the data set's mean colour. Images are
      0..255 here, so X ∘ M is M·X + (1 − M)·fill.
    - The paper's f is a probability; here it is the explained score, so ask for
      score="probability" for the published method. A constant added to f adds that constant times
      ΣM / (p·n), which is noise of order 1/√n: logits far from 0 need more masks.
    - The authors' notebooks take other values from one example to the next (2000 masks of 8 cells
      at p = 0.5 in the simplest).
    - Grids are enlarged as by the authors' code (scikit-image's `resize` with mode="reflect"). A
      resize that repeats the outermost values makes other masks along the border.
    - The same masks serve every image; they depend on the seed and the options alone.

    References
    ----------
    Petsiuk, Das & Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
    BMVC 2018, equation 6 and section 3.2.
    """
    check_rise("rise", {"masks": masks, "cells": cells, "p": p, "fill": fill})
    images = probe.images
    colour = fill_colour(images, fill)
    mask_of = _masks((images.shape[1], images.shape[2]), cells, _draw(probe.seed, masks, cells, p))

    def step(items: Any, total: Any) -> tuple[Any]:
        image = items // masks
        mask = mask_of(items % masks)
        seen = blend(tf.gather(images, image), mask, tf.gather(colour, image))
        scores = tf.cast(probe.score(seen, image), tf.float32)
        return (total + per_image(scores[:, None, None] * mask, image, total),)

    start = tf.zeros_like(images[..., 0])
    items = tf.shape(images)[0] * masks
    (total,) = fold(step, (start,), total=items, chunk=probe.chunk)
    return total / (p * masks)


def check_rise(name: str, options: Options) -> None:
    """Raise InputError for fewer masks or cells than 1, p outside (0, 1] or an unknown fill."""
    check_count(name, "masks", options["masks"])
    check_count(name, "cells", options["cells"])
    p = options["p"]
    if not 0 < p <= 1:
        raise InputError(f"{name}: p is {p}: wanted a probability above 0 and at most 1")
    check_fill(options["fill"])


def rise_passes(sizes: Sizes, options: Options) -> Passes:
    """One forward pass for each mask."""
    return Passes(options["masks"])


def _draw(seed: int, masks: int, cells: int, p: float) -> tuple[Any, Any]:
    """Return the grids (masks, cells, cells), 0 or 1, and the shifts (masks, 2) in cells, 0..1."""

    def uniform(shape: tuple[int, ...], stream: int) -> Any:
        # The algorithm is named, since the default one depends on the device.
        key = tf.constant([seed, stream], tf.int64)
        return tf.random.stateless_uniform(shape, key, alg="philox")

    return tf.cast(uniform((masks, cells, cells), 0) < p, tf.float32), uniform((masks, 2), 1)


def _mirrored(length: int, cells: int) -> NDArray[np.float32]:
    """Return the weights (length, cells) of linear interpolation, mirrored at the outermost cells.

    A position beyond the middle of the first cell by t has the value at t on its other side.
    """
    places = (np.arange(length) + 0.5) * cells / length - 0.5
    last = cells - 1
    places = np.clip(last - np.abs(last - np.abs(places)), 0, last)  # one cell has no other side
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(cells))).astype(np.float32)


def _masks(size: tuple[int, int], cells: int, drawn: tuple[Any, Any]) -> Callable[[Any], Any]:
    """Return the function from numbers (m,) to masks (m, H, W), 0..1.

    Enlarging and cutting is linear in the grid and goes by rows and columns: R · grid · Cᵀ.
    """
    grids, shifts = drawn

    def along(length: int, numbers: Any, axis: int) -> Any:
        cell = -(-length // cells)
        enlarged = tf.constant(_mirrored((cells + 1) * cell, cells))
        first = tf.cast(tf.gather(shifts, numbers)[:, axis] * cell, tf.int32)
        return tf.gather(enlarged, first[:, None] + tf.range(length))

    def mask_of(numbers: Any) -> Any:
        rows, columns = (along(length, numbers, axis) for axis, length in enumerate(size))
        return tf.einsum("mhy,myx,mwx->mhw", rows, tf.gather(grids, numbers), columns)

    return mask_of
