"""The contract of every registered metric, and what the registry says when it is broken."""

import re

import numpy as np
import pytest

from gradcam_eval.core import Case, Curve, InputError, Truth, Undefined
from gradcam_eval.metrics import (
    METRICS,
    deletion,
    evaluate,
    find_metric,
    insertion,
    register_metric,
    result_value,
)
from gradcam_eval.metrics.listing import rows
from gradcam_eval.protocols import PROTOCOLS

SIZE, ORIGINAL = (16, 16), (40, 60)


def predict(images):
    weights = np.random.default_rng(5).normal(size=(*SIZE, 3, 3)) / 500
    scores = np.exp(np.tensordot(images - 128.0, weights, 3))
    return scores / scores.sum(axis=1, keepdims=True)


def truth_of(generator, size):
    mask = np.zeros(size, bool)
    row, column = generator.integers(0, 12, 2)
    mask[row : row + 4, column : column + 4] = True
    return Truth(size, np.array([[column, row, column + 4, row + 4]], np.float32), mask)


def explainer_of(shape):
    """What explains further images, with heatmaps of one shape."""
    weights = np.random.default_rng(shape[0]).normal(size=(*SIZE, 3, *shape))
    return lambda images: np.tensordot(images, weights, 3) ** 2


def cases_of(images=2, heatmaps=3):
    generator = np.random.default_rng(0)
    cases = []
    for _ in range(images):
        image = generator.uniform(0, 255, (*SIZE, 3)).astype(np.float32)
        truth, original = truth_of(generator, SIZE), truth_of(generator, ORIGINAL)
        for n in range(heatmaps):
            heatmap = generator.random((4 + n, 5)).astype(np.float32)
            heatmap[:n] = 0  # as rectified maps have
            explain = explainer_of(heatmap.shape)
            cases.append(Case(image, heatmap, n % 3, truth, original, explain=explain))
    return cases


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_an_entry_says_all_that_a_reader_needs(metric):
    assert METRICS[metric.name] is metric
    assert metric.unit
    assert metric.bounds
    assert metric.needs in ("predict", "truth", "labels", "explain", "heatmap")
    assert metric.default_protocol == metric.protocols[0]
    assert set(metric.protocols) <= set(PROTOCOLS)


def limits(bounds):
    """The lowest and the highest number that the words allow."""
    said = re.fullmatch(r"(-?[\d.]+?)\.\.(-?[\d.]+|ln\(pixels\))( for probabilities)?", bounds)
    if said:
        high = np.log(SIZE[0] * SIZE[1]) if said[2] == "ln(pixels)" else float(said[2])
        return float(said[1]), high
    return {"0 or more": (0, np.inf), "at most 1": (-np.inf, 1)}[bounds]


# two objects, two classes, labels or a thousand pixels
NEED_MORE = ("instances_v1", "fair_share_v1", "pointing2018", "gradcam2017", "top1000")


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_numbers_lie_where_the_entry_says(metric):
    found = [result_value(result) for result in evaluate(metric.name, cases_of(), predict)]
    known = [value for value in found if value is not None]
    low, high = limits(metric.bounds)
    assert all(low <= value <= high for value in known), known
    if metric.protocols[0] not in NEED_MORE:
        assert known


@pytest.mark.usefixtures("registered")
def test_the_list_has_the_direction_the_needs_and_the_family_of_each():
    register_peak(lambda cases: [1.0] * len(cases))
    found = rows()
    assert set(found) == set(METRICS)
    assert list(found)[-1] == "peak"  # what nobody published comes last
    assert (found["peak"]["family"], found["peak"]["range"]) == ("own", "")
    assert (found["deletion"]["better"], found["insertion"]["better"]) == ("lower", "higher")
    families = [row["family"] for row in found.values()]
    assert len(set(families)) == sum(
        a != b for a, b in zip(families, ["", *families], strict=False)
    )
    assert {name: found[name]["needs"] for name in NEEDS} == NEEDS


NEEDS = {
    "deletion": "the model",
    "gini_sparseness": "nothing",
    "flip_stability": "the model and the method",
    "energy_pointing_game": "boxes, else masks",
    "relevance_mass_accuracy": "masks, else boxes",
    "max_box_acc": "boxes",
    "pxap": "masks",
    "localization_error": "boxes, and classes",
    "instance_recall": "masks, else boxes, of two objects or more",
}


