"""Score-CAM against Algorithm 1, written loop by loop."""

import keras
import numpy as np
import pytest
from handmade import CHANNELS, Split, enlarged, photos, run, small_split

from gradcam_eval.core import InputError
from gradcam_eval.methods.score_cam import score_cam


@pytest.fixture(scope="module")
def split():
    return small_split()


def twin(split, image, target, *, fill="mean", channels=range(CHANNELS)):
    colour = image.mean((0, 1)) if fill == "mean" else np.zeros(3)
    activation = split.activation(image)
    baseline = split.score(np.broadcast_to(colour, image.shape).astype(np.float32), target)
    increases = {}
    for k in channels:
        mask = enlarged(activation[..., k], image.shape[:2])
        if activation[..., k].max() == activation[..., k].min():
            continue
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        seen = mask[..., None] * image + (1 - mask[..., None]) * colour
        increases[k] = split.score(seen.astype(np.float32), target) - baseline
    total = sum(np.exp(s) for s in increases.values())
    heatmap = np.zeros(activation.shape[:2])
    for k, s in increases.items():
        heatmap += np.exp(s) / total * activation[..., k]
    return np.maximum(heatmap, 0)


@pytest.mark.parametrize("fill", ["mean", "black"])
def test_is_the_algorithm_of_the_paper(split, fill):
    images, targets = photos(3), [2, 0, 1]
    found = run(score_cam, split, images, targets, fill=fill)
    for heatmap, image, target in zip(found, images, targets, strict=True):
        np.testing.assert_allclose(
            heatmap, twin(split, image, target, fill=fill), rtol=1e-4, atol=1e-7
        )


def test_a_mask_begins_at_the_smallest_activation():
    split = small_split(act="softplus")  # which is never 0
    image = photos(1)
    assert split.activation(image[0]).min() > 0.1
    found = run(score_cam, split, image, [1])[0]
    np.testing.assert_allclose(found, twin(split, image[0], 1), rtol=1e-4)


def test_top_channels_are_those_that_vary_most(split):
    image = photos(1)
    spread = split.activation(image[0]).var((0, 1))
    most = np.argsort(-spread)[:2]
    found = run(score_cam, split, image, [1], channels=2)[0]
    np.testing.assert_allclose(found, twin(split, image[0], 1, channels=most), rtol=1e-4)
    whole = run(score_cam, split, image, [1])[0]
    assert not np.allclose(found, whole)


@pytest.mark.parametrize("channels", [CHANNELS, 99])
def test_as_many_channels_as_there_are_is_all_of_them(split, channels):
    images = photos(2)
    np.testing.assert_array_equal(
        run(score_cam, split, images, [0, 1], channels=channels),
        run(score_cam, split, images, [0, 1]),
    )


def known(weights):
    """A trunk that hands on the image's two channels, and a head that reads one pixel of each."""
    trunk = keras.Sequential([keras.Input((2, 2, 2)), keras.layers.Activation("linear")])
    head = keras.Sequential([keras.Input((2, 2, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    kernel = np.zeros((8, 3), np.float32)
    kernel[:2, 0] = weights  # the first pixel's two channels
    head.layers[-1].set_weights([kernel, np.zeros(3, np.float32)])
    return Split(trunk, head)


def test_a_channel_that_is_strong_everywhere_varies_little():
    image = np.array([[[90, 0], [91, 40]], [[92, 0], [90, 0]]], np.float32)
    found = run(score_cam, known([1, 1]), image[None], [0], channels=1)[0]
    np.testing.assert_allclose(found, image[..., 1])  # the one channel's weight is 1


def test_a_case_by_hand():
    # Channel 0 is 8 at the first pixel, channel 1 is 4 at the last; black elsewhere.
    # Mask 0 keeps the first pixel: score ln 3 / 8 · 8 = ln 3. Mask 1 removes it: score 0.
    # The weights are therefore 3/4 and 1/4.
    image = np.zeros((1, 2, 2, 2), np.float32)
    image[0, 0, 0, 0], image[0, 1, 1, 1] = 8, 4
    found = run(score_cam, known((np.log(3) / 8, 0)), image, [0], fill="black")[0]
    np.testing.assert_allclose(found, [[0.75 * 8, 0], [0, 0.25 * 4]], rtol=1e-6)


def test_a_constant_channel_has_no_weight():
    image = np.zeros((1, 2, 2, 2), np.float32)
    image[0, 0, 0, 0] = 8
    image[..., 1] = 5  # a constant channel, which would lift every pixel
    found = run(score_cam, known((1, 1)), image, [0], fill="black")[0]
    np.testing.assert_allclose(found, [[8, 0], [0, 0]], rtol=1e-6)


def test_only_constant_channels_are_a_map_of_zeros():
    image = np.full((1, 2, 2, 2), 7, np.float32)
    assert run(score_cam, known((1, 1)), image, [0]).max() == 0


def test_what_cannot_be(split):
    with pytest.raises(InputError, match="channels is -1: wanted 1 or more"):
        run(score_cam, split, photos(1), [0], channels=-1)
    with pytest.raises(InputError, match="unknown fill 'maen': did you mean 'mean'"):
        run(score_cam, split, photos(1), [0], fill="maen")
