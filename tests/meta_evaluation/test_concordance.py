"""Kendall's W and Krippendorff's α against values worked out by hand and a published example."""

import numpy as np
import pytest

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.meta_evaluation.concordance import kendalls_w, krippendorff_alpha

NONE = np.nan
# Krippendorff 2011, section C: four observers, twelve units; ordinal α = 0.815.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)


def test_w_by_hand():
    # Ranks 123, 123, 213: sums 4, 5, 9, mean 6, S = 4 + 1 + 9 = 14; 12·14 / (9·24) = 7/9.
    assert kendalls_w(np.array([[1, 2, 3], [1, 2, 3], [2, 1, 3]])) == pytest.approx(7 / 9)


def test_w_with_ties_by_hand():
    # Ranks 1, 2.5, 2.5 and 1, 2, 3: sums 2, 4.5, 5.5, mean 4, S = 4 + 0.25 + 2.25 = 6.5.
    # T = 2³ − 2 = 6: 12·6.5 / (4·24 − 2·6) = 78/84.
    assert kendalls_w(np.array([[0.1, 7, 7], [10, 20, 30]])) == pytest.approx(78 / 84)


def test_w_is_1_for_one_order_and_0_for_opposite_ones():
    assert kendalls_w(np.array([[1, 2, 3, 4], [0, 10, 11, 99]])) == pytest.approx(1)
    assert kendalls_w(np.array([[1, 2, 3, 4], [4, 3, 2, 1]])) == pytest.approx(0)


@pytest.mark.parametrize("ratings", [np.ones((3, 4)), np.ones((1, 4)), np.zeros((0, 4))])
def test_w_of_nothing_is_undefined(ratings):
    assert isinstance(kendalls_w(ratings), Undefined)


def test_w_refuses_a_missing_rating():
    with pytest.raises(InputError, match="finite"):
        kendalls_w(np.array([[1, NONE], [1, 2]]))


def test_alpha_by_hand():
    # Units (1, 1), (2, 2), (1, 2): o_11 = 2, o_22 = 2, o_12 = o_21 = 1; n_1 = n_2 = 3, n = 6.
    # δ²_12 = (3 + 3 − 3)² = 9. D_o = 2·9/6 = 3, D_e = 2·9·9/30 = 5.4, α = 1 − 3/5.4 = 4/9.
    assert krippendorff_alpha(np.array([[1, 2, 1], [1, 2, 2]])) == pytest.approx(4 / 9)


def test_alpha_of_the_published_example():
    assert krippendorff_alpha(PUBLISHED) == pytest.approx(0.815, abs=5e-4)


def test_alpha_equals_its_definition_loop_by_loop():
    ratings = np.random.default_rng(0).integers(1, 5, (4, 9)).astype(float)
    ratings[0, :3] = ratings[1, 2:5] = ratings[1:, 8] = NONE
    units = [column[~np.isnan(column)] for column in ratings.T]
    units = [unit for unit in units if len(unit) > 1]
    total = [value for unit in units for value in unit]

    def distance(c, k):
        low, high = min(c, k), max(c, k)
        between = sum(low <= value <= high for value in total)
        return (between - (total.count(c) + total.count(k)) / 2) ** 2

    observed = sum(
        distance(unit[i], unit[j]) / (len(unit) - 1)
        for unit in units
        for i in range(len(unit))
        for j in range(len(unit))
        if i != j
    ) / len(total)
    expected = sum(distance(a, b) for a in total for b in total)
    expected /= len(total) * (len(total) - 1)
    assert krippendorff_alpha(ratings) == pytest.approx(1 - observed / expected)


@pytest.mark.parametrize("ratings", [np.ones((2, 3)), np.array([[1, NONE], [NONE, 2]])])
def test_alpha_of_nothing_is_undefined(ratings):
    assert isinstance(krippendorff_alpha(ratings), Undefined)
