import numpy as np
import pytest

from gradcam_eval.arrays import degenerate_reason, resize
from gradcam_eval.core import Case, Truth, Undefined
from gradcam_eval.methods.controls import (
    CONTROLS,
    ControlInput,
    centre_gaussian,
    constant,
    edges,
    oracle,
    random,
)
from gradcam_eval.metrics import METRICS
from gradcam_eval.metrics.evaluation import evaluate


def given(seed=0, size=(64, 96), truth=None):
    image = np.random.default_rng(1).uniform(0, 255, (*size, 3)).astype(np.float32)
    return ControlInput(image, truth or Truth(size), np.random.default_rng(seed))


@pytest.mark.parametrize("name", CONTROLS)
def test_contract(name):
    mask = np.zeros((64, 96), bool)
    mask[10:20, 30:50] = True
    asked = given(truth=Truth((64, 96), mask=mask))
    before = asked.image.copy()
    heatmap = CONTROLS[name](asked)
    assert heatmap.shape == (64, 96)
    assert heatmap.dtype == np.float32
    assert (degenerate_reason(heatmap) is None) == (name != "constant")
    np.testing.assert_array_equal(asked.image, before)


def test_random_depends_on_its_generator_alone():
    np.testing.assert_array_equal(random(given(seed=3)), random(given(seed=3)))
    assert np.abs(random(given(seed=3)) - random(given(seed=4))).max() > 0.1


def test_random_is_as_coarse_as_a_last_layer():
    # 224×256 pixels are 7×8 cells: between two cell centres the map is linear, so its second
    # difference is 0 nearly everywhere; pixel-wise noise has none such.
    heatmap = random(given(size=(224, 256)))
    assert (np.abs(np.diff(heatmap, 2, axis=1)) < 1e-5).mean() > 0.9


def test_random_is_the_generators_grid_of_cells_of_32_pixels_enlarged():
    grid = np.random.default_rng(0).random((14, 16), np.float32)
    expected = resize(grid, (448, 512))
    np.testing.assert_array_equal(random(given(size=(448, 512))), expected)


def test_centre_gaussian_golden():
    heatmap = centre_gaussian(given(size=(4, 8)))
    # a quarter of the sides is 1 and 2 pixels: centre pixels lie half a pixel off on each axis
    np.testing.assert_allclose(heatmap[1, 3], np.exp(-(0.5**2 + 0.25**2) / 2), rtol=1e-6)
    np.testing.assert_allclose(heatmap, heatmap[::-1, ::-1])
    assert heatmap.max() == heatmap[1, 3]


def test_edges_are_where_the_picture_changes():
    image = np.zeros((8, 8, 3), np.float32)
    image[:, 4:] = 255
    heatmap = edges(ControlInput(image, Truth((8, 8)), np.random.default_rng(0)))
    assert 0.5 < heatmap[:, 3:5].min() <= heatmap.max() <= 1
    assert heatmap[:, :3].max() == heatmap[:, 5:].max() == 0


def test_oracle_prefers_the_mask():
    mask = np.zeros((8, 8), bool)
    mask[2, 3] = True
    boxes = np.array([[0, 0, 8, 8]], np.float32)
    heatmap = oracle(given(truth=Truth((8, 8), boxes, mask)))
    assert heatmap.sum() == heatmap[2, 3] == 1


def test_oracle_of_boxes_fills_all_of_them_and_stays_inside():
    boxes = np.array([[1, 2, 3, 4], [6, 6, 12, 12], [-5, -4, 1, 1]], np.float32)
    heatmap = oracle(given(truth=Truth((8, 8), boxes)))
    wanted = np.zeros((8, 8))
    wanted[2:4, 1:3] = wanted[6:, 6:] = wanted[0, 0] = 1
    np.testing.assert_array_equal(heatmap, wanted)


@pytest.mark.parametrize(
    "truth", [Truth((8, 8)), Truth((8, 8), mask=np.zeros((8, 8), bool))], ids=["none", "empty mask"]
)
def test_oracle_without_truth_is_undefined(truth):
    assert isinstance(oracle(given(size=(8, 8), truth=truth)), Undefined)


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (8, 40), (3, 3)])
def test_random_still_ranks_the_pixels_of_a_small_image(size):
    heatmap = random(given(size=size))
    assert degenerate_reason(heatmap) is None
    assert len(np.unique(heatmap)) >= min(size) ** 2 / 4


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_gives_the_constant_a_number(name):
    boxes = np.array([[30, 10, 50, 20], [60, 30, 80, 60]], np.float32)
    instances = tuple(np.zeros((64, 96), bool) for _ in boxes)
    instances[0][10:20, 30:50] = instances[1][30:60, 60:80] = True
    truth = Truth((64, 96), boxes, np.any(instances, axis=0), instances=instances)
    asked = given(truth=truth)
    case = Case(asked.image, constant(asked), 1, truth, truth, labels=(1,), predicted=(1, 0))
    (result,) = evaluate(name, [case], lambda images: np.full((len(images), 2), 0.5))
    assert result == Undefined("the heatmap is constant")
