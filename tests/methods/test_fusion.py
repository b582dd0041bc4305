"""Fusion: golden values, slow twins, and members that say nothing."""

import math

import numpy as np
import pytest
from handmade import enlarged

from gradcam_eval.arrays import degenerate_reason
from gradcam_eval.methods import METHODS
from gradcam_eval.methods.fusion import fusion_max, fusion_mean, fusion_product

FUSIONS = (fusion_mean, fusion_max, fusion_product)


def twin(name, members, gamma=2.0):
    """One image: position by position, in float64."""
    size = (max(len(m) for m in members), max(len(m[0]) for m in members))
    ready = []
    for member in members:
        positive = enlarged(np.maximum(member, 0), size)
        if positive.max() > positive.min():
            ready.append(positive / positive.max())
    out = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            values = [each[y, x] for each in ready]
            if not values:
                continue
            if name == "fusion_mean":
                out[y, x] = sum(values) / len(values)
            elif name == "fusion_max":
                out[y, x] = max(math.tanh(gamma * value) for value in values)
            else:
                out[y, x] = math.prod(values) ** (1 / len(values))
    return out


@pytest.mark.parametrize("fusion", FUSIONS)
def test_equals_its_twin(fusion, rng):
    maps = [rng.normal(size=(3, *size)).astype(np.float32) for size in ((9, 8), (5, 4), (2, 3))]
    maps[1][2] = 0  # one image's member without evidence
    fused = fusion(maps)
    assert fused.shape == (3, 9, 8)
    assert fused.dtype == np.float32
    for n in range(3):
        wanted = twin(fusion.__name__, [each[n].tolist() for each in maps])
        np.testing.assert_allclose(fused[n], wanted, rtol=1e-5, atol=1e-6)


# Two members of one size, worked out by hand; maxima 4 and 10.
FINE = np.array([[[0, 1, 2, 4]]], np.float32)
COARSE = np.array([[[10, 5, -3, 0]]], np.float32)
GOLDEN = {
    fusion_mean: [0.5, (0.25 + 0.5) / 2, 0.25, 0.5],
    fusion_max: [math.tanh(2), math.tanh(1), math.tanh(1), math.tanh(2)],
    fusion_product: [0, 0.125**0.5, 0, 0],
}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_golden_values(fusion):
    np.testing.assert_allclose(fusion([FINE, COARSE]), [[GOLDEN[fusion]]], rtol=1e-6)


def test_gamma_is_an_option():
    (fused,) = fusion_max([FINE, COARSE], gamma=1.0)
    np.testing.assert_allclose(fused[0, 1], math.tanh(0.5), rtol=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    "silent",
    [np.zeros((1, 1, 4)), -np.ones((1, 1, 4)), np.full((1, 1, 4), 7.0), np.ones((1, 1, 1))],
    ids=["zero", "negative", "constant", "1×1"],
)
def test_a_member_without_an_order_changes_nothing(fusion, silent):
    silent = silent.astype(np.float32)
    for maps in ([silent, FINE, COARSE], [FINE, silent, COARSE], [FINE, COARSE, silent]):
        np.testing.assert_array_equal(fusion(maps), fusion([FINE, COARSE]))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_only_silent_members_give_a_map_that_metrics_call_undefined(fusion):
    fused = fusion([np.zeros((2, 3, 3), np.float32), np.ones((2, 5, 4), np.float32)])
    assert fused.shape == (2, 5, 4)
    assert degenerate_reason(fused[0]) == "the heatmap is all zero"


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_a_fault_is_not_hidden_and_stays_with_its_image(fusion, fault):
    broken = np.concatenate([COARSE, COARSE])
    broken[1, 0, 0] = fault
    with np.errstate(invalid="ignore"):
        fused = fusion([np.concatenate([FINE, FINE]), broken])
    np.testing.assert_allclose(fused[0], [GOLDEN[fusion]], rtol=1e-6)
    assert "not finite" in degenerate_reason(fused[1])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_members_scale_does_not_matter(fusion, rng):
    maps = [rng.uniform(size=(2, 4, 4)).astype(np.float32) for _ in range(2)]
    np.testing.assert_allclose(fusion([maps[0] * 1e-20, maps[1] * 1e9]), fusion(maps), rtol=1e-5)


def test_a_product_of_many_layers_does_not_underflow():
    maps = [np.array([[[1e-3, 1.0]]], np.float32)] * 60  # 1e-180 without the root
    np.testing.assert_allclose(fusion_product(maps), [[[1e-3, 1]]], rtol=1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_maps_given_are_not_changed(fusion):
    maps = [FINE.copy(), COARSE.copy()]
    fusion(maps)
    np.testing.assert_array_equal(maps[0], FINE)
    np.testing.assert_array_equal(maps[1], COARSE)


def test_they_are_registered_as_fusions_of_layer_cam():
    for fusion in FUSIONS:
        method = METHODS[fusion.__name__]
        assert (method.formula, method.kind, method.defaults["of"]) == (
            fusion,
            "fusion",
            "layer_cam",
        )
