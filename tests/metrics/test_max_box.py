"""MaxBoxAcc and MaxBoxAccV2: the direct way, threshold by threshold, beside the fast one."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from gradcam_eval.core import Case, InputError, Tally, Truth, Undefined
from gradcam_eval.data import Annotation, Drawn
from gradcam_eval.data.geometry import Frame
from gradcam_eval.data.truth import truth_in_frame
from gradcam_eval.metrics import evaluate, max_box_acc
from gradcam_eval.metrics.components import components
from gradcam_eval.metrics.max_box import _drawn, best_overlaps
from gradcam_eval.metrics.score_map import score_map
from gradcam_eval.protocols import PROTOCOLS

EIGHT = np.ones((3, 3), bool)


def slow_iou(box, other):
    """Corners are inclusive."""
    width = min(box[2], other[2]) - max(box[0], other[0]) + 1
    height = min(box[3], other[3]) - max(box[1], other[1]) + 1
    shared = max(width, 0) * max(height, 0)
    areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other)]
    return shared / (sum(areas) - shared)


def enclosed_area(segment):
    """The area inside the polygon through the outer border's pixel centres, by blocks of four."""
    filled = ndimage.binary_fill_holes(segment).astype(int)
    count = filled[1:, 1:] + filled[1:, :-1] + filled[:-1, 1:] + filled[:-1, :-1]
    return (count == 4).sum() + (count == 3).sum() / 2


def slow_boxes(above, contours):
    """The boxes (x0, y0, x1, y1) of the contours of one thresholded map, as cv2 finds them."""
    height, width = above.shape
    labels, count = ndimage.label(above, EIGHT)
    segments = [labels == n for n in range(1, count + 1)]
    if contours == "largest":
        areas = [enclosed_area(segment) for segment in segments]
        best = max(range(count), key=lambda n: (areas[n], np.flatnonzero(segments[n])[0]))
        pixels = [segments[best]]
    else:
        outside, count = ndimage.label(~np.pad(above, 1))
        holes = [
            ndimage.binary_dilation((outside == n)[1:-1, 1:-1])
            for n in range(1, count + 1)
            if n != outside[0, 0]
        ]
        pixels = segments + holes
    boxes = []
    for each in pixels:
        rows, columns = np.nonzero(each)
        far = min(columns.max() + 1, width - 1), min(rows.max() + 1, height - 1)
        boxes.append((columns.min(), rows.min(), *far))
    return boxes


def slow_max_box_acc(maps, boxes, rules, size):
    """Every threshold of every image by itself; the maximum only over the whole data set."""
    thresholds = np.arange(0, 1, 1 / rules.thresholds)
    correct = np.zeros((len(rules.ious), len(thresholds)))
    for heatmap, drawn in zip(maps, boxes, strict=True):
        levels = (score_map(heatmap, size) * 255).astype(np.uint8)
        truth = [(x0, y0, x1 - 1, y1 - 1) for x0, y0, x1, y1 in drawn.tolist()]
        known = {}
        for n, threshold in enumerate(thresholds):
            level = int(threshold * 255)
            if level not in known:
                found = slow_boxes(levels > level, rules.contours)
                known[level] = max(slow_iou(b, t) for b in found for t in truth)
            correct[:, n] += known[level] >= np.array(rules.ious)
    return (correct / len(maps)).max(axis=1).mean()


def example(generator, count=5, size=(24, 30)):
    maps = [generator.normal(size=(5, 6)).astype(np.float32) for _ in range(count)]
    boxes = []
    for _ in range(count):
        x, y = generator.integers(0, 12, 2)
        boxes.append(np.array([[x, y, x + 14, y + 10], [2, 3, 9, 8]]))
    return maps, boxes, size


@pytest.mark.parametrize("name", ["maxboxacc2020", "maxboxaccv2"])
def test_the_fast_way_equals_the_direct_one_exactly(name):
    for seed in range(2):
        maps, boxes, size = example(np.random.default_rng(seed), count=4)
        found = max_box_acc(maps, boxes, protocol=name, size=size)
        assert found.value == slow_max_box_acc(maps, boxes, PROTOCOLS[name], size)
        assert found.value == pytest.approx(np.mean(found.images))


