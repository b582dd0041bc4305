import matplotlib
import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.data.geometry import Framing
from gradcam_eval.report import overlay as module
from gradcam_eval.report.look import ALPHA, CMAP
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


def test_defaults_are_the_look_of_explain_and_small_maps_are_resized():
    out = overlay(np.zeros((8, 8, 3), np.float32), np.array([[0, 1], [0, 1]], np.float32))
    np.testing.assert_array_equal(
        out[0, 7], np.rint(ALPHA * 255 * np.array(matplotlib.colormaps[CMAP](1.0)[:3]))
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


def test_outside_a_crop_the_photograph_is_untinted():
    photo = np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8)
    frame = Framing("crop").frame((100, 200), (56, 56))  # shows rows 6 to 93, columns 56 to 143
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[3, 3] = 2.0
    out = overlay(photo, heatmap, frame=frame, alpha=0.5)
    changed = np.argwhere((out != photo).any(axis=2))
    assert changed.min(axis=0).tolist() == [6, 56]
    assert changed.max(axis=0).tolist() == [93, 143]
    hot = np.array(matplotlib.colormaps["jet"](1.0)[:3]) * 255
    middle = overlay(np.zeros_like(photo), heatmap, frame=frame, alpha=1, cmap="jet")[49:51, 99:101]
    assert np.abs(middle - hot).max() < 12  # within a thousandth of the peak


def test_the_scale_is_that_of_the_whole_image_with_its_padding():
    photo = np.zeros((10, 20, 3), np.uint8)
    frame = Framing("letterbox").frame((10, 20), (8, 8))  # rows 2 to 5 of 8 show the photograph
    heatmap = np.zeros((8, 8), np.float32)
    heatmap[0, 0], heatmap[4, 4] = 4.0, 1.0
    out = overlay(photo, heatmap, frame=frame, alpha=1, cmap="gray")[..., 0]
    assert 0 < out.max() <= 64  # a quarter of the maximum, which is on the padding


def test_a_squashed_photograph_needs_no_frame_and_a_frame_changes_nothing():
    photo = np.random.default_rng(1).integers(0, 256, (30, 45, 3), np.uint8)
    heatmap = np.random.default_rng(2).random((7, 7)).astype(np.float32)
    frame = Framing().frame((30, 45), (28, 28))
    np.testing.assert_array_equal(overlay(photo, heatmap, frame=frame), overlay(photo, heatmap))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_flat", [False, True])
def test_large_photographs_are_coloured_in_bands(monkeypatch, channels, is_flat):
    photo = np.random.default_rng(1).integers(0, 256, (30, 45, channels), np.uint8)
    heatmap = np.random.default_rng(2).random((7, 7)).astype(np.float32) * (not is_flat)
    frame = Framing("crop").frame((30, 45), (28, 28))
    whole = overlay(photo, heatmap, frame=frame)
    monkeypatch.setattr(module, "_BAND", 100)  # two rows
    np.testing.assert_array_equal(overlay(photo, heatmap, frame=frame), whole)
