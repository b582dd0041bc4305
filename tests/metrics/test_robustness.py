"""Robustness and stability: explainers with known answers, slow twins, undefined cases."""

import numpy as np
import pytest

from gradcam_eval.core import Case, InputError, Truth, Undefined
from gradcam_eval.metrics import (
    average_sensitivity,
    evaluate,
    flip_stability,
    jpeg_stability,
    local_lipschitz,
    max_sensitivity,
    shift_stability,
)
from gradcam_eval.metrics.robustness import uniform_neighbours
from gradcam_eval.metrics.stability import recompressed

SENSITIVITIES = [max_sensitivity, average_sensitivity, local_lipschitz]
ASKING = [
    *("max_sensitivity", "average_sensitivity", "local_lipschitz"),
    *("shift_stability", "flip_stability", "jpeg_stability"),
]
WEIGHTS = np.random.default_rng(1).normal(size=(16, 16)).astype(np.float32)


def gradient_of_a_linear_model(images):
    """The gradient of w·x is w whatever the image."""
    return np.repeat(WEIGHTS[None], len(images), axis=0)


def brightness(images):
    """A heatmap that is the picture itself: linear, and moves with it."""
    return images.mean(axis=-1)


def picture(seed=0, side=16):
    """A smooth picture: JPEG leaves most of it."""
    coarse = np.random.default_rng(seed).uniform(40, 210, (4, 4, 3))
    return np.kron(coarse, np.ones((side // 4, side // 4, 1))).astype(np.float32)


def neighbours(image, radius=5.0, draws=6):
    return uniform_neighbours(image, radius=radius, draws=draws, generator=np.random.default_rng(3))


@pytest.mark.parametrize("metric", SENSITIVITIES)
def test_a_linear_model_s_gradient_is_exactly_insensitive(metric):
    assert metric(gradient_of_a_linear_model, picture(), neighbours(picture())) == 0.0


def test_sensitivity_by_hand():
    image = np.array([[[3.0], [4.0]]], np.float32)  # norm 5
    changed = np.array([[[[3.0], [5.0]]], [[[6.0], [8.0]]]], np.float32)  # changes of norm 1 and 5
    assert max_sensitivity(brightness, image, changed) == pytest.approx(1.0)
    assert average_sensitivity(brightness, image, changed) == pytest.approx(0.6)
    # the image changes as its heatmap: (1/5) / (1/255) and (5/5) / (5/255), both 51
    assert local_lipschitz(brightness, image, changed) == pytest.approx(51.0)
    # as the paper has them: nothing is divided by the first heatmap's norm of 5
    assert local_lipschitz(brightness, image, changed, is_relative=False) == pytest.approx(255.0)
    assert max_sensitivity(brightness, image, changed, is_relative=False) == pytest.approx(5.0)
    assert average_sensitivity(brightness, image, changed, is_relative=False) == pytest.approx(3.0)


def test_fast_equals_loop_by_loop():
    def curved(images):
        return images[..., 0] ** 2 - 3 * images[..., 1]

    image = picture(5)
    near = neighbours(image, radius=20)
    first, ratios, slopes = curved(image[None])[0], [], []
    for each in near:
        second = curved(each[None])[0]
        change = sum(float(second[p] - first[p]) ** 2 for p in np.ndindex(16, 16)) ** 0.5
        ratios.append(change / sum(float(v) ** 2 for v in first.flat) ** 0.5)
        slopes.append(ratios[-1] / sum(float(v / 255) ** 2 for v in (each - image).flat) ** 0.5)
    assert max_sensitivity(curved, image, near) == pytest.approx(max(ratios), rel=1e-5)
    assert average_sensitivity(curved, image, near) == pytest.approx(np.mean(ratios), rel=1e-5)
    assert local_lipschitz(curved, image, near) == pytest.approx(max(slopes), rel=1e-5)


def test_neighbours_fill_the_box_and_depend_on_the_seed_alone():
    near = neighbours(picture(), radius=5, draws=40)
    noise = near - picture()
    assert near.shape == (40, 16, 16, 3)
    assert 4.9 < np.abs(noise).max() <= 5.001
    assert abs(noise.mean()) < 0.1
    np.testing.assert_array_equal(neighbours(picture(), radius=5, draws=40), near)
    with pytest.raises(InputError, match="radius is 0"):
        neighbours(picture(), radius=0)


@pytest.mark.parametrize("metric", SENSITIVITIES)
def test_a_degenerate_map_has_no_sensitivity(metric):
    constant = metric(lambda images: np.ones((len(images), 4, 4)), picture(), neighbours(picture()))
    assert constant == Undefined("the heatmap is constant")

    def breaks(images):
        maps = brightness(images).copy()
        maps[2, 0, 0] = np.nan
        return maps

    broken = metric(breaks, picture(), neighbours(picture()))
    assert "a changed image has values that are not finite" in broken.reason


def test_neighbours_that_do_not_differ_have_no_slope():
    image = picture()
    assert "no neighbour differs" in local_lipschitz(brightness, image, image[None]).reason


def test_a_map_that_moves_with_the_image_is_stable():
    assert flip_stability(brightness, picture()) == 1.0
    assert shift_stability(brightness, picture(), fraction=0.125) == 1.0
    assert jpeg_stability(brightness, picture(), quality=95) > 0.9


def test_a_map_that_stays_where_it_was_is_not():
    # the same map for every image: mirrored back it is another one
    def fixed(images):
        return gradient_of_a_linear_model(images)

    by_hand = np.corrcoef(np.argsort(np.argsort(WEIGHTS.ravel())),
                          np.argsort(np.argsort(WEIGHTS[:, ::-1].ravel())))[0, 1]  # fmt: skip
    assert flip_stability(fixed, picture()) == pytest.approx(by_hand, abs=1e-6)
    assert abs(by_hand) < 0.3
    assert abs(shift_stability(fixed, picture(), fraction=0.125)) < 0.3
    assert jpeg_stability(fixed, picture(), quality=50) == 1.0


def test_shift_is_compared_where_both_maps_show_the_image():
    # the heatmap marks what was repeated beyond the border: outside the overlap, so it is not seen
    def marks_repeats(images):
        maps = brightness(images).copy()
        for each in maps[1:]:
            same_rows = [r for r in range(15) if np.array_equal(each[r], each[r + 1])]
            each[[r for r in same_rows if r < 2]] = 1e6
        return maps

    smooth = np.random.default_rng(2).uniform(0, 255, (16, 16, 3)).astype(np.float32)
    assert shift_stability(marks_repeats, smooth, fraction=0.125) == 1.0


def test_jpeg_takes_grey_pictures_and_refuses_others():
    assert recompressed(picture()[..., :1], 50).shape == (16, 16, 1)
    assert np.abs(recompressed(picture(), 95) - picture()).max() < 60
    assert not np.array_equal(recompressed(picture(), 10), np.rint(picture()))
    four = np.concatenate([picture(), picture()[..., :1]], axis=-1)
    assert jpeg_stability(brightness, four, quality=50) == Undefined(
        "JPEG has no images of 4 channels"
    )
    with pytest.raises(InputError, match="quality is 200"):
        recompressed(picture(), 200)


def test_undefined_where_a_changed_image_s_map_is_degenerate():
    def vanishes(images):
        maps = brightness(images).copy()
        maps[1] = 0
        return maps

    assert flip_stability(vanishes, picture()) == Undefined("the heatmap is all zero")
    found = shift_stability(vanishes, picture(), fraction=0.125)
    assert found == Undefined("the heatmap is all zero")


@pytest.mark.parametrize("metric", [max_sensitivity, lambda e, x, _: flip_stability(e, x)])
def test_an_explainer_that_miscounts_is_named(metric):
    with pytest.raises(InputError, match=r"explain returned shape \(16, 16\) for \d images"):
        metric(lambda images: WEIGHTS, picture(), neighbours(picture()))


def case_of(explain, seed=0):
    truth, image = Truth((16, 16)), picture()
    heatmap = brightness(image[None])[0]
    return Case(image, heatmap, 0, truth, truth, seed=seed, explain=explain)


@pytest.mark.parametrize("name", ASKING)
def test_what_cannot_be_asked_is_undefined(name):
    (found,) = evaluate(name, [case_of(None)])
    assert "cannot be asked for others" in found.reason


def test_all_cells_of_an_image_and_all_sensitivities_meet_the_same_neighbours():
    asked = []

    def recording(images):
        asked.append(images)
        return brightness(images)

    first = case_of(recording, seed=4)
    cases = [first, Case(**{**vars(first), "heatmap": first.heatmap[::-1]})]
    for name in ("max_sensitivity", "average_sensitivity", "local_lipschitz"):
        evaluate(name, cases)
    assert [len(images) for images in asked] == [51] * 6
    assert all(np.array_equal(images, asked[0]) for images in asked)
    evaluate("max_sensitivity", [case_of(recording, seed=5)])
    assert not np.array_equal(asked[-1], asked[0])


def test_the_paper_s_lipschitz_is_the_relative_one_times_the_heatmap_s_norm():
    image = picture(2)
    heatmap = brightness(image[None])[0]
    nothing = Truth((16, 16))
    case = Case(image, heatmap, 0, nothing, nothing, seed=4, explain=brightness)
    relative, absolute = (
        evaluate("local_lipschitz", [case], protocol_name=name)[0]
        for name in ("lipschitz2018", "lipschitz2018_absolute")
    )
    norm = sum(float(value) ** 2 for value in heatmap.flat) ** 0.5
    assert absolute == pytest.approx(relative * norm, rel=1e-6)
    # the brightness of three channels changes by no more than 1/√3 of the picture's change
    assert 0 < absolute <= 255 / 3**0.5 * (1 + 1e-6)
