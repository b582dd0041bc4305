"""The compiled forward pass: the model's own numbers, never stale, one trace."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.metrics.flipping import morf
from gradcam_eval.models.engine import Predictor


@pytest.fixture
def model():
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
    if engine == "openvino":
        pytest.importorskip("openvino")
    images = rng.uniform(0, 255, (7, *model.input_shape[1:])).astype(np.float32)
    fast, live = Predictor(model, engine=engine), Predictor(model)
    assert fast.difference(images) <= 1e-6
    maps = rng.normal(size=(7, *images.shape[1:3])).astype(np.float32)
    targets = [0] * 7
    found, wanted = (morf(p, images, maps, targets) for p in (fast, live))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.score, other.score, atol=1e-6)


def test_a_difference_is_that_of_the_engine_and_nothing_else(model, rng, monkeypatch):
    predictor = Predictor(model)
    monkeypatch.setattr(
        predictor, "compiled", lambda builder, rows: lambda x: tf.constant(predictor(x) + 0.125)
    )
    images = rng.uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    assert predictor.difference(images) == pytest.approx(0.125)


def test_an_engine_that_does_not_exist_is_refused(model):
    with pytest.raises(InputError, match="unknown engine 'onnx'"):
        Predictor(model, engine="onnx")
