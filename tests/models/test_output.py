"""What a model's output is: decided once, from its end and what the user declares."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError, NoScore
from gradcam_eval.metrics import deletion
from gradcam_eval.models.described import describe_output
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.output import Output, check_output_kind, decide_output
from gradcam_eval.models.target import class_scores, table_of, value_of

Z = np.array([[-3.0], [0.5], [20.0]], np.float32)
P = 1 / (1 + np.exp(-Z.astype(np.float64)))
EPS = np.finfo(np.float32).eps


@pytest.mark.parametrize(
    ("activation", "rank", "outputs", "declared", "said"),
    [
        ("Softmax", 2, 6, None, "6 classes by a softmax (classes)"),
        ("", 2, 6, None, "6 classes by logits (classes)"),
        ("LogSoftmax", 2, 2, None, "2 classes by a log-softmax (classes)"),
        ("Softmax", 2, 1, None, "1 class by a softmax (classes)"),
        ("Sigmoid", 2, 3, None, "3 labels, each by a sigmoid (multi_label)"),
        ("Sigmoid", 2, 3, "classes", "3 classes by a sigmoid (classes, declared)"),
        ("", 2, 3, "multi_label", "3 labels, each by a logit (multi_label, declared)"),
        ("Sigmoid", 2, 1, None, "2 classes by one sigmoid, negative and positive (binary)"),
        ("", 2, 1, "binary", "2 classes by one logit, negative and positive (binary, declared)"),
        ("", 2, 1, None, "one value (regression)"),
        ("Sigmoid", 2, 1, "regression", "one value (regression, declared)"),
        ("", 2, 3, "regression", "3 values (regression, declared)"),
        ("Softmax", 4, 21, None, "21 classes for each pixel by a softmax (segmentation)"),
        ("Sigmoid", 4, 2, None, "2 classes for each pixel by a sigmoid (segmentation)"),
        ("Sigmoid", 4, 1, None, "2 classes by one sigmoid, background and foreground"),
        ("", 4, 1, None, "one value for each pixel (regression)"),
        ("", 4, 1, "binary", "2 classes by one logit, background and foreground (segmentation, "),
        ("", 4, 1, "segmentation", "2 classes by one logit, background and foreground"),
    ],
)
def test_the_kind_of_an_output(activation, rank, outputs, declared, said):
    output = decide_output(activation, rank=rank, outputs=outputs, declared=declared)
    assert str(output).startswith(said)
    is_pair = "by one" in said
    assert output.count == (2 if is_pair else outputs)
    assert bool(output.names) == is_pair
    assert output.has_probabilities == (output.kind != "regression")
    assert output.is_map == (rank == 4)


@pytest.mark.parametrize(
    ("activation", "rank", "outputs", "declared", "message"),
    [
        ("Softmax", 2, 2, "binary", "'binary' is for one number, .* this model returns 2 numbers"),
        ("Softmax", 2, 1, "binary", "'binary' is for sigmoids or logits"),
        ("Softmax", 2, 3, "multi_label", "is for sigmoids or logits, and this output is a softmax"),
        ("", 2, 1, "classes", "is for two or more numbers; one logit is output='binary'"),
        ("", 2, 3, "segmentation", "is for outputs with a row of numbers for each pixel"),
        ("Softmax", 4, 3, "classes", "is for outputs with one row of numbers for each image"),
        (
            "Softmax",
            4,
            3,
            "binary",
            "one row of numbers for each .* returns 3 numbers for each pixel",
        ),
        ("", 2, 3, "regresion", "unknown output 'regresion': did you mean 'regression'"),
    ],
)
def test_what_an_output_cannot_be_is_refused(activation, rank, outputs, declared, message):
    with pytest.raises(InputError, match=message):
        decide_output(activation, rank=rank, outputs=outputs, declared=declared)


def test_targets_have_a_name_in_every_kind():
    assert Output("binary", 1).name_of(0) == "negative"
    assert Output("binary", 1).name_of(1, ("healthy", "ill")) == "ill"
    assert Output("segmentation", 1).name_of(1) == "foreground"
    assert Output("regression", 1).name_of(0) == "value"
    assert Output("regression", 2).name_of(1) == "value 1"
    assert Output("regression", 1).name_of(0, ("age",)) == "age"
    assert Output("multi_label", 9).name_of(8, ("hat",)) == "class 8"
    with pytest.raises(InputError, match="unknown output"):
        check_output_kind("class")


def tables(output, declared=None, layout="channels_last"):
    """Every table that is read off an output, as arrays."""

    @tf.function(autograph=False)
    def run(z):
        scores = class_scores(output(z), declared=declared, layout=layout)
        return [table_of(scores, name) for name in ("logit", "probability", "log_odds")]

    return [each.numpy() for each in run(tf.constant(Z))]


@pytest.mark.parametrize(
    ("output", "declared"),
    [(tf.nn.sigmoid, None), (tf.identity, "binary")],
    ids=["a sigmoid", "a declared logit"],
)
def test_one_number_is_two_classes(output, declared):
    logits, probabilities, log_odds = tables(output, declared)
    np.testing.assert_array_equal(logits, np.concatenate([-Z / 2, Z / 2], axis=1))
    np.testing.assert_allclose(log_odds, np.concatenate([-Z, Z], axis=1), rtol=4 * EPS)
    np.testing.assert_allclose(probabilities, np.concatenate([1 - P, P], 1), atol=2 * EPS)
    np.testing.assert_array_equal(probabilities[:, 0], 1 - probabilities[:, 1])


@pytest.mark.parametrize(
    "output",
    [lambda z: 1 - tf.nn.sigmoid(-z), keras.activations.hard_sigmoid],
    ids=["1 - sigmoid", "hard sigmoid"],
)
def test_a_probability_without_a_logit_is_two_classes_too(output):
    @tf.function(autograph=False)
    def run(z):
        scores = class_scores(output(z))
        return output(z), scores.probabilities, scores.output.kind

    p, probabilities, kind = run(tf.constant(Z))
    np.testing.assert_allclose(probabilities, np.concatenate([1 - p, p], axis=1), atol=EPS)
    assert kind.numpy() == b"binary"


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_map_of_one_channel_has_background_and_foreground(layout):
    shape = (1, 3, 1, 1) if layout == "channels_last" else (1, 1, 3, 1)
    logits, probabilities, _ = tables(lambda z: tf.nn.sigmoid(tf.reshape(z, shape)), layout=layout)
    np.testing.assert_array_equal(logits[0, :, 0], np.concatenate([-Z / 2, Z / 2], axis=1))
    np.testing.assert_allclose(probabilities[0, :, 0, 1:], P, atol=2 * EPS)


@pytest.mark.parametrize(
    ("output", "declared", "value"),
    [
        (tf.identity, None, Z),
        (tf.nn.relu, None, np.maximum(Z, 0)),
        (tf.tanh, None, np.tanh(Z)),
        (tf.nn.sigmoid, "regression", P),
        (lambda z: tf.concat([z, 2 * z], 1), "regression", np.concatenate([Z, 2 * Z], 1)),
    ],
    ids=["linear", "relu", "tanh", "a declared sigmoid", "two values"],
)
def test_a_regression_is_its_value_and_has_no_probability(output, declared, value):
    @tf.function(autograph=False)
    def run(z, score):
        scores = class_scores(output(z), declared=declared)
        return scores.predictions, value_of(scores, tf.zeros(3, tf.int64), score)

    said, first = run(tf.constant(Z), "logit")
    np.testing.assert_allclose(said, value, rtol=4 * EPS)
    np.testing.assert_array_equal(first, said[:, 0])
    for score in ("probability", "log_odds"):
        with pytest.raises(NoScore, match=f"so there is no {score.replace('_', '-')}: leave"):
            run(tf.constant(Z), score)


def gap(units, activation=None, bias=0.0):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(
                units, activation, bias_initializer=keras.initializers.Constant(bias)
            ),
        ]
    )


def test_a_predictor_gives_two_columns_or_the_value(rng):
    images = rng.uniform(0, 1, (4, 6, 6, 3)).astype(np.float32)
    model = gap(1, "sigmoid")
    p = model(images).numpy()
    predictor = Predictor(model)
    np.testing.assert_allclose(predictor(images), np.concatenate([1 - p, p], 1), atol=2 * EPS)
    assert predictor.output == Output("binary", 1, "Sigmoid")
    model = gap(1, bias=35.6)
    for score in ("probability", "logit"):
        np.testing.assert_allclose(Predictor(model, score)(images), model(images), rtol=1e-5)
    with pytest.raises(InputError, match=r"there is no log-odds: .*output='binary' for one logit"):
        Predictor(model, "log_odds")(images)
    declared = Predictor(model, output="binary").reading("log_odds")(images)
    np.testing.assert_allclose(declared[:, 1:], model(images), rtol=1e-5)


def test_an_engine_s_difference_of_a_large_value_is_relative(rng):
    images = rng.uniform(0, 1, (4, 6, 6, 3)).astype(np.float32)
    predictor = Predictor(gap(1, bias=1e6), engine="frozen")
    assert predictor.difference(images) <= 4 * EPS  # an ulp of 1e6 is 0.06


def test_a_map_is_no_output_for_metrics(rng):
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), keras.layers.Conv2D(1, 1, activation="sigmoid")]
    )
    with pytest.raises(InputError, match="output is a map: 2 classes by one sigmoid, background"):
        deletion(model, np.full((1, 6, 6, 3), 9.0), rng.uniform(0, 1, (1, 6, 6)), [0])
    said = Predictor(model)(rng.uniform(0, 1, (1, 6, 6, 3)).astype(np.float32))
    np.testing.assert_allclose(said.sum(axis=-1), np.ones((1, 6, 6)), rtol=4 * EPS)


def test_a_model_s_output_is_described_by_one_trace():
    assert str(describe_output(gap(1))) == "one value (regression)"
    assert describe_output(gap(1), declared="binary").names == ("negative", "positive")
    inputs = keras.Input((6, 6, 3))
    heads = {"a": gap(4, "softmax")(inputs), "b": gap(1, "sigmoid")(inputs)}
    both = keras.Model(inputs, heads)
    assert describe_output(both, head="b").kind == "binary"
    with pytest.raises(InputError, match=r"returns 2 outputs \(a, b\): .* or explain a function"):
        describe_output(both)


def test_a_detection_head_is_told_of_score_functions():
    boxes = keras.Sequential(
        [keras.Input((6, 6, 3)), keras.layers.Conv2D(6, 1), keras.layers.Reshape((36, 6))]
    )
    with pytest.raises(InputError, match=r"36, 6\): .* a score function of it, score=lambda"):
        describe_output(boxes)


def test_one_label_is_said_as_one():
    said = str(Output("multi_label", 1, "Sigmoid", is_declared=True))
    assert said == "1 label, by a sigmoid (multi_label, declared)"
