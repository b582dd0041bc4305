"""The pointing game: known answers, a brute-force twin, symmetry, errors."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcam_eval.core import Case, InputError, Truth, Undefined
from gradcam_eval.metrics import evaluate, pointing_game
from gradcam_eval.metrics.regions import region_of_boxes
from gradcam_eval.protocols import PROTOCOLS


def peak(row, column, size=(20, 30)):
    heatmap = np.zeros((1, *size), np.float32)
    heatmap[0, row, column] = 1
    return heatmap


def brute_force(row, column, region, tolerance):
    """Measure the distance to every pixel of the object."""
    places = itertools.product(*map(range, region.shape))
    return any(math.dist((row, column), place) <= tolerance for place in places if region[place])


@pytest.mark.parametrize(
    ("column", "tolerance", "hit"),
    [
        (12, 0, True),  # the last pixel of the half-open box 10..13
        (13, 0, False),  # the first pixel beyond it
        (13, 1, True),
        (9, 1, True),
        (27, 15, True),  # 15 pixels from pixel 12: the limit is a hit
        (28, 15, False),
        (28, 15.99, False),
        (28, 16, True),
    ],
)
def test_the_tolerance_counts_from_the_nearest_pixel_of_the_box(column, tolerance, hit):
    boxes = [np.array([[10, 2, 13, 8]])]
    assert pointing_game(peak(5, column), boxes=boxes, tolerance=tolerance) == [hit]


def test_the_distance_is_euclidean_not_along_an_axis():
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 0, 0] = True
    assert pointing_game(peak(9, 12), masks=mask, tolerance=15) == [True]  # 9, 12, 15
    assert pointing_game(peak(10, 12), masks=mask, tolerance=15) == [False]


@given(
    size=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    seed=st.integers(0, 10**6),
    tolerance=st.floats(0, 8),
)
@settings(max_examples=100, deadline=None)
def test_it_equals_the_brute_force_twin(size, seed, tolerance):
    generator = np.random.default_rng(seed)
    region = generator.random(size) < 0.05
    region[generator.integers(size[0]), generator.integers(size[1])] = True
    row, column = (int(generator.integers(side)) for side in size)
    (found,) = pointing_game(peak(row, column, size), masks=region[None], tolerance=tolerance)
    assert found is brute_force(row, column, region, tolerance)


def test_boxes_and_the_same_mask_agree_and_any_box_is_enough():
    boxes = np.array([[0, 0, 3, 3], [24, 10, 29, 15]])
    region = region_of_boxes(boxes, (20, 30))
    assert region.sum() == 9 + 25
    hits = []
    for row, column in [(1, 1), (12, 26), (8, 12), (12, 20)]:
        (by_box,) = pointing_game(peak(row, column), boxes=[boxes], tolerance=4)
        (by_mask,) = pointing_game(peak(row, column), masks=[region], tolerance=4)
        assert by_box is by_mask
        hits.append(by_box)
    assert hits == [True, True, False, True]


def test_a_box_holds_every_pixel_it_touches_and_is_cut_at_the_frame():
    region = region_of_boxes(np.array([[1.5, -3.0, 2.5, 1.01], [3.2, 1.2, 3.3, 9]]), (3, 5))
    expected = [[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 0]]
    np.testing.assert_array_equal(region, np.array(expected, bool))


def test_the_map_is_resized_to_the_frame():
    heatmap = np.zeros((1, 3, 3), np.float32)
    heatmap[0, 1, 2] = 1  # becomes column 25 and above, rows 15 of 30
    box = [np.array([[24, 13, 30, 17]])]
    assert pointing_game(heatmap, boxes=box, tolerance=0, size=(30, 30)) == [True]
    mirrored = [np.array([[0, 13, 6, 17]])]
    assert pointing_game(heatmap, boxes=mirrored, tolerance=0, size=(30, 30)) == [False]


def test_the_first_of_equal_peaks_counts():
    heatmap = peak(4, 20) + peak(9, 3)
    box = [np.array([[20, 4, 21, 5]])]
    assert pointing_game(heatmap, boxes=box, tolerance=0) == [True]
    other = [np.array([[3, 9, 4, 10]])]
    assert pointing_game(heatmap, boxes=other, tolerance=0) == [False]


@pytest.mark.parametrize("axis", [1, 2])
def test_turning_map_and_truth_over_together_changes_nothing(axis):
    generator = np.random.default_rng(0)
    maps = generator.random((40, 12, 16)).astype(np.float32)
    masks = generator.random((40, 12, 16)) < 0.03
    plain = pointing_game(maps, masks=masks, tolerance=2)
    assert pointing_game(np.flip(maps, axis), masks=np.flip(masks, axis), tolerance=2) == plain
    assert plain.count(True) > 5
    assert plain.count(False) > 5


def test_a_positive_factor_changes_nothing():
    maps = np.random.default_rng(1).random((20, 5, 5)).astype(np.float32)
    masks = np.random.default_rng(2).random((20, 15, 15)) < 0.1
    plain = pointing_game(maps, masks=masks, tolerance=1)
    assert pointing_game(maps * 4, masks=masks, tolerance=1) == plain
    assert {True, False} <= set(plain)


def test_empty_truth_and_degenerate_maps_are_undefined_never_hits():
    empty = Undefined("no object is annotated")
    assert pointing_game(peak(1, 1), masks=np.zeros((1, 20, 30), bool), tolerance=99) == [empty]
    assert pointing_game(peak(1, 1), boxes=[np.zeros((0, 4))]) == [empty]
    full = np.ones((3, 20, 30), bool)
    broken = np.full((20, 30), np.inf)
    results = pointing_game([np.zeros((4, 4)), np.ones((1, 1)), broken], masks=full)
    assert results == [
        Undefined("the heatmap is all zero"),
        Undefined("the heatmap is a single pixel"),
        Undefined("the heatmap has values that are not finite"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either as boxes or as masks"),
        ({"boxes": [np.ones((1, 4))], "masks": np.ones((1, 20, 30), bool)}, "either as boxes or"),
        ({"boxes": []}, "boxes for 0 heatmaps, but 1 heatmaps"),
        ({"masks": np.ones((2, 20, 30), bool)}, "masks for 2 heatmaps, but 1"),
        ({"masks": np.ones((1, 20, 30))}, "dtype float64: wanted bool"),
        ({"masks": np.ones((1, 20, 30), bool), "size": (20, 20)}, r"but size is \(20, 20\)"),
        ({"boxes": [np.array([1, 2, 3, 4])]}, r"boxes have shape \(4,\)"),
        ({"boxes": [np.array([[5, 5, 5, 9]])]}, r"the box \(5, 5, 5, 9\) holds no pixel"),
        ({"boxes": [np.array([[0, 0, 5, np.nan]])]}, "wanted finite"),
        ({"boxes": [np.array([[0, 0, 5, 5]])], "tolerance": -1}, "tolerance is -1"),
        ({"boxes": [np.array([[0, 0, 5, 5]])], "tolerance": math.inf}, "tolerance is inf"),
    ],
)
def test_bad_input_is_named_in_one_sentence(options, message):
    with pytest.raises(InputError, match=message):
        pointing_game(peak(1, 1), **options)


def test_a_strict_tolerance_leaves_out_its_limit():
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 0, 0] = True
    for strict, tolerance, hit in ((True, 15, False), (False, 15, True), (True, 15.01, True)):
        found = pointing_game(peak(9, 12), masks=mask, tolerance=tolerance, is_strict=strict)
        assert found == [hit]


def case_at(row, column, target=0, ignore=None, size=(20, 30)):
    mask = np.zeros(size, bool)
    mask[0, 0] = True
    truth = Truth(size, mask=mask, ignore=ignore)
    return Case(np.zeros((*size, 3), np.float32), peak(row, column)[0], target, truth, truth)


def test_the_protocol_says_whether_15_pixels_are_a_hit():
    case = case_at(9, 12)
    assert evaluate("pointing_game", [case], protocol_name="pointing2018") == [True]
    assert evaluate("pointing_game", [case], protocol_name="pointing2018_strict") == [False]


def test_a_highest_point_that_is_ignored_is_no_miss_and_near_the_object_a_hit():
    ignore = np.zeros((20, 30), bool)
    ignore[:, 10:] = True
    undefined = Undefined("the heatmap's highest point is an ignored pixel")
    assert evaluate("pointing_game", [case_at(18, 25, ignore=ignore)]) == [undefined]
    assert evaluate("pointing_game", [case_at(3, 12, ignore=ignore)]) == [True]
    assert evaluate("pointing_game", [case_at(19, 2, ignore=ignore)]) == [False]


def test_boxes_outside_the_image_are_undefined():
    outside = Undefined("every box lies outside the image")
    assert pointing_game(peak(1, 1), boxes=[np.array([[40, 5, 50, 9]])]) == [outside]
    assert pointing_game(peak(1, 1), boxes=[np.array([[-9, -9, 0, 0]])], tolerance=99) == [outside]


def test_the_class_mean_takes_along_the_class_of_each_hit():
    found = evaluate("pointing_game_class_mean", [case_at(0, 0, 7), case_at(19, 29, 3)])
    assert [(tally.value, tally.parts.tolist()) for tally in found] == [
        (1.0, [[7.0, 1.0]]),
        (0.0, [[3.0, 0.0]]),
    ]


@pytest.mark.parametrize(
    ("protocol", "distance", "hit"),
    [
        ("pointing_exact", 0, True),
        ("pointing_exact", 1, False),
        ("pointing2018", 15, True),
        ("pointing2018_strict", 15, False),
        ("pointing_relative", 12, True),  # 15/500 of the longer side, 400: 12 pixels
        ("pointing_relative", 13, False),
    ],
)
def test_protocols_differ_in_the_tolerance_alone(protocol, distance, hit):
    size = (300, 400)  # the file's own, which the model sees at 30 × 40
    mask = np.zeros(size, bool)
    mask[:, 200 + distance :] = True
    original = Truth(size, mask=mask)
    heatmap = np.zeros(size, np.float32)
    heatmap[150, 200] = 1
    case = Case(np.zeros((30, 40, 3), np.float32), heatmap, 0, Truth((30, 40)), original)
    assert evaluate("pointing_game", [case], protocol_name=protocol) == [hit]


def test_a_protocol_has_one_tolerance():
    rules = PROTOCOLS["pointing2018"]
    assert rules.tolerance((30, 40)) == 15
    assert PROTOCOLS["pointing_relative"].tolerance((375, 500)) == pytest.approx(15)
    with pytest.raises(InputError, match="give one of the two, and None for the other"):
        dataclasses.replace(rules, tolerance_fraction=0.1)
    with pytest.raises(InputError, match="tolerance_pixels None and tolerance_fraction None"):
        dataclasses.replace(rules, tolerance_pixels=None)
