"""Short form of benchmarks/test_calibration.py: gross errors of a rate would show here."""

import numpy as np
import pytest

from gradcam_eval.intervals import bootstrap_interval
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.selection import confidence_set

STUDIES = 60


def equal_cells(seed, n, cells=12):
    """Cells that share what an image does, skewed as areas under deletion curves are."""
    generator = np.random.default_rng(seed)
    return np.exp(generator.normal(size=(n, 1)) / 2 + generator.normal(size=(n, cells + 1)) / 2)


@pytest.mark.parametrize("n", [10, 30])
def test_equal_cells_are_seldom_told_apart(n):
    """Both rates are 5 %: 9 or more of 60 studies have a chance of .003."""
    better = lost = single = 0
    for seed in range(STUDIES):
        x = equal_cells(seed, n)
        gains = x[:, :12] - x[:, 12:]
        better += bool((simultaneous(gains).p <= 0.05).any())
        lost += not confidence_set(x[:, :12]).is_in.all()
        single += bool((gains.mean(0) > 1.645 * gains.std(0, ddof=1) / np.sqrt(n)).any())
    assert better < 9
    assert lost < 9
    assert single > better  # what testing each cell by itself would claim


def test_a_reference_of_opposite_skew_is_seldom_beaten():
    beaten = 0
    for seed in range(STUDIES):
        x = equal_cells(seed, 20, cells=13)
        mean = float(np.exp(0.25))
        beaten += bool((simultaneous((2 * mean - x[:, :12]) - x[:, 12:13]).p <= 0.05).any())
    assert beaten < 11  # 7 %, with a chance of .004; sign flips alone claim it in a fifth


def test_a_reference_with_a_long_tail_is_seldom_beaten():
    """The reference has nearly all of the spread: an interval of one mean, in effect."""
    false = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        tail = np.exp(0.8 * generator.normal(size=(10, 1))) - np.exp(0.32)
        gains = 0.1 * generator.normal(size=(10, 12)) - tail
        false += bool((simultaneous(gains).p <= 0.05).any())
    assert false <= 14  # 7 %; a bootstrap-t at the level itself claims it in 10 %


@pytest.mark.parametrize("n", [10, 12, 24])
def test_a_mean_of_few_values_with_a_long_tail_is_covered(n):
    """Log-normal, skewness 3.7: tails of 2.5 % cover .90 at n = 10; 93 % is promised."""
    columns = np.exp(0.8 * np.random.default_rng(n).normal(size=(n, 2000)))
    mean = np.exp(0.32)
    for sign in (1, -1):
        low, high = bootstrap_interval(sign * columns, resamples=400)
        assert ((low <= sign * mean) & (sign * mean <= high)).mean() > 0.93


def test_bootstrap_t_covers_the_mean_of_skewed_values():
    columns = np.random.default_rng(0).exponential(size=(12, 400))
    low, high = bootstrap_interval(columns, resamples=400)
    assert ((low <= 1) & (high >= 1)).mean() > 0.91
    t = np.abs(columns.mean(0) - 1) / (columns.std(0, ddof=1) / np.sqrt(12)) < 2.2
    assert ((low <= 1) & (high >= 1)).mean() > t.mean()
