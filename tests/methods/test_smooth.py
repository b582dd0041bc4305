"""SmoothGrad and Smooth Grad-CAM++ against their equations, with the same draws of noise."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from handmade import photos, probe_of, run, small_split

from gradcam_eval.core import InputError
from gradcam_eval.methods.cam import grad_cam_pp
from gradcam_eval.methods.gradient import gradient
from gradcam_eval.methods.smooth import smooth_grad, smooth_grad_cam_pp

TARGETS = [2, 0, 1]
SEED = 5


@pytest.fixture(scope="module")
def split():
    return small_split()


def copies(image, samples, noise):
    """The noisy copies, one by one, in double precision until the end."""
    for number in range(samples):
        draw = tf.random.stateless_normal(image.shape, [SEED, number], alg="philox").numpy()
        sigma = noise * (float(image.max()) - float(image.min()))
        yield (image + sigma * draw.astype(np.float64)).astype(np.float32)


def test_smooth_grad_is_the_mean_of_noisy_gradients(split):
    images = photos(3)
    found = run(smooth_grad, split, images, TARGETS, seed=SEED, samples=7, noise=0.2)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        slow = sum(split.input_gradient(copy, target) for copy in copies(image, 7, 0.2)) / 7
        np.testing.assert_allclose(heatmap, np.abs(slow).max(-1), rtol=1e-3, atol=1e-8)


def test_smooth_grad_cam_pp_is_its_equations(split):
    images = photos(3)
    found = run(smooth_grad_cam_pp, split, images, TARGETS, seed=SEED, samples=6, noise=0.1)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        np.testing.assert_allclose(
            heatmap, twin_pp(split, image, target, copies(image, 6, 0.1)), rtol=1e-3, atol=1e-7
        )


def twin_pp(split, image, target, noisy):
    gradients = [split.layer_gradient(copy, target) for copy in noisy]
    first, second, third = (sum(g**p for g in gradients) / len(gradients) for p in (1, 2, 3))
    activation = split.activation(image)
    height, width, channels = activation.shape
    heatmap = np.zeros((height, width))
    for k in range(channels):
        weight = 0.0
        for i in range(height):
            for j in range(width):
                bottom = 2 * second[i, j, k] + activation[..., k].sum() * third[i, j, k]
                alpha = second[i, j, k] / bottom if bottom else 0.0
                weight += alpha * max(first[i, j, k], 0)
        heatmap += weight * activation[..., k]
    return np.maximum(heatmap, 0)


def test_without_noise_they_are_their_plain_methods(split):
    images = photos(3)
    np.testing.assert_allclose(
        run(smooth_grad, split, images, TARGETS, noise=0.0, samples=3),
        run(gradient, split, images, TARGETS),
        rtol=1e-5,
    )
    plain = run(
        lambda probe: grad_cam_pp(probe.activations, probe.gradients), split, images, TARGETS
    )
    np.testing.assert_allclose(
        run(smooth_grad_cam_pp, split, images, TARGETS, noise=0.0, samples=3), plain, rtol=1e-5
    )


@pytest.mark.parametrize("method", [smooth_grad, smooth_grad_cam_pp])
def test_the_seed_decides(split, method):
    image = photos(1)
    first, second, other = (
        run(method, split, image, [0], samples=2, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_noise_follows_the_image_range(split):
    """An image of one colour has no range, so its noisy copies are the image."""
    image = np.full((1, 12, 10, 3), 90, np.float32)
    np.testing.assert_allclose(
        run(smooth_grad, split, image, [0], noise=0.5, samples=3),
        run(gradient, split, image, [0]),
        rtol=1e-5,
    )


def test_gradients_too_small_to_square_in_single_precision(split):
    """A saturated probability: G² and G³ underflow in float32, and the map must not be all zero."""

    def faint(images, targets):
        probe = probe_of(split, images, targets)

        def at_layer(some, owner):
            activations, gradients = probe.at_layer(some, owner)
            return activations, gradients * 1e-30

        return [
            smooth_grad_cam_pp(replace(probe, at_layer=ask), samples=2)
            for ask in (probe.at_layer, at_layer)
        ]

    function = tf.function(faint, autograph=False)
    usual, small = function(tf.constant(photos(2)), tf.constant([0, 1]))
    assert small.numpy().max() > 0
    # α goes to ½ as G vanishes, so the maps are alike, not equal
    for one, other in zip(usual.numpy(), small.numpy(), strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9


def test_what_cannot_be(split):
    with pytest.raises(InputError, match="smooth_grad: samples is 0: wanted 1 or more"):
        run(smooth_grad, split, photos(1), [0], samples=0)
    for noise in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"smooth_grad_cam_pp: noise is .* 0 or more"):
            run(smooth_grad_cam_pp, split, photos(1), [0], noise=noise)
