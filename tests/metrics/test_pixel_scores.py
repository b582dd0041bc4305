"""Pixel ROC-AUC and average precision: by hand, pair by pair, properties, undefined."""

import numpy as np
import pytest
from drawn import random_truths

from gradcam_eval.core import Undefined
from gradcam_eval.metrics import pixel_average_precision, pixel_roc_auc

BOTH = pytest.mark.parametrize("metric", [pixel_roc_auc, pixel_average_precision])


def test_both_by_hand():
    heatmap = np.array([[[5.0, 3.0], [3.0, 1.0]]])
    mask = np.array([[[True, True], [False, False]]])
    # Pairs: 5>3, 5>1, 3=3, 3>1 → 3.5 of 4.
    assert pixel_roc_auc(heatmap, masks=mask) == [0.875]
    # At 5: precision 1, half the recall. At 3: 2 of 3, the other half.
    assert pixel_average_precision(heatmap, masks=mask) == [pytest.approx((1 + 2 / 3) / 2)]
    ignore = np.array([[[False, False], [True, False]]])
    assert pixel_roc_auc(heatmap, masks=mask, ignore=ignore) == [1.0]


def slow_auc(heatmap, mask, ignore):
    wins = pairs = 0.0
    for above in heatmap[mask]:
        for below in heatmap[~mask & ~ignore]:
            wins += (above > below) + (above == below) / 2
            pairs += 1
    return wins / pairs


def slow_precision(heatmap, mask, ignore):
    kept = mask | ~ignore
    values, inside = heatmap[kept], mask[kept]
    area = before = 0.0
    for threshold in sorted(set(values.tolist()), reverse=True):
        chosen = values >= threshold
        recall = inside[chosen].sum() / inside.sum()
        area += inside[chosen].mean() * (recall - before)
        before = recall
    return area


@pytest.mark.parametrize(
    ("metric", "twin"), [(pixel_roc_auc, slow_auc), (pixel_average_precision, slow_precision)]
)
def test_they_equal_their_slow_twins(metric, twin):
    generator = np.random.default_rng(0)
    maps, masks, ignore, _ = random_truths(generator, count=6)
    maps[0] = generator.normal(size=maps[0].shape).astype(np.float32)
    maps[1] = np.where(maps[1] > 0, np.float32(-0.0), np.float32(0)) + (maps[1] == 4)  # ±0 tie
    expected = [twin(*each) for each in zip(maps, masks, ignore, strict=True)]
    np.testing.assert_allclose(metric(maps, masks=masks, ignore=ignore), expected, rtol=1e-12)


@BOTH
def test_a_mirror_image_and_any_growing_scale_change_nothing(metric):
    maps, masks, ignore, _ = random_truths(np.random.default_rng(1))
    plain = metric(maps, masks=masks, ignore=ignore)
    turned = [[each[::-1] for each in side] for side in (maps, masks, ignore)]
    np.testing.assert_allclose(metric(turned[0], masks=turned[1], ignore=turned[2]), plain)
    for scaled in ([each * 3 for each in maps], [np.exp(each) for each in maps]):
        np.testing.assert_allclose(metric(scaled, masks=masks, ignore=ignore), plain)


@BOTH
def test_the_truth_itself_is_perfect_and_its_inverse_the_worst(metric):
    _, masks, ignore, _ = random_truths(np.random.default_rng(2))
    truth = [mask.astype(np.float32) for mask in masks]
    assert metric(truth, masks=masks, ignore=ignore) == [1.0] * 12
    inverse = metric([-each for each in truth], masks=masks)
    worst = [0.0] * 12 if metric is pixel_roc_auc else [mask.mean() for mask in masks]
    np.testing.assert_allclose(inverse, worst)


@BOTH
def test_undefined_is_said(metric):
    ramp = np.arange(16.0).reshape(1, 4, 4)
    full = np.ones((1, 4, 4), bool)
    assert metric(ramp, masks=full) == [Undefined("no pixel is background")]
    part = full.copy()
    part[0, 0] = False
    assert metric(ramp, masks=part, ignore=full) == [Undefined("no pixel is background")]
    assert metric(ramp, masks=~full) == [Undefined("no object is annotated")]
    assert metric(ramp * 0 + 2, masks=part) == [Undefined("the heatmap is constant")]
