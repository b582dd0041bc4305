"""Grey files of more than 8 bits: which values are black and white, and what is said of it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tiny_sets import png

from gradcam_eval.core import BadSample, InputError
from gradcam_eval.data import Entry, Pixels, Reading, entries_from_dataset, load_image
from gradcam_eval.data.decode import decode_file
from gradcam_eval.data.opening import open_entry
from gradcam_eval.data.pipeline import read_entry
from gradcam_eval.values import LEVELS

TWELVE = np.array([[0, 1024, 2048, 4095]], np.uint16)


def tiff(values):
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    return stream.getvalue()


def decoded(data, **rules):
    return decode_file(data, name="x.tif", pixels=Pixels(**rules))


def test_twelve_bits_in_sixteen_are_near_black_and_it_is_said():
    found = decoded(png(TWELVE))
    assert np.asarray(found.picture).max() == pytest.approx(4095 / 257)
    assert "values 0 to 4095 use under a sixteenth of 0 to 65535: say" in found.warnings[0]


def test_bits_make_twelve_bits_white():
    found = decoded(png(TWELVE), bits=12)
    np.testing.assert_allclose(
        np.asarray(found.picture)[0], TWELVE[0] / 4095 * 255, rtol=0, atol=1e-4
    )
    assert found.warnings == ()
    assert found.notes == ("values 0 to 4095, window 0 to 4095",)
    assert found.is_grey


@pytest.mark.parametrize(
    "values",
    [
        np.array([[-2000, -1000, -300, 400, 3000]], np.int32),
        np.array([[-2000, -1000, -300, 400, 3000]], np.float32),
    ],
)
def test_a_window_reads_signed_and_float_files(values):
    found = decoded(tiff(values), window=(-1000, 400))
    assert np.asarray(found.picture)[0].tolist() == [0, 0, 127.5, 255, 255]
    with pytest.raises(InputError, match=r"of unknown scale.*window = \[low, high\]"):
        decoded(tiff(values))


@pytest.mark.parametrize(
    ("data", "rules", "words"),
    [
        (png(TWELVE), {"bits": 11}, "outside the 11 bits that were given"),
        (tiff(np.array([[np.nan, 1]], np.float32)), {"window": (0, 1)}, "not finite"),
        (png(np.zeros((2, 2, 3), np.uint8)), {"bits": 12}, "bits = 12 is for grey files"),
        (png(np.zeros((2, 2, 3), np.uint8)), {"window": (0, 9)}, r"window = \[0.0, 9.0\] is for"),
        (png(np.array([[0, 200]], np.uint16)), {}, "all but black: values 0 to 200 use under"),
    ],
)
def test_what_cannot_be_scaled_is_refused(data, rules, words):
    with pytest.raises(InputError, match=words):
        decoded(data, **rules)


@pytest.mark.parametrize(
    "rules",
    [
        {"bits": 12, "window": (0, 1)}, {"bits": 0}, {"bits": 40}, {"window": (1, 1)},
        {"window": (-np.inf, np.inf)}, {"large": "shrink"},
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(rules):
    with pytest.raises(InputError):
        Pixels(**rules)


def test_a_window_of_an_8_bit_grey_file():
    found = decoded(png(np.array([[50, 100, 200]], np.uint8)), window=(50, 150))
    assert np.asarray(found.picture)[0].tolist() == [0, 127.5, 255]


def test_sixteen_bit_colour_whose_high_bytes_are_dark_is_said():
    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    def colour(most):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        rows = b"\0" + np.array([0, 0, 0, most, most, most], ">u2").tobytes()
        body = chunk(b"IDAT", zlib.compress(rows))
        return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")

    assert (
        "read as its high bytes, and these are 0 to 15 of 255" in decoded(colour(4095)).warnings[0]
    )
    assert decoded(colour(65535)).warnings == ()
    assert decoded(png(np.zeros((2, 2, 3), np.uint8))).warnings == ()


def test_load_image_gives_the_channels_and_warns(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(TWELVE))
    with pytest.warns(UserWarning, match="under a sixteenth"):
        assert load_image(path).shape == (1, 4, 3)
    assert load_image(path, (2, 4), channels=1, pixels=Pixels(bits=12)).shape == (2, 4, 1)
    path.write_bytes(png(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)))
    grey = load_image(path, channels=1)
    assert grey[0, :, 0].tolist() == [76, 150, 29]  # 0.299, 0.587 and 0.114 of 255
    with pytest.raises(InputError, match="takes images of 4 channels"):
        load_image(path, channels=4)


def test_a_sample_says_what_was_applied():
    reading = Reading((1, 4), channels=1, pixels=Pixels(bits=12))
    sample = read_entry(Entry("a", lambda: png(TWELVE)), reading)
    assert sample.image.shape == (1, 4, 1)
    assert sample.applied == "values 0 to 4095, window 0 to 4095"
    colour = np.full((1, 4, 3), (255, 0, 0), np.uint8)
    sample = read_entry(Entry("a", colour), Reading((1, 4), channels=1))
    assert (sample.image == 76).all()
    assert sample.applied == "grey by luminance"
    assert read_entry(Entry("a", colour), Reading((1, 4))).applied == ""


def test_arrays_keep_their_channels_and_their_fractions():
    units = np.linspace(-1000, 400, 2 * 3 * 5).reshape(2, 3, 5).astype(np.float32)
    (entry,) = entries_from_dataset([units], values=(-1000, 400))
    assert entry.file.dtype == np.float32
    sample = read_entry(entry, Reading((2, 3), channels=5))
    np.testing.assert_allclose(sample.image, (units + 1000) / 1400 * 255, atol=1e-4)
    assert open_entry(entry).rgb().mode == "RGB"
    bad = read_entry(entry, Reading((2, 3)))
    assert isinstance(bad, BadSample)
    assert "has 5 channels and the model takes 3" in bad.reason
    scaled = Entry("a", units / 1e4)
    assert "run from" in read_entry(scaled, Reading((2, 3), channels=5)).reason


def test_samples_in_memory_come_in_the_range_that_is_declared():
    from gradcam_eval.core import Sample, Truth

    image = np.array([[[-1000.0], [400.0]]], np.float32)
    sample = Sample("0", "a", image, (), Truth((1, 2)), Truth((1, 2)))
    from gradcam_eval.data.pipeline import read_sample

    found = read_sample(sample, Reading((1, 2), channels=1, values=(-1000.0, 400.0)))
    assert found.image.ravel().tolist() == [0, 255]
    refused = read_sample(sample, Reading((1, 2), channels=1, values=LEVELS))
    assert "its image's values run from -1000 to 400" in refused.reason
