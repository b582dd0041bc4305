"""Pictures of too many pixels: refused, or reduced by a stated factor in bounded memory."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.data import Annotation, ClassMap, Drawn, Entry, Pixels, Reading
from gradcam_eval.data import decode as module
from gradcam_eval.data.decode import decode_file
from gradcam_eval.data.pipeline import read_entry

REDUCE = Pixels(large="reduce")
SIZE = (70, 101)  # no side is a multiple of the factor


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 2000)  # 70 × 101 / 4² ≤ 2000 / 4


def smooth(size=SIZE, most=255):
    rows, columns = np.mgrid[: size[0], : size[1]]
    grey = (rows / size[0] + columns / size[1]) / 2
    return np.stack([grey * most, (1 - grey) * most, grey * most / 2], -1)


def jpeg(orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    picture = Image.fromarray(smooth().astype(np.uint8))
    picture.save(stream, "JPEG", quality=95, exif=exif, **options)
    return stream.getvalue()


def tiff(values, **options):
    stream = io.BytesIO()
    photometric = "rgb" if values.ndim == 3 else "minisblack"
    tifffile.imwrite(stream, values, photometric=photometric, **options)
    return stream.getvalue()


def slow_means(values, factor):
    """Average square by square: the twin of the sums over segments."""
    h, w = values.shape[:2]
    return np.array([
        [values[i : i + factor, j : j + factor].mean(axis=(0, 1)) for j in range(0, w, factor)]
        for i in range(0, h, factor)
    ])  # fmt: skip


def test_too_many_pixels_are_refused_and_it_is_said_how_to_reduce_them():
    with pytest.raises(InputError, match=r"101x70 pixels, more than the 2000 allowed.*'reduce'"):
        decode_file(jpeg(), name="a.jpg")


@pytest.mark.parametrize("options", [{"tile": (16, 32)}, {"rowsperstrip": 7}, {"rowsperstrip": 1}])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_is_averaged_segment_by_segment(options, compression):
    values = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    data = tiff(values, compression=compression, **options)
    found = decode_file(data, name="a.tif", pixels=REDUCE)
    expected = np.rint(slow_means(values.astype(np.float32), 4))
    assert np.abs(np.asarray(found.picture, float) - expected).max() <= 1  # ties of rounding
    assert found.notes == ("reduced by 4, from 101×70",)
    assert found.upright == SIZE


@pytest.mark.parametrize(
    ("dtype", "rules", "scale"),
    [
        (np.uint8, {}, 1),
        (np.uint16, {}, 1 / 257),
        (np.uint16, {"bits": 12}, 255 / 4095),
        (np.int16, {"window": (0, 1000)}, 255 / 1000),
    ],
)
def test_grey_tiffs_keep_their_depth(dtype, rules, scale):
    most = {"bits": 4095, "window": 1000}.get(next(iter(rules), ""), np.iinfo(dtype).max)
    values = smooth(most=most)[..., 0].astype(dtype)
    found = decode_file(tiff(values), name="a.tif", pixels=Pixels(large="reduce", **rules))
    expected = slow_means(values[..., None].astype(np.float64), 4)[..., 0] * scale
    np.testing.assert_allclose(np.asarray(found.picture), expected, atol=1e-2)
    assert found.is_grey


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_jpeg_is_decoded_at_a_part_of_its_size(orientation):
    found = decode_file(jpeg(orientation), name="a.jpg", pixels=REDUCE)
    whole = (101, 70) if orientation > 4 else SIZE
    assert found.upright == whole
    assert found.picture.size == (-(-whole[1] // 4), -(-whole[0] // 4))
    assert found.notes == ("reduced by 4, from 101×70",)


def test_boxes_go_with_the_reduced_picture():
    values = np.zeros((*SIZE, 3), np.uint8)
    values[16:48, 20:60] = 255
    annotation = Annotation((Drawn(box=(20, 16, 60, 48)),), size=SIZE)
    entry = Entry("a", lambda: tiff(values, tile=(16, 16)), (), lambda size: annotation)
    reading = Reading((18, 26), classes=ClassMap(()), pixels=REDUCE)
    sample = read_entry(entry, reading)
    assert sample.original_truth.size == (18, 26)
    x0, y0, x1, y1 = np.rint(sample.truth.boxes[0]).astype(int)
    assert (x0, y0, x1, y1) == (5, 4, 15, 12)
    assert (sample.image[y0:y1, x0:x1] == 255).all()
    assert "reduced by 4" in sample.applied


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: jpeg(progressive=True), "cannot be reduced while it is read"),
        (lambda: jpeg()[:300], "broken or incomplete"),
        (lambda: tiff(np.zeros((400, 400), np.uint8)), r"more than the 32000 that can be reduced"),
        (lambda: tiff(np.zeros((*SIZE, 4), np.uint8), extrasamples=["unassalpha"]), "4 samples"),
        (lambda: tiff(np.zeros(SIZE, np.float32)), "floats of unknown scale"),
        (lambda: tiff(np.zeros((*SIZE, 3), np.uint8))[:-9000], "a.x "),
    ],
)
def test_what_cannot_be_reduced_is_said(data, words):
    with pytest.raises(InputError, match=words):
        decode_file(data(), name="a.x", pixels=REDUCE)


def test_a_tiff_of_one_strip_is_refused(monkeypatch):
    monkeypatch.setattr("gradcam_eval.data.large._MAX_SEGMENT", 1000)
    with pytest.raises(InputError, match="one strip of 7070 bytes: save it in tiles"):
        decode_file(tiff(np.zeros(SIZE, np.uint8)), name="a.tif", pixels=REDUCE)


def test_small_pictures_are_read_as_ever():
    small = smooth((30, 40)).astype(np.uint8)
    found = decode_file(tiff(small), name="a.tif", pixels=REDUCE)
    assert np.array_equal(np.asarray(found.picture), small)
    assert found.notes == ()
