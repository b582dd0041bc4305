"""PxAP: by hand, the published loops, pooling, ignored pixels, undefined."""

import numpy as np
import pytest
from drawn import random_truths

from gradcam_eval.core import Case, Tally, Truth, Undefined
from gradcam_eval.metrics import evaluate, pixel_average_precision, pxap
from gradcam_eval.metrics.pixel_precision import _bins
from gradcam_eval.metrics.score_map import score_map


def slow_pxap(maps, masks, ignore):
    """Threshold by threshold from above, over all pixels of all images."""
    scores, inside = [], []
    for heatmap, mask, left_out in zip(maps, masks, ignore, strict=True):
        kept = mask | ~left_out
        scores.append(score_map(heatmap, mask.shape)[kept])
        inside.append(mask[kept])
    scores, inside = np.concatenate(scores), np.concatenate(inside)
    area = before = 0.0
    for threshold in [1.0, *np.arange(0, 1, 0.001)[::-1]]:
        chosen = scores >= threshold
        recall = inside[chosen].sum() / inside.sum()
        area += inside[chosen].mean() * (recall - before)
        before = recall
    return area


def test_two_images_are_pooled_by_hand():
    # Scores 1, .5 | 0 and 1 | .5, 0, with the object's pixels before the stroke.
    maps = [np.array([[2.0, 1.0, 0.0]]), np.array([[4.0, 2.0, 0.0]])]
    masks = [np.array([[True, False, False]]), np.array([[False, True, False]])]
    found = pxap(maps, masks)
    # At 1: 1 of 2 right, recall 1/2. At .5: 2 of 4, recall 1. Pooled: 1/2.
    assert found.value == 0.5
    assert found.images == [1.0, 0.5]  # their mean, 3/4, is not the pooled value


def test_it_equals_the_slow_twin_and_bins_as_numpy_does():
    maps, masks, ignore, _ = random_truths(np.random.default_rng(0), count=4)
    maps[:2] = [np.random.default_rng(n).normal(size=(5, 5)).astype(np.float32) for n in (1, 2)]
    found = pxap(maps, masks, ignore=ignore)
    assert found.value == pytest.approx(slow_pxap(maps, masks, ignore), rel=1e-12)
    for n in range(4):
        alone = slow_pxap(maps[n : n + 1], masks[n : n + 1], ignore[n : n + 1])
        assert found.images[n] == pytest.approx(alone, rel=1e-12)
    thresholds = np.arange(0, 1, 0.001)
    edges = np.append(thresholds, [1.0, 2.0])
    scores = np.concatenate([thresholds, np.random.default_rng(3).random(20_000), [1.0]])
    scores = scores.astype(np.float32)
    counted = np.bincount(_bins(scores, 1000), minlength=1001)
    np.testing.assert_array_equal(counted, np.histogram(scores, bins=edges)[0])


def test_one_image_of_few_values_has_its_average_precision():
    maps, masks, ignore, _ = random_truths(np.random.default_rng(4))
    found = pxap(maps, masks, ignore=ignore).images
    expected = pixel_average_precision(maps, masks=masks, ignore=ignore)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_truth_itself_is_perfect_and_its_inverse_the_worst():
    _, masks, ignore, _ = random_truths(np.random.default_rng(5))
    truth = [mask.astype(np.float32) for mask in masks]
    assert pxap(truth, masks, ignore=ignore).value == 1.0
    inverse = pxap([1 - each for each in truth], masks).value
    assert inverse == pytest.approx(np.mean(masks))


def test_a_mirror_image_a_factor_and_ignored_pixels_change_nothing():
    maps, masks, ignore, _ = random_truths(np.random.default_rng(6))
    plain = pxap(maps, masks, ignore=ignore).value
    turned = [[each[:, ::-1] for each in side] for side in (maps, masks, ignore)]
    assert pxap(turned[0], turned[1], ignore=turned[2]).value == pytest.approx(plain)
    assert pxap([each * 4 for each in maps], masks, ignore=ignore).value == plain
    ignore &= ~np.array(masks)
    other = [np.where(i, m.max(), m) for m, i in zip(maps, ignore, strict=True)]
    same = pxap(other, masks, ignore=ignore).value
    assert same == pytest.approx(pxap(maps, masks, ignore=ignore).value)


def test_undefined_images_are_left_out_and_said():
    maps, masks, _, _ = random_truths(np.random.default_rng(7), count=3)
    plain = pxap(maps, masks).value
    found = pxap([*maps, maps[0], maps[0] * 0], [*masks, masks[0] & False, masks[0]])
    assert found.value == plain
    assert found.images[3:] == [
        Undefined("no object is annotated"),
        Undefined("the heatmap is all zero"),
    ]
    assert pxap(maps[:1], [masks[0] & False]).value == Undefined("no image has a value")


def test_a_study_s_case_gives_counts_and_wants_a_mask():
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:6] = True
    ignore = np.zeros((8, 8), bool)
    ignore[0] = True
    heatmap = np.random.default_rng(8).random((4, 4)).astype(np.float32)
    boxes = np.array([[3, 2, 6, 5]], np.float32)
    results = []
    for truth in (Truth((8, 8), boxes, mask, ignore), Truth((8, 8), boxes)):
        case = Case(np.zeros((8, 8, 3), np.float32), heatmap, 0, truth, truth)
        results += evaluate("pxap", [case])
    tally, no_mask = results
    assert isinstance(tally, Tally)
    assert tally.parts.sum(axis=1).tolist() == [9, 64 - 8 - 9]
    assert no_mask == Undefined("no mask is drawn, and boxes are not enough")
