import dataclasses

import numpy as np
import pytest

from gradcam_eval.core import Case, Curve, InputError, Sample, Truth, Undefined, unknown_name

BOX = np.array([[1, 2, 3, 4]], np.float32)


def test_the_area_is_that_of_trapezoids_over_the_true_fractions():
    # 0.1 · (1 + 0.5)/2 + 0.3 · (0.5 + 0.3)/2 + 0.6 · (0.3 + 0.1)/2 = 0.075 + 0.12 + 0.12
    curve = Curve(np.array([0, 0.1, 0.4, 1.0]), np.array([1, 0.5, 0.3, 0.1]))
    assert curve.area == pytest.approx(0.315)
    # the mean of the scores, which takes the steps for even, is another number
    assert np.mean(curve.score) == pytest.approx(0.475)


def test_the_area_is_divided_by_the_range_of_the_fractions():
    curve = Curve(np.array([0.25, 0.75]), np.array([0.2, 0.4]))
    assert curve.area == pytest.approx(0.3)
    flat = Curve(np.linspace(0, 0.5, 4), np.full(4, 0.7))
    assert flat.area == pytest.approx(0.7)


@pytest.mark.parametrize("scale", [-2.0, 0.0, 3.5])
def test_the_area_is_linear_in_the_score(rng, scale):
    fraction = np.sort(rng.random(9))
    one, two = rng.random(9), rng.random(9)
    mixed = Curve(fraction, scale * one + two)
    expected = scale * Curve(fraction, one).area + Curve(fraction, two).area
    assert mixed.area == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "is_known"),
    [
        (Truth((4, 4)), False),
        (Truth((4, 4), BOX), True),
        (Truth((4, 4), mask=np.zeros((4, 4), bool)), False),
        (Truth((4, 4), mask=np.eye(4, dtype=bool)), True),
        (Truth((4, 4), BOX, np.zeros((4, 4), bool)), True),
    ],
)
def test_a_truth_is_known_by_a_box_or_a_pixel(truth, is_known):
    assert truth.is_known is is_known


def test_what_is_shared_cannot_be_changed():
    sample = Sample("id", "name", np.zeros((2, 2, 3), np.float32), (), Truth((2, 2)), Truth((2, 2)))
    for thing, name in ((sample, "labels"), (Undefined("why"), "reason"), (Truth((1, 1)), "size")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)
    assert Truth((1, 1)).boxes is not Truth((1, 1)).boxes


def test_an_unknown_name_comes_with_the_nearest_and_all_valid_ones():
    error = unknown_name("method", "gradcam", ["eigen_cam", "grad_cam"])
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert str(error).startswith("unknown method 'gradcam': did you mean 'grad_cam'? Valid: ")
    assert str(error).endswith("eigen_cam, grad_cam.")


def test_no_hint_is_given_where_nothing_is_near():
    text = str(unknown_name("method", "zzz", iter(["eigen_cam", "grad_cam"])))
    assert "did you mean" not in text
    assert text.endswith("Valid: eigen_cam, grad_cam.")


def test_a_long_list_is_cut_and_counted():
    names = [f"layer_{n:02}" for n in range(31)]  # with ", " ten characters each
    text = str(unknown_name("field", 7, names))
    assert text.endswith("layer_29, … (31 in all).")
    assert "layer_30" not in text
    assert str(unknown_name("field", 7, names[:30])).endswith("layer_28, layer_29.")
    text = str(unknown_name("field", "x" * 900, ["y" * 400, "z"]))
    assert len(text) <= 500
    assert text.endswith("y, … (2 in all).")


def test_where_a_command_lists_the_names_a_long_list_is_shorter_and_points_to_it():
    names = [f"method_{n}" for n in range(13)]
    text = str(unknown_name("method", "method_12", names))
    assert "did you mean 'method_12'?" in text, "also of those that are not shown"
    assert text.endswith("method_11, … (13 in all: gradcam-eval methods lists them).")
    assert str(unknown_name("method", "", names[:12])).endswith("method_10, method_11.")


@pytest.mark.parametrize(("fraction", "score"), [([0.0], [1.0]), ([0.0, 1.0], [1.0])])
def test_a_curve_without_an_area_is_refused(fraction, score):
    with pytest.raises(InputError, match="two or more"):
        Curve(np.array(fraction), np.array(score))


def two_classes(**changes):
    boxes = np.array([[0, 0, 2, 2], [2, 2, 4, 4], [0, 2, 2, 4]], np.float32)
    instances = tuple(np.zeros((4, 4), bool) for _ in boxes)
    for n, instance in enumerate(instances):
        instance[n, n] = True
    mask = np.eye(4, dtype=bool)
    return Truth((4, 4), boxes, mask, **{"instances": instances, "classes": (7, 3, 7)} | changes)


def test_the_truth_of_a_class_is_that_of_its_objects_alone():
    truth = two_classes(ignore=np.ones((4, 4), bool)).of(7)
    assert truth.boxes.tolist() == [[0, 0, 2, 2], [0, 2, 2, 4]]
    assert np.argwhere(truth.mask).tolist() == [[0, 0], [2, 2]]
    assert (len(truth.instances), truth.classes) == (2, (7, 7))
    assert truth.ignore.all()
    assert not two_classes().of(5).is_known
    assert two_classes(instances=()).of(3).mask is None  # the mask of all says nothing of one
    several = two_classes(classes=((7, 8), 3, -1))  # the first object is right for 7 and for 8
    assert [len(several.of(target).boxes) for target in (7, 8, 3, 9)] == [1, 1, 1, 0]
    plain = two_classes(classes=())
    assert plain.of(7) is plain


def test_the_label_of_the_highest_score_stands_first_among_those_of_the_main_one():
    truth = Truth((2, 2))
    made = {"image": np.zeros((2, 2, 3), np.float32), "truth": truth, "original_truth": truth}
    scores = np.array([0.1, 0.2, 0.4, 0.3])
    three = Sample("0", "a", labels=(0, 3, 2), n_main=2, **made)
    assert three.ranked_labels(scores) == (3, 0, 2)  # 2 scores more, and is another label
    assert three.ranked_labels(-scores) == (0, 3, 2)
    assert Sample("0", "a", labels=(0, 2), **made).ranked_labels(scores) == (0, 2)
    assert Sample("0", "a", labels=(), **made).ranked_labels(scores) == ()
    assert three.digest() != Sample("0", "a", labels=(0, 3, 2), **made).digest()


def test_a_truth_pairs_instances_and_classes_with_boxes():
    with pytest.raises(InputError, match="3 boxes and 2 classes"):
        two_classes(classes=(1, 2))


def test_a_case_draws_the_same_numbers_for_a_metric_at_each_call():
    truth = Truth((2, 2))
    case = Case(np.zeros((2, 2, 3), np.float32), np.zeros((1, 1)), 0, truth, truth, seed=5)
    draws = [case.generator(name).random() for name in ("road", "road", "irof")]
    assert draws[0] == draws[1] != draws[2]
