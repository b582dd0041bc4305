"""Deletion and insertion: known answers, a slow twin from the paper's definition, properties."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest

from gradcam_eval.core import Curve, InputError, Undefined
from gradcam_eval.metrics import deletion, insertion
from gradcam_eval.metrics.black_box import BlackBox
from gradcam_eval.metrics.curve_points import step_counts
from gradcam_eval.metrics.inputs import as_predict
from gradcam_eval.perturb import rise_blur
from gradcam_eval.protocols import IMAGENET_MEAN, PROTOCOLS

SIZE = (6, 7)
SMALL = dataclasses.replace(PROTOCOLS["rise2018"], name="small", step_pixels=5)
ONE = dataclasses.replace(PROTOCOLS["rise2018"], name="one", step_pixels=1)


def known(images):
    """Score 0.7 for an untouched left pixel and 0.3 for an untouched right one."""
    untouched = (images[:, 0, :, 0] == 255).astype(np.float64)
    return (untouched @ [[0.7], [0.3]]).repeat(2, axis=1)


def smooth(images):
    """Return two probabilities of a classifier that is not linear."""
    weights = np.random.default_rng(5).normal(size=(*SIZE, 3)) / 300
    score = 1 / (1 + np.exp(-np.tensordot(images - 128.0, weights, 3)))
    return np.stack([score, 1 - score], axis=1)


def linear(images):
    """Return one score: a weighted sum of all values."""
    weights = np.random.default_rng(6).uniform(0, 1e-4, (*SIZE, 3))
    return np.tensordot(images, weights, 3)[:, None]


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)


@pytest.fixture
def heatmaps():
    return np.random.default_rng(1).normal(size=(3, *SIZE)).astype(np.float32)


def slow_curve(predict, start, finish, heatmap, step):
    """Change the next pixels of one image at a time; sum the trapezoid by hand."""
    pixels = [(-value, place) for place, value in np.ndenumerate(heatmap)]
    places = [place for _, place in sorted(pixels)]  # ties in row-major order
    picture, fraction, score = start.copy(), [0.0], [predict(start[None])[0, 0]]
    for first in range(0, len(places), step):
        for place in places[first : first + step]:
            picture[place] = finish[place]
        fraction.append(min(first + step, len(places)) / len(places))
        score.append(predict(picture[None])[0, 0])
    area = sum(
        (fraction[i + 1] - fraction[i]) * (score[i + 1] + score[i]) / 2
        for i in range(len(score) - 1)
    )
    return fraction, score, area


def test_the_known_model_gives_the_known_curves():
    image = np.full((1, 1, 2, 3), 255, np.float32)
    heatmap = np.array([[[2.0, 1.0]]])
    (removed,) = deletion(known, image, heatmap, [0], ONE)
    (added,) = insertion(known, image, heatmap, [0], ONE)
    np.testing.assert_allclose(removed.fraction, [0, 0.5, 1])
    np.testing.assert_allclose(removed.score, [1, 0.3, 0], atol=1e-12)
    np.testing.assert_allclose(added.score, [0, 0.7, 1], atol=1e-12)
    assert removed.area == pytest.approx(0.4)  # (1 + .3) / 4 + (.3 + 0) / 4
    assert added.area == pytest.approx(0.6)  # (0 + .7) / 4 + (.7 + 1) / 4


def test_the_wrong_order_is_worse_in_both():
    image = np.full((1, 1, 2, 3), 255, np.float32)
    heatmap = np.array([[[1.0, 2.0]]])
    assert deletion(known, image, heatmap, [0], ONE)[0].area == pytest.approx(0.6)
    assert insertion(known, image, heatmap, [0], ONE)[0].area == pytest.approx(0.4)


def test_deletion_equals_the_slow_twin(image, heatmaps):
    fill = np.broadcast_to(np.float32(IMAGENET_MEAN), image[0].shape)
    curves = deletion(smooth, image, heatmaps, [0, 0, 0], SMALL)
    for heatmap, curve in zip(heatmaps, curves, strict=True):
        fraction, score, area = slow_curve(smooth, image[0], fill, heatmap, 5)
        np.testing.assert_allclose(curve.fraction, fraction)
        np.testing.assert_allclose(curve.score, score, atol=1e-9)
        assert curve.area == pytest.approx(area, abs=1e-9)
        assert np.ptp(score) > 0.1  # the model reacts: a constant would prove nothing


def test_insertion_equals_the_slow_twin(image, heatmaps):
    blurred = rise_blur(image, kernel=11, sigma=5.0, border=IMAGENET_MEAN)
    curves = insertion(smooth, image, heatmaps, [0, 0, 0], SMALL)
    for heatmap, curve in zip(heatmaps, curves, strict=True):
        _, score, area = slow_curve(smooth, blurred[0], image[0], heatmap, 5)
        np.testing.assert_allclose(curve.score, score, atol=1e-9)
        assert curve.area == pytest.approx(area, abs=1e-9)


def test_ties_go_in_row_major_order(image):
    heatmap = np.zeros((1, *SIZE), np.float32)
    heatmap[0, 3, 2] = 1  # one pixel leads, all others are equal
    fill = np.broadcast_to(np.float32(IMAGENET_MEAN), image[0].shape)
    (curve,) = deletion(smooth, image, heatmap, [0], SMALL)
    np.testing.assert_allclose(curve.score, slow_curve(smooth, image[0], fill, heatmap[0], 5)[1])


def test_the_area_uses_true_fractions_where_the_last_step_is_partial():
    assert step_counts(10, 4).tolist() == [0, 4, 8, 10]
    assert step_counts(8, 4).tolist() == [0, 4, 8]
    assert step_counts(3, 4).tolist() == [0, 3]
    curve = Curve(np.array([0, 4, 8, 10]) / 10, np.array([1.0, 0.5, 0.5, 0]))
    assert curve.area == pytest.approx(0.4 * 0.75 + 0.4 * 0.5 + 0.2 * 0.25)
    half = Curve(np.array([0, 0.25, 0.5]), np.array([0.5, 0.5, 0.5]))
    assert half.area == pytest.approx(0.5)  # over its own range, not over 0..1


def test_the_published_steps_at_224_pixels():
    assert len(step_counts(224 * 224, 224)) == 225
    assert len(step_counts(224 * 224, 1792)) == 29


def test_a_linear_model_gives_complementary_curves(image, heatmaps):
    fill = np.broadcast_to(np.float32(IMAGENET_MEAN), image.shape).copy()
    both = (linear(image) + linear(fill))[0, 0]
    same = dataclasses.replace(SMALL, start=SMALL.removal)
    value = BlackBox(linear, output="regression")
    removed = deletion(value, image, heatmaps, [0, 0, 0], same)
    added = insertion(value, image, heatmaps, [0, 0, 0], same)
    for down, up in zip(removed, added, strict=True):
        np.testing.assert_allclose(down.score + up.score, both, rtol=1e-6)


@pytest.mark.parametrize("factor", [0.25, 1024])
@pytest.mark.parametrize("metric", [deletion, insertion])
def test_a_positive_factor_changes_nothing(image, heatmaps, metric, factor):
    small = heatmaps[:, :3, :4]
    plain = metric(smooth, image, small, [0, 0, 1], SMALL)
    scaled = metric(smooth, image, small * np.float32(factor), [0, 0, 1], SMALL)
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_array_equal(a.score, b.score)


@pytest.mark.parametrize("metric", [deletion, insertion])
def test_a_pair_of_images_equals_two_single_calls(heatmaps, metric):
    images = np.random.default_rng(3).uniform(0, 255, (2, *SIZE, 3)).astype(np.float32)
    together = metric(smooth, images, heatmaps[:2], [0, 1], SMALL)
    for n in range(2):
        (alone,) = metric(smooth, images[n : n + 1], heatmaps[n : n + 1], [n], SMALL)
        np.testing.assert_allclose(together[n].score, alone.score, atol=1e-9)
    assert np.abs(together[0].score - together[1].score).max() > 0.01


def test_a_map_of_another_size_is_resized_once(image):
    heatmap = np.array([[[0, 1], [2, 4]]], np.float32)
    big = keras.ops.image.resize(heatmap[..., None], SIZE, interpolation="bilinear")
    (small_curve,) = deletion(smooth, image, heatmap, [0], SMALL)
    (big_curve,) = deletion(smooth, image, np.asarray(big)[..., 0], [0], SMALL)
    np.testing.assert_allclose(small_curve.score, big_curve.score, atol=1e-9)


def test_maps_of_several_sizes_may_come_together(image, heatmaps):
    mixed = [heatmaps[0], heatmaps[1, :2, :3]]
    curves = deletion(smooth, image, mixed, [0, 0], SMALL)
    for heatmap, curve in zip(mixed, curves, strict=True):
        (alone,) = deletion(smooth, image, heatmap[None], [0], SMALL)
        np.testing.assert_allclose(curve.score, alone.score, atol=1e-9)


def test_degenerate_maps_are_undefined_and_the_others_keep_their_places(image, heatmaps):
    broken = heatmaps[0].copy()
    broken[0, 0] = np.nan
    maps = [np.zeros(SIZE), heatmaps[0], broken, np.ones(SIZE), np.ones((1, 1)), heatmaps[1]]
    images = (
        np.repeat(image, 6, axis=0) * np.linspace(0.5, 1, 6, dtype=np.float32)[:, None, None, None]
    )
    results = deletion(smooth, images, maps, [0] * 6, SMALL)
    reasons = [r.reason if isinstance(r, Undefined) else None for r in results]
    assert reasons == [
        "the heatmap is all zero",
        None,
        "the heatmap has values that are not finite",
        "the heatmap is constant",
        "the heatmap is a single pixel",
        None,
    ]
    (alone,) = deletion(smooth, images[5:], [heatmaps[1]], [0], SMALL)
    np.testing.assert_allclose(results[5].score, alone.score, atol=1e-9)


def test_a_map_that_a_smaller_frame_makes_constant_is_undefined():
    image = np.full((1, 2, 2, 3), 99, np.float32)
    heatmap = np.zeros((1, 10, 10))
    heatmap[0, 0, 0] = 1  # between the sampled positions
    (result,) = deletion(lambda images: images.mean((1, 2)), image, heatmap, [0])
    assert result == Undefined("the heatmap is all zero")


def test_a_score_that_is_not_finite_is_undefined(image, heatmaps):
    def broken(images):
        return np.where(images[:, 0, 0, :2] == image[0, 0, 0, :2], 0.5, np.nan)

    results = deletion(broken, image, heatmaps[:1], [0], SMALL)
    assert results == [Undefined("the model's score is not finite")]


def test_a_keras_model_runs_compiled_and_agrees_with_itself_as_a_black_box(image, heatmaps):
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Rescaling(1 / 100, offset=-1.3),
        keras.layers.Flatten(),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential([keras.Input((*SIZE, 3)), *layers])
    assert as_predict(model) is as_predict(model)  # compiled once for a loop over images
    for metric in (deletion, insertion):
        fast = metric(model, image, heatmaps, [0, 1, 2], SMALL)
        slow = metric(lambda x: np.asarray(model(x)), image, heatmaps, [0, 1, 2], SMALL)
        for a, b in zip(fast, slow, strict=True):
            np.testing.assert_allclose(a.score, b.score, atol=1e-6)
            assert np.ptp(a.score) > 0.01


def test_a_black_box_needs_no_tensorflow():
    code = (
        "import sys, numpy as np\n"
        "from gradcam_eval.metrics import deletion\n"
        "image = np.full((1, 2, 2, 3), 200, np.float32)\n"
        "score = lambda x: x.mean((1, 2)) / 255\n"
        "curve, = deletion(score, image, np.arange(4.).reshape(1, 2, 2), [0])\n"
        "assert abs(curve.score[0] - 200 / 255) < 1e-6\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def call(**changes):
    arguments = {
        "predict": smooth,
        "images": np.full((1, *SIZE, 3), 99.0),
        "heatmaps": np.arange(84.0).reshape(2, *SIZE),
        "targets": [0, 1],
        "protocol": SMALL,
    }
    return deletion(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((*SIZE, 3))}, r"images have shape \(6, 7, 3\).*image\[None\]"),
        ({"images": np.zeros((3, *SIZE, 3))}, "3 images for 2 heatmaps"),
        ({"images": np.full((1, *SIZE, 3), np.nan)}, "not finite"),
        (
            {"images": np.linspace(0, 1, 126).reshape(1, *SIZE, 3)},
            "images run from 0 to 1: exp",
        ),
        ({"images": np.linspace(-2, 2, 126).reshape(1, *SIZE, 3)}, "images run from -2 to 2"),
        ({"images": np.full((1, *SIZE, 5), 99.0)}, "images have 5 channels"),
        ({"heatmaps": np.zeros(SIZE)}, r"a heatmap has shape \(7,\).*heatmap\[None\]"),
        ({"heatmaps": np.zeros((2, *SIZE, 1))}, r"a heatmap has shape \(6, 7, 1\)"),
        ({"targets": [0]}, "give 2 class indices"),
        ({"targets": [0.5, 1.0]}, "dtype float64: give 2 class indices"),
        ({"targets": [0, 2]}, "target 2 does not exist: the model has 2 classes"),
        ({"protocol": "rise"}, "unknown protocol of the metric 'deletion' 'rise': did you mean"),
        (
            {"protocol": PROTOCOLS["pointing2018"]},
            "unknown protocol of the metric 'deletion' PointingProtocol",
        ),
        ({"protocol": dataclasses.replace(SMALL, step_pixels=0)}, "a step of 0 pixels"),
        ({"predict": 3}, "predict is int"),
    ],
)
def test_bad_input_is_named_in_one_sentence(changes, message):
    assert all(isinstance(result, Curve) for result in call())  # good without the change
    with pytest.raises(InputError, match=message):
        call(**changes)


def test_a_dark_photograph_is_not_taken_for_a_scaled_one():
    dark = (np.arange(126) % 2).astype(np.float32).reshape(1, *SIZE, 3)
    assert all(isinstance(result, Curve) for result in call(images=dark))
