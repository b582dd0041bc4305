"""Localization error: boxes by hand, who is right, undefined."""

import dataclasses

import numpy as np
import pytest
from drawn import flipped_boxes

from gradcam_eval.core import Case, InputError, Truth, Undefined
from gradcam_eval.metrics import evaluate, localization_error
from gradcam_eval.metrics.boxes import Answers, box_iou, box_of_largest_segment
from gradcam_eval.protocols import PROTOCOLS

KNOWN = "gradcam2017_known"


def two_blobs():
    """A segment of 6 pixels, one of 5 that holds the maximum, and faint ones between."""
    heatmap = np.zeros((8, 10), np.float32)
    heatmap[1:3, 1:4] = 20
    heatmap[5, 5:10] = 100
    heatmap[3:5, 4:6] = 14.9  # below 15 % of the maximum: joins nothing
    return heatmap


def test_the_box_is_round_the_largest_segment_not_round_the_maximum():
    selected = two_blobs() >= 15
    assert box_of_largest_segment(selected).tolist() == [1, 1, 4, 3]
    boxes = [np.array([[1, 1, 4, 3]]), np.array([[5, 5, 10, 6]])]
    found = localization_error([two_blobs()] * 2, boxes, protocol=KNOWN)
    assert found == [False, True]
    lower = dataclasses.replace(PROTOCOLS[KNOWN], level=0.14)
    # Now all touch, by corners too: the box is (1, 1, 10, 6), of 45 pixels; 6 / 45 is too little.
    assert localization_error([two_blobs()], boxes[:1], protocol=lower) == [True]


def test_overlap_by_hand():
    boxes = np.array([[0, 0, 4, 2], [0, 0, 2, 2]], float)
    other = np.array([[2, 1, 6, 3], [0, 0, 4, 2]], float)
    np.testing.assert_allclose(box_iou(boxes, other), [[2 / 14, 1], [0, 0.5]])


def test_half_an_overlap_is_enough_and_any_box_may_be_hit():
    heatmap = np.zeros((4, 8), np.float32)
    heatmap[:2, :4] = 1
    for box, wrong in (([0, 0, 4, 4], False), ([0, 0, 4, 4.1], True)):
        assert localization_error([heatmap], [np.array([box])], protocol=KNOWN) == [wrong]
    boxes = [np.array([[6, 2, 8, 4], [0, 0, 4, 2]])]
    assert localization_error([heatmap], boxes, protocol=KNOWN) == [False]


RIGHT = Answers(target=3, labels=(3,), predicted=(3, 1, 2))
LATER = Answers(target=3, labels=(3,), predicted=(1, 2, 4, 5, 3))
NEVER = Answers(target=3, labels=(3,), predicted=(1, 2, 4, 5, 6))
OTHER = Answers(target=1, labels=(3,), predicted=(1, 3))


@pytest.mark.parametrize(
    ("said", "top1", "top5", "known"),
    [
        (RIGHT, False, False, False),
        (LATER, True, False, False),
        (NEVER, True, True, False),
        (OTHER, True, Undefined, Undefined),
    ],
)
def test_a_wrong_answer_is_an_error_whatever_the_box(said, top1, top5, known):
    box = [np.array([[1, 1, 4, 3]])]
    for name, expected in (("gradcam2017", top1), ("gradcam2017_top5", top5), (KNOWN, known)):
        (found,) = localization_error([two_blobs()], box, [said], protocol=name)
        assert found is expected or (expected is Undefined and "explain labels" in found.reason)


def case(said, heatmap=None, boxes=((1, 1, 4, 3),)):
    truth = Truth((8, 10), np.array(boxes, np.float32).reshape(-1, 4))
    heatmap = two_blobs() if heatmap is None else heatmap
    options = {"labels": said.labels, "predicted": said.predicted}
    return Case(np.zeros((4, 4, 3), np.float32), heatmap, said.target, truth, truth, **options)


def test_a_study_counts_in_the_file_s_own_frame_and_knows_the_answers():
    cases = [case(RIGHT), case(LATER), case(OTHER), case(Answers(3, (), (3,)))]
    no_label = Undefined("the image has no label to compare the answer with")
    assert evaluate("localization_error", cases) == [False, True, True, no_label]
    # Without any class known, the box alone is judged.
    assert evaluate("localization_error", cases[3:], None, KNOWN) == [False]


def test_a_wrong_answer_is_an_error_also_of_a_degenerate_map():
    flat = np.ones((8, 10), np.float32)
    assert evaluate("localization_error", [case(LATER, flat)]) == [True]
    assert evaluate("localization_error", [case(RIGHT, flat)]) == [
        Undefined("the heatmap is constant")
    ]


def test_undefined_is_said():
    boxes = [np.array([[1, 1, 4, 3]])]
    assert localization_error([-two_blobs() - 1], boxes, protocol=KNOWN) == [
        Undefined("the heatmap has no positive value")
    ]
    nowhere = [np.array([[20, 1, 24, 3]])]
    assert localization_error([two_blobs()], nowhere, protocol=KNOWN) == [
        Undefined("every box lies outside the image")
    ]
    assert localization_error([two_blobs()], [np.zeros((0, 4))], protocol=KNOWN) == [
        Undefined("no object is annotated")
    ]


def test_a_mirror_image_changes_nothing():
    generator = np.random.default_rng(0)
    maps = generator.random((30, 5, 6)).astype(np.float32) ** 4
    corners = generator.integers(0, 5, (30, 2))
    boxes = [np.array([[c, r, c + 13, r + 11]], float) for c, r in corners]
    plain = localization_error(maps, boxes, protocol=KNOWN, size=(16, 18))
    turned = [flipped_boxes(box, 18) for box in boxes]
    assert localization_error(maps[..., ::-1], turned, protocol=KNOWN, size=(16, 18)) == plain
    assert {True, False} <= set(plain)


def test_answers_must_be_given_where_they_count():
    with pytest.raises(InputError, match="'gradcam2017' asks what the model answered"):
        localization_error([two_blobs()], [np.array([[1, 1, 4, 3]])])
    with pytest.raises(InputError, match="1 heatmaps, boxes for 0 and answers for 1"):
        localization_error([two_blobs()], [], protocol=KNOWN)
