"""Models that may be spoilt, and layers as if never trained."""

import contextlib
import warnings

import keras
import numpy as np
import pytest
from tiny import cnn, disturbed, is_same, nested, pictures, subclassed, values_of

from gradcam_eval.models.inputs import model_inputs
from gradcam_eval.models.reinitialise import learned_layers, reinitialise
from gradcam_eval.models.scratch import answers_of, scratch_model

L = keras.layers


def learned(model):
    return learned_layers(model, model_inputs(model, given=pictures(1)))


@pytest.mark.parametrize("make", [cnn, nested])
def test_a_copy_answers_alike_and_shares_nothing(make):
    model, images = make(), pictures(2)
    before = values_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with scratch_model(model, images) as copy:
            assert copy is not model
            np.testing.assert_allclose(answers_of(copy, images), answers_of(model, images))
            for weight in copy.weights:
                weight.assign(weight.numpy().copy() + 1)
            assert not np.allclose(answers_of(copy, images), answers_of(model, images))
    assert is_same(values_of(model), before)


@pytest.mark.parametrize("fails", [False, True])
def test_what_cannot_be_copied_is_lent_and_put_back_also_after_an_error(fails):
    model = subclassed()
    before = values_of(model)

    def spoil():
        with scratch_model(model, pictures(1)) as lent:
            assert lent is model
            lent.weights[0].assign(np.zeros(lent.weights[0].shape))
            assert not is_same(values_of(model), before)
            if fails:
                raise KeyError("whatever")

    raising = pytest.raises(KeyError) if fails else contextlib.nullcontext()
    with pytest.warns(UserWarning, match="its own weights are changed for a while"), raising:
        spoil()
    assert is_same(values_of(model), before)


def test_layers_come_in_the_order_of_calls_with_their_own_variables():
    found = learned(nested())
    assert [each.path for each in found] == ["block/conv", "logits"]
    assert [len(each.variables) for each in found] == [2, 2]
    found = learned(cnn())
    assert [each.path for each in found] == ["early", "late_conv", "late_bn", "logits"]
    assert [v.name for v in found[2].variables] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
    ]


def test_without_statistics_a_layer_keeps_its_trainable_variables_alone():
    model = cnn()
    found = learned_layers(model, model_inputs(model), with_statistics=False)
    assert [each.path for each in found] == ["early", "late_conv", "late_bn", "logits"]
    assert [v.name for v in found[2].variables] == ["gamma", "beta"]
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, L.BatchNormalization(center=False, scale=False)(inputs))
    assert len(learned_layers(model, model_inputs(model))) == 1
    assert learned_layers(model, model_inputs(model), with_statistics=False) == []


def test_each_variable_gets_what_its_layer_s_initialiser_gives():
    model = cnn()
    parts = {each.path: each for each in learned(model)}
    for each in parts.values():
        assert reinitialise(each, np.random.default_rng(0))
    normal = model.get_layer("late_bn")
    for name, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1)):
        np.testing.assert_array_equal(getattr(normal, name).numpy(), np.full(8, value))
    kernel = model.get_layer("late_conv").kernel.numpy()
    limit = np.sqrt(6 / (9 * 6 + 9 * 8))  # Glorot uniform: fan in 3·3·6, fan out 3·3·8
    assert 0.9 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_array_equal(model.get_layer("early").bias.numpy(), np.zeros(6))


def test_new_weights_depend_on_the_generator_and_not_on_the_old_ones():
    one, other = cnn(seed=1), cnn(seed=2)
    for model in (one, other):
        for n, each in enumerate(learned(model)):
            reinitialise(each, np.random.default_rng([5, n]))
    assert is_same(values_of(one), values_of(other))
    reinitialise(learned(one)[0], np.random.default_rng(6))
    assert not is_same(values_of(one), values_of(other))


def test_a_fixed_seed_in_the_layer_does_not_keep_its_weights():
    inputs = keras.Input((16, 16, 3))
    initialiser = keras.initializers.HeNormal(seed=7)
    x = L.Conv2D(2, 3, kernel_initializer=initialiser, name="conv")(inputs)
    model = keras.Model(inputs, L.GlobalAveragePooling2D()(x))
    assert reinitialise(learned(model)[0], np.random.default_rng(0))


class Scale(L.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale


def test_a_weight_without_an_initialiser_is_permuted():
    inputs = keras.Input((16, 16, 8))
    model = disturbed(keras.Model(inputs, Scale(name="own")(inputs)), 0)
    (own,) = learned_layers(model, model_inputs(model))
    before = own.variables[0].numpy().copy()
    assert reinitialise(own, np.random.default_rng(1))
    after = own.variables[0].numpy().copy()
    np.testing.assert_array_equal(np.sort(after), np.sort(before))
    assert not np.array_equal(after, before)


def test_attention_embeddings_and_frozen_layers_count_and_adapted_statistics_do_not():
    inputs = keras.Input((16, 16, 3))
    normalise = L.Normalization(name="adapted")
    normalise.adapt(pictures(4))
    x = L.Reshape((16, 48))(normalise(inputs))
    x = L.Add()([x, L.Embedding(16, 48, name="place")(np.arange(16)[None])])
    x = L.MultiHeadAttention(2, 4, name="attention")(x, x)
    frozen = L.Dense(4, name="head", trainable=False)
    model = keras.Model(inputs, frozen(L.GlobalAveragePooling1D()(x)))
    found = {each.layer.name for each in learned(model)}
    assert found == {"query", "key", "value", "attention_output", "head"} | (
        {"place"} if any(layer.name == "place" for layer in model.layers) else set()
    )
    for each in learned(model):
        assert reinitialise(each, np.random.default_rng(0)), each.path
