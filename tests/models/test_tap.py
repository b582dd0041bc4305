"""The tap against a second model built from the first: the same gradients, and nothing touched."""

import threading
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.selection import resolve_layers
from gradcam_eval.models.tap import record, substituted, tapped
from gradcam_eval.models.target import class_scores

SIZE = (16, 16)


def layers_of_a_cnn():
    return [
        keras.layers.Conv2D(4, 3, activation="relu", name="first"),
        keras.layers.MaxPooling2D(name="pool"),
        keras.layers.Conv2D(6, 3, activation="relu", name="second"),
        keras.layers.GlobalAveragePooling2D(name="gap"),
        keras.layers.Dense(3, activation="softmax", name="head"),
    ]


def functional():
    inputs = keras.Input((*SIZE, 3))
    x = inputs
    for layer in layers_of_a_cnn():
        x = layer(x)
    return keras.Model(inputs, x)


def nested():
    inputs = keras.Input((*SIZE, 3))
    first, pool, second, gap, head = layers_of_a_cnn()
    backbone = keras.Model(inputs, second(pool(first(inputs))), name="backbone")
    return keras.Sequential([keras.Input((*SIZE, 3)), backbone, gap, head])


def unbuilt_sequential():
    return keras.Sequential(layers_of_a_cnn())


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.pool, self.second, self.gap, self.head = layers_of_a_cnn()

    def call(self, x):
        return self.head(self.gap(self.second(self.pool(self.first(x)))))


def frozen():
    model = functional()
    model.trainable = False
    return model


KINDS = {
    "functional": functional,
    "nested": nested,
    "sequential": unbuilt_sequential,
    "subclassed": Subclassed,
    "frozen": frozen,
}


def run_tap(model, images, paths, *, index=0, size=SIZE):
    calls = resolve_layers(find_layers(model, size), paths)

    @tf.function(autograph=False)
    def run(x):
        seen = record(
            lambda: model(x, training=False),
            calls,
            lambda outputs: class_scores(outputs).logits[:, index],
        )
        scores = class_scores(seen.outputs)
        return seen.activations, seen.gradients, scores.logits, scores.probabilities

    return run(tf.convert_to_tensor(images))