@pytest.mark.parametrize("contours", ["largest", "all"])
@pytest.mark.parametrize("seed", range(12))
def test_boxes_of_noise_at_every_level_equal_the_direct_ones(contours, seed):
    """Noise has holes, islands in holes, corners that touch, and many equal areas."""
    generator = np.random.default_rng(seed)
    size = tuple(generator.integers(2, 9, 2))
    levels = generator.choice([0, 60, 120, 180, 255], size)
    levels[0, 0] = 255
    truth = np.array([[1, 0, 4, 3]])
    found = best_overlaps(levels.astype(np.int64), truth, contours)
    drawn = (1, 0, min(4, size[1]) - 1, min(3, size[0]) - 1)
    for level in (0, 59, 60, 119, 120, 179, 180, 254):
        boxes = slow_boxes(levels > level, contours)
        assert found[level] == max(slow_iou(box, drawn) for box in boxes)


def test_components_of_a_ring_by_hand():
    ring = np.array([[3, 3, 3, 0], [3, 1, 3, 0], [3, 3, 3, 0], [0, 0, 0, 2]])
    found = components(np.zeros_like(ring), ring, diagonal=True)
    # t = 0: all. t = 1: the ring touches the 2 by a corner. t = 2: the ring.
    assert found.level.tolist() == [0, 1, 2]
    assert found.boxes.tolist() == [[0, 0, 3, 3], [0, 0, 3, 3], [0, 0, 2, 2]]
    # Blocks of four: 4 at t = 0, none in the ring, whose four blocks have three pixels each.
    assert found.area.tolist() == [4.0, 2.0, 2.0]
    four = components(np.zeros_like(ring), ring, diagonal=False)
    assert [four.level.tolist().count(level) for level in range(3)] == [2, 2, 1]


def test_one_threshold_serves_all_images():
    # A bright square of 4 x 4 in a dim one of 8 x 8, twice; once the one is the object, once the
    # other. Each image has a threshold that hits; no threshold hits both.
    heatmap = np.zeros((12, 12), np.float32)
    heatmap[1:9, 1:9] = 0.5
    heatmap[3:7, 3:7] = 1.0
    small, large = np.array([[3, 3, 8, 8]]), np.array([[1, 1, 10, 10]])
    rules = dataclasses.replace(PROTOCOLS["maxboxacc2020"], ious=(0.9,))
    for boxes, value in (([small], 1.0), ([large], 1.0), ([small, large], 0.5)):
        found = max_box_acc([heatmap] * len(boxes), boxes, protocol=rules)
        assert found.value == value
    assert sorted(found.images) == [0.0, 1.0]
    assert len(found.thresholds) == 1


def test_the_far_corner_lies_one_pixel_beyond_except_at_the_frame():
    heatmap = np.zeros((10, 10), np.float32)
    heatmap[2:5, 2:5] = 1
    # The contour's box is (2, 2)..(5, 5), inclusive: 16 pixels, of which the object has 9.
    assert best_overlaps(_levels(heatmap), np.array([[2, 2, 5, 5]]), "all")[0] == 9 / 16
    corner = np.zeros((10, 10), np.float32)
    corner[7:, 7:] = 1
    assert best_overlaps(_levels(corner), np.array([[7, 7, 10, 10]]), "all")[0] == 1


def _levels(heatmap):
    return (heatmap * 255).astype(np.int64)


def test_a_thousand_thresholds_are_all_255_levels():
    assert sorted({int(t * 255) for t in np.arange(0, 1, 0.001)}) == list(range(255))
    heatmap = np.random.default_rng(0).random((6, 6)).astype(np.float32)
    truth = Truth((20, 20), np.array([[3, 3, 12, 12]], np.float32))
    case = Case(np.zeros((20, 20, 3), np.float32), heatmap, 0, truth, truth)
    (tally,) = evaluate("max_box_acc", [case])
    assert isinstance(tally, Tally)
    assert tally.parts.shape == (3, 255)
    assert tally.value == tally.parts.mean()
    (one,) = evaluate("max_box_acc", [case], protocol_name="maxboxacc2020")
    assert one.parts.shape == (1, 255)


