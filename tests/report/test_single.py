import numpy as np
import pytest
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.data.geometry import Framing
from gradcam_eval.report.look import Look
from gradcam_eval.report.overlay import overlay
from gradcam_eval.report.single import draw, save, with_bar

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 45, 3), np.uint8))
HEATMAP = np.random.default_rng(1).random((7, 7)).astype(np.float32)
ONE = {("top", "grad_cam"): HEATMAP}
TWO = {**ONE, ("top", "layer_cam"): HEATMAP}
FRAME = Framing("crop").frame((30, 45), (28, 28))


def test_a_single_picture_is_the_photograph_at_its_own_size():
    expected = overlay(np.asarray(PHOTO), HEATMAP, alpha=0.55, cmap="inferno", frame=FRAME)
    np.testing.assert_array_equal(draw(PHOTO, ONE, FRAME, Look()), expected)
    own = draw(PHOTO, ONE, FRAME, Look(alpha=0.2, cmap="viridis"))
    expected = overlay(np.asarray(PHOTO), HEATMAP, alpha=0.2, cmap="viridis", frame=FRAME)
    np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize(("size", "shape"), [(90, (60, 90, 3)), (16, (11, 16, 3))])
def test_a_size_is_that_of_the_longer_side(size, shape):
    assert draw(PHOTO, ONE, FRAME, Look(size=size)).shape == shape


def test_grey_photographs_of_more_than_8_bits_are_shown():
    photo = Image.fromarray(np.full((30, 45), 99.6, np.float32))
    assert draw(photo, {("top", "cam"): 0 * HEATMAP}, FRAME, Look()).max() == 100


@pytest.mark.parametrize("width", [1, 57, 115, 160, 333, 451, 1003])
def test_above_a_bar_the_picture_is_kept_pixel_for_pixel(tmp_path, width):
    picture = np.random.default_rng(0).integers(0, 256, (29, width, 3), np.uint8)
    save(with_bar(picture, "inferno"), tmp_path / "a.png")
    written = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert written.shape == (59, max(width, 160), 3)
    left = (written.shape[1] - width) // 2
    np.testing.assert_array_equal(written[:29, left : left + width], picture)
    assert not (written[29:] == 255).all()


@pytest.mark.parametrize("maps", [ONE, TWO])
@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "pdf"])
def test_each_format_is_written_by_its_suffix(tmp_path, maps, suffix):
    ramp = np.linspace(0, 255, 45).astype(np.uint8)
    photo = Image.fromarray(np.broadcast_to(ramp[None, :, None], (30, 45, 3)).copy())
    picture = draw(photo, maps, FRAME, Look(size=64))
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        save(picture, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == files
    if suffix == "pdf":
        assert files[0].read_bytes().startswith(b"%PDF-")
        return
    with Image.open(files[0]) as written:
        assert written.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())
        if maps is ONE:
            assert written.size == (64, 43)
            away = np.asarray(written.convert("RGB"), float) - picture
            assert np.abs(away).mean() < 8


def test_the_tiles_of_a_grid_grow_with_the_size():
    small, large = (draw(PHOTO, TWO, FRAME, Look(size=size)) for size in (None, 380))
    assert (large.dpi / small.dpi, large.get_size_inches().tolist()) == (
        2, small.get_size_inches().tolist(),
    )  # fmt: skip


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "a.webp"
    file.write_bytes(b"earlier")
    with pytest.raises(InputError, match=r"cannot write .*a\.webp"):
        save(np.zeros((1, 16_500, 3), np.uint8), file)  # more than WebP's 16,383
    with pytest.raises(InputError, match="No such file"):
        save(np.zeros((1, 1, 3), np.uint8), tmp_path / "no" / "a.png")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        ("a.webp", b"earlier")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5}, r"alpha is 1\.5"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"cmap": "infreno"}, "did you mean 'inferno'"),
        ({"size": 4}, "give 16 to 8192"),
        ({"size": 10_000}, "give 16 to 8192"),
    ],
)
def test_a_look_that_nothing_can_be_drawn_with_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Look(**options)
