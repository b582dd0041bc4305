import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence, features

from gradcam_eval.core import InputError
from gradcam_eval.data import decode as module
from gradcam_eval.data import fetch as fetch_module
from gradcam_eval.data.decode import as_array, decode, decode_file, load_image

ORIENTATION = 0x0112


def encoded(picture, fmt="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, fmt, **options)
    return stream.getvalue()


def gradient(height=12, width=16):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 20, columns * 15, 255 - rows * 10], axis=-1).astype(np.uint8)


def pixels(data, **options):
    return np.asarray(decode(data, name="test", **options))


def test_png_keeps_every_value():
    assert np.array_equal(pixels(encoded(Image.fromarray(gradient()))), gradient())


@pytest.mark.parametrize("fmt", ["JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"])
def test_every_allowed_format_is_read(fmt):
    feature = {"AVIF": "avif", "JPEG2000": "jpg_2000"}.get(fmt)
    if feature and not features.check(feature):
        pytest.skip(f"this Pillow was built without {fmt}")
    colour = (40, 130, 220)
    got = pixels(encoded(Image.new("RGB", (16, 12), colour), fmt))
    assert got.shape == (12, 16, 3)
    assert np.abs(got.astype(int) - colour).max() <= 8


def test_other_formats_are_refused():
    data = encoded(Image.fromarray(gradient()), "TGA")  # any bytes would pass for one
    with pytest.raises(
        InputError, match=r"^a\.tga is not an image that can be read: give one of JPEG, PNG"
    ):
        decode(data, name="a.tga")


# The stored picture is what one has to turn to get `gradient()`: written out from the EXIF table,
# which says where the stored first row and first column belong.
STORED = {
    1: lambda a: a,  # top, left
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.transpose(1, 0, 2),  # left, top
    6: lambda a: a.transpose(1, 0, 2)[::-1],  # right, top
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](gradient())))
    data = encoded(stored, exif=exif)
    assert np.array_equal(pixels(data), gradient())
    assert np.array_equal(load_image(decode(data, name="test")), gradient())  # turned once only


def test_sixteen_bit_grey_is_scaled_by_257_not_clipped():
    values = np.array([[0, 257, 12850, 32896, 65535]], np.uint16)
    got = as_array(decode(encoded(Image.fromarray(values)), name="test"))
    assert got[0, :, 0].tolist() == [0, 1, 50, 128, 255]
    assert (got[..., 0] == got[..., 2]).all()


