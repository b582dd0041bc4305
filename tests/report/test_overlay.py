import matplotlib
import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.report.overlay import overlay

IMAGE = np.full((4, 6, 3), 100, np.uint8)


def test_blend_by_hand():
    heatmap = np.zeros((4, 6), np.float32)
    heatmap[1, 2], heatmap[3, 3] = 5.0, -9.0  # the negative must not move the zero of the scale
    out = overlay(IMAGE, heatmap, alpha=0.25, cmap="viridis")
    low, high = (np.array(matplotlib.colormaps["viridis"](x)[:3]) * 255 for x in (0.0, 1.0))
    assert out.dtype == np.uint8
    assert out.shape == (4, 6, 3)
    np.testing.assert_array_equal(out[1, 2], np.rint(0.75 * 100 + 0.25 * high))
    np.testing.assert_array_equal(out[3, 3], np.rint(0.75 * 100 + 0.25 * low))


def test_defaults_are_jet_at_0_4_and_small_maps_are_resized():
    out = overlay(np.zeros((8, 8, 3), np.float32), np.array([[0, 1], [0, 1]], np.float32))
    np.testing.assert_array_equal(
        out[0, 7], np.rint(0.4 * 255 * np.array(matplotlib.colormaps["jet"](1.0)[:3]))
    )
    assert (out == out[:1]).all()


@pytest.mark.parametrize(
    "heatmap",
    [
        np.zeros((2, 2)),
        np.full((2, 2), 3.0),
        np.ones((1, 1)),
        -np.eye(2),
        np.array([[np.nan, 1.0]]),
    ],
)
def test_a_map_that_shows_nothing_leaves_the_image_untinted(heatmap):
    np.testing.assert_array_equal(overlay(IMAGE, heatmap.astype(np.float32)), IMAGE)


def test_alpha_0_is_the_image_and_alpha_1_the_colour_alone():
    heatmap = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(overlay(IMAGE, heatmap, alpha=0), IMAGE)
    grey = overlay(IMAGE, heatmap, alpha=1, cmap="gray")[..., 0]
    assert (grey[0, 0], grey[3, 5]) == (0, 255)


@pytest.mark.parametrize(
    ("image", "heatmap", "options", "message"),
    [
        (np.zeros((4, 6)), np.eye(2), {}, r"shape \(4, 6\).*\(H, W, 3\)"),
        (np.full((2, 2, 3), 0.5), np.eye(2), {}, "Multiply them by 255"),
        (np.full((2, 2, 3), np.nan), np.eye(2), {}, "not finite"),
        (IMAGE, np.zeros((1, 2, 2)), {}, "heatmap of shape"),
        (IMAGE, np.eye(2), {"alpha": 1.5}, "alpha 1.5"),
        (IMAGE, np.eye(2), {"cmap": "jett"}, "did you mean 'jet'"),
    ],
)
def test_bad_input_is_refused(image, heatmap, options, message):
    with pytest.raises(InputError, match=message):
        overlay(image, heatmap, **options)
