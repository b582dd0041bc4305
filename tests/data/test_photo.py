"""The photograph that goes with a sample, for pictures of its heatmaps."""

import numpy as np
import pytest
from PIL import Image as Pillow

from gradcam_eval.core import Photo
from gradcam_eval.data import load_samples
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.classmap import ClassMap
from gradcam_eval.data.geometry import Framing
from gradcam_eval.data.photo import photo_arrays, photo_of
from gradcam_eval.data.pipeline import Reading, read_entry

RAMP = np.linspace(0, 255, 60 * 90).reshape(60, 90)


def read(pixels, fit="squash", channels=3):
    reading = Reading((40, 40), Framing(fit), ClassMap(), channels)
    return read_entry(Entry("x", pixels), reading)


def smooth(shape=(60, 90)):
    return np.asarray(Pillow.fromarray(RAMP.astype(np.uint8)).resize(shape[::-1]).convert("RGB"))


@pytest.mark.parametrize("fit", ["squash", "crop", "letterbox"])
def test_it_is_the_file_itself_and_survives_the_file_of_maps(fit):
    photo = read(smooth(), fit).photo
    assert np.array_equal(photo.pixels, smooth())
    assert photo.frame == Framing(fit).frame((60, 90), (40, 40))
    again = photo_of(photo_arrays(photo))
    assert again.frame == photo.frame
    assert np.abs(again.pixels.astype(int) - photo.pixels).max() <= 4  # JPEG


def test_a_large_one_is_reduced_to_380_pixels_in_its_proportions():
    assert read(smooth((600, 900))).photo.pixels.shape == (253, 380, 3)
    assert read(smooth((2000, 3))).photo.pixels.shape == (380, 1, 3)


def test_one_channel_is_shown_grey():
    red = np.zeros((60, 90, 3), np.uint8)
    red[..., 0] = 200
    photo = read(red, channels=1).photo
    assert np.unique(photo.pixels).tolist() == [60]  # luminance
    grey = read(RAMP[..., None].astype(np.float32), channels=1).photo.pixels
    assert np.abs(grey - RAMP[..., None]).max() <= 0.5


def test_no_result_depends_on_it_and_samples_made_in_memory_have_none(tmp_path):
    sample = read(smooth())
    other = Photo(255 - sample.photo.pixels, sample.photo.frame)
    object.__setattr__(sample, "photo", other)
    assert sample.digest() == read(smooth()).digest()
    Pillow.fromarray(smooth()).save(tmp_path / "a.png")
    assert load_samples(tmp_path / "a.png", (40, 40))[0].photo is not None
    assert photo_of({"image": smooth()}) is None
