"""The order of equal pixels: declared, averaged, and its effect measured."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from slow import SIZE, image_and_maps, smooth

from gradcam_eval.arrays import rank_at_random, rank_pixels
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.metrics import deletion, tie_sensitivity, tie_share
from gradcam_eval.metrics.ties import rankings
from gradcam_eval.protocols import PROTOCOLS

STABLE = dataclasses.replace(PROTOCOLS["gaussian_clean"], step_fraction=None, step_pixels=5)
EXPECTED = dataclasses.replace(STABLE, ties="expected", tie_orders=40)


def plateau():
    heatmap = np.zeros(SIZE, np.float32)
    heatmap[2, 3], heatmap[4, 1] = 2, 1
    return heatmap


def test_random_orders_change_ties_alone():
    generator = np.random.default_rng(0)
    heatmap = np.array([[3, 0, 2], [0, 0, 0]], np.float32)
    seen = {tuple(rank_at_random(heatmap, generator).ravel()) for _ in range(200)}
    assert len(seen) == 24  # 4! orders of the zeros
    for ranks in seen:
        assert (ranks[0], ranks[2]) == (0, 1)
        assert sorted(ranks) == list(range(6))


def test_a_map_without_ties_has_one_order_and_costs_no_more():
    heatmap = np.arange(42, dtype=np.float32).reshape(SIZE)
    found = rankings(heatmap, EXPECTED, np.random.default_rng(0))
    np.testing.assert_array_equal(found, rank_pixels(heatmap)[None])
    assert len(rankings(plateau(), EXPECTED, np.random.default_rng(0))) == 40
    assert len(rankings(plateau(), STABLE, np.random.default_rng(0))) == 1


def test_ties_that_no_step_cuts_do_not_matter():
    heatmap = np.repeat([9.0, 8, 7, 6, 5, 4, 3, 2], 5)[:42]
    heatmap = np.concatenate([heatmap, [1, 1]]).astype(np.float32).reshape(SIZE)
    assert tie_share(heatmap) == 1
    assert len(rankings(heatmap, EXPECTED, np.random.default_rng(0))) == 1


def test_the_expected_curve_is_the_mean_over_orders():
    image, _ = image_and_maps(1)
    found = deletion(smooth, image, [plateau()], [0], EXPECTED)[0]
    generator = np.random.default_rng(0)
    curves = []
    for _ in range(40):
        order = rank_at_random(plateau(), generator)
        one = deletion(smooth, image, [-order.astype(np.float32)], [0], STABLE)[0]
        curves.append(one.score)
    np.testing.assert_allclose(found.score, np.mean(curves, axis=0), atol=1e-6)
    stable = deletion(smooth, image, [plateau()], [0], STABLE)[0]
    assert np.abs(found.score - stable.score).max() > 0.01


def test_sensitivity_is_the_spread_over_orders():
    image, _ = image_and_maps(1)
    rules = dataclasses.replace(EXPECTED, tie_orders=12)
    metric = partial(deletion, targets=[0])
    found = tie_sensitivity(metric, smooth, image[0], plateau(), rules)
    assert found.share == pytest.approx(40 / 42)
    assert found.low < found.area < found.high
    assert found.spread > 0.001
    distinct = np.arange(42.0).reshape(SIZE)
    none = tie_sensitivity(metric, smooth, image[0], distinct, rules)
    assert (none.share, none.spread) == (0, 0)
    flat = tie_sensitivity(metric, smooth, image[0], np.ones(SIZE), rules)
    assert flat == Undefined("the heatmap is constant")
    with pytest.raises(InputError, match="a spread needs two orders"):
        tie_sensitivity(metric, smooth, image[0], distinct, STABLE)
