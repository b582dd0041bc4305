"""The logit behind a classifier's output, for every way in which its end may be written."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.models.target import check_score, class_scores, value_of

KERNEL = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], np.float32)
X = np.array([[1.0, 2.0], [-3.0, 0.5]], np.float32)
LOGITS = X @ KERNEL


def dense(**options):
    return keras.layers.Dense(
        3, kernel_initializer=keras.initializers.Constant(KERNEL), use_bias=False, **options
    )


def softmax(x):
    exp = np.exp(x - x.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


ENDS = {
    "softmax inside the dense layer": [dense(activation="softmax")],
    "an Activation layer": [dense(), keras.layers.Activation("softmax")],
    "a Softmax layer": [dense(), keras.layers.Softmax()],
    "logits": [dense()],
    "a nested model": [keras.Sequential([dense(activation="softmax")])],
    "an identity after it": [dense(activation="softmax"), keras.layers.Identity()],
    "a dropout after it": [dense(activation="softmax"), keras.layers.Dropout(0.5)],
    "a reshape before it": [
        dense(),
        keras.layers.Reshape((1, 1, 3)),
        keras.layers.Softmax(),
        keras.layers.Reshape((3,)),
    ],
    "a map of one position": [keras.layers.Reshape((1, 1, 2)), dense(activation="softmax")],
    "logits in a map of one position": [keras.layers.Reshape((1, 1, 2)), dense()],
    "one row of rows": [dense(activation="softmax"), keras.layers.Reshape((1, 3))],
    "plain TensorFlow": [dense(activation=lambda x: tf.nn.softmax(x))],
}


def scores_of(model, x=X):
    @tf.function(autograph=False)
    def run(x):
        scores = class_scores(model(x, training=False))
        return scores.logits, scores.probabilities

    return [part.numpy() for part in run(tf.convert_to_tensor(x))]


@pytest.mark.parametrize("end", ENDS)
def test_logits_and_probabilities(end):
    logits, probabilities = scores_of(keras.Sequential([keras.Input((2,)), *ENDS[end]]))
    np.testing.assert_allclose(logits, LOGITS, rtol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(LOGITS), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1,), (), (1, 1), (1, 1, 1)])
def test_one_sigmoid_output_is_two_classes(shape):
    unit = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")
    layers = [unit, *([] if shape == (1,) else [keras.layers.Reshape(shape)])]
    logits, probabilities = scores_of(keras.Sequential([keras.Input((2,)), *layers]))
    np.testing.assert_allclose(logits, [[-1.5, 1.5], [1.25, -1.25]], rtol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(logits), rtol=1e-6)


def test_a_saturated_softmax_still_has_its_logit():
    x = np.array([[0.0, 100.0]], np.float32)
    logits, probabilities = scores_of(
        keras.Sequential([keras.Input((2,)), dense(activation="softmax")]), x
    )
    assert probabilities[0].tolist() == [0, 1, 0]
    np.testing.assert_allclose(logits, x @ KERNEL)


def test_mixed_precision_gives_float32():
    layer = dense(activation="softmax", dtype="mixed_float16")
    logits, probabilities = scores_of(keras.Sequential([keras.Input((2,)), layer]))
    assert logits.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(logits, LOGITS, rtol=1e-2)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda x: {"a": x, "b": x}, "returns 2 outputs \\(a, b\\)"),
        (lambda x: [x, x], "returns 2 outputs"),
        (lambda x: tf.reshape(x, (-1, 3, 1)), "has shape \\(None, 3, 1\\)"),
        (lambda x: tf.argmax(x, axis=-1), "is int64: expected scores.*leave out a last step"),
    ],
)
def test_other_outputs_are_refused(outputs, message):
    spec = tf.TensorSpec((None, 3), tf.float32)
    with pytest.raises(InputError, match=message):
        tf.function(lambda x: class_scores(outputs(x)), autograph=False).get_concrete_function(spec)


def test_the_logit_behind_a_compiled_function_is_refused_and_its_probability_is_not():
    hidden = tf.function(lambda x: tf.nn.softmax(x), autograph=False)

    @tf.function(autograph=False)
    def run(x, score):
        return value_of(class_scores(hidden(x)), tf.constant([2, 0]), score)

    x = tf.constant(LOGITS)
    np.testing.assert_allclose(run(x, "probability"), softmax(LOGITS)[[0, 1], [2, 0]], rtol=1e-6)
    for score in ("logit", "log_odds"):
        with pytest.raises(InputError, match=r"compiled function of its own.*'probability'"):
            run(x, score)


def test_an_unknown_score_names_the_valid_ones():
    with pytest.raises(InputError, match="did you mean 'logit'"):
        check_score("logits")


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_probabilities_in_half_precision_are_computed_from_the_logits(kind):
    """exp(−20) = 2e-9 is 0 in float16, and its gradient too."""
    activation = getattr(tf.nn, kind)

    @tf.function(autograph=False)
    def run(logits):
        return class_scores(activation(logits)).probabilities

    logits = np.array([[0, -20, -4]], np.float32)
    np.testing.assert_allclose(run(tf.constant(logits, tf.float16)), activation(logits), rtol=1e-6)
