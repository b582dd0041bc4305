import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcam_eval.data import truth as module
from gradcam_eval.data.annotation import Annotation, Drawn
from gradcam_eval.data.geometry import Framing

SQUARE = ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0))


def outline(*polygons, holes=(), box=(0.0, 0.0, 1.0, 1.0)):
    return Drawn(box, tuple(polygons), tuple(holes))


def truth_in_frame(objects, original, size):
    return module.truth_in_frame(Annotation(objects), Framing().frame(original, size))


def contains(polygon, x, y):
    """Cross the edges to the right of a point and count: the textbook test, one point a time."""
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def test_a_rectangle_covers_the_pixels_that_it_names():
    truth = truth_in_frame((outline(SQUARE),), (6, 8), (6, 8))
    expected = np.zeros((6, 8), bool)
    expected[1:4, 1:5] = True  # x 1..5 and y 1..4, half-open
    assert np.array_equal(truth.mask, expected)


def test_scaling_moves_polygons_and_boxes_alike():
    truth = truth_in_frame((outline(SQUARE, box=(1, 1, 5, 4)),), (6, 8), (12, 24))
    assert truth.boxes.tolist() == [[3, 2, 15, 8]]
    expected = np.zeros((12, 24), bool)
    expected[2:8, 3:15] = True
    assert np.array_equal(truth.mask, expected)


def test_holes_are_cut_out_of_their_own_object_only():
    hole = ((2.0, 2.0), (4.0, 2.0), (4.0, 3.0), (2.0, 3.0))
    ring = outline(SQUARE, holes=(hole,))
    assert truth_in_frame((ring,), (6, 8), (6, 8)).mask.sum() == 12 - 2
    assert truth_in_frame((ring, outline(hole)), (6, 8), (6, 8)).mask.sum() == 12


def test_without_objects_there_is_no_mask():
    truth = truth_in_frame((), (6, 8), (6, 8))
    assert truth.mask is None
    assert truth.boxes.shape == (0, 4)
    assert not truth.is_known


def test_an_object_outside_leaves_an_empty_mask():
    far = tuple((x + 100, y) for x, y in SQUARE)
    assert not truth_in_frame((outline(far),), (6, 8), (6, 8)).mask.any()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 160), st.integers(0, 120)), min_size=3, max_size=7),
    st.sampled_from([(6, 8), (12, 16), (9, 5)]),
)
def test_masks_equal_the_slow_twin(points, size):
    # The shift keeps vertices and straight edges off the pixel centres, where either side is right.
    polygon = tuple((x / 20 + 0.0137, y / 20 + 0.0071) for x, y in points)
    got = truth_in_frame((outline(polygon),), (6, 8), size).mask
    scaled = tuple((x * size[1] / 8, y * size[0] / 6) for x, y in polygon)
    slow = [[contains(scaled, j + 0.5, i + 0.5) for j in range(size[1])] for i in range(size[0])]
    assert np.count_nonzero(got != np.array(slow)) == 0


def test_the_annotated_area_is_kept_by_scaling():
    circle = tuple(
        (40 + 25 * np.cos(angle), 30 + 20 * np.sin(angle))
        for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False)
    )
    for size in ((60, 80), (240, 320), (37, 91)):
        fraction = truth_in_frame((outline(circle),), (60, 80), size).mask.mean()
        assert fraction == pytest.approx(np.pi * 25 * 20 / (60 * 80), rel=0.02)
