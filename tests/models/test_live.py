"""A function that reads the weights at each call follows variables that are replaced or added."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.live import LiveFunction

SPEC = tf.TensorSpec((None, 8, 8, 3), tf.float32)
layers = keras.layers


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(6, activation="gelu", name="hidden")
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="map"),
            layers.GlobalAveragePooling2D(),
            hidden,
            layers.Dense(3, name="head"),
        ]
    )


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)


def quantise(model):
    model.quantize("int8")


def low_rank(model, layer="hidden"):
    dense = model.get_layer(layer)
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.arange(2 * dense.units).reshape(2, dense.units))


def low_rank_behind_all_others(model):
    low_rank(model, "head")


CHANGES = pytest.mark.parametrize("change", [quantise, low_rank, low_rank_behind_all_others])


def with_signature(forward):
    return tf.function(lambda x: forward(x), input_signature=[SPEC], autograph=False)


def without_signature(forward):
    return lambda x: forward(x)


@CHANGES
@pytest.mark.parametrize("builder", [None, with_signature, without_signature])
def test_predictions_in_tensorflow_follow_new_variables(model, images, change, builder):
    predictor = Predictor(model, engine="tensorflow")
    function = predictor if builder is None else predictor.compiled(builder)
    before = np.asarray(function(images))
    change(model)
    wanted = tf.nn.softmax(model(images))
    assert np.abs(before - wanted).max() > 1e-6
    np.testing.assert_allclose(np.asarray(function(images)), wanted, rtol=1e-5, atol=1e-7)


@CHANGES
@pytest.mark.parametrize("engine", ["tensorflow", "frozen"])
def test_heatmaps_follow_new_variables(model, images, change, engine):
    explainer = Explainer(model, "map", "hires_cam", engine=engine)
    before = explainer(images, 1)["map", "hires_cam"]
    change(model)
    fresh = Explainer(model, "map", "hires_cam", engine="tensorflow")(images, 1)["map", "hires_cam"]
    assert np.abs(before - fresh).max() > 1e-4 * np.abs(fresh).max()
    for _ in range(2):
        found = explainer(images, 1)["map", "hires_cam"]
        np.testing.assert_allclose(found, fresh, rtol=1e-4, atol=1e-6)


def test_it_is_traced_once_for_each_set_of_variables(model, images):
    traces = []

    def forward(x):
        traces.append(x.shape)
        return model(x)

    function = LiveFunction(tf.function(forward, input_signature=[SPEC], autograph=False), model)
    for count in (1, 2, 3):
        function(images[:count])
    model.set_weights([weight + 1 for weight in model.get_weights()])
    np.testing.assert_allclose(function(images), model(images), rtol=1e-5)
    assert len(traces) == 1
    quantise(model)
    function(images)
    function(images)
    assert len(traces) == 2


def test_a_model_that_makes_its_weights_while_it_is_traced_is_traced_once(images):
    traces = []

    class Late(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            traces.append(x.shape)
            return self.dense(keras.ops.mean(x, axis=(1, 2)))

    model = Late()
    function = LiveFunction(with_signature(model), model)
    function(images)
    count = len(traces)
    np.testing.assert_allclose(function(images), model(images), rtol=1e-5)
    assert len(traces) == count + 1  # the eager call of this test alone


def test_an_unwatched_forward_pass_keeps_the_variables_of_the_last_trace(rng):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3, activation="softmax"))
    images = rng.uniform(0, 1, (2, 4, 4, 3)).astype(np.float32)
    predictor = Predictor(model)
    before = predictor.unwatched(images)
    np.testing.assert_array_equal(before, predictor(images))
    model.layers[-1].enable_lora(1)
    model.layers[-1].lora_kernel_b.assign(np.ones((1, 3)) * [[1, -1, 0]])
    np.testing.assert_array_equal(predictor.unwatched(images), before)
    after = predictor(images)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(predictor.unwatched(images), after)
