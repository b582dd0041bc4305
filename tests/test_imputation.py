"""Imputation from neighbours: what each value is, and which order the images come in."""

import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.perturb.linear import Job, _dissection, impute, imputed

SIZE = (30, 41)


def picture(seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (*SIZE, 3)).astype(np.float32)


def holes(share, seed=1):
    return np.random.default_rng(seed).random(SIZE) < share


@pytest.mark.parametrize("weights", [(1 / 6, 1 / 12), (0.25, 0.01)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_each_imputed_pixel_is_the_weighted_mean_of_its_neighbours(share, weights):
    image, missing = picture(), holes(share)
    found = impute(image, missing, edge_weight=weights[0], diagonal_weight=weights[1])
    np.testing.assert_array_equal(found[~missing], image[~missing])
    assert found.dtype == np.float32
    for r, c in np.argwhere(missing):
        total, sum_of_weights = np.zeros(3), 0.0
        for dr, dc in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]:
            if 0 <= r + dr < SIZE[0] and 0 <= c + dc < SIZE[1]:
                weight = weights[0] if 0 in (dr, dc) else weights[1]
                total += weight * found[r + dr, c + dc]
                sum_of_weights += weight
        np.testing.assert_allclose(found[r, c], total / sum_of_weights, atol=1e-3)


def test_a_single_known_pixel_fills_the_image():
    missing = np.ones(SIZE, bool)
    missing[7, 30] = False
    found = impute(picture(), missing)
    np.testing.assert_allclose(found, np.broadcast_to(picture()[7, 30], found.shape), atol=1e-2)


def test_nothing_or_everything_missing():
    np.testing.assert_array_equal(impute(picture(), np.zeros(SIZE, bool)), picture())
    with pytest.raises(InputError, match="every pixel is removed"):
        impute(picture(), np.ones(SIZE, bool))


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (7, 3), (2, 90), (64, 65)])
def test_every_pixel_is_eliminated_once(size):
    assert sorted(_dissection(size).ravel()) == list(range(size[0] * size[1]))


def test_jobs_come_back_in_order_with_their_noise():
    masks = [holes(0.3, seed) for seed in range(30)]
    noise = np.full((*SIZE, 3), 2, np.float32)
    jobs = (Job(picture(), mask, noise) for mask in masks)
    found = imputed(jobs, edge_weight=1 / 6, diagonal_weight=1 / 12)
    for mask, result in zip(masks, found, strict=True):
        np.testing.assert_allclose(result, impute(picture(), mask) + 2 * mask[..., None], atol=1e-4)