def test_the_object_as_a_map_hits_always_and_its_inverse_only_by_its_hole():
    _, boxes, size = example(np.random.default_rng(4), size=(40, 50))
    boxes = [box[:1] + 4 for box in boxes]
    maps = []
    for box in boxes:
        heatmap = np.zeros(size, np.float32)
        x0, y0, x1, y1 = box[0]
        heatmap[y0:y1, x0:x1] = 1
        maps.append(heatmap)
    assert max_box_acc(maps, boxes).value == 1.0
    assert max_box_acc(maps, boxes, protocol="maxboxacc2020").value == 1.0
    inverse = [1 - each for each in maps]
    assert max_box_acc(inverse, boxes, protocol="maxboxacc2020").value == 0.0
    assert max_box_acc(inverse, boxes).value > 0.5  # the published code takes holes for contours


def test_undefined_images_are_left_out_and_said():
    maps, boxes, size = example(np.random.default_rng(5))
    plain = max_box_acc(maps, boxes, size=size)
    flat, nan = np.ones((4, 4), np.float32), np.full((4, 4), np.nan, np.float32)
    outside = np.array([[40, 1, 50, 9]])
    found = max_box_acc(
        [*maps, flat, nan, flat[:1, :1], maps[0], maps[0]],
        [*boxes, *boxes[:3], outside, np.zeros((0, 4))],
        size=size,
    )
    assert (found.value, found.thresholds) == (plain.value, plain.thresholds)
    assert [result.reason for result in found.images[5:]] == [
        "the heatmap is constant",
        "the heatmap has values that are not finite",
        "the heatmap is a single pixel",
        "every box lies outside the image",
        "no object is annotated",
    ]
    nothing = max_box_acc([flat], boxes[:1], size=size)
    assert nothing.value == Undefined("no image has a value")


def slow_corners(box, size, frame):
    """The authors' way with one box: inclusive corners (x0, y0, x1, y1) → those in the frame."""
    across, down = frame[1], frame[0]
    x0, y0, x1, y1 = (float(corner) for corner in box)
    return (
        int(x0 * across / size[1]),
        int(y0 * down / size[0]),
        int(x1 * across / size[1]),
        int(y1 * down / size[0]),
    )


def test_a_study_scales_the_corners_of_the_file_as_the_authors_do():
    # 500 columns become 224: 60 · 0.448 = 26.88, 385 · 0.448 = 172.48. 335 rows become 224:
    # 27 · 224/335 = 18.05, 331 · 224/335 = 221.33.
    frame = Frame((335, 500), (224, 224), (224, 224), (0, 0))
    for corners in ((60, 27, 385, 331), (125, 67, 374, 200), (0, 0, 499, 334), (3, 2, 3, 2)):
        x0, y0, x1, y1 = corners
        annotation = Annotation((Drawn((x0, y0, x1 + 1, y1 + 1)),))
        truths = (truth_in_frame(annotation, each) for each in (frame, frame.unscaled()))
        case = Case(np.zeros((224, 224, 3), np.float32), np.zeros((7, 7)), 0, *truths)
        found = _drawn(case).tolist()
        assert [[*found[0][:2], *(np.array(found[0][2:]) - 1)]] == [
            [*slow_corners(corners, (335, 500), (224, 224))]
        ]
    # pixels 125 to 374 become 56 to 167, where 375 · 0.448 = 168 exactly; and 67 to 200 become 44
    # to 133, where the object ends at 201 · 0.66866 = 134.4 and touches the pixel 134 as well
    annotation = Annotation((Drawn((125, 67, 375, 201)),))
    truths = [truth_in_frame(annotation, each) for each in (frame, frame.unscaled())]
    case = Case(np.zeros((224, 224, 3), np.float32), np.zeros((7, 7)), 0, *truths)
    assert _drawn(case).tolist() == [[56, 44, 168, 134]]
    assert np.ceil(truths[0].boxes[0]).tolist() == [56, 45, 168, 135]


def test_boxes_that_are_known_in_the_frame_alone_are_taken_there():
    truth = Truth((20, 20), np.array([[3, 3, 12, 12]], np.float32))
    case = Case(np.zeros((20, 20, 3), np.float32), np.zeros((7, 7)), 0, truth, Truth((40, 40)))
    assert _drawn(case) is truth.boxes


def test_counts_that_do_not_fit_are_refused():
    maps, boxes, size = example(np.random.default_rng(6))
    with pytest.raises(InputError, match="boxes for 4 heatmaps, but 5"):
        max_box_acc(maps, boxes[1:], size=size)
