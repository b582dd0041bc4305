"""Agreement between cells: by hand, and what is left out."""

import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.metrics import agreement
from gradcam_eval.metrics.similarity import MEASURES, rank_correlation

RAMP = np.arange(16.0, dtype=np.float32).reshape(4, 4)


def test_means_over_images_by_hand():
    # image 1: the same order, 1; image 2: the opposite order, −1
    found = agreement({"a": [RAMP, RAMP], "b": [RAMP, -RAMP], "c": [RAMP.T, RAMP]})
    assert found.mean.loc["a", "b"] == 0
    assert found.mean.loc["a", "c"] == pytest.approx((rank_correlation(RAMP, RAMP.T) + 1) / 2)
    assert (found.n.to_numpy() == 2).all()
    assert found.measure == "rank_correlation"
    assert list(found.mean) == ["a", "b", "c"]


@pytest.mark.parametrize("measure", MEASURES)
def test_the_matrix_is_symmetric_with_ones_on_its_diagonal(measure, rng):
    maps = {name: rng.random((2, 48, 48)).astype(np.float32) for name in "abc"}
    found = agreement(maps, measure=measure).mean.to_numpy()
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-6)
    assert (found[np.triu_indices(3, 1)] < 0.6).all()


def test_maps_of_several_sizes_meet_in_one_frame(rng):
    coarse = rng.random((1, 4, 4)).astype(np.float32)
    fine = np.asarray(agreement({"a": coarse, "b": np.kron(coarse, np.ones((1, 4, 4)))}).mean)
    assert 0.8 < fine[0, 1] < 1
    same = agreement({"a": coarse, "b": np.kron(coarse, np.ones((1, 2, 2)))}, size=(4, 4)).mean
    assert same.loc["a", "b"] > 0.9


def test_what_cannot_be_compared_is_left_out_and_counted():
    flat = np.full((4, 4), 0.3, np.float32)
    found = agreement({"a": [RAMP, RAMP], "b": [flat, RAMP], "c": [flat, flat]}, size=(9, 9))
    assert found.n.loc["a", "b"] == 1
    assert found.mean.loc["a", "b"] == pytest.approx(1)
    assert found.n.loc["b", "c"] == 0
    assert np.isnan(found.mean.loc["b", "c"])
    assert np.isnan(found.mean.loc["c", "c"])


def test_keys_may_be_pairs_as_explain_returns_them():
    found = agreement({("late", "grad_cam"): [RAMP], ("late", "layer_cam"): [RAMP]})
    assert found.mean.index.tolist() == [("late", "grad_cam"), ("late", "layer_cam")]


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"a": [RAMP], "b": [RAMP, RAMP]}, r"different numbers of images \(a: 1, b: 2\)"),
        ({}, r"\(none\)"),
        ({"a": []}, r"\(a: 0\)"),
    ],
)
def test_cells_of_other_images_are_refused(maps, message):
    with pytest.raises(InputError, match=message):
        agreement(maps)
