"""The best set against a twin that drops one cell at a time, and the winner's number."""

import itertools

import numpy as np
import pytest

from gradcam_eval.intervals import resamples_of
from gradcam_eval.statistics import selection
from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.flips import flips_of
from gradcam_eval.statistics.pairs import corrected, largest_flipped, largest_resampled, observed
from gradcam_eval.statistics.selection import confidence_set
from gradcam_eval.statistics.winner import choose_winner, reselection


def hall(d, least=0.0):
    """Hall's transformation of t, from its definition."""
    n, s = len(d), max(d.std(), least)
    g, share = ((d - d.mean()) ** 3).mean() / s**3 * (d.std() > least), d.mean() / s
    return np.sqrt(n - 1) * (share + g * share**2 / 3 + g**2 * share**3 / 27 + g / (6 * n))


def slow_set(x, level=0.05, seed=0):
    """Drop one cell at a time, all flips and resamples of every pair anew; images are units."""
    cells = list(range(x.shape[1]))
    weights = np.concatenate(list(resamples_of(len(x), 1999, seed))).astype(int)
    drawn = [np.repeat(np.arange(len(x)), w) for w in weights]
    while len(cells) > 1:
        pairs = list(itertools.permutations(cells, 2))
        d = {pair: x[:, pair[0]] - x[:, pair[1]] for pair in pairs}
        seen = {pair: hall(d[pair]) for pair in pairs if d[pair].mean() > 0}
        best = max(seen, key=seen.get)
        flips = [
            max(abs(hall(np.array(signs) * each)) for each in d.values())
            for signs in itertools.product((1, -1), repeat=len(x))
        ]
        again = [
            max(abs(hall((e - e.mean())[at], e.std() / 4)) for e in d.values()) for at in drawn
        ]
        p = max((np.array(null) >= seen[best] - 1e-9).mean() for null in (flips, again))
        if p > level:
            break
        cells.remove(best[1])
    return cells


@pytest.mark.parametrize("seed", range(3))
def test_the_set_is_that_of_dropping_one_at_a_time(seed):
    x = np.random.default_rng(seed).normal(size=(7, 3)) + np.array([0, -1.5, -3.0])
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


def test_the_largest_statistics_by_their_definition(rng):
    x, apart = rng.exponential(size=(9, 4)), np.ones((4, 4), bool)
    pairs = [x[:, k] - x[:, m] for k, m in itertools.combinations(range(4), 2)]
    weights = np.concatenate(list(resamples_of(9, 1999, 5)))[:40].astype(int)
    for w, value in zip(weights, largest_resampled(x, apart, 5), strict=False):
        drawn = np.repeat(np.arange(9), w)
        own = [abs(hall((d - d.mean())[drawn], d.std() / 4)) for d in pairs]
        assert value == pytest.approx(max(own))
    signs = np.concatenate(list(flips_of(9)))[:40]
    for sign, value in zip(signs, largest_flipped(x, apart, 5), strict=False):
        assert value == pytest.approx(max(abs(hall(sign * d)) for d in pairs))
    seen = observed(x, apart, 0.0)
    assert seen[0, 1] == pytest.approx(hall(pairs[0])) == -seen[1, 0]
    np.testing.assert_allclose(observed(x, apart, 0.0, is_large=True), seen, atol=1e-9)
    moved = hall(pairs[0] - np.sign(pairs[0].mean()) * 0.01)
    assert observed(x, apart, 0.09)[0, 1] == pytest.approx(moved)


def test_t_without_skewness_and_no_statistic_without_spread(rng):
    d = rng.normal(size=15)
    d = np.concatenate([d, -d]) + 0.3
    sums = [np.array([(d**power).sum()]) for power in (1, 2, 3)]
    t = np.sqrt(30) * d.mean() / d.std(ddof=1)
    assert corrected(*sums, 30, np.zeros(1)) == pytest.approx(t)
    same = np.ones((8, 2)) * [0.3, 0.1]
    assert np.isfinite(largest_flipped(same, np.ones((2, 2), bool), 0)).all()
    assert list(confidence_set(same).is_in) == [True, False]  # eight wins of eight


def test_many_units_and_pairs_have_the_flips_of_t(monkeypatch, rng):
    x = rng.normal(size=(40, 4)) + np.array([0, -0.1, -1, -2])
    few = confidence_set(x)
    monkeypatch.setattr(selection, "_MOST_WORK", 0)
    many = confidence_set(x)
    assert list(few.is_in) == list(many.is_in) == [True, True, False, False]
    assert many.quantile == pytest.approx(few.quantile, rel=0.1)


def test_cells_of_opposite_skew_are_seldom_lost():
    lost = 0
    for seed in range(80):
        generator = np.random.default_rng(seed)
        z = generator.normal(size=(20, 1)) / 2 + 0.75**0.5 * generator.normal(size=(20, 8))
        x = np.exp(0.8 * z) - np.exp(0.32)
        x[:, 4:] *= -1
        lost += not confidence_set(x).is_in.all()
    assert lost <= 8  # 5 %, with a chance of .02; sign flips of t lose one in a sixth of studies


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
