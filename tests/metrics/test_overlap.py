"""IoU at three threshold rules: by hand, the trap of percentiles, properties, undefined."""

import dataclasses

import numpy as np
import pytest
from drawn import random_truths
from skimage.filters import threshold_otsu

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.metrics import iou
from gradcam_eval.protocols import PROTOCOLS

RULES = pytest.mark.parametrize("name", ["iou_half_max", "iou_otsu", "iou_top_fifth"])
HEATMAP = np.array([[[10.0, 6.0, 5.0, 4.9, 0.0]]])
MASK = np.array([[[True, False, False, True, True]]])


def test_half_the_maximum_by_hand():
    # Selected: 10, 6, 5. With the object: 1 in common, 5 in either.
    assert iou(HEATMAP, masks=MASK) == [0.2]


def test_a_share_by_rank_by_hand():
    rank = dataclasses.replace(PROTOCOLS["iou_top_fifth"], level=0.4)
    assert iou(HEATMAP, masks=MASK, protocol=rank) == [0.25]  # 10 and 6 beside three
    assert iou(HEATMAP, masks=MASK, protocol="iou_top_fifth") == [pytest.approx(1 / 3)]  # the 10


def test_otsu_by_scikit_image():
    generator = np.random.default_rng(0)
    heatmap = np.where(generator.random((1, 9, 9)) < 0.3, 8.0, 1.0) + generator.random((1, 9, 9))
    mask = generator.random((1, 9, 9)) < 0.5
    chosen = heatmap > threshold_otsu(heatmap)
    expected = (chosen & mask).sum() / (chosen | mask).sum()
    assert iou(heatmap, masks=mask, protocol="iou_otsu") == [pytest.approx(expected)]


def test_many_zeros_do_not_lose_the_map():
    heatmap = np.zeros((1, 10, 10))
    heatmap[0, 0, :8] = np.arange(8, 0, -1)
    mask = np.zeros((1, 10, 10), bool)
    mask[0, 0, :8] = True
    # The 80th percentile is 0: "above" it are 8 pixels, "at least" it all 100. By rank 20 would be
    # chosen, of which 12 are no more relevant than any other pixel, and are left.
    assert np.percentile(heatmap, 80) == 0
    assert iou(heatmap, masks=mask, protocol="iou_top_fifth") == [1.0]


@RULES
def test_the_truth_itself_is_perfect_and_its_inverse_the_worst(name):
    _, masks, ignore, _ = random_truths(np.random.default_rng(1))
    truth = [mask.astype(np.float32) for mask in masks]
    assert iou(truth, masks=masks, ignore=ignore, protocol=name) == [1.0] * 12
    assert iou([1 - each for each in truth], masks=masks, protocol=name) == [0.0] * 12


@RULES
def test_a_mirror_image_and_a_positive_factor_change_nothing(name):
    generator = np.random.default_rng(2)
    _, masks, ignore, _ = random_truths(generator)
    maps = generator.random((12, 12, 16)).astype(np.float32)
    plain = iou(maps, masks=masks, ignore=ignore, protocol=name)
    turned = [each[:, ::-1] for each in masks]
    found = iou(maps[:, :, ::-1], masks=turned, ignore=ignore[:, :, ::-1], protocol=name)
    assert found == plain
    assert iou(maps * 4, masks=masks, ignore=ignore, protocol=name) == plain
    assert len(set(plain)) > 3


@RULES
def test_ignored_pixels_are_in_no_set(name):
    generator = np.random.default_rng(3)
    _, masks, ignore, _ = random_truths(generator)
    ignore &= ~np.array(masks)
    maps = generator.random((12, 12, 16)).astype(np.float32)
    other = np.where(ignore, 50, maps)
    plain = iou(maps, masks=masks, ignore=ignore, protocol=name)
    assert iou(other, masks=masks, ignore=ignore, protocol=name) == plain


def test_undefined_is_said():
    negative = -1 - np.arange(5.0).reshape(1, 1, 5)
    assert iou(negative, masks=MASK) == [Undefined("the heatmap has no positive value")]
    assert iou(HEATMAP, masks=MASK & False) == [Undefined("no object is annotated")]
    assert iou(HEATMAP * 0, masks=MASK) == [Undefined("the heatmap is all zero")]
    flat = np.array([[[1.0, 1.0, 9.0]]])
    mask, last = np.array([[[True, False, False]]]), np.array([[[False, False, True]]])
    found = iou(flat, masks=mask, ignore=last, protocol="iou_otsu")
    assert found == [Undefined("the heatmap is constant where pixels count")]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("iou_half", "did you mean 'iou_half_max'"),
        (PROTOCOLS["pxap2020"], "IouProtocol"),
        (dataclasses.replace(PROTOCOLS["iou_half_max"], level=1.5), "the level is 1.5"),
    ],
)
def test_wrong_rules_are_refused(rules, message):
    with pytest.raises(InputError, match=message):
        iou(HEATMAP, masks=MASK, protocol=rules)
