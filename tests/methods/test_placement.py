"""Where a map's values lie on the image: stretched, or at their receptive fields."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.arrays import place, resize
from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.models.inputs import model_inputs
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.placement import find_centres
from gradcam_eval.models.selection import resolve_layers

L = keras.layers


def slow_place(heatmap, centres, frame):
    """Row by row and column by column, by NumPy's own interpolation."""
    rows, columns = centres
    wide = np.stack([np.interp(np.arange(frame[1]), columns, line) for line in heatmap])
    return np.stack([np.interp(np.arange(frame[0]), rows, line) for line in wide.T], axis=1)


@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (6, 1), (1, 1)])
def test_it_is_linear_between_the_centres_and_nearest_beyond(shape, rng):
    heatmap = rng.normal(size=shape)
    centres = tuple(np.sort(rng.uniform(-4, 24, n)) for n in shape)
    placed = place(heatmap, centres, (20, 17))
    np.testing.assert_allclose(placed, slow_place(heatmap, centres, (20, 17)), rtol=1e-5, atol=1e-6)


def test_even_centres_are_a_stretch(rng):
    maps = rng.normal(size=(2, 4, 5)).astype(np.float32)
    centres = (np.arange(4) * 8 + 3.5, np.arange(5) * 4 + 1.5)
    np.testing.assert_allclose(place(maps, centres, (32, 20)), resize(maps, (32, 20)), rtol=1e-5)


def test_another_size_is_the_same_picture_smaller():
    ramp = np.linspace(0, 1, 8)[None].repeat(8, axis=0)
    centres = (np.arange(8) * 4 + 5.0, np.arange(8) * 4 + 5.0)
    large, small = place(ramp, centres, (64, 64)), place(ramp, centres, (64, 64), (32, 32))
    np.testing.assert_allclose(small, large.reshape(32, 2, 32, 2).mean(axis=(1, 3)), atol=0.02)


def test_a_mirrored_map_lies_mirrored(rng):
    heatmap, centres = rng.normal(size=(3, 4)), (np.arange(3) * 2.0, np.arange(4) * 3.0)
    mirrored = place(heatmap[:, ::-1], (centres[0], centres[1][::-1]), (6, 12))
    np.testing.assert_allclose(mirrored, place(heatmap, centres, (6, 12)))


def shifting():
    """Strided convolutions without padding: the last map covers the top left of the image."""
    layers = [L.Conv2D(1, 5, strides=s, use_bias=False, kernel_initializer="ones") for s in (1, 2)]
    pads = [L.ZeroPadding2D(((0, 9), (9, 0))), *layers, L.Conv2D(1, 3, strides=2, name="last")]
    return keras.Sequential([keras.Input((40, 40, 1)), *pads, L.Flatten(), L.Dense(2)])


def explained(model, images):
    """Heatmaps that are the activation of the last map itself."""
    calls = resolve_layers(find_layers(model), "last")
    heads = keras.Model(model.inputs, calls[0].layer.output)
    maps = np.abs(np.asarray(heads(images)))[..., 0]
    inputs = model_inputs(model)
    return calls[0].path, Heatmaps(
        maps={(calls[0].path, "activation"): maps},
        scores=np.zeros(len(images), np.float32),
        image_size=(40, 40),
        find_centres=lambda: find_centres(model, inputs, calls),
    )


@pytest.mark.parametrize("pixel", [(16, 26), (20, 20), (30, 24), (12, 12)])
def test_a_stimulus_lands_on_itself_only_by_its_receptive_field(pixel):
    keras.utils.set_random_seed(0)
    model = shifting()
    model.get_layer("last").set_weights([np.ones((3, 3, 1, 1)), np.zeros(1)])
    images = np.zeros((1, 40, 40, 1), np.float32)
    images[0, pixel[0], pixel[1]] = 1
    path, maps = explained(model, images)

    def centre_of_mass(geometry):
        heatmap = maps.resized(geometry=geometry)[path, "activation"][0]
        weights = heatmap / heatmap.sum()
        return np.array([(weights.sum(axis=1 - axis) * np.arange(40)).sum() for axis in (0, 1)])

    assert np.abs(centre_of_mass("receptive_field") - pixel).max() < 1
    assert np.abs(centre_of_mass("stretch") - pixel).max() > 2


def test_a_map_of_the_images_size_is_placed_too_unless_its_positions_are_pixels():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            L.ZeroPadding2D(((6, 0), (0, 6))),
            L.Conv2D(3, 7, activation="relu", name="shifted"),  # 12×12 again, off by 3 each way
            L.GlobalAveragePooling2D(),
            L.Dense(2),
        ]
    )
    methods = ["hires_cam", "guided_grad_cam", "gradient"]
    images = np.random.default_rng(0).uniform(0, 255, (1, 12, 12, 1)).astype(np.float32)
    maps = Explainer(model, "shifted", methods)(images, 1)
    stretched, placed = maps.resized(), maps.resized(geometry="receptive_field")
    for key in maps:
        np.testing.assert_array_equal(stretched[key], maps[key])
    (cam,) = maps["shifted", "hires_cam"]
    assert cam.max() > cam.min()
    # row i sees rows i − 6 to i, and column j sees columns j to j + 6
    np.testing.assert_allclose(placed["shifted", "hires_cam"][0, :9, 3:], cam[3:, :9], rtol=1e-5)
    for key in (("shifted", "guided_grad_cam"), ("input", "gradient")):
        np.testing.assert_array_equal(placed[key], maps[key])


def test_what_is_not_known_is_refused_with_the_reason():
    inputs = keras.Input((40, 40, 1))
    x = L.Conv2D(2, 3, name="conv")(keras.ops.cumsum(inputs, axis=1))
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    _, maps = explained(model, np.ones((1, 40, 40, 1), np.float32))
    assert maps.resized()["conv", "activation"].shape == (1, 40, 40)
    with pytest.raises(InputError, match=r"'conv' cannot be placed.*Cumsum.*geometry='stretch'"):
        maps.resized(geometry="receptive_field")
    with pytest.raises(InputError, match="did you mean 'stretch'"):
        maps.resized(geometry="strech")


def test_maps_of_the_images_size_are_in_place_already(rng):
    maps = rng.normal(size=(2, 8, 8)).astype(np.float32)
    heatmaps = Heatmaps({("input", "gradient"): maps}, np.zeros(2, np.float32), (8, 8))
    placed = heatmaps.resized(geometry="receptive_field")
    np.testing.assert_array_equal(placed["input", "gradient"], maps)
    small = Heatmaps({("a+b", "mean"): maps}, np.zeros(2, np.float32), (16, 16))
    with pytest.raises(InputError, match="not one layer's"):
        small.resized(geometry="receptive_field")


class SomeRows(L.Layer):
    def call(self, x):
        return tf.gather(x, [0, 1, 3, 6], axis=1)


def test_a_map_of_uneven_rows_is_not_placed():
    """Its columns lie evenly, which is not enough."""
    layers = [L.Conv2D(2, 3), SomeRows(), L.Conv2D(2, 1, name="uneven")]
    head = [L.GlobalAveragePooling2D(), L.Dense(2)]
    model = keras.Sequential([keras.Input((9, 9, 3)), *layers, *head])
    maps = Explainer(model, "uneven")(np.ones((1, 9, 9, 3)))
    with pytest.raises(InputError, match="its positions do not lie evenly on the image"):
        maps.resized(geometry="receptive_field")
