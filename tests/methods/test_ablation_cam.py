"""Ablation-CAM against the paper's equations, and a linear head, where it is known exactly."""

import keras
import numpy as np
import pytest
from handmade import Split, photos, run, small_split

from gradcam_eval.core import InputError
from gradcam_eval.methods.ablation_cam import ablation_cam


@pytest.fixture(scope="module")
def split():
    return small_split()


def twin(split, image, target, channels=None):
    activation = split.activation(image)
    whole = split.score_of_map(activation.astype(np.float32), target)
    heatmap = np.zeros(activation.shape[:2])
    for k in range(activation.shape[-1]) if channels is None else channels:
        without = activation.copy()
        without[..., k] = 0
        drop = whole - split.score_of_map(without.astype(np.float32), target)
        heatmap += drop / abs(whole) * activation[..., k]
    return np.maximum(heatmap, 0)


def test_is_the_paper_equation(split):
    images = photos(4)
    targets = [0, 1, 2, 0]
    found = run(ablation_cam, split, images, targets)
    signs = {np.sign(split.score(*pair)) for pair in zip(images, targets, strict=True)}
    assert signs == {-1, 1}  # the sign of the score must not turn the map round
    for heatmap, image, target in zip(found, images, targets, strict=True):
        np.testing.assert_allclose(heatmap, twin(split, image, target), rtol=1e-4, atol=1e-6)


def test_top_channels_are_those_with_the_largest_mean_square(split):
    image = photos(1)
    energy = (split.activation(image[0]) ** 2).mean((0, 1))
    most = np.argsort(-energy)[:2]
    found = run(ablation_cam, split, image, [1], channels=2)[0]
    np.testing.assert_allclose(found, twin(split, image[0], 1, most), rtol=1e-4, atol=1e-6)


def test_as_many_channels_as_there_are_is_all_of_them(split):
    images = photos(2)
    np.testing.assert_array_equal(
        run(ablation_cam, split, images, [0, 1], channels=99),
        run(ablation_cam, split, images, [0, 1]),
    )


def linear(weights, bias):
    """The layer is the image itself; the head is its channels' means times weights, plus bias."""
    trunk = keras.Sequential([keras.Input((2, 3, 2)), keras.layers.Activation("linear")])
    head = keras.Sequential(
        [keras.Input((2, 3, 2)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)]
    )
    head.layers[-1].set_weights([np.reshape(weights, (2, 1)), np.full(1, bias, np.float32)])
    return Split(trunk, head)


@pytest.mark.parametrize("bias", [0.5, -20.0])
def test_a_linear_head_is_known_exactly(bias):
    image = photos(1, size=(2, 3), channels=2)
    means = image[0].mean((0, 1))
    score = 0.5 * means[0] - 0.25 * means[1] + bias
    weights = np.array([0.5, -0.25]) * means / abs(score)
    expected = np.maximum(image[0] @ weights, 0)
    found = run(ablation_cam, linear((0.5, -0.25), bias), image, [0])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_score_of_zero_stays_finite():
    image = np.ones((1, 2, 3, 2), np.float32)
    found = run(ablation_cam, linear((1, -1), 0), image, [0])
    assert np.isfinite(found).all()
    dead = run(ablation_cam, linear((1, 1), 0), np.zeros_like(image), [0])
    assert dead.max() == 0


def test_what_cannot_be(split):
    with pytest.raises(InputError, match="ablation_cam: channels is 0"):
        run(ablation_cam, split, photos(1), [0], channels=0)


def test_a_channel_of_both_signs_is_strong_although_its_mean_is_small():
    image = np.array([[[-9, 1], [9, 1], [9, 1]], [[-9, 1], [9, 1], [-6, 1]]], np.float32)
    # means 1/2 and 1, squares 73.5 and 1: y = 2 · 1/2 + 1, without the first channel 1, so w = 1/2
    found = run(ablation_cam, linear([2, 1], 0), image[None], [0], channels=1)[0]
    np.testing.assert_allclose(found, np.maximum(0.5 * image[..., 0], 0), rtol=1e-5)
