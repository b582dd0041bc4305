"""The cut: where it falls, that trunk and head together are the whole, and when there is none."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.models.cut import cut
from gradcam_eval.models.frozen_graph import Unsuitable, freeze
from gradcam_eval.models.tap import LayerCall, record
from gradcam_eval.models.watch import Watch

IMAGES = tf.TensorSpec((None, 12, 12, 3), tf.float32)
TARGETS = tf.TensorSpec((None,), tf.int32)


@pytest.fixture(scope="module")
def model():
    """Return a model with a skip connection round the layers "inside" and "deeper"."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    before = keras.layers.Conv2D(6, 3, activation="relu", name="before")(image)
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="inside")(before)
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="deeper")(x)
    joined = keras.layers.Add(name="joined")([x, before])
    x = keras.layers.Conv2D(8, 3, activation="relu", name="last")(joined)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(4, activation="softmax")(x))


def pass_of(model, names):
    """Return A, G, scores and probabilities of some layers, as one function."""
    calls = [LayerCall(name, model.get_layer(name), 0, ()) for name in names]

    def function(images, targets):
        def score(outputs):
            return tf.gather(tf.math.log(outputs), targets, batch_dims=1)

        seen = record(lambda: model(images, training=False), calls, score)
        return {"A": seen.activations, "G": seen.gradients, "outputs": seen.outputs}

    return tf.function(function, input_signature=[IMAGES, TARGETS], autograph=False)


@pytest.fixture
def arguments(rng):
    return tf.constant(rng.uniform(0, 1, (3, 12, 12, 3)), tf.float32), tf.constant([0, 3, 1])


CUTS = {
    ("last",): "last",
    ("joined",): "joined",
    ("inside",): "before",  # the skip connection leads round it
    ("deeper",): "before",
    ("before",): "before",
    ("last", "inside"): "before",
    ("joined", "last"): "joined",
}


@pytest.mark.parametrize("names", CUTS, ids=",".join)
def test_it_falls_where_all_ways_meet_and_the_parts_are_the_whole(model, arguments, names):
    function = pass_of(model, names)
    frozen = freeze(function, Watch(model))
    parts = cut(frozen)
    assert f"/{CUTS[names]}" in parts.name
    assert parts.shape[1:] == model.get_layer(CUTS[names]).output.shape[1:]
    (value,) = parts.trunk(arguments[0])
    found = frozen.signature.packed(parts.head(value, *frozen.signature.tensors(arguments)))
    wanted = function(*arguments)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_head_has_no_operation_of_the_trunk(model):
    parts = cut(freeze(pass_of(model, ["last"]), Watch(model)))
    kinds = [operation.type for operation in parts.head.graph.get_operations()]
    assert kinds.count("Conv2D") == 0
    assert [op.type for op in parts.trunk.graph.get_operations()].count("Conv2D") == 4


def test_the_head_takes_the_value_that_it_is_given(model, arguments):
    frozen = freeze(pass_of(model, ["last"]), Watch(model))
    parts = cut(frozen)
    (value,) = parts.trunk(arguments[0])
    found = frozen.signature.packed(parts.head(value * 2.0, *frozen.signature.tensors(arguments)))
    np.testing.assert_allclose(found["A"][0], value * 2.0)
    pooled = tf.reduce_mean(value * 2.0, axis=(1, 2))
    np.testing.assert_allclose(found["outputs"], model.layers[-1](pooled), rtol=1e-4)


def test_a_pass_that_asks_the_images_again_cannot_be_cut(model):
    def function(images, targets):
        chosen = tf.gather(model(images), targets, batch_dims=1)
        return chosen * tf.reduce_mean(images, axis=(1, 2, 3))

    traced = tf.function(function, input_signature=[IMAGES, TARGETS], autograph=False)
    with pytest.raises(Unsuitable, match="leads round the layer"):
        cut(freeze(traced, Watch(model)))


def test_the_size_of_the_images_may_be_asked(model, arguments):
    def function(images, targets):
        return model(images), tf.shape(images)[0]

    traced = tf.function(function, input_signature=[IMAGES, TARGETS], autograph=False)
    frozen = freeze(traced, Watch(model))
    parts = cut(frozen)
    found = parts.head(parts.trunk(arguments[0])[0], *frozen.signature.tensors(arguments))
    assert int(found[1]) == 3


def test_a_layer_before_the_first_convolution_leaves_nothing_to_cut_off(model):
    preprocessed = keras.Sequential(
        [keras.Input((12, 12, 3)), keras.layers.Rescaling(0.5, name="scaled"), model]
    )
    with pytest.raises(Unsuitable):
        cut(freeze(pass_of(preprocessed, ["scaled"]), Watch(preprocessed)))


def test_a_function_that_does_not_look_at_the_images(model):
    traced = tf.function(
        lambda images, targets: targets + 1, input_signature=[IMAGES, TARGETS], autograph=False
    )
    with pytest.raises(Unsuitable):
        cut(freeze(traced, Watch(model)))