def split_gradient(model, layer_names, images, index=0):
    """The independent way: a second model whose outputs are the layers', run eagerly."""
    flat = functional()
    flat.set_weights(model.get_weights())
    head = flat.get_layer("head")
    outputs = [flat.get_layer(name).output for name in layer_names]
    both = keras.Model(flat.inputs[0], [*outputs, flat.get_layer("gap").output])
    with tf.GradientTape() as tape:
        *activations, pooled = both(images)
        logits = tf.matmul(pooled, head.kernel) + head.bias
        score = logits[:, index]
    return activations, tape.gradient(score, activations), logits


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (3, *SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_activations_and_gradients_equal_the_split_models(kind, images):
    model = KINDS[kind]()
    model(images)
    got = run_tap(model, images, ["first", "second"], index=1)
    activations, gradients, logits = split_gradient(model, ["first", "second"], images, 1)
    for ours, theirs in zip(
        [*got[0], *got[1], got[2]], [*activations, *gradients, logits], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert np.abs(gradients[0]).max() > 1e-4, "a gradient of zero would prove nothing"


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_the_same_afterwards(kind, images):
    model = KINDS[kind]()
    before = model.predict(images, verbose=0)
    weights, trainable = model.get_weights(), [w.trainable for w in model.weights]
    run_tap(model, images, ["first", "second"])
    assert all("call" not in vars(layer) for layer in model._flatten_layers())
    np.testing.assert_array_equal(model.predict(images, verbose=0), before)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [w.trainable for w in model.weights] == trainable


def test_calls_are_restored_after_an_exception():
    model = functional()
    layer = model.get_layer("first")

    def stop(*_):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), tapped([layer], stop):
        model(np.zeros((1, *SIZE, 3), np.float32))
    assert "call" not in vars(layer)


def test_a_call_that_the_user_replaced_is_put_back():
    model = functional()
    layer = model.get_layer("first")
    original = layer.call

    def mine(x):
        return original(x) * 2

    layer.call = mine
    seen = []
    with tapped([layer], lambda _, output: seen.append(output)):
        model(np.ones((1, *SIZE, 3), np.float32))
    assert layer.call is mine
    assert len(seen) == 1


class Shared(keras.Model):
    """One convolution that is called twice: the tutorial recipe sees only its first call."""

    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")
        self.head = keras.layers.Dense(2, name="head")

    def call(self, x):
        return self.head(keras.ops.mean(self.conv(self.conv(x)), axis=(1, 2)))


def test_a_shared_layer_gives_each_of_its_calls(images):
    model = Shared()
    model(images)
    (a0, a1), (g0, g1), *_ = run_tap(model, images, ["conv#0", "conv#1"])
    with tf.GradientTape(persistent=True) as tape:
        first = model.conv(images)
        second = model.conv(first)
        score = model.head(tf.reduce_mean(second, axis=(1, 2)))[:, 0]
    np.testing.assert_allclose(a0, first, rtol=1e-6)
    np.testing.assert_allclose(a1, second, rtol=1e-6)
    np.testing.assert_allclose(g0, tape.gradient(score, first), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(g1, tape.gradient(score, second), rtol=1e-5, atol=1e-8)


class HidesALayer(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Conv2D(2, 3, name="inner")
        self.head = keras.layers.Dense(2, name="head")
        self.run = tf.function(lambda x: self.inner(x), autograph=False)

    def call(self, x):
        return self.head(keras.ops.mean(self.run(x), axis=(1, 2)))


def test_a_layer_inside_a_compiled_function_is_refused_in_a_sentence(images):
    model = HidesALayer()
    found = find_layers(model, SIZE)
    inner = [call for call in found.calls if call.path == "inner"]
    assert inner
    assert not found.candidates
    with pytest.raises(InputError, match=r"compiled function of its own|was not called"):
        tf.function(
            lambda x: record(lambda: model(x), inner, lambda outputs: outputs[:, 0]).raw[0],
            autograph=False,
        )(images)


def test_threads_that_trace_one_model_do_not_disturb_each_other(images):
    model = functional()
    results, errors = {}, []

    def work(n):
        try:
            results[n] = run_tap(model, images, ["first", "second"])[1][0].numpy()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(np.array_equal(results[0], result) for result in results.values())
    assert all("call" not in vars(layer) for layer in model._flatten_layers())


def test_a_substituted_output_takes_the_place_of_one_call(images):
    """conv is called twice; its first output becomes ones, so the second sees ones."""
    model = Shared()
    model(images)
    first, second = (call for call in find_layers(model, SIZE).calls if "conv" in call.path)
    assert (first.index, second.index) == (0, 1)
    ones = tf.ones((3, *SIZE, 3))
    with substituted(first, ones):
        changed = model(images)
    expected = model.head(tf.reduce_mean(model.conv(ones), axis=(1, 2)))
    np.testing.assert_allclose(changed, expected, rtol=1e-5)
    with substituted(second, ones):
        np.testing.assert_allclose(
            model(images), model.head(tf.reduce_mean(ones, axis=(1, 2))), rtol=1e-5
        )
    assert "call" not in vars(model.conv)


def test_a_substitution_ends_with_an_exception(images):
    model = functional()
    (call,) = (call for call in find_layers(model).calls if call.path == "first")
    with pytest.raises(RuntimeError, match="stop"), substituted(call, tf.zeros(())):
        raise RuntimeError("stop")
    assert "call" not in vars(call.layer)


def test_a_call_that_does_not_happen_is_refused(images):
    model = functional()
    (call,) = resolve_layers(find_layers(model), "first")
    with pytest.raises(InputError, match="'first' was not called when the model ran on an image"):
        tf.function(
            lambda x: record(lambda: model(x), [replace(call, index=1)], lambda y: y[:, 0]).raw[0],
            autograph=False,
        )(images)
