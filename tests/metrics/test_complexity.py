"""Complexity: golden values, slow twins, limits."""

import math

import numpy as np
import pytest

from gradcam_eval.core import Case, Truth, Undefined
from gradcam_eval.metrics import (
    METRICS,
    effective_complexity,
    entropy_complexity,
    evaluate,
    gini_sparseness,
)

FUNCTIONS = [gini_sparseness, entropy_complexity, effective_complexity]
NAMES = ["gini_sparseness", "entropy_complexity", "effective_complexity"]


def one_hot(n=4):
    heatmap = np.zeros((n, n), np.float32)
    heatmap[1, 2] = 3
    return heatmap


def slow_gini(heatmap):
    """The mean absolute difference of all pairs over twice the mean: the index's own definition."""
    values = [abs(float(v)) for v in heatmap.flat]
    n = len(values)
    total = sum(abs(a - b) for a in values for b in values)
    return total / (2 * n * n * (sum(values) / n))


def slow_entropy(heatmap):
    total = sum(abs(float(v)) for v in heatmap.flat)
    shares = [abs(float(v)) / total for v in heatmap.flat]
    return -sum(p * math.log(p) for p in shares if p > 0)


def test_a_single_pixel_is_as_sparse_as_can_be():
    assert gini_sparseness(one_hot()) == pytest.approx(1 - 1 / 16)
    assert entropy_complexity(one_hot()) == 0
    assert effective_complexity(one_hot()) == 1 / 16


def test_golden_values_by_hand():
    heatmap = np.array([[0.0, -1.0], [1.0, 2.0]])
    # |v| sorted 0 1 1 2, weights (4−k+½)/4 = .875 .625 .375 .125: 1 − 2 (.625+.375+.25)/4 = .375
    assert gini_sparseness(heatmap) == pytest.approx(0.375)
    # shares ¼ ¼ ½: 2 · ¼ ln 4 + ½ ln 2 = 1.5 ln 2
    assert entropy_complexity(heatmap) == pytest.approx(1.5 * math.log(2))
    assert effective_complexity(heatmap) == 0.75
    assert effective_complexity(heatmap, threshold=0.5) == 0.25  # above half of 2: the 2 alone


def test_almost_equal_values_are_not_sparse():
    heatmap = 1 + 1e-6 * np.arange(64.0).reshape(8, 8)
    assert gini_sparseness(heatmap) == pytest.approx(0, abs=1e-4)
    assert entropy_complexity(heatmap) == pytest.approx(math.log(64))
    assert effective_complexity(heatmap) == 1


@pytest.mark.parametrize("seed", range(4))
def test_fast_equals_slow(seed):
    heatmap = np.random.default_rng(seed).normal(size=(6, 5)) * (seed + 1)
    heatmap[heatmap > 1] = 0
    assert gini_sparseness(heatmap) == pytest.approx(slow_gini(heatmap))
    assert entropy_complexity(heatmap) == pytest.approx(slow_entropy(heatmap))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_scale_sign_and_place_do_not_matter(function, rng):
    heatmap = rng.random((7, 7))
    assert function(-9 * heatmap) == pytest.approx(function(heatmap))
    assert function(heatmap[::-1]) == pytest.approx(function(heatmap))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("heatmap", [np.zeros((4, 4)), np.ones((4, 4)), np.full((4, 4), np.inf)])
def test_degenerate_maps_are_undefined(function, heatmap):
    assert isinstance(function(heatmap), Undefined)


@pytest.mark.parametrize(("name", "function"), list(zip(NAMES, FUNCTIONS, strict=True)))
def test_a_study_measures_the_map_at_the_image_s_size(name, function):
    truth = Truth((12, 16))
    case = Case(np.zeros((12, 16, 3), np.float32), np.eye(3, 4, dtype=np.float32), 0, truth, truth)
    flat = Case(case.image, np.full((3, 3), 0.3, np.float32), 0, truth, truth)
    found, constant = evaluate(name, [case, flat])
    from gradcam_eval.arrays import resize

    assert found == pytest.approx(function(resize(case.heatmap, (12, 16))))
    assert constant == Undefined("the heatmap is constant")
    assert METRICS[name].higher_is_better is (name == "gini_sparseness")
