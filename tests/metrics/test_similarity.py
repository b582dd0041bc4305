"""Measures of similarity: golden values, slow twins from the definitions, properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.metrics.similarity import (
    MEASURES,
    absolute_rank_correlation,
    find_measure,
    framed,
    hog_similarity,
    rank_correlation,
    structural_similarity,
    top_overlap,
)

EVERY = pytest.mark.parametrize("name", MEASURES)


def pair(seed, side=64):
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(side, side)).astype(np.float32) for _ in range(2))


def slow_spearman(a, b):
    """Ranks by counting: as many as are smaller, plus half of the others that are equal."""

    def ranks(values):
        return [sum(w < v for w in values) + sum(w == v for w in values) / 2 for v in values]

    one, other = ranks(list(a.flat)), ranks(list(b.flat))
    m1, m2 = sum(one) / len(one), sum(other) / len(other)
    top = sum((x - m1) * (y - m2) for x, y in zip(one, other, strict=True))
    return top / (sum((x - m1) ** 2 for x in one) * sum((y - m2) ** 2 for y in other)) ** 0.5


def slow_ssim(a, b):
    """The formula of Wang et al. in every 7×7 window, variances with n − 1 as scikit-image has."""
    (a, b), values = ((x - x.min()) / (x.max() - x.min()) for x in (a, b)), []
    for row in range(a.shape[0] - 6):
        for column in range(a.shape[1] - 6):
            x, y = (m[row : row + 7, column : column + 7] for m in (a, b))
            m1, m2, v1, v2 = x.mean(), y.mean(), x.var(ddof=1), y.var(ddof=1)
            cov = ((x - m1) * (y - m2)).sum() / 48
            top = (2 * m1 * m2 + 1e-4) * (2 * cov + 9e-4)
            values.append(top / ((m1**2 + m2**2 + 1e-4) * (v1 + v2 + 9e-4)))
    return np.mean(values)


def test_rank_correlation_by_hand():
    # ranks 1 2 3 4 against 1 3 2 4: 1 − 6 (0 + 1 + 1 + 0) / (4 · 15) = 0.8
    one, other = np.array([[1.0, 2], [3, 4]]), np.array([[10.0, 30], [20, 40]])
    assert rank_correlation(one, other) == pytest.approx(0.8)
    # |ranks| of −1 2 −3 4 are those of 1 2 3 4
    assert absolute_rank_correlation(one * [[-1, 1], [-1, 1]], one) == pytest.approx(1.0)


def test_rank_correlation_shares_ranks_among_ties():
    # ranks 1.5 1.5 3.5 3.5 and 1 2 3 4: cov = 2·(−1·−1.5 + −1·−.5) = 4, √(4 · 5) = 4.472
    one, other = np.array([[0.0, 0], [1, 1]]), np.array([[1.0, 2], [3, 4]])
    assert rank_correlation(one, other) == pytest.approx(4 / np.sqrt(20))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_rank_correlation_equals_the_slow_twin(seed, has_ties):
    one, other = pair(seed, side=5)
    if has_ties:
        one, other = np.maximum(one, 0), np.round(other)
    if np.ptp(one) and np.ptp(other):
        assert rank_correlation(one, other) == pytest.approx(slow_spearman(one, other), abs=1e-9)


def test_ssim_equals_the_slow_twin():
    one, other = pair(1, side=12)
    other = other + one
    assert structural_similarity(one, other) == pytest.approx(slow_ssim(one, other), abs=1e-4)


def test_hog_sees_edges_and_not_their_strength():
    rows = np.repeat(np.sin(np.arange(28.0))[:, None], 28, axis=1)  # stripes one way
    stripes = rows + 0.01 * np.random.default_rng(0).random((28, 28))
    assert hog_similarity(stripes, 3 * stripes + 1) == pytest.approx(1.0, abs=1e-6)
    assert hog_similarity(stripes, stripes.T) < 0.2


def test_top_overlap_by_hand():
    # the two highest of each: {9, 8} at (0, 0), (0, 1); {9, 8} at (0, 0), (1, 0): one of two
    one, other = np.array([[9.0, 8], [1, 0]]), np.array([[9.0, 1], [8, 0]])
    assert top_overlap(one, other, fraction=0.5) == 0.5
    assert top_overlap(one, other, fraction=0.01) == 1.0  # one pixel at least
    with pytest.raises(InputError, match="fraction is 0: wanted above 0"):
        top_overlap(one, other, fraction=0)


@EVERY
def test_a_map_is_like_itself_and_the_order_of_two_does_not_matter(name):
    one, other = pair(3)
    measure = find_measure(name).of
    assert measure(one, one) == pytest.approx(1.0, abs=1e-6)
    assert measure(one, other) == pytest.approx(measure(other, one), abs=1e-6)
    assert measure(one, other) < 0.5


@EVERY
def test_a_positive_factor_changes_nothing(name):
    one, other = pair(4)
    measure = find_measure(name).of
    assert measure(5 * one, other / 7) == pytest.approx(measure(one, other), abs=1e-5)


@EVERY
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.zeros((64, 64)), "the heatmap is all zero"),
        (np.ones((64, 64)), "the heatmap is constant"),
        (np.full((64, 64), np.nan), "the heatmap has values that are not finite"),
    ],
)
def test_what_cannot_rank_pixels_has_no_similarity(name, bad, reason):
    one, _ = pair(5)
    assert find_measure(name).of(one, bad) == find_measure(name).of(bad, one) == Undefined(reason)


def test_equal_absolute_values_cannot_be_ranked():
    one = np.array([[1.0, -1.0], [1.0, 1.0]])
    found = absolute_rank_correlation(one, np.eye(2))
    assert found == Undefined("the absolute values of a heatmap are all equal")


def test_maps_too_small_for_a_measure_are_undefined():
    one, other = pair(6, side=2)
    assert "smaller than SSIM's window" in structural_similarity(one, other).reason
    assert "smaller than 3 pixels" in hog_similarity(one, other).reason


@EVERY
def test_maps_of_two_sizes_are_refused(name):
    with pytest.raises(InputError, match=r"shapes \(4, 4\) and \(5, 5\): wanted two"):
        find_measure(name).of(np.eye(4), np.eye(5))


def test_an_unknown_measure_names_the_valid_ones():
    with pytest.raises(InputError, match="did you mean 'rank_correlation'"):
        find_measure("rank_corelation")


@pytest.mark.parametrize("value", [0.3, np.nan])
def test_resizing_leaves_a_constant_map_constant(value):
    found = framed(np.full((3, 3), value, np.float32), (20, 20))
    assert found.shape == (20, 20)
    assert len(np.unique(found)) == 1
