"""The ladder's order holds by construction, and no pixel of its best heatmap ties with many."""

import numpy as np
import pytest

from gradcam_eval.core import Truth, Undefined
from gradcam_eval.meta_evaluation.ladder import RUNGS, graded_oracle, ladder


@pytest.fixture
def mask():
    mask = np.zeros((24, 30), bool)
    mask[4:13, 6:15] = True
    return mask


@pytest.fixture
def image():
    return np.zeros((24, 30, 3), np.float32)


def test_the_graded_oracle_by_hand():
    mask = np.zeros((1, 6), bool)
    mask[0, 1:4] = True
    # On the object d = 1, 2, 1 (max 2); beside it e = 1, 1, 2 (max 2).
    wanted = [0.005, 0.75, 1.0, 0.75, 0.005, 0.0]
    np.testing.assert_allclose(graded_oracle(mask)[0], wanted)


def test_the_object_comes_first_and_has_the_energy(mask):
    graded = graded_oracle(mask)
    assert graded.dtype == np.float32
    assert graded[mask].min() > 0.5 > 0.01 > graded[~mask].max()
    assert graded[mask].sum() > 0.9 * graded.sum()
    largest_tie = np.unique(graded, return_counts=True)[1].max()
    assert largest_tie < mask.sum() / 2  # a flat mask: all of them


def test_every_step_is_worse_in_every_image(mask, image):
    best = graded_oracle(mask).ravel()
    for seed in range(20):
        maps = ladder(image, Truth(mask.shape, mask=mask), seed=seed)
        assert tuple(maps) == RUNGS == tuple(f"{share / 10:.1f}" for share in range(11))
        np.testing.assert_array_equal(maps["0.0"].ravel(), best)
        fits = [np.corrcoef(best, each.ravel())[0, 1] for each in maps.values()]
        assert (np.diff(fits) < 0).all()
        assert all(each.dtype == np.float32 and each.min() >= 0 for each in maps.values())
        assert all(each.max() <= 1 for each in maps.values())


def test_the_noise_is_that_of_its_seed(mask, image):
    truth = Truth(mask.shape, mask=mask)
    one, again, other = (ladder(image, truth, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one["0.7"], again["0.7"])
    assert not np.array_equal(one["1.0"], other["1.0"])
    np.testing.assert_allclose(one["0.5"], (one["0.0"] + one["1.0"]) / 2, atol=1e-6)


def test_boxes_take_the_place_of_a_mask_and_no_truth_has_no_ladder(mask, image):
    boxed = ladder(image, Truth(mask.shape, boxes=np.array([[6.0, 4, 15, 13]])), seed=0)
    np.testing.assert_array_equal(boxed["0.0"], graded_oracle(mask))
    for truth in (Truth(mask.shape), Truth(mask.shape, mask=np.ones_like(mask))):
        assert isinstance(ladder(image, truth, seed=0), Undefined)
