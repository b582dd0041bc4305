"""Energy and rank on the object: golden values, loops from the papers, properties, undefined."""

import numpy as np
import pytest
from drawn import flipped_boxes, random_truths

from gradcam_eval.core import Case, InputError, Truth, Undefined
from gradcam_eval.metrics import (
    energy_pointing_game,
    evaluate,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    top_k_intersection,
)

ALL = pytest.mark.parametrize(
    "metric",
    [
        energy_pointing_game,
        relevance_mass_accuracy,
        relevance_rank_accuracy,
        lambda heatmaps, **truth: top_k_intersection(heatmaps, k=20, **truth),
    ],
    ids=["energy", "mass", "rank", "top_k"],
)
HEATMAP = np.array([[[4.0, 2.0, 2.0], [2.0, 0.0, -3.0]]])
LEFT = np.array([[[True, False, False], [True, False, False]]])


def test_energy_by_hand():
    # Positive values: 4 + 2 + 2 + 2 = 10; in the left column 4 + 2 = 6.
    assert energy_pointing_game(HEATMAP, masks=LEFT) == [0.6]
    assert relevance_mass_accuracy(HEATMAP, masks=LEFT) == [0.6]
    # Without the upper middle pixel: 6 of 8.
    ignore = np.zeros((1, 2, 3), bool)
    ignore[0, 0, 1] = True
    assert energy_pointing_game(HEATMAP, masks=LEFT, ignore=ignore) == [0.75]


def test_rank_by_hand_shares_a_place_among_ties():
    # K = 2: the 4 is on the object; one of three 2s takes the last place, one of them is on it.
    assert relevance_rank_accuracy(HEATMAP, masks=LEFT) == [pytest.approx((1 + 1 / 3) / 2)]
    # k = 5: all of 4, 2, 2, 2 (two on the object), then the 0 beside it.
    assert top_k_intersection(HEATMAP, masks=LEFT, k=5) == [pytest.approx(2 / 5)]
    assert top_k_intersection(HEATMAP, masks=LEFT, k=7) == [Undefined("fewer than 7 pixels count")]


def slow_energy(heatmap, mask, ignore):
    inside = total = 0.0
    for place in np.ndindex(heatmap.shape):
        if (not ignore[place] or mask[place]) and heatmap[place] > 0:
            total += float(heatmap[place])
            inside += float(heatmap[place]) * mask[place]
    return inside / total


def slow_rank(heatmap, mask, ignore, k, generator):
    """The mean over many random orders of the ties."""
    kept = mask | ~ignore
    values, inside = heatmap[kept], mask[kept]
    shares = []
    for _ in range(4000):
        order = np.lexsort((generator.random(values.size), -values))
        shares.append(inside[order[:k]].mean())
    return np.mean(shares)


