import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.transform import resize as skimage_resize

from gradcam_eval.arrays import (
    blur,
    degenerate_reason,
    min_max,
    rank_pixels,
    resize,
    resize_cubic,
    stable_order,
)

SIZES = [(7, 7), (14, 5), (1, 6), (5, 1), (1, 1), (3, 8)]
WANTED = [(224, 160), (7, 7), (3, 2), (1, 1), (2, 9), (15, 1)]


def slow_resize(heatmap, size):
    """Each pixel by itself: its centre in the old frame, and the four values round it."""
    height, width = heatmap.shape
    out = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = min(max((i + 0.5) * height / size[0] - 0.5, 0), height - 1)
            x = min(max((j + 0.5) * width / size[1] - 0.5, 0), width - 1)
            top, left = int(np.floor(y)), int(np.floor(x))
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            above = heatmap[top, left] * (1 - (x - left)) + heatmap[top, right] * (x - left)
            below = heatmap[bottom, left] * (1 - (x - left)) + heatmap[bottom, right] * (x - left)
            out[i, j] = above * (1 - (y - top)) + below * (y - top)
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wanted", WANTED)
def test_resize_is_scikit_image_s_and_the_slow_twin_s(rng, size, wanted):
    heatmap = rng.normal(0, 100, size).astype(np.float32)
    found = resize(heatmap, wanted)
    assert (found.shape, found.dtype) == (wanted, np.float32)
    np.testing.assert_allclose(found, slow_resize(heatmap, wanted), rtol=1e-5, atol=1e-4)
    theirs = skimage_resize(
        heatmap, wanted, order=1, mode="edge", anti_aliasing=False, preserve_range=True
    )
    np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-3)


def test_resize_by_hand():
    heatmap = np.array([[0.0, 4.0]], np.float32)
    assert resize(heatmap, (1, 4)).tolist() == [[0, 1, 3, 4]]
    assert resize(heatmap, (2, 1)).tolist() == [[2], [2]]
    # 8 to 2: the centres fall between the 2nd and 3rd, and the 6th and 7th; no anti-aliasing
    spikes = np.array([[9.0, 1, 3, 9, 9, 5, 7, 9]], np.float32)
    assert resize(spikes, (1, 2)).tolist() == [[2, 6]]


def test_resize_keeps_the_raw_scale(rng):
    heatmap = rng.normal(0, 1, (7, 7)).astype(np.float32)
    larger = resize(heatmap, (50, 60))
    assert heatmap.min() <= larger.min()
    assert larger.max() <= heatmap.max()
    constant = np.full((3, 4), -2.5, np.float32)
    assert (resize(constant, (10, 11)) == -2.5).all()


def test_a_stack_is_resized_map_by_map(rng):
    stack = rng.normal(0, 1, (5, 4, 6)).astype(np.float32)
    found = resize(stack, (9, 8))
    for one, of_stack in zip(stack, found, strict=True):
        assert (resize(one, (9, 8)) == of_stack).all()
    assert resize(stack[:0], (9, 8)).shape == (0, 9, 8)


def test_the_same_size_gives_the_same_values(rng):
    heatmap = rng.normal(0, 1, (7, 5))
    found = resize(heatmap, (7, 5))
    assert found.dtype == np.float32
    assert (found == heatmap.astype(np.float32)).all()


def slow_ranks(heatmap):
    """Take the largest value that is left, the first of them in reading order, again and again."""
    ranks = np.full(heatmap.shape, -1)
    for rank in range(heatmap.size):
        best = None
        for place in np.ndindex(heatmap.shape):
            if ranks[place] < 0 and (best is None or heatmap[place] > heatmap[best]):
                best = place
        ranks[best] = rank
    return ranks


few_values = hnp.arrays(np.float32, (4, 5), elements=st.sampled_from([-1.5, -0.0, 0.0, 2.0, 1e30]))


@settings(max_examples=40, deadline=None)
@given(few_values)
def test_ranks_are_the_slow_twin_s_ties_in_reading_order(heatmap):
    found = rank_pixels(heatmap)
    assert found.dtype == np.int32
    assert (found == slow_ranks(heatmap)).all()


def test_ranks_by_hand_and_of_a_stack():
    one = np.array([[0.0, 3.0], [3.0, -1.0]], np.float32)
    assert rank_pixels(one).tolist() == [[2, 0], [1, 3]]
    stack = np.stack([one, -one, np.zeros_like(one)])
    assert rank_pixels(stack).tolist() == [
        [[2, 0], [1, 3]],
        [[1, 2], [3, 0]],
        [[0, 1], [2, 3]],
    ]


