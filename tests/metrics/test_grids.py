"""Mosaics: how they are made, scores by hand, and disconnected cells."""

import keras
import numpy as np
import pytest

import gradcam_eval as ge
from gradcam_eval.core import Case, InputError, Undefined
from gradcam_eval.metrics import (
    difull,
    dipart,
    evaluate,
    grid_pointing_game,
    make_mosaics,
    mosaic_samples,
)
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


def test_the_published_enlargement_is_that_of_the_grid_pointing_game():
    generator = np.random.default_rng(2)
    activations = generator.random((4, 3, 3, 5)).astype(np.float32)
    gradients = generator.random((4, 3, 3, 5)).astype(np.float32)
    images, labels = pictures()
    (mosaic,) = make_mosaics(images, labels, count=1, grid=2)
    size = mosaic.image.shape[:2]

    def explain(images, targets):
        """The heatmap of each cell's class as `difull` makes it."""
        maps = []
        for target in targets:
            alone = np.zeros_like(gradients)
            cell = mosaic.labels.index(int(target))
            alone[cell] = gradients[cell]
            maps.append(hires_cam(tiled(activations, 2), tiled(alone, 2)))
        return np.stack(maps)

    for protocol, known in (("rao2022", {"size": size}), ("rao2022_map", {})):
        (played,) = grid_pointing_game(explain, [mosaic], protocol=protocol)
        found = difull(hires_cam, activations, gradients, grid=2, protocol=protocol, **known)
        np.testing.assert_allclose(found, played, rtol=1e-6)
        assert difull(hires_cam, activations, gradients, grid=2, **known) == found  # the default
        assert np.min(found) == pytest.approx(1.0) if not known else np.max(found) < 0.999
    # along 8 rows a cell's three values reach over the border: by hand for a map of ones
    ones = np.ones((4, 1, 1, 1), np.float32)
    by_hand = (3.5 / 4) ** 2  # see `test_a_coarse_map_is_enlarged_to_the_mosaic`
    assert difull(hires_cam, ones, ones, grid=2, size=(8, 8)) == pytest.approx([by_hand] * 4)
    with pytest.raises(InputError, match=r"'rao2022' enlarges .* give size=\(H, W\), or protocol="):
        difull(hires_cam, ones, ones, grid=2, protocol="rao2022")
    with pytest.raises(InputError, match="unknown protocol of the metric 'difull' 'rao'"):
        difull(hires_cam, ones, ones, grid=2, protocol="rao")
    odd = np.ones((1, 7, 7), np.float32)
    with pytest.raises(InputError, match="7 × 7 values among 2 × 2 cells"):
        grid_pointing_game(
            lambda images, targets: odd.repeat(len(images), 0), [mosaic], protocol="rao2022_map"
        )


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


def test_cells_as_samples_play_the_same_game():
    images, labels = pictures()
    mosaics = make_mosaics(images, labels, count=2, grid=2)
    samples = mosaic_samples(mosaics)
    assert len({sample.id for sample in samples}) == len(samples) == 8
    assert [sample.labels for sample in samples] == [(k,) for m in mosaics for k in m.labels]
    cases = [
        Case(
            sample.image,
            knowing([sample.image], sample.labels)[0],
            sample.labels[0],
            sample.truth.of(sample.labels[0]),
            sample.original_truth,
        )
        for sample in samples
    ]
    played = grid_pointing_game(knowing, mosaics)
    assert evaluate("energy_pointing_game", cases) == [share for row in played for share in row]


@pytest.fixture(scope="module")
def planted():
    """A trained network, the same for mosaics, and pictures of six classes that it knows."""
    model = ge.load_model("evidence_gap")
    wide = keras.models.clone_model(model, input_tensors=keras.Input((None, None, 3)))
    wide.set_weights(model.get_weights())
    names = ge.model_spec("evidence_gap").class_names
    source = ge.open_source("evidence/single")
    samples = ge.load_samples(source.named(source.names[:24]), (96, 96), classes=names)
    images = np.stack([sample.image for sample in samples])
    labels = np.array([sample.labels[0] for sample in samples])
    right = ge.Predictor(model)(images).argmax(axis=1) == labels
    return model, wide, images[right], labels[right]


def test_a_trained_network_points_into_the_cell_and_a_blind_method_does_not(planted):
    _, wide, images, labels = planted
    mosaics = make_mosaics(images, labels, count=4, grid=2)
    explainer = ge.Explainer(wide, "conv6_relu", ["grad_cam", "hires_cam", "eigen_cam"])
    found = {
        method: grid_pointing_game(lambda x, t, m=method: explainer(x, t)["conv6_relu", m], mosaics)
        for method in ("grad_cam", "hires_cam", "eigen_cam")
    }
    # Behind global average pooling the gradient is the same at all places: one map.
    np.testing.assert_allclose(found["grad_cam"], found["hires_cam"], rtol=1e-4)
    assert np.mean(found["grad_cam"]) > 0.5
    # It does not look at the class, so the four shares of a mosaic are those of one map.
    np.testing.assert_allclose(np.sum(found["eigen_cam"], axis=1), 1, rtol=1e-4)


def test_disconnected_cells_of_a_trained_network(planted):
    model, wide, images, labels = planted
    (mosaic,) = make_mosaics(images, labels, count=1, grid=2, seed=1)
    cells = images[list(mosaic.members)]
    activations, gradients = ge.activations_and_gradients(model, cells, mosaic.labels)
    whole, _ = ge.activations_and_gradients(wide, mosaic.image, mosaic.labels[0])
    methods = {name: ge.METHODS[name].formula for name in ("hires_cam", "layer_cam", "grad_cam")}
    full = {m: difull(f, activations, gradients, grid=2) for m, f in methods.items()}
    part = {m: dipart(f, whole[0], gradients, grid=2) for m, f in methods.items()}
    for shares in (full, part):
        np.testing.assert_allclose(shares["hires_cam"], 1)
        np.testing.assert_allclose(shares["layer_cam"], 1)
        assert max(shares["grad_cam"]) < 0.99  # its weights hold at every place
    # A cell by itself and as part of the mosaic differ by what lies beyond its border.
    np.testing.assert_allclose(full["grad_cam"], part["grad_cam"], atol=0.25)
