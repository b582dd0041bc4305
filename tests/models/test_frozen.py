"""A frozen graph gives the live one's numbers, and new ones as soon as a weight changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from gradcam_eval.models import frozen
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.frozen import FrozenFunction, weights_digest

SPEC = tf.TensorSpec((None, 8, 8, 3), tf.float32)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(6.0),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)


def builder(forward):
    def both(images, count):
        return {"scores": forward(images), "next": count + 1}

    signature = [SPEC, tf.TensorSpec((), tf.int32)]
    return tf.function(both, input_signature=signature, autograph=False)


def test_the_numbers_and_their_structure_are_the_live_functions(model, images):
    function = Predictor(model).compiled(builder)
    assert isinstance(function, FrozenFunction)
    found = function(images, 4)
    np.testing.assert_allclose(found["scores"], model(images), rtol=1e-5, atol=1e-7)
    assert int(found["next"]) == 5


def test_the_graph_is_really_frozen(model, images):
    function = Predictor(model).compiled(builder)
    function(images, 0)
    held = [cell.cell_contents for cell in function._frozen.__closure__]
    (graph,) = [item for item in held if hasattr(item, "graph") and not item.variables]
    assert not graph.graph.variables


@pytest.mark.parametrize("which", range(6), ids=lambda n: f"weight {n}")
def test_a_change_of_any_weight_is_seen_at_the_next_call(model, images, which):
    function = Predictor(model).compiled(builder)
    before = function(images, 0)["scores"].numpy()
    weight = model.weights[which]
    weight.assign(weight + np.linspace(0.5, 1, weight.shape[-1]))
    after = function(images, 0)["scores"].numpy()
    assert np.abs(after - before).max() > 1e-5
    np.testing.assert_allclose(after, model(images), rtol=1e-5, atol=1e-7)


def test_it_is_frozen_once_while_the_weights_stay(model, images, monkeypatch):
    calls = []
    original = frozen._freeze
    monkeypatch.setattr(frozen, "_freeze", lambda f: calls.append(f) or original(f))
    function = Predictor(model).compiled(builder)
    for _ in range(3):
        function(images, 0)
    assert len(calls) == 1


def test_a_graph_that_cannot_be_frozen_runs_as_it_is(model, images, monkeypatch):
    def refuse(*_):
        raise ValueError("cannot")

    monkeypatch.setattr(convert_to_constants, "convert_variables_to_constants_v2", refuse)
    function = Predictor(model).compiled(builder)
    np.testing.assert_allclose(function(images, 0)["scores"], model(images), rtol=1e-6)


def test_the_digest_is_of_values(model):
    before = weights_digest(model)
    assert weights_digest(model) == before
    weight = model.weights[0]
    weight.assign(weight * 1.0)
    assert weights_digest(model) == before
    weight.assign(weight * (1 + 1e-6))
    assert weights_digest(model) != before
