"""Imputation from neighbours: what each value is, how near to it, in which order images come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gradcam_eval.core import InputError
from gradcam_eval.perturb import conjugate_gradients
from gradcam_eval.perturb.conjugate_gradients import TOLERANCE, _short, solve_iteratively
from gradcam_eval.perturb.direct import _dissection, solve_directly
from gradcam_eval.perturb.linear import Job, impute, imputed

SIZE = (30, 41)
ROAD = (1 / 6, 1 / 12)
WEIGHTS = [ROAD, (1.0, 0.0), (1.0, 1.0), (0.25, 0.01), (0.1, 0.3)]


def picture(seed=0, size=SIZE, channels=3):
    values = np.random.default_rng(seed).uniform(0, 255, (*size, channels))
    return values.astype(np.float32)


def holes(share, seed=1, size=SIZE):
    return np.random.default_rng(seed).random(size) < share


def only_known(size, *pixels):
    missing = np.ones(size, bool)
    for pixel in pixels:
        missing[pixel] = False
    return missing


def by_definition(image, missing, weights):
    """Solve the equations of the docstring of `impute`, written down pixel by pixel."""
    height, width = missing.shape
    matrix, right = np.eye(height * width), image.reshape(-1, image.shape[2]).astype(np.float64)
    for r, c in np.argwhere(missing):
        here = r * width + c
        matrix[here], right[here] = 0, 0
        for dr, dc in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]:
            if 0 <= r + dr < height and 0 <= c + dc < width:
                weight = weights[0] if 0 in (dr, dc) else weights[1]
                matrix[here, here] += weight
                matrix[here, (r + dr) * width + c + dc] -= weight
    return np.linalg.solve(matrix, right).reshape(image.shape)


@given(
    missing=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14)),
    weights=st.sampled_from(WEIGHTS),
    channels=st.integers(1, 4),
    seed=st.integers(0, 9),
)
@settings(max_examples=100, deadline=None)
def test_both_solvers_agree_with_the_definition(missing, weights, channels, seed):
    if missing.all():
        missing[seed % missing.shape[0], seed % missing.shape[1]] = False
    if not missing.any():
        missing[0, 0] = missing.size > 1
    if not missing.any():
        return
    image = picture(seed, missing.shape, channels)
    expected = by_definition(image, missing, weights)
    found = solve_iteratively(image, missing, weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(solve_directly(image, missing, weights), expected, atol=1e-4)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[~missing], image[~missing])
    known = image[~missing]
    assert (found >= known.min(0) - TOLERANCE).all()
    assert (found <= known.max(0) + TOLERANCE).all()


def hard_masks(size=(61, 84)):
    """Masks that are bad for coarse grids: few known pixels, or known ones between all others."""
    y, x = np.indices(size)
    rings = np.hypot(y - 20, x - 50).astype(int)
    return {
        "one corner": only_known(size, (0, 0)),
        "two corners": only_known(size, (0, 0), (-1, -1)),
        "two inside": only_known(size, (17, 30), (21, 77)),
        "chequered": (y + x) % 2 == 0,
        "single holes at odd places": (y % 4 == 1) & (x % 4 == 3),
        "known rings": rings % 12 != 0,
        "missing rings": rings % 12 == 0,
        "known diagonals": (y + x) % 7 != 0,
        "known lattice": (y % 16 != 0) | (x % 16 != 0),
        "cells": (y % 5 != 2) & (x % 5 != 2),
        "left edge known": x > 1,
        "one missing": ~only_known(size, (30, 31)),
        "all but 1 in 100": holes(0.99, size=size),
        "9 in 10": holes(0.9, size=size),
    }


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", hard_masks())
def test_hard_masks_are_within_the_tolerance(name, weights):
    missing = hard_masks()[name]
    image = np.where(picture(2, missing.shape) > 128, 255, 0).astype(np.float32)
    found = solve_iteratively(image, missing, weights)
    expected = solve_directly(image, missing, weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("size", [(1, 2), (1, 500), (500, 1), (2, 90), (5, 7), (150, 131)])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_images_of_any_size(size, share):
    missing, image = holes(share, size=size), picture(0, size)
    missing.ravel()[:2] = False, True
    found = solve_iteratively(image, missing, ROAD)
    expected = solve_directly(image, missing, ROAD)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_a_line_by_hand():
    # each missing pixel of 10 ? ? 40 is the mean of its two neighbours: 20 and 30
    line = np.array([10, 0, 0, 40], np.float32).reshape(1, 4, 1)
    found = impute(line, np.array([[False, True, True, False]]))
    np.testing.assert_allclose(found.ravel(), [10, 20, 30, 40], atol=TOLERANCE)


def test_a_single_known_pixel_fills_the_image():
    found = impute(picture(), only_known(SIZE, (7, 30)))
    expected = np.broadcast_to(picture()[7, 30], found.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_nothing_or_everything_missing():
    np.testing.assert_array_equal(impute(picture(), np.zeros(SIZE, bool)), picture())
    with pytest.raises(InputError, match="every pixel is removed"):
        impute(picture(), np.ones(SIZE, bool))


@pytest.mark.parametrize("weights", [(0, 1), (-1, 1), (1, -0.1), (np.nan, 1), (1, np.inf)])
def test_weights_that_join_no_pixels_are_refused(weights):
    with pytest.raises(InputError, match="impute got the weights"):
        impute(picture(), holes(0.5), edge_weight=weights[0], diagonal_weight=weights[1])


def test_the_image_is_not_changed():
    image = picture()
    impute(image, holes(0.5))
    np.testing.assert_array_equal(image, picture())


def test_what_does_not_converge_is_solved_directly(monkeypatch):
    image, missing = picture(), holes(0.9)
    exact = solve_directly(image, missing, ROAD)
    assert not np.array_equal(impute(image, missing), exact)  # the other solver, as a rule
    monkeypatch.setattr(conjugate_gradients, "_STEPS", 2)
    assert solve_iteratively(image, missing, ROAD) is None
    np.testing.assert_array_equal(impute(image, missing), exact)


def test_weights_that_multigrid_cannot_serve_are_solved_directly():
    image, missing = picture(), holes(0.9)
    assert solve_iteratively(image, missing, (0.01, 1.0)) is None
    found = impute(image, missing, edge_weight=0.01, diagonal_weight=1.0)
    np.testing.assert_array_equal(found, solve_directly(image, missing, (0.01, 1.0)))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_image_that_is_not_finite_ends_as_well():
    image, missing = picture(), holes(0.5)
    image[~missing] = np.nan
    assert solve_iteratively(image, missing, ROAD) is None
    assert np.isnan(impute(image, missing)[missing]).any()


@pytest.mark.parametrize("ratio", [0.0, 0.04, 0.5, 1 / 3, 1.0, 2.7, 4.0])
def test_float32_holds_the_sum_of_the_weights(ratio):
    corner = _short(ratio)
    assert corner == pytest.approx(ratio, abs=4e-6)
    for edges, corners in ((2, 1), (3, 2), (4, 4)):
        total = edges + corners * corner
        assert float(np.float32(total)) == total


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (7, 3), (2, 90), (64, 65)])
def test_every_pixel_is_eliminated_once(size):
    assert sorted(_dissection(size).ravel()) == list(range(size[0] * size[1]))


def test_jobs_come_back_in_order_with_their_noise_and_the_same_numbers_as_alone():
    masks = [holes(0.3 + 0.02 * seed, seed) for seed in range(30)]
    noise = np.full((*SIZE, 3), 2, np.float32)
    jobs = (Job(picture(), mask, noise) for mask in masks)
    found = imputed(jobs, edge_weight=1 / 6, diagonal_weight=1 / 12)
    for mask, result in zip(masks, found, strict=True):
        alone = impute(picture(), mask)
        np.testing.assert_array_equal(result, np.where(mask[..., None], alone + noise, alone))
