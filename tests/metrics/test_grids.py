"""Mosaics: how they are made, scores by hand, and disconnected cells."""

import numpy as np
import pytest

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.metrics import difull, dipart, grid_pointing_game, make_mosaics
from gradcam_eval.metrics.grids import tiled


def pictures(count=10):
    """Images of one grey value each, which is ten times the class."""
    labels = [n % 5 for n in range(count)]
    images = np.ones((count, 4, 6, 3), np.float32)
    return images * 10 * np.array(labels)[:, None, None, None], labels


def test_a_mosaic_shows_different_classes_each_in_its_cell():
    images, labels = pictures()
    mosaics = make_mosaics(images, labels, count=6, grid=2, seed=1)
    assert len(mosaics) == 6
    for mosaic in mosaics:
        assert mosaic.image.shape == (8, 12, 3)
        assert len(set(mosaic.labels)) == 4
        assert [labels[member] for member in mosaic.members] == list(mosaic.labels)
        for cell, label in enumerate(mosaic.labels):
            row, column = divmod(cell, 2)
            part = mosaic.image[4 * row : 4 * row + 4, 6 * column : 6 * column + 6]
            assert (part == 10 * label).all()
    again = make_mosaics(images, labels, count=6, grid=2, seed=1)
    assert [each.members for each in again] == [each.members for each in mosaics]
    other = make_mosaics(images, labels, count=6, grid=2, seed=2)
    assert [each.members for each in other] != [each.members for each in mosaics]


def knowing(images, targets):
    """Point where the picture has the target's grey value, and half as much elsewhere."""
    return np.stack([(i[..., 0] == 10 * t) + 0.5 for i, t in zip(images, targets, strict=True)])


def test_the_game_by_hand():
    images, labels = pictures()
    mosaics = make_mosaics(images, labels, count=3, grid=2)
    # 1.5 in the cell, 0.5 in three others: half of the energy.
    found = grid_pointing_game(knowing, mosaics, batch_size=5)
    np.testing.assert_allclose(found, np.full((3, 4), 0.5))
    perfect = grid_pointing_game(lambda i, t: knowing(i, t) - 0.5, mosaics)
    assert perfect == [[1.0] * 4] * 3
    inverted = grid_pointing_game(lambda i, t: 1.5 - knowing(i, t), mosaics)
    assert inverted == [[0.0] * 4] * 3
    flat = grid_pointing_game(lambda i, t: 0 * knowing(i, t), mosaics)
    assert flat == [[Undefined("the heatmap is all zero")] * 4] * 3


def test_a_coarse_map_is_enlarged_to_the_mosaic():
    images, labels = pictures()
    mosaics = make_mosaics(images, labels, count=1, grid=2)

    def coarse(images, targets):
        return knowing(images, targets)[:, 2::4, 3::6] - 0.5  # one value for each cell

    (found,) = grid_pointing_game(coarse, mosaics)
    # Along 8 rows the cell's weights are 1, 1, 7/8, 5/8 | 3/8, 1/8, 0, 0: inside are 3.5 of 4.
    np.testing.assert_allclose(found, [(7 / 8) ** 2] * 4)


def grad_cam(activations, gradients):
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * activations).sum(-1), 0)


def hires_cam(activations, gradients):
    return np.maximum((gradients * activations).sum(-1), 0)


def test_difull_shows_what_a_method_ascribes_to_cells_that_cannot_matter():
    generator = np.random.default_rng(0)
    activations = generator.random((9, 3, 3, 5)).astype(np.float32)
    gradients = generator.random((9, 3, 3, 5)).astype(np.float32)
    # The gradient is 0 outside the cell: so is gradient x activation.
    np.testing.assert_allclose(difull(hires_cam, activations, gradients), [1.0] * 9)
    # Grad-CAM's weights are the same everywhere: it ascribes to each cell what its activations say.
    weights = gradients.mean(axis=(1, 2)) / 9
    for cell, share in enumerate(difull(grad_cam, activations, gradients)):
        energy = (activations * weights[cell]).sum(axis=(1, 2, 3))
        assert share == pytest.approx(energy[cell] / energy.sum(), rel=1e-5)


def test_dipart_takes_the_activations_of_the_whole():
    generator = np.random.default_rng(1)
    activations = generator.random((4, 3, 3, 5)).astype(np.float32)
    gradients = generator.random((4, 3, 3, 5)).astype(np.float32)
    whole = tiled(activations, 2)
    assert dipart(grad_cam, whole, gradients, grid=2) == difull(
        grad_cam, activations, gradients, grid=2
    )
    np.testing.assert_allclose(dipart(hires_cam, whole, gradients, grid=2), [1.0] * 4)


def test_bad_input_is_named():
    images, labels = pictures()
    with pytest.raises(InputError, match="5 classes for a grid of 3 x 3"):
        make_mosaics(images, labels, count=1)
    with pytest.raises(InputError, match="wanted \\(N, H, W, C\\)"):
        make_mosaics(images[0], labels, count=1)
    mosaics = make_mosaics(images, labels, count=1, grid=2)
    with pytest.raises(InputError, match="1 heatmaps for 4 images"):
        grid_pointing_game(lambda images, targets: images[:1, :, :, 0], mosaics)
    cells = np.ones((4, 3, 3, 5), np.float32)
    with pytest.raises(InputError, match="activations have shape"):
        difull(grad_cam, cells, cells)
    with pytest.raises(InputError, match="do not fit a grid of 2 x 2"):
        dipart(grad_cam, cells[0], cells, grid=2)
