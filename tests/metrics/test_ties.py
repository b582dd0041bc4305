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
    tied = rankings(plateau(), EXPECTED, np.random.default_rng(0))
    assert len(tied) == 1 + 40
    np.testing.assert_array_equal(tied[0], rank_pixels(plateau()))
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
        curves.append(deletion(smooth, image, [-order.astype(np.float32)], [0], STABLE)[0])
    scores = [curve.score for curve in curves]
    np.testing.assert_allclose(found.score, np.mean(scores, axis=0), atol=1e-6)
    stable = deletion(smooth, image, [plateau()], [0], STABLE)[0]
    assert np.abs(found.score - stable.score).max() > 0.01
    assert stable.ties is None
    areas = [curve.area for curve in curves]
    np.testing.assert_allclose(found.ties.areas, areas, atol=1e-6)
    assert found.ties.spread == pytest.approx(np.std(areas, ddof=1), abs=1e-6)
    assert found.ties.row_major == pytest.approx(stable.area, abs=1e-6)
    assert found.ties.shift == pytest.approx(stable.area - found.area, abs=1e-6)


def test_an_order_without_effect_is_no_effect_to_the_last_bit():
    image, _ = image_and_maps(1)
    distinct = np.arange(42, dtype=np.float32).reshape(SIZE)
    found = deletion(smooth, image, [distinct], [0], EXPECTED)[0]
    assert (found.ties.shift, found.ties.spread) == (0, 0)
    assert found.ties.areas == (found.area,) * 40


def test_row_by_row_may_lie_far_from_all_random_orders():
    """The score is that of the upper half alone, which row-major order removes first."""
    image = np.full((1, *SIZE, 3), 200, np.float32)

    def upper_half(images):
        kept = (images[:, : SIZE[0] // 2] == 200).mean((1, 2, 3))
        return np.stack([kept, 1 - kept], axis=1)

    heatmap = np.zeros(SIZE, np.float32)
    heatmap[-1, -1] = 1
    ties = deletion(upper_half, image, [heatmap], [0], EXPECTED)[0].ties
    assert ties.shift < -4 * ties.spread < 0
    assert ties.row_major < min(ties.areas)


def test_a_score_that_is_not_finite_in_one_order_leaves_no_value():
    image = np.full((1, *SIZE, 3), 200, np.float32)

    def broken(images):  # where the first three zeros are gone and no other: row by row alone
        gone = images[..., 0] != 200
        is_first = gone[:, 0, :3].all(1) & (gone.sum((1, 2)) == 5)
        return np.where(is_first, np.nan, 0.5)[:, None].repeat(2, axis=1)

    unknown = Undefined("the model's score is not finite")
    for rules in (STABLE, EXPECTED):
        assert deletion(broken, image, [plateau()], [0], rules) == [unknown]


def test_a_mean_over_one_order_is_refused():
    with pytest.raises(InputError, match="has ties 'expected' and tie_orders 1: wanted 2 or more"):
        dataclasses.replace(STABLE, ties="expected")


def test_a_protocol_that_draws_orders_asks_for_each_and_for_the_declared_one():
    once = STABLE.calls(42).each_heatmap
    assert EXPECTED.calls(42).each_heatmap == once * (1 + 40)


def test_sensitivity_is_the_spread_over_orders():
    image, _ = image_and_maps(1)
    rules = dataclasses.replace(EXPECTED, tie_orders=12)
    metric = partial(deletion, targets=[0])
    found = tie_sensitivity(metric, smooth, image[0], plateau(), rules)
    assert found.share == pytest.approx(40 / 42)
    assert found.low < found.area < found.high
    assert found.spread > 0.001
    stable = deletion(smooth, image, [plateau()], [0], STABLE)[0]
    assert found.row_major == pytest.approx(stable.area, abs=1e-6)
    distinct = np.arange(42.0).reshape(SIZE)
    none = tie_sensitivity(metric, smooth, image[0], distinct, rules)
    assert (none.share, none.spread) == (0, 0)
    flat = tie_sensitivity(metric, smooth, image[0], np.ones(SIZE), rules)
    assert flat == Undefined("the heatmap is constant")
    with pytest.raises(InputError, match="a spread needs two orders"):
        tie_sensitivity(metric, smooth, image[0], distinct, STABLE)
