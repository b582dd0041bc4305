"""The test behind a resolved step has the right size, and its power is that of simulations."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from gradcam_eval.meta_evaluation.resolution import (
    SIZES,
    power_of,
    smallest_n,
    smallest_step,
    step_table,
)


def scores(count, slope, noise=1.0, seed=0):
    """Scores that fall by `slope` with each step of the ladder, and vary by image and heatmap."""
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(count, 1))
    return image - slope * np.arange(11) + noise * generator.normal(size=(count, 11))


@pytest.mark.parametrize(("n", "ratio"), [(10, 0.0), (10, 0.8), (30, 0.3), (100, 0.1)])
def test_the_power_is_that_of_simulated_tests(n, ratio):
    draws = np.random.default_rng(0).normal(ratio, 1, size=(4000, n))
    share = (ttest_1samp(draws, 0, axis=1, alternative="greater").pvalue <= 0.05).mean()
    assert power_of(np.array([ratio]), n)[0] == pytest.approx(share, abs=0.025)


def test_the_ends_of_power():
    ratios = np.array([-np.inf, 0, np.inf])
    np.testing.assert_allclose(power_of(ratios, 50), [0, 0.05, 1], atol=1e-6)
    assert (power_of(ratios, 5) == 0).all()  # no claim is made below 6 images


def test_the_smallest_n_is_the_first_with_enough_power():
    ratio = np.array([0.5])
    n = smallest_n(ratio)
    assert power_of(ratio, n)[0] >= 0.8 > power_of(ratio, n - 1)[0]
    assert n == 27  # of tables of the one-sided paired t-test: d = .5, 5 %, 80 %
    assert smallest_n(np.array([0.0])) is None
    assert smallest_n(np.array([np.inf])) == 6


def test_a_blind_metric_resolves_nothing_in_most_studies():
    """Each has a chance of 5 %, so 7 of 40 or more have one of .3 %."""
    wrong = 0
    for seed in range(40):
        steps = step_table(scores(20, 0, seed=seed))
        wrong += any(each.is_shown for each in steps)
        if not any(each.is_shown for each in steps):
            assert [smallest_step(steps, n) for n in SIZES] == [None] * 3
            assert all(each.smallest_n is None for each in steps)
    assert wrong < 7


def test_more_images_resolve_smaller_steps():
    steps = step_table(scores(200, 0.25))
    assert [each.step for each in steps] == pytest.approx([k / 10 for k in range(1, 11)])
    assert [each.places for each in steps] == list(range(10, 0, -1))
    # A step of k has a ratio of .25 k / √2: .5 needs d = .88 at n = 10, …
    found = [smallest_step(steps, n) for n in SIZES]
    assert found[0] > found[1] > found[2] > 0
    wanted = next(k for k in range(1, 11) if power_of(np.array([0.25 * k / 2**0.5]), 10) >= 0.8)
    assert found[0] == pytest.approx(wanted / 10, abs=0.1)
    counts = [each.smallest_n for each in steps]
    assert counts == sorted(counts, reverse=True)


def test_margins_are_means_over_images_and_places():
    values = scores(12, 0.5)
    steps = step_table(values)
    assert steps[2].margin == pytest.approx((values[:, :-3] - values[:, 3:]).mean())
    assert steps[9].margin == pytest.approx((values[:, 0] - values[:, 10]).mean())
    assert all(each.low < each.margin for each in steps)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_images_show_nothing(count):
    steps = step_table(scores(count, 3))
    assert not any(each.is_shown for each in steps)
    assert all(each.low is None and each.smallest_n is None for each in steps)


def test_a_step_counts_only_where_larger_ones_do():
    """A score that falls at first and then rises as far shows small steps, and not the whole."""
    falls = np.concatenate([np.zeros(1), -np.ones(9), np.zeros(1)])
    values = falls + 0.1 * np.random.default_rng(0).normal(size=(40, 11))
    assert smallest_step(step_table(values), 100) is None
