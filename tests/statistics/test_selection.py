"""The best set against a twin that drops one cell at a time, and the winner's number."""

import itertools

import numpy as np
import pytest

from gradcam_eval.intervals import resamples_of
from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.selection import _largest_resampled, confidence_set
from gradcam_eval.statistics.winner import choose_winner, reselection


def slow_set(x, level=0.05):
    """Drop one cell at a time, every flip of every pair's differences anew; images are units."""
    cells = list(range(x.shape[1]))
    while len(cells) > 1:
        pairs = list(itertools.permutations(cells, 2))
        d = np.array([x[:, k] - x[:, m] for k, m in pairs]).T
        power = np.sqrt((d**2).sum(0))
        largest = [
            (np.array(signs) @ d / power).max()
            for signs in itertools.product((1, -1), repeat=len(x))
        ]
        t = d.sum(0) / power
        if (np.array(largest) >= t.max() - 1e-9).mean() > level:
            break
        cells.remove(pairs[int(t.argmax())][1])
    return cells


@pytest.mark.parametrize("seed", range(6))
def test_the_set_is_that_of_dropping_one_at_a_time(seed):
    x = np.random.default_rng(seed).normal(size=(8, 5)) + np.array([0, 0, -1.0, -2.0, -3.0])
    assert list(np.flatnonzero(confidence_set(x).is_in)) == slow_set(x)


def test_p_values_are_those_of_the_set(rng):
    x = rng.normal(size=(40, 4)) + np.array([0, 0, -0.4, -2])
    found = confidence_set(x)
    assert list(found.is_in) == [True, True, found.is_in[2], False]
    assert (found.p[found.is_in] >= 0.05).all()
    assert (found.p[~found.is_in] <= 0.05).all()
    assert np.isfinite(found.quantile)


def test_few_units_or_one_cell_exclude_nothing(rng):
    x = rng.normal(size=(5, 3)) + np.array([0, 50, 100])
    assert confidence_set(x).is_in.all()
    assert confidence_set(np.repeat(x, 4, 0), units=np.repeat(np.arange(5), 4)).is_in.all()
    assert confidence_set(rng.normal(size=(30, 1))).is_in.all()


def test_copies_of_the_best_stay_with_it_and_rounding_excludes_none(rng):
    best = rng.random((30, 1)) + 1
    x = np.concatenate([best, best * (1 + 1e-8), best - 1 - 0.1 * rng.random((30, 1))], axis=1)
    assert list(confidence_set(x).is_in) == [True, True, False]
    assert confidence_set(np.repeat(best, 3, axis=1)).is_in.all()


def test_the_largest_resampled_statistic_by_its_definition(rng):
    x = rng.normal(size=(9, 4))
    found = _largest_resampled(x, np.ones((4, 4), bool), 5)
    weights = np.concatenate(list(resamples_of(9, 1999, 5)))[:40].astype(int)
    for w, value in zip(weights, found, strict=False):
        drawn = np.repeat(np.arange(9), w)
        largest = 0.0
        for k, m in itertools.combinations(range(4), 2):
            d = x[:, k] - x[:, m]
            variance = max(d[drawn].var(ddof=1), d.var(ddof=1) / 16)
            largest = max(largest, abs(d[drawn].mean() - d.mean()) / np.sqrt(variance / 9))
        assert value == pytest.approx(largest * np.sqrt(9 / (8 + largest**2)))


def test_cells_of_opposite_skew_are_seldom_lost():
    lost = 0
    for seed in range(80):
        generator = np.random.default_rng(seed)
        z = generator.normal(size=(20, 1)) / 2 + 0.75**0.5 * generator.normal(size=(20, 8))
        x = np.exp(0.8 * z) - np.exp(0.32)
        x[:, 4:] *= -1
        lost += not confidence_set(x).is_in.all()
    assert lost <= 10  # sign flips alone lose one in a sixth of studies


def test_cells_within_the_tolerance_are_not_told_apart(rng):
    best = rng.random((30, 1))
    x = np.concatenate([best, best - 0.004, best - 0.02], axis=1) + rng.normal(0, 1e-4, (30, 3))
    assert list(confidence_set(x).is_in) == [True, False, False]
    assert list(confidence_set(x, design=Design(tolerance=0.01)).is_in) == [True, True, False]


def test_the_other_half_gives_the_number(rng):
    x = rng.normal(size=(24, 6))
    found = choose_winner(x, seed=3)
    assert found.is_split
    assert found.images.sum() == 12
    assert found.cell == x[~found.images].mean(0).argmax()
    assert (choose_winner(x + 5, seed=3).images == found.images).all()
    whole = choose_winner(x[:23])
    assert not whole.is_split
    assert (whole.images.all(), whole.cell) == (True, x[:23].mean(0).argmax())
    assert not choose_winner(x, choose="all").is_split
    assert choose_winner(x[:12], choose="half").is_split
    assert not choose_winner(x[:11], choose="half").is_split


def test_a_cluster_is_in_one_half(rng):
    units = np.repeat(np.arange(30), 3)
    found = choose_winner(rng.normal(size=(90, 4)), units=units)
    shares = [found.images[units == unit].mean() for unit in range(30)]
    assert set(shares) == {0.0, 1.0}


def test_halves_agree_on_a_clear_winner_and_rarely_on_equal_cells(rng):
    x = rng.normal(size=(60, 8))
    rate, equal = reselection(x)
    assert equal == pytest.approx(1 / 8, abs=0.06)
    clear, same = reselection(x + 3 * (np.arange(8) == 0))
    assert clear == 1
    assert same < 0.2
    alike = np.repeat(x[:, :2], 4, axis=1) + 1e-3 * x  # eight cells of two kinds
    assert reselection(alike)[1] > reselection(x)[1]
    assert reselection(np.repeat(x[:, :1], 4, axis=1)) == (pytest.approx(1 / 4),) * 2
    assert 0 <= rate <= 1
