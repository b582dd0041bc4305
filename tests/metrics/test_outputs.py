"""Metrics of models that are no softmax, and what functions in a model's place may return."""

import dataclasses

import keras
import numpy as np
import pytest

import gradcam_eval as ge
from gradcam_eval.core import Case, Curve, InputError, Truth, Undefined, is_tf_keras
from gradcam_eval.metrics import METRICS, evaluate
from gradcam_eval.metrics.black_box import BlackBox
from gradcam_eval.metrics.inputs import as_predict, reader
from gradcam_eval.models.engine import Predictor
from gradcam_eval.protocols import PROTOCOLS

SIZE = (12, 10)
SMALL = dataclasses.replace(PROTOCOLS["rise2018"], name="small", step_pixels=20)
NEED_PROBABILITIES = ("average_drop", "average_gain", "increase_in_confidence", "irof")
ASKING = [name for name, metric in METRICS.items() if metric.needs == "predict"]
REGRESSION = "the model is a regression: its output is a value, no probability"


def network(units, activation, kernel, bias):
    """A → mean → dense, with these weights."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(units, activation, name="head"),
        ]
    )
    model.get_layer("head").set_weights([np.asarray(kernel), np.asarray(bias)])
    return model


KERNEL = np.array([[0.02], [-0.03], [0.04], [0.01]], np.float32)
BIAS = np.array([-0.5], np.float32)


@pytest.fixture(scope="module")
def binary():
    return network(1, "sigmoid", KERNEL, BIAS)


@pytest.fixture(scope="module")
def twin():
    """The same classifier with two softmaxed outputs: logits −z/2 and z/2."""
    return network(2, "softmax", KERNEL * [[-0.5, 0.5]], BIAS * [-0.5, 0.5])


@pytest.fixture(scope="module")
def value():
    """A regression of about 35."""
    return network(1, None, KERNEL, [35.0])


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def heatmaps():
    return np.random.default_rng(1).uniform(0, 1, (2, *SIZE)).astype(np.float32)


@pytest.mark.parametrize("name", ["average_drop", "infidelity", "irof", "road", "aopc"])
def test_one_sigmoid_is_judged_as_its_softmax_twin(binary, twin, image, heatmaps, name):
    """For either class; p and 1 − p are rounded otherwise, by a few float32 steps."""
    one, two = (getattr(ge, name)(each, image, heatmaps, [0, 1]) for each in (binary, twin))
    numbers = [[each for each in found if not isinstance(each, Undefined)] for found in (one, two)]
    np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("score", ["probability", "log_odds", "logit"])
def test_a_curve_of_one_sigmoid_reads_either_class(binary, twin, image, heatmaps, score):
    rules = dataclasses.replace(SMALL, score=score)
    curves = [ge.deletion(each, image, heatmaps, [0, 1], rules) for each in (binary, twin)]
    for one, two in zip(*curves, strict=True):
        np.testing.assert_allclose(one.score, two.score, rtol=1e-4, atol=1e-5)
    p = float(binary(image)[0, 0])
    first = {"probability": p, "log_odds": np.log(p / (1 - p)), "logit": np.log(p / (1 - p)) / 2}
    assert curves[0][1].score[0] == pytest.approx(first[score], rel=1e-4)
    with pytest.raises(InputError, match="target 2 does not exist: the model has 2 classes"):
        ge.deletion(binary, image, heatmaps, [0, 2], rules)


def test_a_regression_s_curve_is_of_the_value(value, image, heatmaps):
    for protocol in (SMALL, dataclasses.replace(SMALL, score="logit")):
        curve = ge.deletion(value, image, heatmaps, [0, 0], protocol)[0]
        assert curve.score[0] == pytest.approx(float(value(image)[0, 0]), rel=1e-5)
        assert curve.area > 30


@pytest.mark.parametrize("name", ASKING)
def test_what_needs_probabilities_is_undefined_for_a_regression(value, image, heatmaps, name):
    cases = [Case(image[0], each, 0, Truth(SIZE), Truth(SIZE), labels=(0,)) for each in heatmaps]
    black_box = BlackBox(lambda x: np.asarray(value(x)), output="regression")
    for model in (Predictor(value), black_box):
        (found, _) = evaluate(name, cases, model)
        if name in NEED_PROBABILITIES:
            assert found == Undefined(REGRESSION)
        else:
            assert not isinstance(found, Undefined)
            assert getattr(ge, name)(model, image, heatmaps, [0, 0])


@pytest.mark.parametrize("of", ["a Keras model", "a function"])
def test_log_odds_of_a_regression_are_undefined(value, image, heatmaps, of):
    model = value
    if of == "a function":
        model = ge.BlackBox(lambda x: np.asarray(value(x)), output="regression")
    rules = dataclasses.replace(SMALL, score="log_odds")
    found = ge.deletion(model, image, heatmaps, [0, 0], rules)
    assert len(found) == 2
    assert found[0].reason.startswith(REGRESSION)
    declared = ge.deletion(Predictor(value, output="binary"), image, heatmaps, [1, 1], rules)
    assert isinstance(declared[0], Curve)
    assert declared[0].score[0] == pytest.approx(float(value(image)[0, 0]), rel=1e-4)


Z = np.array([[2.0, -1.0, 0.5], [-4.0, 3.0, 9.0]])
SOFTMAX = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (Z, r"from -4 to 9, and metrics read probabilities, 0 to 1: of logits take the softmax"),
        (100 * SOFTMAX, "these are percentages, so divide them by 100"),
        (np.log(SOFTMAX), "these are logarithms of probabilities, so take their exponential"),
        (Z, r"a regression are declared by ge.BlackBox\(predict, output='regression'\)"),
        (SOFTMAX[:, :1], r"returned 1 column: .*output='binary'\), one value .*'regression'"),
    ],
)
def test_a_function_that_returns_no_probabilities_is_told_what_to_do(returned, message):
    with pytest.raises(InputError, match=message):
        as_predict(lambda images: returned)(np.zeros((2, 4, 4, 3), np.float32))


@pytest.mark.parametrize(
    "returned",
    [
        SOFTMAX,
        SOFTMAX.astype(np.float16),
        np.array([[0.9, 0.8, 0.0], [0.0, 0.0, 0.0]]),  # labels, each by itself
        np.array([[1.0005, -0.0005]]),  # rounded in half precision
        np.array([[np.nan, 0.5], [np.inf, 0.5]]),  # undefined later on, with that reason
        np.zeros((0, 3)),
    ],
    ids=["softmax", "half", "labels", "rounded", "not finite", "none"],
)
def test_probabilities_pass_as_they_are(returned):
    found = as_predict(lambda images: returned)(np.zeros((len(returned), 4, 4, 3), np.float32))
    np.testing.assert_array_equal(found, returned)
    black_box = as_predict(lambda images: returned)
    assert as_predict(black_box) is black_box


def test_a_function_of_one_column_is_declared():
    p = np.array([[0.25], [1.0]])
    found = BlackBox(lambda images: p, output="binary")(np.zeros((2, 1, 1, 3)))
    np.testing.assert_array_equal(found, [[0.75, 0.25], [0, 1]])
    logit = BlackBox(lambda images: 9 * p, output="binary")
    with pytest.raises(InputError, match=r"of one logit take the sigmoid, 1 / \(1 \+ exp\(-z\)\)"):
        logit(np.zeros((2, 1, 1, 3)))
    for output, columns in (("binary", 3), (None, 1)):
        with pytest.raises(InputError, match=f"returned {columns} column"):
            BlackBox(lambda images, n=columns: SOFTMAX[:, :n], output)(np.zeros((2, 1, 1, 3)))
    with pytest.raises(InputError, match="output is 'values': of a function it is 'binary', 'reg"):
        BlackBox(len, output="values")
    with pytest.raises(InputError, match="predict is str: give a Keras model or a function"):
        BlackBox("predict")


def test_a_logit_is_not_read_off_probabilities_but_off_a_value():
    box = BlackBox(lambda images: SOFTMAX)
    with pytest.raises(InputError, match="gives probabilities alone"):
        reader(box, "logit")
    value = BlackBox(lambda images: Z, output="regression")
    assert reader(value, "logit") is value


def test_a_tf_keras_model_is_called_by_its_name():
    kind = type("Functional", (), {"__module__": "tf_keras.src.engine.functional"})
    subclass = type("Mine", (kind,), {"__module__": "mine", "__call__": lambda self, images: Z})
    assert is_tf_keras(subclass())
    assert not is_tf_keras(len)
    with pytest.raises(InputError, match="the tf_keras model returned numbers from -4 to 9"):
        as_predict(subclass())(np.zeros((2, 4, 4, 3)))
    for look in (ge.list_layers, lambda model: ge.explain(model, np.zeros((1, 4, 4, 3)))):
        with pytest.raises(InputError, match=r"the model is of tf_keras \(Keras 2\): wanted a ker"):
            look(subclass())


def test_a_model_of_another_range_keeps_the_kind_of_its_output(value, image, heatmaps):
    unit = image / 255
    box = BlackBox(lambda x: np.asarray(value(255 * x)), output="regression")
    for model in (box, lambda x: np.concatenate([1 - x[:, 0, 0, :1], x[:, 0, 0, :1]], axis=1)):
        predict, levels = ge.in_levels(model, unit, (0, 1))
        (drop, _) = ge.average_drop(predict, levels, heatmaps, [0, 0])
        assert isinstance(drop, Undefined) == (model is box)
    inside = keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Rescaling(255.0), value])
    predict, levels = ge.in_levels(inside, unit, (0, 1))
    assert ge.average_drop(predict, levels, heatmaps, [0, 0])[0] == Undefined(REGRESSION)
    curve = ge.deletion(predict, levels, heatmaps, [0, 0], SMALL)[0]
    assert curve.score[0] == pytest.approx(float(value(image)[0, 0]), rel=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_a_fully_convolutional_head_is_that_of_its_dense_twin(rng, activation):
    twin = network(1, activation, KERNEL, BIAS)
    convolution = keras.layers.Conv2D(1, 1, activation=activation)
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)
    model = keras.Sequential([keras.Input((*SIZE, 3)), twin.layers[0], pooled, convolution])
    convolution.set_weights([KERNEL[None, None], BIAS])
    images = rng.uniform(0, 255, (2, *SIZE, 3)).astype(np.float32)
    found = [ge.Explainer(m, "conv", output="binary")(images, [1, 0]) for m in (model, twin)]
    for mine, expected in zip(*(maps.values() for maps in found), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-7)
    assert found[0].output == found[1].output
    heatmaps = rng.random((2, *SIZE)).astype(np.float32)
    curves = [
        ge.deletion(Predictor(m, output="binary"), images, heatmaps, [1, 0]) for m in (model, twin)
    ]
    for mine, expected in zip(*curves, strict=True):
        np.testing.assert_allclose(mine.score, expected.score, rtol=1e-5)
