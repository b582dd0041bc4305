"""The contract of every registered metric under every protocol it names: what a study leans on."""

import copy
import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

from gradcam_eval.core import Case, Curve, Truth, Undefined
from gradcam_eval.metrics import METRICS, evaluate, result_value
from gradcam_eval.models.engine import Predictor
from gradcam_eval.protocols import describe

SIZE, ORIGINAL, CLASSES = (16, 16), (40, 60), 3
TOO_LARGE = ("top1000",)  # no picture of these 256 pixels has a thousand highest ones
EVERY_METRIC = pytest.mark.parametrize(
    ("name", "protocol"),
    [(m.name, p) for m in METRICS.values() for p in m.protocols if p not in TOO_LARGE],
)
DEGENERATE = {
    "zero": np.zeros((4, 4)),
    "constant": np.full((4, 4), 0.5),
    "one pixel": np.ones((1, 1)),
    "nan": np.full((4, 4), np.nan),
    "infinite": np.where(np.eye(4, dtype=bool), np.inf, 0.0),
}


@pytest.fixture(scope="module")
def predict():
    """A small Keras model: it has logits as well, and reacts to every pixel."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Rescaling(1 / 50, offset=-2.5),
        keras.layers.Conv2D(6, 3, activation="tanh"),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES, "softmax"),
    ]
    return Predictor(keras.Sequential([keras.Input((*SIZE, 3)), *layers]))


def truth_of(generator, size, kinds):
    """Two objects, each with its box, mask and class."""
    masks, boxes = [], []
    for _ in range(kinds):
        row, column = generator.integers(0, 12, 2)
        mask = np.zeros(size, bool)
        mask[row : row + 4, column : column + 4] = True
        masks.append(mask)
        boxes.append([column, row, column + 4, row + 4])
    ignore = np.zeros(size, bool)
    ignore[-1] = True
    return Truth(
        size,
        np.array(boxes, np.float32),
        np.any(masks, axis=0),
        ignore=ignore,
        instances=tuple(masks),
        classes=(0,) * kinds,
    )


def explainer_of(shape):
    """What explains further images, with heatmaps of one shape."""
    weights = np.random.default_rng(shape[0]).normal(size=(*SIZE, 3, *shape))
    return lambda images: (np.tensordot(images, weights, 3) ** 2).astype(np.float32)


def cases_of(images=2, heatmaps=3):
    """Cases with all that any metric may ask for."""
    generator = np.random.default_rng(0)
    cases = []
    for number in range(images):
        image = generator.uniform(0, 255, (*SIZE, 3)).astype(np.float32)
        truth, original = truth_of(generator, SIZE, 2), truth_of(generator, ORIGINAL, 2)
        for n in range(heatmaps):
            heatmap = generator.random((4 + n, 5)).astype(np.float32)
            heatmap[:n] = 0  # as rectified maps have
            case = Case(
                image,
                heatmap,
                n % CLASSES,
                truth,
                original,
                labels=(n % CLASSES, 1),
                predicted=(n % CLASSES, 1, 2),
                seed=5 + number,
                explain=explainer_of(heatmap.shape),
            )
            cases.append(case)
    return cases


def numbers(results):
    return np.array([np.nan if isinstance(r, Undefined) else result_value(r) for r in results])


@pytest.fixture(scope="module")
def together(predict):
    """The results of all cases at once, made once for each metric and protocol."""
    return functools.cache(lambda name, protocol: evaluate(name, cases_of(), predict, protocol))


@EVERY_METRIC
def test_one_result_for_each_case_in_any_order(predict, together, name, protocol):
    cases, values = cases_of(), numbers(together(name, protocol))
    assert values.shape == (6,)
    assert np.isfinite(values).all()
    assert len(set(values.tolist())) > 1 or METRICS[name].needs in ("truth", "labels")
    order = [5, 0, 3, 2, 4, 1]
    shuffled = evaluate(name, [cases[n] for n in order], predict, protocol)
    np.testing.assert_allclose(numbers(shuffled), values[order], atol=1e-5, rtol=1e-4)


@EVERY_METRIC
def test_a_batch_equals_single_calls(predict, together, name, protocol):
    values, cases = numbers(together(name, protocol)), cases_of()
    for n in (1, 5):
        (alone,) = evaluate(name, [cases[n]], predict, protocol)
        np.testing.assert_allclose(numbers([alone]), values[n], atol=1e-5, rtol=1e-4)


@EVERY_METRIC
def test_inputs_are_not_changed_and_the_same_again_gives_the_same(
    predict, together, name, protocol
):
    cases = cases_of()
    before = copy.deepcopy([(c.image, c.heatmap, c.truth, c.original_truth) for c in cases])
    again = numbers(evaluate(name, cases, predict, protocol))
    np.testing.assert_array_equal(again, numbers(together(name, protocol)))
    for case, (image, heatmap, truth, original) in zip(cases, before, strict=True):
        np.testing.assert_array_equal(case.image, image)
        np.testing.assert_array_equal(case.heatmap, heatmap)
        for now, then in ((case.truth, truth), (case.original_truth, original)):
            for field in ("boxes", "mask", "ignore"):
                np.testing.assert_array_equal(getattr(now, field), getattr(then, field))


@EVERY_METRIC
def test_degenerate_maps_are_undefined_and_spoil_no_other(predict, together, name, protocol):
    cases = cases_of(images=1)
    plain = numbers(together(name, protocol)[: len(cases)])
    bad = [dataclasses.replace(cases[0], heatmap=np.float32(each)) for each in DEGENERATE.values()]
    results = evaluate(name, [*bad, *cases], predict, protocol)
    for kind, result in zip(DEGENERATE, results, strict=False):
        assert isinstance(result, Undefined), kind
        assert result.reason
    np.testing.assert_allclose(numbers(results[len(bad) :]), plain, atol=1e-5, rtol=1e-4)


@EVERY_METRIC
def test_results_and_protocol_can_be_written_down(together, name, protocol):
    for result in together(name, protocol):
        content = [result_value(result)]
        if isinstance(result, Curve):
            content += [result.fraction.tolist(), result.score.tolist()]
            assert (np.diff(result.fraction) > 0).all()
        json.loads(json.dumps(content, allow_nan=False))
    json.loads(json.dumps(describe(protocol), allow_nan=False))


@EVERY_METRIC
def test_no_cases_give_no_results(predict, name, protocol):
    assert evaluate(name, [], predict, protocol) == []


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_an_entry_says_all_that_a_reader_needs(metric):
    assert metric.description
    assert metric.unit
    assert metric.needs in ("predict", "truth", "labels", "explain", "heatmap")
    assert metric.default_protocol == metric.protocols[0]
