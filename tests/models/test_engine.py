"""The compiled forward pass: the model's own numbers, never stale, one trace."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.metrics.flipping import morf
from gradcam_eval.models.engine import LARGEST_DIFFERENCE, Predictor
from gradcam_eval.perturb import Perturbation, masked_scores


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def test_equals_the_models_own_prediction_for_every_batch_size(model, rng):
    predictor = Predictor(model)
    for count in (1, 2, 5):
        images = rng.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
        np.testing.assert_allclose(predictor(images), model(images), rtol=1e-5, atol=1e-7)
    assert len(predictor._compiled) == 1


def test_sees_new_weights(model, rng):
    predictor = Predictor(model)
    images = rng.uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    before = predictor(images)
    model.set_weights([weight + 0.5 for weight in model.get_weights()])
    after = predictor(images)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, model(images), rtol=1e-5, atol=1e-7)


def test_logits_become_probabilities(rng):
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    images = rng.uniform(0, 1, (3, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(Predictor(model)(images).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(Predictor(model)(images), tf.nn.softmax(model(images)), rtol=1e-6)


def test_a_builder_is_compiled_once(model):
    calls = []

    def builder(forward):
        calls.append(forward)
        return lambda images: tf.reduce_sum(forward(images))

    predictor = Predictor(model)
    first, again = predictor.compiled(builder), predictor.compiled(builder)
    assert first is again
    assert len(calls) == 1
    assert float(first(tf.zeros((2, 8, 8, 3)))) == pytest.approx(2.0, rel=1e-6)


def test_one_image_without_a_batch_axis_is_refused(model):
    with pytest.raises(InputError, match=r"\(8, 8, 3\): wanted \(N, H, W, C\)"):
        Predictor(model)(np.zeros((8, 8, 3), np.float32))


def test_a_reading_gives_logits_or_log_odds_that_do_not_saturate(model, rng):
    images = rng.uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    predictor = Predictor(model)
    plain, logits = predictor(images), predictor.reading("logit")(images)
    np.testing.assert_allclose(tf.nn.softmax(logits), plain, rtol=1e-5)
    assert predictor.reading("probability") is predictor
    assert predictor.reading("logit") is predictor.reading("logit")
    model.layers[-1].set_weights([300 * weight for weight in model.layers[-1].get_weights()])
    logits = predictor.reading("logit")(images).astype(np.float64)
    odds = predictor.reading("log_odds")(images)
    for row, found in zip(logits, odds, strict=True):
        for k in range(3):
            others = np.logaddexp.reduce(np.delete(row, k))
            assert found[k] == pytest.approx(row[k] - others, rel=1e-4, abs=1e-3)
    assert predictor(images).max() == 1  # where ln(p / (1 - p)) would be infinite


@pytest.mark.parametrize("engine", ["auto", "tensorflow", "frozen", "openvino"])
def test_every_engine_gives_the_scores_of_the_live_model(model, engine, rng):
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    images = rng.uniform(0, 255, (7, *model.input_shape[1:])).astype(np.float32)
    fast, live = Predictor(model, engine=engine), Predictor(model)
    assert fast.difference(images) <= LARGEST_DIFFERENCE
    maps = rng.normal(size=(7, *images.shape[1:3])).astype(np.float32)
    targets = [0] * 7
    found, wanted = (morf(p, images, maps, targets) for p in (fast, live))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.score, other.score, atol=LARGEST_DIFFERENCE)


def test_a_difference_is_that_of_the_engine_and_nothing_else(model, rng, monkeypatch):
    predictor = Predictor(model)
    monkeypatch.setattr(
        predictor, "compiled", lambda *_, **__: lambda x: tf.constant(predictor(x) + 0.125)
    )
    images = rng.uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    assert predictor.difference(images) == pytest.approx(0.125)


def test_another_engine_shares_the_pass_in_tensorflow_and_nothing_else(model, rng):
    images = rng.uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    frozen = Predictor(model, engine="frozen")
    assert frozen.difference(images) < 1e-6
    other = frozen.on("tensorflow")
    assert (other.engine, other.output) == ("tensorflow", frozen.output)
    assert list(other._compiled) == [images.shape[1:]]
    frozen.release()
    np.testing.assert_array_equal(other(images), frozen(images))


def test_an_engine_that_does_not_exist_is_refused(model):
    with pytest.raises(InputError, match="unknown engine 'onnx'"):
        Predictor(model, engine="onnx")


def test_many_points_go_to_openvino_in_few_calls_and_to_tensorflow_in_more(model, rng):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    image = rng.uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    ranks = rng.permutation(64).reshape(1, 8, 8).astype(np.int32)
    counts = np.arange(65, dtype=np.int32)
    zero = np.zeros(1, np.int32)
    plan = Perturbation(image, np.zeros_like(image), zero, ranks, counts, zero)
    found = {}
    for engine in ("openvino", "frozen"):
        predictor = Predictor(model, engine=engine)
        sizes = []
        compiled = predictor.compiled

        def spied(builder, *, rows, compiled=compiled, sizes=sizes):
            return Spy(compiled(builder, rows=rows), sizes)

        predictor.compiled = spied
        found[engine] = masked_scores(predictor, plan)
        # 65 in one call; or 32 at most, 22 being the size up to 32 that leaves the least idle
        assert sizes == {"openvino": [65], "frozen": [22, 22, 22]}[engine]
    np.testing.assert_allclose(found["openvino"], found["frozen"], atol=1e-5)


class Spy:
    """A compiled function that notes how many rows it is called with."""

    def __init__(self, function, sizes):
        self.function, self.sizes = function, sizes
        self.shares_rows = function.shares_rows

    def __call__(self, *args):
        self.sizes.append(len(args[0]))
        return self.function(*args)