@pytest.mark.parametrize(("name", "function"), [("deletion", deletion), ("insertion", insertion)])
def test_the_adapters_equal_the_functions(name, function):
    cases = cases_of()
    images = np.stack([case.image for case in cases])
    maps, targets = [case.heatmap for case in cases], [case.target for case in cases]
    expected = function(predict, images, maps, targets)
    for found, curve in zip(evaluate(name, cases, predict), expected, strict=True):
        np.testing.assert_allclose(found.score, curve.score, atol=1e-9)
    assert METRICS[name].higher_is_better is (name == "insertion")


def test_the_model_is_asked_once_for_all_maps_of_one_image():
    asked = []

    def counting(images):
        asked.append(len(images))
        return predict(images)

    evaluate("deletion", cases_of(images=1, heatmaps=4), counting)
    # 4 maps at 224 pixels; all their 3 classes at 0 and 256, whatever the map
    assert asked == [4 + 3 + 3]


def pointing_case(mask=None, boxes=()):
    heatmap = np.zeros(SIZE, np.float32)
    heatmap[8, 0] = 1
    truth = Truth(SIZE, np.array([[0, 0, 16, 16]], np.float32), np.ones(SIZE, bool))
    original = Truth((160, 160), np.array(boxes, np.float32).reshape(-1, 4), mask)
    return Case(np.zeros((*SIZE, 3), np.float32), heatmap, 0, truth, original)


def test_pointing_counts_its_pixels_in_the_original_image():
    # the peak lies at row 85 of 160, column 0: 15 pixels left of column 15, not 15 of 16
    assert evaluate("pointing_game", [pointing_case(boxes=[[15, 70, 40, 100]])]) == [True]
    assert evaluate("pointing_game", [pointing_case(boxes=[[25, 70, 40, 100]])]) == [False]


def test_pointing_prefers_a_mask_and_falls_back_to_the_box():
    box, mask = [[0, 70, 20, 100]], np.zeros((160, 160), bool)
    assert evaluate("pointing_game", [pointing_case(mask, box)]) == [True]  # nothing in the mask
    mask[:5, 150:] = True
    assert evaluate("pointing_game", [pointing_case(mask, box)]) == [False]
    assert evaluate("pointing_game", [pointing_case()]) == [Undefined("no object is annotated")]


def register_peak(values):
    @register_metric("peak", needs="truth", unit="as the heatmap", higher_is_better=True)
    def peak(cases, predict, protocol):
        return values(cases)

    return peak


@pytest.mark.usefixtures("registered")
def test_one_function_is_all_a_metric_needs():
    register_peak(lambda cases: [float(case.heatmap.max()) for case in cases])
    cases = cases_of()
    assert evaluate("peak", cases) == [float(case.heatmap.max()) for case in cases]
    assert find_metric("peak") == (METRICS["peak"], "own")
    register_peak(lambda cases: [1.0] * len(cases))  # as when a notebook cell runs twice
    assert evaluate("peak", cases) == [1.0] * 6


@pytest.mark.usefixtures("registered")
def test_a_metric_that_miscounts_is_named():
    register_peak(lambda cases: [1.0])
    with pytest.raises(InputError, match="'peak' returned 1 results for 6 cases"):
        evaluate("peak", cases_of())


@pytest.mark.usefixtures("registered")
def test_a_number_that_is_not_finite_becomes_undefined():
    register_peak(lambda cases: [float("nan"), float("inf")])
    found = evaluate("peak", cases_of(images=1, heatmaps=2))
    assert found == [Undefined("the metric returned nan"), Undefined("the metric returned inf")]


def test_a_taken_name_is_refused():
    with pytest.raises(InputError, match="a metric 'deletion' exists already"):
        register_metric("deletion", needs="predict", unit="", higher_is_better=True)(register_peak)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deletoin", [], predict), "unknown metric 'deletoin': did you mean 'deletion'"),
        (("deletion", [], predict, "pointing2018"), r"'pointing2018'\. Valid: rise2018, rise2018_"),
        (("deletion", []), "the metric 'deletion' asks the model: give predict"),
    ],
)
def test_bad_names_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(*arguments)


def test_each_kind_of_result_is_one_number():
    assert result_value(Curve(np.array([0.0, 1.0]), np.array([1.0, 0.5]))) == 0.75
    assert (result_value(True), result_value(np.bool_(False)), result_value(2)) == (1.0, 0.0, 2.0)
    assert result_value(Undefined("why")) is None


def test_a_protocol_that_nobody_wrote_down_is_refused_at_once():
    with pytest.raises(InputError, match="unknown protocol 'rise2019'"):
        register_metric(
            "mine", needs="predict", unit="1", higher_is_better=True, protocols=("rise2019",)
        )
    assert "mine" not in METRICS
