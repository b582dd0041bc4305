"""Occlusion against its definition, window by window, and the exact number of windows."""

import keras
import numpy as np
import pytest
from handmade import SIZE, Split, photos, run, small_split

from gradcam_eval.core import InputError
from gradcam_eval.methods.occlusion import occlusion, occlusion_passes
from gradcam_eval.methods.registry import Sizes

TARGETS = [2, 0, 1]


@pytest.fixture(scope="module")
def split():
    return small_split()


def starts(length, window, stride):
    found = [at for at in range(0, length, stride) if at + window < length]
    return [*found, length - window]


def twin(split, image, target, window, stride, fill):
    colour = image.mean((0, 1)) if fill == "mean" else np.zeros(3)
    height, width = image.shape[:2]
    total, times = np.zeros((height, width)), np.zeros((height, width))
    whole = split.score(image, target)
    for y in starts(height, window, stride):
        for x in starts(width, window, stride):
            hidden = image.copy()
            hidden[y : y + window, x : x + window] = colour
            drop = whole - split.score(hidden, target)
            for i in range(y, y + window):
                for j in range(x, x + window):
                    total[i, j] += drop
                    times[i, j] += 1
    return total / times


@pytest.mark.parametrize(
    ("window", "stride", "fill"), [(4, 2, "mean"), (5, 3, "black"), (2, 2, "mean")]
)
def test_is_its_definition(split, window, stride, fill):
    images = photos(3)
    found = run(occlusion, split, images, TARGETS, window=window, stride=stride, fill=fill)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        slow = twin(split, image, target, window, stride, fill)
        np.testing.assert_allclose(heatmap, slow, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("window", [12, 50])
def test_one_window_over_all_is_one_value(split, window):
    image = photos(1)
    heatmap = run(occlusion, split, image, [1], window=window, stride=12)[0]
    plain = np.broadcast_to(image[0].mean((0, 1)), image[0].shape).astype(np.float32)
    drop = split.score(image[0], 1) - split.score(plain, 1)
    np.testing.assert_allclose(heatmap, np.full(SIZE, drop), rtol=1e-4, atol=1e-6)


def test_a_score_of_one_pixel_by_hand():
    """The score is pixel (0, 1); windows of 2 × 1 hide columns 0, 1 and 2 in turn (fill 0)."""
    trunk = keras.Sequential([keras.Input((2, 3, 1)), keras.layers.Activation("linear")])
    head = keras.Sequential([keras.Input((2, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    kernel = np.zeros((6, 1), np.float32)
    kernel[1] = 2
    head.layers[-1].set_weights([kernel, np.zeros(1, np.float32)])
    image = np.full((1, 2, 3, 1), 10, np.float32)
    found = run(occlusion, Split(trunk, head), image, [0], window=1, stride=1, fill="black")[0]
    np.testing.assert_array_equal(found, [[0, 20, 0], [0, 0, 0]])
    found = run(occlusion, Split(trunk, head), image, [0], window=2, stride=1, fill="black")[0]
    np.testing.assert_array_equal(found, [[20, 20, 20], [20, 20, 20]])


@pytest.mark.parametrize(
    ("size", "window", "stride", "windows"),
    [
        ((224, 224), None, None, 13 * 13),  # 32 pixels every 16
        ((10, 10), 4, 2, 4 * 4),
        ((10, 11), 4, 2, 4 * 5),  # the last column's window is moved in from the border
        ((10, 11), 4, 3, 3 * 4),
        ((42, 28), None, None, 20 * 13),  # 4 pixels, a seventh of the shorter side, every 2
        ((3, 5), 9, 9, 1),
        ((1, 1), None, None, 1),
    ],
)
def test_the_number_of_windows(size, window, stride, windows):
    passes = occlusion_passes(Sizes(size, 0), {"window": window, "stride": stride})
    assert (passes.forwards, passes.backwards) == (1 + windows, 0)


def test_what_cannot_be(split):
    image = photos(1)
    with pytest.raises(InputError, match="the stride is 5 and the window 4 pixels"):
        run(occlusion, split, image, [0], window=4, stride=5)
    with pytest.raises(InputError, match="occlusion: window is 0: wanted 1 or more"):
        run(occlusion, split, image, [0], window=0)
    with pytest.raises(InputError, match="occlusion: stride is 0: wanted 1 or more"):
        run(occlusion, split, image, [0], stride=0)
