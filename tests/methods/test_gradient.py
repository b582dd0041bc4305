"""Gradients at the image: against one image at a time, by hand, and completeness."""

import keras
import numpy as np
import pytest
from handmade import Split, photos, run, small_split

from gradcam_eval.core import InputError
from gradcam_eval.methods.gradient import gradient, gradient_x_input, integrated_gradients

TARGETS = [2, 0, 1]


@pytest.fixture(scope="module")
def split():
    return small_split()


@pytest.fixture(scope="module")
def smooth():
    """Without kinks, so that integrals converge fast."""
    return small_split(act="tanh")


def linear(weights):
    """Score = Σ w·x over a 1×2 image of two channels."""
    trunk = keras.Sequential([keras.Input((1, 2, 2)), keras.layers.Activation("linear")])
    head = keras.Sequential([keras.Input((1, 2, 2)), keras.layers.Flatten(), keras.layers.Dense(1)])
    head.layers[-1].set_weights([np.reshape(weights, (4, 1)), np.full(1, 9, np.float32)])
    return Split(trunk, head)


IMAGE = np.array([[[[10, 20], [30, 40]]]], np.float32)
WEIGHTS = (1, -3, 2, 0.5)


def test_a_linear_model_by_hand():
    model = linear(WEIGHTS)
    np.testing.assert_allclose(run(gradient, model, IMAGE, [0]), [[[3, 2]]])
    np.testing.assert_allclose(run(gradient_x_input, model, IMAGE, [0]), [[[10 - 60, 60 + 20]]])
    np.testing.assert_allclose(
        run(integrated_gradients, model, IMAGE, [0], steps=3), [[[-50, 80]]], rtol=1e-6
    )
    # the image's mean colour is (20, 30): differences (-10, -10) and (10, 10)
    np.testing.assert_allclose(
        run(integrated_gradients, model, IMAGE, [0], baseline="mean"), [[[20, 25]]], rtol=1e-6
    )


def test_gradient_is_the_largest_channel_of_each_pixel(split):
    images = photos(3)
    found = run(gradient, split, images, TARGETS)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        slow = np.abs(split.input_gradient(image, target)).max(-1)
        np.testing.assert_allclose(heatmap, slow, rtol=1e-4, atol=1e-9)


def test_gradient_x_input_is_the_signed_sum(split):
    images = photos(3)
    found = run(gradient_x_input, split, images, TARGETS)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        slow = (split.input_gradient(image, target) * image).sum(-1)
        np.testing.assert_allclose(heatmap, slow, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("baseline", ["black", "mean"])
def test_integrated_gradients_is_the_sum_over_midpoints(split, baseline):
    images = photos(3)
    found = run(integrated_gradients, split, images, TARGETS, steps=6, baseline=baseline)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        start = np.broadcast_to(image.mean((0, 1)) * (baseline == "mean"), image.shape)
        slow = np.zeros(image.shape)
        for m in range(1, 7):
            point = start + (m - 0.5) / 6 * (image - start)
            slow += split.input_gradient(point.astype(np.float32), target)
        slow = ((image - start) * slow / 6).sum(-1)
        np.testing.assert_allclose(heatmap, slow, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("baseline", ["black", "mean"])
def test_integrated_gradients_is_complete(smooth, baseline):
    images = photos(3)
    found = run(integrated_gradients, smooth, images, TARGETS, baseline=baseline)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        start = np.broadcast_to(image.mean((0, 1)) * (baseline == "mean"), image.shape)
        rise = smooth.score(image, target) - smooth.score(start.astype(np.float32), target)
        assert heatmap.sum() == pytest.approx(rise, abs=1e-4)


def test_more_steps_come_nearer_to_completeness(smooth):
    image = photos(1)
    rise = smooth.score(image[0], 0) - smooth.score(np.zeros_like(image[0]), 0)
    misses = [
        abs(run(integrated_gradients, smooth, image, [0], steps=steps).sum() - rise)
        for steps in (1, 4, 16)
    ]
    assert misses[0] > 4 * misses[1] > 16 * misses[2]


def test_a_score_that_does_not_depend_on_the_image():
    model = linear((0, 0, 0, 0))
    for method in (gradient, gradient_x_input, integrated_gradients):
        assert not run(method, model, IMAGE, [0]).any()


def test_what_cannot_be(split):
    with pytest.raises(InputError, match="integrated_gradients: steps is 0: wanted 1 or more"):
        run(integrated_gradients, split, photos(1), [0], steps=0)
    with pytest.raises(InputError, match="unknown fill 'white'"):
        run(integrated_gradients, split, photos(1), [0], baseline="white")
