"""RISE against the reference's masks (scikit-image's resize and a crop) and equation 6."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from handmade import SIZE, Split, photos, run, small_split
from skimage.transform import resize

from gradcam_eval.core import InputError
from gradcam_eval.methods.rise import _mirrored, rise

SEED = 11


@pytest.fixture(scope="module")
def split():
    return small_split()


def twin_masks(count, cells, p, size):
    key = [[SEED, 0], [SEED, 1]]
    grids = tf.random.stateless_uniform((count, cells, cells), key[0], alg="philox").numpy() < p
    shifts = tf.random.stateless_uniform((count, 2), key[1], alg="philox").numpy()
    cell = np.ceil(np.array(size) / cells).astype(int)
    for grid, shift in zip(grids, shifts, strict=True):
        y, x = (shift * cell).astype(int)
        large = resize(
            grid.astype(float), (cells + 1) * cell, order=1, mode="reflect", anti_aliasing=False
        )
        yield large[y : y + size[0], x : x + size[1]]


@pytest.mark.parametrize(("cells", "p", "fill"), [(4, 0.5, "mean"), (7, 0.2, "black")])
def test_is_the_equation_of_the_paper(split, cells, p, fill):
    images, targets = photos(2), [2, 0]
    options = {"masks": 9, "cells": cells, "p": p, "fill": fill}
    found = run(rise, split, images, targets, seed=SEED, **options)
    for heatmap, image, target in zip(found, images, targets, strict=True):
        colour = image.mean((0, 1)) if fill == "mean" else np.zeros(3)
        slow = np.zeros(SIZE)
        for mask in twin_masks(9, cells, p, SIZE):
            seen = mask[..., None] * image + (1 - mask[..., None]) * colour
            slow += split.score(seen.astype(np.float32), target) * mask
        np.testing.assert_allclose(heatmap, slow / (p * 9), rtol=1e-3, atol=1e-5)


def constant(value):
    """A model that gives every image the same score."""
    trunk = keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.GlobalAveragePooling2D()])
    head = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    head.layers[-1].set_weights([np.zeros((3, 1)), np.full(1, value)])
    return Split(trunk, head)


def test_a_constant_model_has_a_constant_map():
    image = photos(1)
    shown = run(rise, constant(4.0), image, [0], p=1.0, masks=20)
    np.testing.assert_allclose(shown, 4.0, rtol=1e-5)
    # With p = ½ the map is 4 · mean(M) / p: each of 2000 masks has a standard deviation of at
    # most ½, so its mean's is at most 0.011, and six of those, over p and times 4, are 0.54.
    heatmap = run(rise, constant(4.0), image, [0], p=0.5, masks=2000, chunk=500)[0]
    assert abs(heatmap - 4.0).max() < 0.54
    assert heatmap.mean() == pytest.approx(4.0, abs=0.1)
    assert heatmap.max() > heatmap.min()


def test_it_points_at_what_the_score_reads():
    """The score is the brightness of the top left pixel alone."""
    trunk = keras.Sequential([keras.Input((*SIZE, 1)), keras.layers.Cropping2D(((0, 11), (0, 9)))])
    head = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    head.layers[-1].set_weights([np.ones((1, 1)), np.zeros(1)])
    image = np.full((1, *SIZE, 1), 0.0, np.float32)
    image[0, 0, 0] = 200
    heatmap = run(rise, Split(trunk, head), image, [0], masks=300, chunk=100)[0]
    assert np.unravel_index(heatmap.argmax(), SIZE) in {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert heatmap[0, 0] > 1.3 * heatmap[6:, 5:].max()


def test_the_masks_are_shared_and_the_seed_decides(split):
    image = photos(1)
    twice = run(rise, split, np.repeat(image, 3, 0), [1, 1, 1], masks=10, chunk=7)
    np.testing.assert_allclose(twice[0], twice[2], rtol=1e-5)
    alone = run(rise, split, image, [1], masks=10, chunk=7)
    np.testing.assert_allclose(alone[0], twice[1], rtol=1e-5, atol=1e-7)
    other = run(rise, split, image, [1], masks=10, seed=1)
    assert not np.allclose(alone, other)


def test_what_cannot_be(split):
    image = photos(1)
    for p in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match=r"rise: p is .* wanted a probability above 0"):
            run(rise, split, image, [0], p=p)
    with pytest.raises(InputError, match="rise: masks is 0"):
        run(rise, split, image, [0], masks=0)
    with pytest.raises(InputError, match="rise: cells is 0"):
        run(rise, split, image, [0], cells=0)


@pytest.mark.parametrize(("length", "cells"), [(8, 1), (9, 2), (40, 4), (231, 7)])
def test_grids_are_enlarged_as_by_the_authors_code(length, cells):
    grids = np.eye(cells)
    for axis, grid in enumerate(grids):
        stripes = np.repeat(grid[:, None], 3, axis=1)
        large = resize(stripes, (length, 3), order=1, mode="reflect", anti_aliasing=False)
        np.testing.assert_allclose(_mirrored(length, cells)[:, axis], large[:, 0], atol=1e-6)
    total = _mirrored(length, cells).sum(axis=1)
    np.testing.assert_allclose(total, 1, atol=1e-6)  # a grid of ones is a mask of ones
