"""A and G of a layer as arrays: against a model in two halves, and what is refused."""

import keras
import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import explain
from gradcam_eval.methods.layer_values import activations_and_gradients

LAYERS = keras.layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 6, 3))
    x = LAYERS.Conv2D(4, 3, padding="same", activation="relu", name="early")(inputs)
    x = LAYERS.Conv2D(5, 3, padding="same", activation="relu", name="late")(x)
    x = LAYERS.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, LAYERS.Dense(3, activation="softmax", name="head")(x))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 8, 6, 3)).astype(np.float32)


def test_behind_pooling_the_gradient_is_the_weight_over_the_places(model, images):
    activations, gradients = activations_and_gradients(model, images, [2, 0])
    trunk = keras.Model(model.input, model.get_layer("late").output)
    np.testing.assert_allclose(activations, trunk(images), rtol=1e-5)
    weights = model.get_layer("head").kernel.numpy()  # (5, 3); 8 x 6 places
    for n, target in enumerate((2, 0)):
        expected = np.broadcast_to(weights[:, target] / 48, (8, 6, 5))
        np.testing.assert_allclose(gradients[n], expected, rtol=1e-5)


def test_they_are_what_heatmaps_are_made_of(model, images):
    found = activations_and_gradients(model, images, 1, layer="early", score="log_odds")
    maps = explain(model, images, layers="early", methods="hires_cam", targets=1, score="log_odds")
    expected = np.maximum((found[0] * found[1]).sum(axis=-1), 0)
    np.testing.assert_allclose(maps["early", "hires_cam"], expected, rtol=1e-4, atol=1e-7)
    assert model.get_layer("early").call.__self__ is model.get_layer("early")


def test_what_does_not_fit_is_named(model, images):
    with pytest.raises(InputError, match="'all' stands for 2 layers: name one"):
        activations_and_gradients(model, images, 0, layer="all")
    with pytest.raises(InputError, match="wanted classes, by index or name"):
        activations_and_gradients(model, images, "predicted:2")
    with pytest.raises(InputError, match="classes are 0 to 2"):
        activations_and_gradients(model, images, [0, 3])
    with pytest.raises(InputError, match="did you mean 'logit'"):
        activations_and_gradients(model, images, 0, score="logits")
    inputs = keras.Input((8, 6, 3))
    x = LAYERS.Conv2D(4, 3, padding="same", activation="relu", name="early")(inputs)
    pixels = keras.Model(inputs, LAYERS.Conv2D(3, 1, activation="softmax")(x))
    with pytest.raises(InputError, match="this model is a segmentation"):
        activations_and_gradients(pixels, images, 0, layer="early")
