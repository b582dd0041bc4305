"""Aggregates: golden values, and a bootstrap resample as the images that it draws."""

import numpy as np
import pytest

from gradcam_eval.aggregates import AGGREGATES
from gradcam_eval.intervals import Estimator


def of(name, parts):
    return AGGREGATES[name](np.ones((1, len(parts))), np.asarray(parts, float))[0]


def test_the_mean_over_classes_lets_each_class_count_alike():
    parts = [[[7, 1]], [[7, 1]], [[7, 0]], [[2, 0]]]  # class 7: 2 of 3; class 2: 0 of 1
    assert of("mean_over_classes", parts) == pytest.approx((2 / 3 + 0) / 2)


def test_the_maximum_is_at_one_place_for_all_images():
    parts = [[[1, 0, 0], [1, 1, 0]], [[0, 1, 0], [1, 0, 0]]]
    # Row 1: at best 1/2, though each image has a place of its own with 1. Row 2: 1 at the first.
    assert of("mean_of_maxima", parts) == pytest.approx((0.5 + 1) / 2)


def test_precision_is_pooled_over_the_pixels_of_all_images():
    # Bins ascend. From above: 1 true, 0 false; then 2 true, 2 false.
    parts = [[[0, 1], [1, 0]], [[1, 0], [1, 0]]]
    assert of("pooled_average_precision", parts) == pytest.approx(1 * 0.5 + 2 / 4 * 0.5)


def example(name, generator, n=6):
    if name == "mean_over_classes":
        columns = generator.integers(0, 3, n), generator.random(n)
        return np.stack(columns, axis=1)[:, None]
    shape = {"mean": (n, 1, 1), "mean_of_maxima": (n, 2, 4)}.get(name, (n, 2, 5))
    return generator.integers(1, 5, shape).astype(float)


@pytest.mark.parametrize("name", AGGREGATES)
def test_a_row_of_weights_is_the_data_set_with_images_repeated(name):
    generator = np.random.default_rng(0)
    parts = example(name, generator)
    draws = generator.integers(0, 6, (20, 6))
    weights = np.stack([np.bincount(draw, minlength=6) for draw in draws]).astype(float)
    expected = [of(name, parts[draw]) for draw in draws]
    np.testing.assert_allclose(AGGREGATES[name](weights, parts), expected, rtol=1e-12)


@pytest.mark.parametrize("name", AGGREGATES)
def test_the_order_of_the_images_does_not_matter(name):
    parts = example(name, np.random.default_rng(1))
    assert of(name, parts) == pytest.approx(of(name, parts[::-1]), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in AGGREGATES if name != "mean"])
def test_an_interval_is_that_of_the_aggregate(name):
    generator = np.random.default_rng(2)
    parts = example(name, generator, n=12)
    rule = Estimator(name, seed=3)
    ((value, low, high),) = rule.single([parts]).tolist()
    published = of(name, parts)
    assert value == pytest.approx(published) or (name == "mean_of_maxima" and value <= published)
    assert low < high
    draws = [parts[generator.integers(0, 12, 12)] for _ in range(3000)]
    slow = np.quantile([of(name, draw) for draw in draws], [0.025, 0.975])
    assert 0.8 * (slow[1] - slow[0]) < high - low < 2.5 * (slow[1] - slow[0])


def test_one_image_has_a_value_and_no_interval_and_none_has_nothing():
    parts = example("mean_of_maxima", np.random.default_rng(4), n=1)
    found = Estimator("mean_of_maxima").single([parts, np.zeros(0)])
    assert found[0, 0] == of("mean_of_maxima", parts)
    assert np.isnan(found[0, 1:]).all()
    assert np.isnan(found[1]).all()
