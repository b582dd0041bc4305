"""Monotony and reliability against values by hand, slow twins and metrics whose truth is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from gradcam_eval.meta_evaluation.reliability import ranks_of, reliability_of

NAN = np.nan


def test_ranks_tie_what_rounding_leaves_equal():
    np.testing.assert_array_equal(
        ranks_of(np.array([[3.0, 1.0, 1.0 + 1e-9], [NAN, 1.0, 2.0]])),
        [[3, 1.5, 1.5], [NAN, NAN, NAN]],
    )


def test_monotony_by_hand():
    # Quality 3, 2, 1. Ranks 3, 2, 1: ρ = 1; ranks 2, 3, 1: ρ = 1 − 6·2/24 = .5; ties: 0.
    found = reliability_of(np.array([[0.9, 0.5, 0.1], [0.5, 0.9, 0.1], [0.5, 0.5, 0.5]]))
    assert found.monotony == pytest.approx(0.5)
    assert found.tied == 1
    # Means .63, .63, .23 have ranks 2.5, 2.5, 1: ρ = (.5 + 1) / √(1.5 · 2) = √3 / 2.
    assert found.of_means == pytest.approx(3**0.5 / 2)


def test_monotony_equals_scipys():
    scores = np.random.default_rng(0).normal(size=(9, 11)) - np.arange(11) / 4
    rho = [spearmanr(row, np.arange(11, 0, -1)).statistic for row in scores]
    found = reliability_of(scores)
    assert found.monotony == pytest.approx(np.mean(rho))
    assert found.low < found.monotony < found.high
    assert found.of_means == pytest.approx(spearmanr(scores.mean(0), -np.arange(11)).statistic)
    pairs = [spearmanr(scores[:, i], scores[:, j]).statistic for i in range(11) for j in range(i)]
    assert found.inter_method == pytest.approx(np.mean(pairs))


def test_one_order_on_all_images_is_reliable_and_random_orders_are_not():
    order = reliability_of(np.tile(-np.arange(11.0), (8, 1)) + np.arange(8)[:, None])
    assert (order.monotony, order.alpha, order.inter_method) == pytest.approx((1, 1, 1))
    chance = reliability_of(np.random.default_rng(1).normal(size=(60, 11)))
    assert abs(chance.monotony) < 0.1
    assert abs(chance.alpha) < 0.1
    assert chance.low < 0 < chance.high


def test_a_metric_of_the_image_alone_shows_no_order_and_all_of_the_image():
    found = reliability_of(np.tile(np.random.default_rng(2).random((12, 1)), (1, 11)))
    assert (found.monotony, found.tied, found.alpha) == (0, 12, None)
    assert found.inter_method == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 1])
def test_what_does_not_exist_is_none(count):
    found = reliability_of(np.ones((count, 11)))
    assert found.alpha is found.inter_method is found.low is None