def test_energy_equals_its_slow_twin():
    maps, masks, ignore, _ = random_truths(np.random.default_rng(0))
    found = energy_pointing_game(maps, masks=masks, ignore=ignore)
    expected = [slow_energy(*each) for each in zip(maps, masks, ignore, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_rank_equals_the_mean_over_orders_of_ties():
    generator = np.random.default_rng(1)
    maps, masks, ignore, _ = random_truths(generator, count=4)
    by_rank = relevance_rank_accuracy(maps, masks=masks, ignore=ignore)
    by_k = top_k_intersection(maps, masks=masks, ignore=ignore, k=31)
    for n, each in enumerate(zip(maps, masks, ignore, strict=True)):
        assert by_rank[n] == pytest.approx(slow_rank(*each, masks[n].sum(), generator), abs=0.01)
        assert by_k[n] == pytest.approx(slow_rank(*each, 31, generator), abs=0.01)


@ALL
def test_a_mirror_image_and_a_positive_factor_change_nothing(metric):
    maps, masks, ignore, boxes = random_truths(np.random.default_rng(2))
    plain = metric(maps, masks=masks, ignore=ignore)
    turned = metric(
        [each[:, ::-1] for each in maps],
        masks=[each[:, ::-1] for each in masks],
        ignore=ignore[:, :, ::-1],
    )
    np.testing.assert_allclose(turned, plain, rtol=1e-12)
    np.testing.assert_allclose(
        metric([each * 8 for each in maps], masks=masks, ignore=ignore), plain
    )
    by_box = metric([each[:, ::-1] for each in maps], boxes=[flipped_boxes(b, 16) for b in boxes])
    np.testing.assert_allclose(by_box, metric(maps, boxes=boxes), rtol=1e-12)


@ALL
def test_the_truth_itself_is_perfect_and_its_inverse_the_worst(metric):
    _, masks, ignore, _ = random_truths(np.random.default_rng(3))
    truth = [mask.astype(np.float32) for mask in masks]
    assert metric(truth, masks=masks, ignore=ignore) == [1.0] * 12
    assert metric([1 - each for each in truth], masks=masks, ignore=ignore) == [0.0] * 12


@ALL
def test_what_is_ignored_has_no_say(metric):
    maps, masks, ignore, _ = random_truths(np.random.default_rng(4))
    ignore &= ~np.array(masks)
    noise = np.random.default_rng(5).random((12, *maps[0].shape)).astype(np.float32) * 100
    other = [np.where(i, n, m) for m, i, n in zip(maps, ignore, noise, strict=True)]
    plain = metric(maps, masks=masks, ignore=ignore)
    np.testing.assert_allclose(metric(other, masks=masks, ignore=ignore), plain, rtol=1e-6)
    assert metric(other, masks=masks) != metric(maps, masks=masks)


@ALL
def test_an_object_s_pixels_are_its_own_also_where_they_are_ignored(metric):
    maps, masks, _, _ = random_truths(np.random.default_rng(6))
    assert metric(maps, masks=masks, ignore=masks) == metric(maps, masks=masks)


@ALL
def test_undefined_is_said_and_never_a_number(metric):
    full = np.ones((1, 4, 4), bool)
    ramp = np.arange(16.0).reshape(1, 4, 4)
    nothing = Undefined("no object is annotated")
    assert metric(ramp, masks=~full) == [nothing]
    assert metric(ramp, masks=~full, ignore=full) == [nothing]
    assert metric(ramp, boxes=[np.zeros((0, 4))]) == [nothing]
    outside = Undefined("every box lies outside the image")
    assert metric(ramp, boxes=[np.array([[9, 0, 12, 4]])]) == [outside]
    assert metric(ramp, boxes=[np.array([[-5, -5, 0, 0]])]) == [outside]
    assert metric(np.zeros((1, 4, 4)), masks=full) == [Undefined("the heatmap is all zero")]
    assert metric(np.ones((1, 1, 1)), masks=full) == [Undefined("the heatmap is a single pixel")]
    for wrong in (np.nan, np.inf):
        spoilt = np.where(ramp == 3, wrong, ramp)
        expected = [Undefined("the heatmap has values that are not finite")]
        assert metric(spoilt, masks=full) == expected


def test_a_map_without_positive_values_has_no_energy_and_still_ranks():
    ramp = -1 - np.arange(6.0).reshape(1, 2, 3)
    assert energy_pointing_game(ramp, masks=LEFT) == [
        Undefined("the heatmap has no positive value")
    ]
    assert relevance_rank_accuracy(ramp, masks=LEFT) == [0.5]


def test_a_study_looks_into_boxes_for_energy_and_into_the_mask_for_mass():
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = True
    truth = Truth((4, 4), np.array([[1, 1, 3, 3]], np.float32), mask)
    heatmap = np.zeros((4, 4), np.float32)
    heatmap[1, 1], heatmap[2, 2], heatmap[0, 0] = 1, 2, 1
    case = Case(np.zeros((4, 4, 3), np.float32), heatmap, 0, truth, truth)
    assert evaluate("energy_pointing_game", [case]) == [0.75]
    assert evaluate("relevance_mass_accuracy", [case]) == [0.25]


def test_a_thousand_pixels_are_looked_at_in_a_study():
    mask = np.zeros((40, 50), bool)
    mask[:10] = True  # 500 pixels
    truth = Truth((40, 50), mask=mask)
    heatmap = np.arange(2000, 0, -1, dtype=np.float32).reshape(40, 50)
    case = Case(np.zeros((40, 50, 3), np.float32), heatmap, 0, truth, truth)
    assert evaluate("top_k_intersection", [case]) == [0.5]


def test_k_must_be_a_number_of_pixels():
    with pytest.raises(InputError, match="k is 0"):
        top_k_intersection(HEATMAP, masks=LEFT, k=0)
    with pytest.raises(InputError, match="ignore for 2 heatmaps, but 1"):
        energy_pointing_game(HEATMAP, masks=LEFT, ignore=np.zeros((2, 2, 3), bool))
    with pytest.raises(InputError, match="an ignore mask has shape"):
        energy_pointing_game(HEATMAP, masks=LEFT, ignore=np.zeros((1, 2, 2), bool))