@settings(max_examples=20, deadline=None)
@given(few_values, st.sampled_from([0.5, 2.0, 1024.0]))
def test_ranks_do_not_change_with_a_positive_factor(heatmap, factor):
    assert (rank_pixels(heatmap * np.float32(factor)) == rank_pixels(heatmap)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_ranks_of_other_number_types(rng, dtype):
    heatmap = rng.permutation(30).reshape(5, 6).astype(dtype)
    assert (rank_pixels(heatmap) == 29 - heatmap).all()


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.floats(width=32, allow_nan=False)
        | st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, np.inf, -np.inf]),
    )
)
def test_the_stable_order_is_that_of_a_stable_sort(values):
    before = values.copy()
    np.testing.assert_array_equal(stable_order(values), np.argsort(values, kind="stable"))
    np.testing.assert_array_equal(values, before)


def test_the_stable_order_of_values_that_share_half_their_bits(rng):
    values = rng.integers(-(2**18), 2**18, 5000).astype(np.float32) / 7
    values[::3] = values[0]
    np.testing.assert_array_equal(stable_order(values), np.argsort(values, kind="stable"))


def test_min_max_by_hand():
    found = min_max(np.array([[-2.0, 0.0], [2.0, 6.0]], np.float32))
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0.25], [0.5, 1]]
    assert min_max(np.full((2, 2), 7.0, np.float32)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("heatmap", "reason"),
    [
        ([[0.0, np.nan]], "the heatmap has values that are not finite"),
        ([[0.0, np.inf]], "the heatmap has values that are not finite"),
        ([[3.0]], "the heatmap is a single pixel"),
        ([[np.nan]], "the heatmap has values that are not finite"),
        ([[0.0, -0.0]], "the heatmap is all zero"),
        ([[-1.0, -1.0]], "the heatmap is constant"),
        ([[0.0, 1e-30]], None),
        ([[-1.0, 0.0]], None),
    ],
)
def test_why_a_map_cannot_rank_pixels(heatmap, reason):
    assert degenerate_reason(np.array(heatmap, np.float32)) == reason


def slow_blur(plane, sigma):
    """The Gaussian summed by hand over a border of repeated values, cut at four deviations."""
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(plane.astype(float), radius, mode="edge")
    out = np.zeros(plane.shape)
    for i, wi in enumerate(weights):
        for j, wj in enumerate(weights):
            out += wi * wj * padded[i : i + plane.shape[0], j : j + plane.shape[1]]
    return out


@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_blur_is_a_gaussian_of_each_channel_with_repeated_edges(rng, sigma):
    image = rng.uniform(0, 255, (9, 12, 3)).astype(np.float32)
    found = blur(image, sigma)
    assert (found.shape, found.dtype) == (image.shape, np.float32)
    for channel in range(3):
        expected = slow_blur(image[..., channel], sigma)
        np.testing.assert_allclose(found[..., channel], expected, rtol=1e-4)
        np.testing.assert_allclose(blur(image[..., channel], sigma), expected, rtol=1e-4)


def test_blur_keeps_a_plain_image():
    plain = np.full((6, 7, 3), 93.0, np.float32)
    np.testing.assert_allclose(blur(plain, 3.0), plain, rtol=1e-6)


def test_unsigned_maps_rank_as_their_floats():
    maps = np.array([[0, 3], [255, 1]], np.uint8)
    np.testing.assert_array_equal(rank_pixels(maps), [[3, 1], [0, 2]])
    np.testing.assert_array_equal(rank_pixels(maps), rank_pixels(maps.astype(np.float32)))


def test_cubic_resize_equals_opencv():
    heatmap = np.array([[0, 1, 4], [9, 2, 0]], np.float32)
    # cv2.resize(heatmap, (5, 4), interpolation=cv2.INTER_CUBIC), OpenCV 5.0.0
    expected = [
        [-1.1262191534, -0.4878124297, 0.8945312500, 3.1860172749, 4.7604999542],
        [2.1170623302, 1.5893751383, 1.2265625000, 2.3107817173, 3.2730002403],
        [7.4589390755, 5.0106253624, 1.7734375000, 0.8692170978, 0.8230000734],
        [10.7022209167, 7.0878124237, 2.1054687500, -0.0060184300, -0.6644999385],
    ]
    np.testing.assert_allclose(
        resize_cubic(heatmap, (4, 5)), expected, atol=5e-6
    )  # its places are float32


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 7), (40, 13)])
def test_cubic_resize_turns_with_the_map_and_keeps_constants(size):
    heatmap = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    found = resize_cubic(heatmap, size)
    np.testing.assert_allclose(resize_cubic(heatmap[::-1], size), found[::-1], atol=1e-6)
    np.testing.assert_allclose(resize_cubic(heatmap.T, size[::-1]), found.T, atol=1e-6)
    np.testing.assert_allclose(resize_cubic(np.full_like(heatmap, 3), size), 3, atol=1e-6)
