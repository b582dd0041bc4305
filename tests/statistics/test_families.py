"""Simultaneous tests against slow twins, and the small cases by hand."""

import itertools

import numpy as np
import pytest

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.flips import flips_of
from gradcam_eval.statistics.units import clustered_interval, unit_codes


def student(d):
    return d.mean(0) / (d.std(0, ddof=1) / np.sqrt(len(d)))


def slow_p(d, fold, units=None):
    """The adjusted p-values of the flips alone: every sign vector, every statistic anew."""
    units = np.arange(len(d)) if units is None else units
    count = units.max() + 1
    largest = []
    for signs in itertools.product((1, -1), repeat=count):
        sums = np.array([signs[u] * d[units == u].sum(0) for u in range(count)])
        largest.append(fold(student(sums)).max())
    observed = fold(student(np.array([d[units == u].sum(0) for u in range(count)])))
    return (np.array(largest)[:, None] >= observed - 1e-9).mean(0)


@pytest.mark.parametrize(("alternative", "fold"), [("better", np.asarray), ("two-sided", np.abs)])
def test_p_values_are_at_least_those_of_all_flips(rng, alternative, fold):
    d = rng.normal(0.5, 1, (9, 3))
    found = simultaneous(d, design=Design(alternative=alternative))
    assert (found.p >= slow_p(d, fold) - 1e-12).all()  # the bootstrap-t may be stricter, never less
    np.testing.assert_allclose(found.difference, d.mean(0))
    np.testing.assert_allclose(found.error, d.std(0, ddof=1) / 3)
    hits = rng.integers(-1, 2, (9, 3)).astype(float)
    assert (
        simultaneous(hits, design=Design(alternative=alternative), is_hits=True).p
        >= slow_p(hits, fold)
    ).all()


def test_six_images_that_all_agree_by_hand():
    """Of 2^6 flips only the observed one has a sum of 6: p = 1/64, on both sides 2/64."""
    d = np.ones((6, 1))
    assert simultaneous(d, is_hits=True).p[0] == pytest.approx(1 / 64)
    both = simultaneous(d, is_hits=True, design=Design(alternative="two-sided"))
    assert both.p[0] == pytest.approx(2 / 64)
    assert both.p[0] == simultaneous(-d, is_hits=True, design=Design(alternative="two-sided")).p[0]
    half = both.quantile * np.sqrt(6 + 1 - 36 / 8) / 8  # half a win and half a loss more
    assert (both.low[0], both.high[0]) == (pytest.approx(6 / 8 - half), 1)


def test_clusters_that_all_hit_leave_an_interval():
    units = np.repeat(np.arange(20), 3)
    low, high = clustered_interval(np.ones(60), units, is_hits=True)
    assert (low, high) == pytest.approx((20 / (20 + 1.959964**2), 1))
    hits = (np.arange(60) % 3 > 0).astype(float)
    plain, wide = (clustered_interval(hits, units, is_hits=each) for each in (False, True))
    assert wide[0] <= plain[0]
    assert plain[1] <= wide[1]


def test_intervals_of_hits_cover_a_large_difference_and_say_what_the_test_says():
    """Without spread d ∓ q se was one number: it covered a difference of .85 in 82 % of studies."""
    covers = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        hits = generator.random((20, 1)) < 0.95
        d = hits.astype(float) - (generator.random((20, 1)) < 0.1)
        found = simultaneous(d, is_hits=True)
        covers += bool(found.low[0] <= 0.85)
        small = simultaneous(np.roll(d, 3) - hits, is_hits=True)
        assert (small.p[0] <= 0.05) == (small.low[0] > 0)
    assert covers >= 56


def test_one_hit_family_is_mcnemar_exact():
    """7 wins, 1 loss, 2 ties: P(X ≥ 7), X ~ Binomial(8, 1/2) = 9/256."""
    d = np.array([1.0] * 7 + [-1.0] + [0.0] * 2)[:, None]
    flips = np.concatenate(list(flips_of(10)))
    assert ((flips @ d)[:, 0] >= 6).mean() == pytest.approx(9 / 256)
    assert simultaneous(d, is_hits=True).p[0] >= 9 / 256


