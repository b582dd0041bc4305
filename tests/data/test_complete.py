"""Files that claim more pixels than they have: refused, and never at the price of the memory."""

import contextlib
import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.data.complete import _inflated
from gradcam_eval.data.decode import MAX_DECODED_BYTES, decode, decode_file, decoded_bytes
from gradcam_eval.data.depth import Pixels
from gradcam_eval.data.jpeg_scans import ends_of_scans
from gradcam_eval.data.readers.files import read_label_picture

NOISE = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
MODES = ("RGB", "L", "P", "RGBA", "LA", "1")
EARLY = r"^x is broken or incomplete \(its pixel data ends early\)"


def encoded(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunks(content):
    at, found = 8, []
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        found.append((kind, content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png(parts):
    made = [
        struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def short_png(content, share):
    """The PNG with the first part of its pixel data alone, every checksum valid."""
    parts = chunks(content)
    raw = zlib.decompress(b"".join(v for k, v in parts if k == b"IDAT"))
    data = zlib.compress(raw[: round(len(raw) * share)])
    others = [(k, v) for k, v in parts if k not in (b"IDAT", b"IEND")]
    return png([*others, (b"IDAT", data), (b"IEND", b"")])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [10, 99, 100])
def test_a_png_whose_pixel_data_ends_early_is_refused(mode, rows):
    content = short_png(encoded(Image.fromarray(NOISE).convert(mode), "PNG"), rows / 100)
    if rows == 100:
        assert decode(content, name="x").size == (120, 100)
        return
    with pytest.raises(InputError, match=EARLY):
        decode(content, name="x")


def interlaced(width, height, share):
    """A grey PNG in seven passes, each row with filter 0, of which the last bytes are missing."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2)]  # fmt: skip
    raw = b""
    for x, y, step_x, step_y in passes:
        for _ in range(y, height, step_y):
            columns = len(range(x, width, step_x))
            raw += bytes([0] + [200] * columns) if columns else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    data = zlib.compress(raw[: round(len(raw) * share)])
    return png([(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")])


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (17, 9)])
def test_the_passes_of_an_interlaced_png_are_counted(size):
    assert (np.asarray(decode(interlaced(*size, 1.0), name="x")) == 200).all()
    if size != (1, 1):
        with pytest.raises(InputError, match="x is broken or incomplete"):
            decode(interlaced(*size, 0.9), name="x")


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"quality": 95}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_says_its_end_too_early_is_refused(options, mode):
    whole = encoded(Image.fromarray(NOISE).convert(mode), "JPEG", **options)
    scan = whole.rindex(b"\xff\xda")
    for share in (3, 10):  # a cut within an escaped FF leaves no marker
        cut = whole[: scan + (len(whole) - scan) // share].rstrip(b"\xff") + b"\xff\xd9"
        with pytest.raises(InputError, match=EARLY):
            decode(cut, name="x")


def scans_of(content):
    """Where each scan of a JPEG begins, its tables with it, and where the last one ends."""
    from gradcam_eval.data.jpeg_scans import _markers

    starts, tables = [], None
    for kind, at in _markers(content):
        if kind == 0xC4 and tables is None:
            tables = at
        if kind in (0xDA, 0xD9):
            starts.append(at if tables is None else tables)
            tables = None
    return starts


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_without_some_of_its_scans_is_refused(mode):
    whole = encoded(Image.fromarray(NOISE).convert(mode), "JPEG", progressive=True, quality=95)
    assert decode(whole, name="x").size == (120, 100)
    starts = scans_of(whole)
    assert len(starts) > 5
    for n, (start, end) in enumerate(itertools.pairwise(starts)):
        lost = (whole[: starts[n]] + b"\xff\xd9", whole[:start] + whole[end:])
        for content in lost[n == 0 :]:  # without this scan, and with none from it on
            with contextlib.suppress(OSError), Image.open(io.BytesIO(content)) as picture:
                picture.load()  # Pillow shows most of these
            with pytest.raises(InputError, match="x is broken or incomplete"):
                decode(content, name="x")


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_of_which_any_scan_is_short_is_refused(mode, quality):
    picture = Image.fromarray(NOISE).convert(mode)
    whole = encoded(picture, "JPEG", progressive=True, quality=quality)
    decode(whole, name="x")
    ends = ends_of_scans(whole)
    for end in ends:
        at = whole.rindex(b"\xff\xda", 0, end)
        start = at + 2 + int.from_bytes(whole[at + 2 : at + 4])  # behind the header of the scan
        if end - start < 16:  # of a channel without any detail: nothing gets lost
            continue
        for stop in ((start + end) // 2, start + (end - start) // 3):
            cut = whole[:stop].rstrip(b"\xff") + whole[end:]
            with pytest.raises(InputError, match="x is broken or incomplete"):
                decode(cut, name="x")


def test_a_reduced_jpeg_that_says_its_end_too_early_is_refused(monkeypatch):
    monkeypatch.setattr("gradcam_eval.data.decode.MAX_PIXELS", 4000)
    whole = encoded(Image.fromarray(NOISE), "JPEG")
    reduce = Pixels(large="reduce")
    assert decode_file(whole, name="x", pixels=reduce).picture.size == (30, 25)
    scan = whole.rindex(b"\xff\xda")
    cut = whole[: scan + (len(whole) - scan) // 3].rstrip(b"\xff") + b"\xff\xd9"
    with pytest.raises(InputError, match=EARLY):
        decode_file(cut, name="x", pixels=reduce)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_that_ends_in_the_colour_of_missing_data_is_whole(progressive):
    picture = NOISE.copy()
    picture[50:] = 128
    for each in (picture, picture[..., 0], np.full_like(picture, 128)):
        content = encoded(Image.fromarray(each), "JPEG", progressive=progressive, quality=95)
        assert decode(content, name="x").size == (120, 100)
    black = np.zeros_like(picture)
    for kind in ("PNG", "TIFF", "GIF", "BMP", "WEBP"):
        assert decode(encoded(Image.fromarray(black), kind), name="x").size == (120, 100)


def patched_tiff(compression, tags):
    """A TIFF of ten strips with other values of some of its tags."""
    content = bytearray(
        encoded(Image.fromarray(NOISE), "TIFF", compression=compression, tiffinfo={278: 10})
    )
    start = struct.unpack("<I", content[4:8])[0]
    for n in range(struct.unpack("<H", content[start : start + 2])[0]):
        at = start + 2 + 12 * n
        tag, kind, count, value = struct.unpack("<HHII", content[at : at + 12])
        if tag in tags and tags[tag] == "two":
            content[at + 4 : at + 8] = struct.pack("<I", 2)
        elif tag in tags:  # the last strip has that many bytes
            size = {3: 2, 4: 4}[kind]
            place = value + size * (count - 1)
            content[place : place + size] = tags[tag].to_bytes(size, "little")
    return bytes(content)


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw", "packbits"])
@pytest.mark.parametrize("tags", [{273: "two", 279: "two"}, {279: 20}, {279: 0}])
def test_a_tiff_with_too_few_or_too_short_strips_is_refused(compression, tags):
    assert decode(patched_tiff(compression, {}), name="x").size == (120, 100)
    with pytest.raises(InputError, match="x is broken or incomplete"):
        decode(patched_tiff(compression, tags), name="x")


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_with_less_data_in_a_chunk_is_refused(lossless):
    whole = encoded(Image.fromarray(NOISE), "WEBP", lossless=lossless)
    length = struct.unpack("<I", whole[16:20])[0] // 3 & ~1
    size = struct.pack("<I", 12 + length)
    cut = (
        b"RIFF"
        + size
        + b"WEBP"
        + whole[12:16]
        + struct.pack("<I", length)
        + whole[20 : 20 + length]
    )
    with pytest.raises(InputError, match="x is broken or incomplete"):
        decode(cut, name="x")


def test_a_bmp_or_gif_that_claims_more_rows_is_refused():
    bmp = bytearray(encoded(Image.fromarray(NOISE), "BMP"))
    bmp[22:26] = struct.pack("<i", 300)
    gif = bytearray(encoded(Image.fromarray(NOISE).convert("P"), "GIF"))
    frame = gif.index(struct.pack("<HH", 120, 100), 10)
    gif[8:10] = gif[frame + 2 : frame + 4] = struct.pack("<H", 300)
    for content in (bmp, gif):
        with pytest.raises(InputError, match="x is broken or incomplete"):
            decode(bytes(content), name="x")


def claiming(width, height, kind):
    if kind == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return png([(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")])
    bmp = bytearray(encoded(Image.new("RGB", (4, 4)), "BMP"))
    bmp[18:26] = struct.pack("<ii", width, height)
    return bytes(bmp)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
@pytest.mark.parametrize("size", [(1, 80_000_000), (2, 40_000_000), (9000, 9000)])
def test_a_few_bytes_that_claim_many_pixels_are_refused_before_they_are_decoded(
    tmp_path, monkeypatch, kind, size
):
    loads, content = [], claiming(*size, kind)
    monkeypatch.setattr(Image.Image, "load", lambda self: loads.append(1))
    assert len(content) < 200
    if (kind, size) == ("BMP", (9000, 9000)):
        return  # its decoder reads before it writes, so that the memory is never touched
    with pytest.raises(InputError, match=r"bytes when it is decoded|bytes can hold"):
        decode(content, name="x")
    (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(InputError, match=r"bytes decoded|bytes can hold"):
        read_label_picture(tmp_path / "mask.png")
    assert loads == []


def test_large_and_narrow_pictures_within_the_bounds_are_read():
    tall = Image.new("L", (3, 30_000), 7)
    assert decoded_bytes(tall) < MAX_DECODED_BYTES
    for kind in ("PNG", "TIFF", "JPEG"):  # all one colour: as small as a file can be
        assert decode(encoded(tall, kind), name="x").size == (3, 30_000)
    flat = Image.new("1", (6000, 4000), 1)
    assert decode(encoded(flat, "PNG", optimize=True), name="x").size == (6000, 4000)


def test_a_mask_whose_pixel_data_ends_early_is_refused(tmp_path):
    whole = encoded(Image.fromarray(NOISE[..., 0]), "PNG")
    (tmp_path / "mask.png").write_bytes(short_png(whole, 0.5))
    with pytest.raises(InputError, match="its pixel data ends early"):
        read_label_picture(tmp_path / "mask.png")


def test_inflating_keeps_no_memory(tmp_path):
    import tracemalloc

    content = encoded(Image.new("RGB", (4000, 4000)), "PNG")
    tracemalloc.start()
    assert _inflated(content) == 4000 * (1 + 3 * 4000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_full_memory_is_no_fault_of_the_file(monkeypatch):
    def load(self):
        raise MemoryError

    content = encoded(Image.fromarray(NOISE), "PNG")
    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(MemoryError):
        decode(content, name="x")
