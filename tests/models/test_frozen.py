"""A frozen graph gives the live one's numbers, and new ones as soon as a weight changes."""

import importlib.util
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.models import frozen, frozen_graph
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.frozen import FrozenFunction
from gradcam_eval.models.frozen_graph import Unsuitable, freeze
from gradcam_eval.models.watch import Watch

SPEC = tf.TensorSpec((None, 8, 8, 3), tf.float32)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(6.0),
            keras.layers.DepthwiseConv2D(3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.1, 0.4, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)


def builder(forward):
    def both(images, count):
        return {"scores": forward(images), "next": count + 1}

    signature = [SPEC, tf.TensorSpec((), tf.int32)]
    return tf.function(both, input_signature=signature, autograph=False)


def compiled(model, **options):
    return FrozenFunction(builder(lambda x: model(x, training=False)), model, **options)


def score_and_gradient(model):
    """Return a function that runs the model in a loop, forwards and backwards."""

    def one(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            score = tf.math.log(model(image[None], training=False)[0, 1])
        return tape.gradient(score, image)

    def function(images):
        return tf.map_fn(one, images)

    return tf.function(function, input_signature=[SPEC], autograph=False)


def test_the_numbers_and_their_structure_are_the_live_functions(model, images):
    function = Predictor(model).compiled(builder)
    assert isinstance(function, FrozenFunction)
    found = function(images, 4)
    assert function.engine == "frozen"
    np.testing.assert_allclose(found["scores"], model(images), rtol=1e-5, atol=1e-7)
    assert int(found["next"]) == 5


def test_no_variable_is_left_in_the_graph(model):
    graph = freeze(builder(lambda x: model(x, training=False)), Watch(model))
    assert "ReadVariableOp" not in {node.op for node in graph.definition.node}
    assert graph.signature.captures == ()


def test_loops_and_gradients_freeze_too_and_leave_the_live_function_whole(model, images):
    function = score_and_gradient(model)
    live = np.array(function(images))
    quick = FrozenFunction(function, model)
    np.testing.assert_allclose(quick(images), live, rtol=1e-4, atol=1e-6)
    assert quick.engine == "frozen"
    model.layers[0].kernel.assign(model.layers[0].kernel * 2.0)
    changed = np.array(function(images))
    assert np.abs(changed - live).max() > 1e-4
    np.testing.assert_allclose(quick(images), changed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("patience", [0, 1])
def test_a_change_of_any_weight_is_seen_at_the_next_call(model, images, patience):
    function = compiled(model, patience=patience)
    assert len(model.weights) == 13
    for weight in model.weights:
        before = function(images, 0)["scores"].numpy()
        assert function.engine == "frozen"
        weight.assign(weight + np.linspace(0.02, 0.06, weight.shape[-1]))
        after = function(images, 0)["scores"].numpy()
        assert np.abs(after - before).max() > 1e-5
        np.testing.assert_allclose(after, model(images), rtol=1e-5, atol=1e-7)


def test_it_is_frozen_once_while_the_weights_stay(model, images, monkeypatch):
    calls = []
    monkeypatch.setattr(frozen, "freeze", lambda *given: calls.append(0) or freeze(*given))
    function = compiled(model)
    for _ in range(3):
        function(images, 0)
    model.set_weights([np.array(weight) for weight in model.get_weights()])
    function(images, 0)
    assert len(calls) == 1


def test_after_a_change_some_calls_run_live_and_then_it_freezes_again(model, images):
    function = compiled(model, patience=2)
    states = []
    for change in (0, 1, 0, 0, 1, 1):
        if change:
            model.layers[0].kernel.assign(model.layers[0].kernel * 1.1)
        found = function(images, 0)["scores"]
        np.testing.assert_allclose(found, model(images), rtol=1e-5, atol=1e-7)
        states.append(function.engine)
    assert states == ["frozen", *["tensorflow"] * 2, "frozen", *["tensorflow"] * 2]


def test_quantising_the_model_is_followed(model, images):
    function = compiled(model, patience=0)
    before = function(images, 0)["scores"].numpy()
    model.quantize("int8")
    after = function(images, 0)["scores"].numpy()
    assert np.abs(after - before).max() > 1e-7
    np.testing.assert_allclose(after, model(images), rtol=1e-5, atol=1e-7)


def test_a_plain_tensorflow_variable_stays_live(images):
    class Shift(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.shift = tf.Variable(1.0)

        def call(self, x):
            return x + self.shift

    shift = Shift()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(2, 3),
            keras.layers.BatchNormalization(),
            shift,
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    function = compiled(model)
    before = function(images, 0)["scores"].numpy()
    assert function.engine == "frozen"
    shift.shift.assign(3.0)
    np.testing.assert_allclose(function(images, 0)["scores"], before + 2, rtol=1e-5)


def test_a_model_that_makes_its_weights_when_called_is_built_first(images):
    class Late(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(keras.ops.mean(x, axis=(1, 2)))

    model = Late()
    function = compiled(model)
    function(images, 0)
    assert function.engine == "frozen"
    model.dense.kernel.assign([[1.0, 0.0]] * 3)
    means = images.mean(axis=(1, 2)).sum(axis=1)
    np.testing.assert_allclose(function(images, 0)["scores"][:, 0], means, rtol=1e-5)


def test_a_layer_that_draws_random_numbers_runs_live_and_keeps_drawing(images):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    noise = keras.layers.GaussianNoise(1.0, seed=3)
    function = FrozenFunction(builder(lambda x: noise(model(x), training=True)), model)
    one, two = (function(images, 0)["scores"].numpy() for _ in range(2))
    assert function.engine == "tensorflow"
    assert "writes variables" in function.reason
    assert np.abs(one - two).max() > 0.1


class Counting(keras.layers.Layer):
    """Adds to its input how often it was called: a weight that it writes itself."""

    def build(self, _):
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)

    def call(self, values):
        self.calls.assign(self.calls + 1.0)
        return values + self.calls


@pytest.mark.parametrize("engine", ["frozen", "openvino"])
def test_a_layer_that_writes_its_own_weight_runs_live_and_writes_once_a_call(images, engine):
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    model = keras.Sequential([keras.Input(images.shape[1:]), keras.layers.Flatten(), Counting()])
    model.layers[-1].calls.assign(0.0)
    function = FrozenFunction(builder(lambda x: model(x)), model, engine=engine)
    found = [function(images, 0)["scores"].numpy() for _ in range(6)]
    assert function.engine == "tensorflow"
    assert "writes variables" in function.reason
    np.testing.assert_allclose(np.diff(found, axis=0), 1.0, rtol=1e-5)
    assert float(model.layers[-1].calls) == 6


@pytest.mark.parametrize("problem", ["device", "size"])
def test_what_cannot_be_frozen_runs_live_and_says_why(model, images, problem, monkeypatch):
    if problem == "device":
        monkeypatch.setattr("gradcam_eval.models.watch._is_in_memory", lambda _: False)
    else:
        monkeypatch.setattr(frozen_graph, "_LARGEST", 10)
    function = compiled(model)
    np.testing.assert_allclose(function(images, 0)["scores"], model(images), rtol=1e-6)
    assert function.engine == "tensorflow"
    assert {"device": "CPU's memory", "size": "larger than"}[problem] in function.reason
    model.layers[0].kernel.assign(model.layers[0].kernel * 2.0)
    np.testing.assert_allclose(function(images, 0)["scores"], model(images), rtol=1e-6)
    with pytest.raises(Unsuitable):
        freeze(builder(lambda x: model(x)), Watch(model))


def test_an_error_in_the_function_is_the_users_to_see(model, images):
    def fails(images, count):
        raise ValueError("mine")

    signature = [SPEC, tf.TensorSpec((), tf.int32)]
    function = FrozenFunction(tf.function(fails, input_signature=signature, autograph=False), model)
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"):
            function(images, 0)


def test_threads_that_call_while_weights_change_get_one_of_the_two_answers(model, images):
    function = compiled(model, patience=0)
    states = [model.get_weights(), [weight * 0.9 for weight in model.get_weights()]]
    valid = []
    for state in states:
        model.set_weights(state)
        valid.append(function(images, 0)["scores"].numpy())
    found: list[np.ndarray] = []

    def call():
        for _ in range(5):
            found.append(function(images, 0)["scores"].numpy())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    for each in found:
        np.testing.assert_allclose(each, valid[1], rtol=1e-6)


def test_two_calls_compute_at_the_same_time(model, images):
    both = threading.Barrier(2, timeout=20)

    def wait(value):
        both.wait()
        return value

    def meeting(images, count):
        met = tf.py_function(wait, [count], tf.int32)
        return {"scores": model(images, training=False), "next": met}

    signature = [SPEC, tf.TensorSpec((), tf.int32)]
    function = FrozenFunction(
        tf.function(meeting, input_signature=signature, autograph=False), model
    )
    threads = [threading.Thread(target=function, args=(images, 0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken
