"""Adaptive curves: few points, an area near that of all, and never more points than all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcam_eval.core import Curve, InputError
from gradcam_eval.metrics.adaptive import adaptive_curves
from gradcam_eval.metrics.curves import deletion
from gradcam_eval.protocols import PROTOCOLS, FaithfulnessProtocol

GRID = np.linspace(0, 1, 225)
TOLERANCE = 0.005


def read(*functions, grid=GRID, tolerance=TOLERANCE):
    """Each function's curve at the points that were chosen, and how often scores were asked."""
    calls = []

    def score_at(owner, place):
        calls.append(len(owner))
        return np.array([functions[n](grid[p]) for n, p in zip(owner, place, strict=True)])

    found = adaptive_curves(score_at, grid, len(functions), tolerance=tolerance)
    return [Curve(grid[places], scores) for places, scores in found], calls


def full(function, grid=GRID):
    return Curve(grid, np.array([function(x) for x in grid]))


SHAPES = {
    "falls at once": lambda x: np.exp(-30 * x),
    "falls late": lambda x: 1 / (1 + np.exp(80 * (x - 0.83))),
    "step": lambda x: float(x < 0.3123),
    "humps": lambda x: 0.5 + 0.4 * np.sin(12 * x),
    "root": lambda x: np.sqrt(x),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_area_is_near_that_of_all_points_for_a_fraction_of_the_calls(name):
    (curve,), _ = read(SHAPES[name])
    assert abs(curve.area - full(SHAPES[name]).area) <= TOLERANCE
    assert len(curve.fraction) < 75  # of 225
    assert set(curve.fraction) <= set(GRID)
    assert (curve.fraction[0], curve.fraction[-1]) == (0, 1)


def test_a_straight_line_needs_the_first_points_alone():
    (line,), calls = read(lambda x: 1 - 0.7 * x)
    assert len(line.fraction) == 17
    assert calls == [17]


def test_points_are_close_where_the_curve_bends():
    (curve,), _ = read(SHAPES["falls at once"])
    assert np.median(curve.fraction) < 0.4
    assert np.diff(curve.fraction).min() < np.diff(curve.fraction).max() / 2


def test_all_curves_are_refined_in_the_same_calls():
    alone = [read(SHAPES[name])[0][0] for name in SHAPES]
    together, calls = read(*SHAPES.values())
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.fraction, other.fraction)
    assert len(calls) < 10 < sum(calls) / 10  # a call for all curves, however many points


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.floats(0, 0.1))
def test_no_curve_is_read_twice_at_a_point_or_beyond_the_grid(values, tolerance):
    grid = np.linspace(0, 1, len(values))
    (curve,), calls = read(
        lambda x: values[round(x * (len(values) - 1))], grid=grid, tolerance=tolerance
    )
    assert sum(calls) == len(curve.fraction) <= len(grid)
    assert (np.diff(curve.fraction) > 0).all()


def test_a_tolerance_of_zero_reads_what_can_still_move():
    (curve,), _ = read(SHAPES["humps"], tolerance=0)
    np.testing.assert_array_equal(curve.fraction, GRID)


def test_the_protocol_reads_fewer_images_for_nearly_the_same_area(rng):
    image = rng.uniform(0, 255, (32, 32, 3)).astype(np.float32)
    heatmap = rng.normal(size=(32, 32)).astype(np.float32)
    seen = []

    def predict(images):
        seen.append(len(images))
        score = 1 / (1 + np.exp(-(images.std(axis=(1, 2, 3)) - 40) / 8))
        return np.stack([score, 1 - score], axis=1)

    areas, counts = [], []
    for name in ("rise2018", "rise2018_adaptive"):
        rules = PROTOCOLS[name]
        fine = FaithfulnessProtocol(
            "fine",
            ("deletion",),
            rules.removal,
            rules.start,
            "test",
            step_pixels=4,
            tolerance=rules.tolerance,
        )
        seen.clear()
        areas.append(deletion(predict, image[None], [heatmap], [0], protocol=fine)[0].area)
        counts.append(sum(seen))
    assert counts[0] == 257
    assert counts[1] < 60
    assert abs(areas[1] - areas[0]) <= TOLERANCE


def test_a_mean_over_orders_of_ties_is_refused():
    rules = PROTOCOLS["rise2018"]
    with pytest.raises(InputError, match="wanted 0 or more, and ties='stable'"):
        FaithfulnessProtocol(
            "x",
            ("deletion",),
            rules.removal,
            rules.start,
            "test",
            step_pixels=4,
            ties="expected",
            tie_orders=2,
            tolerance=0.1,
        )