@pytest.mark.parametrize("n", [5, 0])
def test_no_claim_from_fewer_than_six_units(n):
    found = simultaneous(np.ones((n, 2)))
    assert found == Undefined(f"{n} independent units: a claim needs 6")


def test_five_clusters_make_no_claim_and_a_column_of_few_pairs_none_for_itself(rng):
    d = rng.normal(5, 1, (20, 2))
    clusters = {str(i): str(i % 5) for i in range(20)}
    assert isinstance(simultaneous(d, units=unit_codes(list(clusters), clusters)), Undefined)
    d[5:, 1] = np.nan
    found = simultaneous(d)
    assert found.p[0] < 0.05
    assert (found.p[1], found.low[1], found.units[1]) == (1, -np.inf, 5)
    np.testing.assert_allclose(found.p[0], simultaneous(d[:, :1]).p[0])


@pytest.mark.parametrize("n", [8, 40])
@pytest.mark.parametrize("alternative", ["better", "two-sided"])
def test_p_and_interval_say_the_same(n, alternative):
    for seed in range(12):
        d = np.random.default_rng(seed).normal(0.35, 1, (n, 4))
        found = simultaneous(d, design=Design(alternative=alternative))
        excludes = (found.low > 0) | (found.high < 0)
        np.testing.assert_array_equal(found.p <= 0.05, excludes)


def test_whole_clusters_flip(rng):
    units = np.repeat(np.arange(7), 3)
    d = np.repeat(rng.normal(0.5, 1, (7, 2)), 3, axis=0)
    by_cluster, by_hand = simultaneous(d, units=units), simultaneous(d[::3])
    np.testing.assert_allclose(by_cluster.p, by_hand.p)
    np.testing.assert_allclose(by_cluster.error, by_hand.error)
    assert (simultaneous(d).error < by_cluster.error).all()
    assert (by_cluster.p >= slow_p(d, np.asarray, units) - 1e-12).all()


def test_the_family_pays_for_its_size_and_equal_cells_are_equal(rng):
    d = rng.normal(0.3, 1, (30, 1))
    many = np.concatenate([d, rng.normal(0, 1, (30, 40))], axis=1)
    assert simultaneous(many).p[0] > simultaneous(d).p[0]
    copies = simultaneous(np.repeat(d, 9, axis=1))  # of one cell: no price at all
    np.testing.assert_allclose(copies.p, simultaneous(d).p[0])
    none = simultaneous(np.zeros((30, 2)))
    assert (none.p == 1).all()
    assert (none.low == 0).all()


def test_no_difference_within_the_tolerance_is_a_claim(rng):
    d = 0.004 + rng.normal(0, 1e-4, (20, 2)) * [1, 0]
    exact, rough = simultaneous(d), simultaneous(d, design=Design(tolerance=0.005))
    assert (exact.p < 0.05).all()
    assert (rough.p > 0.5).all()
    np.testing.assert_allclose(rough.difference, exact.difference)
    assert (rough.low < 0).all()
    two = Design(alternative="two-sided", tolerance=0.005)
    large = simultaneous(np.concatenate([d[:, :1], d[:, :1] + 0.01], axis=1), design=two)
    assert list(large.p <= 0.05) == [False, True]
    assert large.high[1] - large.difference[1] > 0.005
    np.testing.assert_array_equal(large.p <= 0.05, large.low > 0)
    with pytest.raises(InputError, match="tolerance = -1"):
        Design(tolerance=-1)


def test_blocks_of_flips_are_the_same_as_one(rng, monkeypatch):
    d = rng.normal(0.3, 1, (40, 3))
    whole = simultaneous(d)
    monkeypatch.setattr("gradcam_eval.statistics.flips._BLOCK", 400)
    monkeypatch.setattr("gradcam_eval.intervals._BLOCK", 400)
    parts = simultaneous(d)
    np.testing.assert_allclose(parts.p, whole.p)
    assert parts.quantile == pytest.approx(whole.quantile)