def test_integers_of_unknown_scale_are_refused():
    data = encoded(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF")
    with pytest.raises(InputError, match=r"^x\.tif holds integers outside 0\.\.65535"):
        decode(data, name="x.tif")


def test_floats_of_unknown_scale_are_refused():
    data = encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF")
    with pytest.raises(InputError, match=r"^x\.tif holds floats of unknown scale"):
        decode(data, name="x.tif")


def test_cmyk_becomes_rgb():
    got = pixels(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF"))
    assert got[0, 0].tolist() == [0, 255, 255]


def test_palette_with_transparency_shows_the_background():
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    data = encoded(picture, transparency=0)
    assert pixels(data)[0].tolist() == [[255, 255, 255], [0, 0, 255]]
    assert pixels(data, background=(1, 2, 3))[0].tolist() == [[1, 2, 3], [0, 0, 255]]
    once = decode(data, name="test", background=(1, 2, 3))
    assert load_image(once)[0].tolist() == [[1, 2, 3], [0, 0, 255]]  # composited once only


def test_grey_with_alpha_is_composited():
    got = pixels(encoded(Image.new("LA", (1, 1), (0, 51))))
    assert got[0, 0].tolist() == [204, 204, 204]  # a fifth of black over white


def test_rgba_is_composited_on_the_stated_colour():
    got = pixels(encoded(Image.new("RGBA", (1, 1), (255, 0, 0, 51))), background=(0, 100, 0))
    assert got[0, 0].tolist() == [51, 80, 0]


def test_one_bit_and_grey_become_rgb():
    assert pixels(encoded(Image.new("1", (1, 1), 1)))[0, 0].tolist() == [255, 255, 255]
    assert pixels(encoded(Image.new("L", (1, 1), 7)))[0, 0].tolist() == [7, 7, 7]


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(fmt):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], fmt, save_all=True, append_images=frames[1:], duration=50)
    assert sum(1 for _ in ImageSequence.Iterator(Image.open(io.BytesIO(data)))) == 3
    got = pixels(data)[4, 4].astype(int)
    assert np.abs(got - (255, 0, 0)).max() <= 5
    assert decode_file(data, name="x").notes == ("the first of 3 pages or frames",)
    assert decode_file(encoded(frames[0], fmt), name="x").notes == ()


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file_is_refused_by_name(fmt):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), fmt)
    assert pixels(data).shape == (64, 64, 3)
    with pytest.raises(InputError, match=r"^half\.img is"):
        decode(data[: len(data) // 2], name="half.img")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 99)
    loads = []
    monkeypatch.setattr(Image.Image, "load", lambda self: loads.append(1))
    data = bomb(10)
    with pytest.raises(InputError, match=r"^bomb\.png is 10x10 pixels, more than the 99 allowed"):
        decode(data, name="bomb.png")
    assert loads == []


def bomb(side):
    """Return a small file that says it is a grey PNG of side x side pixels."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 110))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 60_000])
def test_a_bomb_is_refused_whatever_the_callers_pillow_allows(side, monkeypatch):
    with pytest.raises(InputError, match=r"^bomb\.png .* pixels"):
        decode(bomb(side), name="bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(InputError, match=rf"^bomb\.png is {side}x{side} pixels"):
        decode(bomb(side), name="bomb.png")
    assert Image.MAX_IMAGE_PIXELS is None


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_where_warnings_are_errors():
    with pytest.raises(InputError, match=r"^bomb\.png has more than the \d+ pixels allowed"):
        decode(bomb(9_500), name="bomb.png")


def test_a_zero_size_image_is_refused():
    with pytest.raises(InputError, match=r"^the PIL image is 0x5 pixels"):
        load_image(Image.new("RGB", (0, 5)))


def test_what_is_no_readable_file_is_named(tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("hello")
    empty = tmp_path / "empty.png"
    empty.touch()
    for path, words in (
        (tmp_path / "none.png", "there is no file"),
        (tmp_path, "is a folder, not an image file"),
        (text, "is not an image"),
        (empty, "is empty"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            load_image(path)
        assert str(path) in str(caught.value)


def test_a_name_with_a_null_byte_is_refused():
    with pytest.raises(InputError):
        load_image("a\0b.png")


def test_other_types_are_refused():
    with pytest.raises(InputError, match=r"^an image cannot be loaded from ndarray"):
        load_image(gradient())


def test_load_image_gives_floats_in_the_range_of_bytes(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path)
    got = load_image(path)
    assert got.dtype == np.float32
    assert np.array_equal(got, gradient())
    assert np.array_equal(load_image(Image.open(path)), got)


def test_resize_squashes_and_antialiases():
    stripes = np.zeros((8, 16, 3), np.uint8)
    stripes[:, ::2] = 200
    got = load_image(Image.fromarray(stripes), (4, 4))
    assert got.shape == (4, 4, 3)
    assert np.abs(got - 100).max() < 20  # without antialiasing: 0 or 200


def test_resize_equals_an_exact_enlargement_by_hand():
    two = Image.fromarray(np.array([[[0] * 3, [100] * 3]], np.uint8))
    assert load_image(two, (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (5,)])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(InputError, match="is not \\(height, width\\)"):
        load_image(Image.new("RGB", (4, 4)), size)


def test_a_url_needs_permission(monkeypatch):
    data = encoded(Image.fromarray(gradient()))
    asked = []
    monkeypatch.setattr(fetch_module, "fetch", lambda url: asked.append(url) or data)
    with pytest.raises(InputError, match="allow it with allow_url=True"):
        load_image("https://example.org/a.png")
    assert asked == []
    got = load_image("https://example.org/a.png", allow_url=True)
    assert asked == ["https://example.org/a.png"]
    assert np.array_equal(got, gradient())


FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM"] + [
    fmt
    for fmt, feature in (("WEBP", "webp"), ("JPEG2000", "jpg_2000"), ("AVIF", "avif"))
    if features.check(feature)
]
SEEDS = [encoded(Image.fromarray(gradient()), fmt) for fmt in FORMATS]


def only_input_error(data):
    message, picture = "", None
    try:
        picture = decode(data, name="fuzz")
    except InputError as error:
        message = str(error)
    assert message.startswith("fuzz ") if picture is None else picture.mode in ("RGB", "F")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_input_error(data):
    only_input_error(data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 10_000),
)
def test_mutated_and_cut_files_raise_nothing_but_input_error(seed, changes, cut):
    data = bytearray(seed)
    for where, value in changes:
        data[where % len(data)] = value
    only_input_error(bytes(data[: cut % (2 * len(data)) + 1]))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_exif_block_raises_nothing_but_input_error(block):
    only_input_error(encoded(Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0" + block))


def test_an_orientation_out_of_range_is_ignored():
    exif = Image.Exif()
    exif[ORIENTATION] = 99
    assert np.array_equal(pixels(encoded(Image.fromarray(gradient()), exif=exif)), gradient())
