"""What a frame does to pictures, boxes, polygons and masks; every number is worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from gradcam_eval.arrays import resize
from gradcam_eval.core import InputError
from gradcam_eval.data.annotation import Annotation, Drawn
from gradcam_eval.data.geometry import Frame, Framing
from gradcam_eval.data.truth import check_annotation, truth_in_frame

FITS = ("squash", "crop", "letterbox")


def rectangle(x0, y0, x1, y1):
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def test_squash_scales_each_side_by_itself():
    frame = Framing().frame((6, 8), (12, 4))  # x · 4/8, y · 12/6
    assert (frame.scale, frame.offset) == ((0.5, 2.0), (0.0, 0.0))
    assert frame.box((2, 1, 6, 4)).tolist() == [1, 2, 3, 8]


def test_crop_resizes_the_shorter_side_and_takes_the_centre():
    # 100×200, size 56: the shorter side becomes 56 / 0.875 = 64, the longer 128; margins (64 - 56)
    # / 2 = 4 above and (128 - 56) / 2 = 36 to the left. Scale 0.64 either way.
    frame = Framing("crop").frame((100, 200), (56, 56))
    assert (frame.resized, frame.corner) == ((64, 128), (-4, -36))
    # x: 50 · 0.64 - 36 = -4 → 0 and 150 · 0.64 - 36 = 60 → 56; y: 25 · 0.64 - 4 = 12, 50 · 0.64 - 4
    assert frame.box((50, 25, 150, 50)).tolist() == [0, 12, 56, 28]
    assert frame.box((0, 0, 56.25, 100)) is None  # 56.25 · 0.64 = 36: it ends where the crop begins
    assert frame.shown.all()


def test_crop_rounds_as_the_published_pipelines_do():
    # torchvision: Resize(256) of 333×500 gives 256 × int(256 · 500 / 333 = 384.38) = 384, and
    # CenterCrop(224) begins at round((384 - 224) / 2) = 80 and round((256 - 224) / 2) = 16.
    frame = Framing("crop").frame((333, 500), (224, 224))
    assert (frame.resized, frame.corner) == ((256, 384), (-16, -80))
    frame = Framing("crop", resize=225).frame((500, 333), (224, 224))
    # int(225 · 500 / 333 = 337.8) = 337; round(113 / 2 = 56.5) = 56, round(1 / 2) = 0: to even
    assert (frame.resized, frame.corner) == ((337, 225), (-56, 0))
    with pytest.raises(InputError, match=r"resize = 200 is smaller than the image of 224×224"):
        Framing("crop", resize=200).frame((500, 333), (224, 224))


def test_crop_of_an_oblong_covers_both_sides():
    frame = Framing("crop", resize=10).frame((40, 40), (8, 16))  # 10 × 20 must be covered: 20 × 20
    assert (frame.resized, frame.corner) == ((20, 20), (-6, -2))


def test_letterbox_keeps_the_picture_whole_and_ignores_the_padding():
    # 10×20 into 8×8: scale 0.4 → 4×8, two rows of padding above and below.
    frame = Framing("letterbox", fill=(1, 2, 3)).frame((10, 20), (8, 8))
    assert (frame.resized, frame.corner, frame.scale) == ((4, 8), (2, 0), (0.4, 0.4))
    assert frame.box((5, 0, 15, 10)).tolist() == [2, 2, 6, 6]
    pixels = frame.picture(Image.new("RGB", (20, 10), (200, 100, 50)))
    assert pixels[:, 0].tolist() == [[1, 2, 3]] * 2 + [[200, 100, 50]] * 4 + [[1, 2, 3]] * 2
    truth = truth_in_frame(Annotation(), frame)
    assert truth.ignore[:, 3].tolist() == [True] * 2 + [False] * 4 + [True] * 2
    assert truth.mask is None


def test_a_box_beyond_the_file_does_not_reach_into_the_padding():
    frame = Framing("letterbox").frame((10, 20), (8, 8))
    assert frame.box((-5, -5, 50, 50)).tolist() == [0, 2, 8, 6]
    truth = truth_in_frame(Annotation((Drawn(polygons=(rectangle(-5, -5, 50, 50),)),)), frame)
    assert (truth.mask == frame.shown).all()


def test_what_an_image_shows_in_the_files_own_pixels():
    assert Framing().frame((6, 8), (12, 4)).unscaled() == Frame.identity((6, 8))
    # 100×200 → 64×128, of which 56×56 are kept from (4, 36) on: 56 / 0.64 = 87.5 → 88 pixels of
    # the file from row 4 / 0.64 = 6.25 → 6 and column 36 / 0.64 = 56.25 → 56 on
    shown = Framing("crop").frame((100, 200), (56, 56)).unscaled()
    assert (shown.size, shown.corner, shown.scale) == ((88, 88), (-6, -56), (1.0, 1.0))
    assert shown.box((50, 25, 150, 50)).tolist() == [0, 19, 88, 44]
    # 10×20 into 8×8 with two rows of padding, which are 2 / 0.4 = 5 of the file's
    shown = Framing("letterbox").frame((10, 20), (8, 8)).unscaled()
    assert (shown.size, shown.corner) == ((20, 20), (5, 0))
    assert shown.shown[:, 0].tolist() == [False] * 5 + [True] * 10 + [False] * 5


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FITS), *[st.tuples(st.integers(20, 90), st.integers(20, 90))] * 2)
def test_image_and_original_truth_show_the_same_corner_to_corner(fit, original, size):
    """A box in both frames, as a share of the frame, to within a pixel of either."""
    frame = Framing(fit).frame(original, size)
    box = (original[1] * 0.3, original[0] * 0.4, original[1] * 0.7, original[0] * 0.6)
    there, here = frame.unscaled().box(box), frame.box(box)
    assume(there is not None and here is not None)
    shares = there / np.tile(frame.unscaled().size[::-1], 2), here / np.tile(size[::-1], 2)
    sides = (*frame.unscaled().size, *size)
    assert np.abs(np.subtract(*shares)).max() < 2 / min(sides)


def test_masks_are_looked_up_at_the_centres_of_pixels():
    # Three columns from eight: centres (j + ½) · 8/3 = 1.33, 4, 6.67 → the file's columns 1, 4, 6.
    frame = Framing().frame((1, 8), (1, 3))
    mask = np.array([[0, 1, 0, 0, 1, 0, 0, 1]], bool)
    assert frame.mask(mask).tolist() == [[True, True, False]]
    # Twice the size: each of the file's pixels twice.
    frame = Framing().frame((1, 2), (1, 4))
    assert frame.mask(np.array([[False, True]])).tolist() == [[False, False, True, True]]


def test_a_cropped_picture_is_the_resized_one_cut_out():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    frame = Framing("crop", resize=20).frame((40, 60), (16, 16))
    assert (frame.resized, frame.corner) == ((20, 30), (-2, -7))
    wanted = np.asarray(picture.resize((30, 20), Image.Resampling.BILINEAR))[2:18, 7:23]
    assert frame.picture(picture).dtype == np.float32
    assert np.array_equal(frame.picture(picture), wanted)


def test_an_object_that_is_cropped_away_disappears_with_its_instance_and_class():
    left, middle = rectangle(0, 0, 2, 4), rectangle(4, 0, 6, 4)
    frame = Framing("crop", resize=4).frame((4, 10), (4, 4))  # columns 3 to 6 are kept
    annotation = Annotation((Drawn(polygons=(left,)), Drawn(polygons=(middle,))))
    truth = truth_in_frame(annotation, frame, (7, 8))
    assert truth.boxes.tolist() == [[1, 0, 3, 4]]
    assert truth.classes == (8,)
    assert len(truth.instances) == 1
    assert truth.mask[0].tolist() == [False, True, True, False]
    gone = truth_in_frame(Annotation((Drawn(polygons=(left,)),)), frame, (7,))
    assert gone.boxes.shape == (0, 4)
    assert not gone.mask.any()
    assert not gone.is_known


def test_one_object_without_pixels_of_its_own_leaves_boxes_alone():
    objects = (Drawn(box=(0, 0, 2, 2)), Drawn(polygons=(rectangle(3, 0, 5, 2),)))
    truth = truth_in_frame(Annotation(objects), Frame.identity((4, 6)))
    assert truth.boxes.tolist() == [[0, 0, 2, 2], [3, 0, 5, 2]]
    assert truth.mask is None
    assert truth.instances == ()


def test_the_box_of_a_mask_is_its_extent():
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:5] = True
    mask[2, 3] = False
    truth = truth_in_frame(Annotation((Drawn(mask=mask),)), Framing().frame((5, 6), (10, 6)))
    assert truth.boxes.tolist() == [[2, 2, 5, 6]]
    assert np.array_equal(truth.mask, mask.repeat(2, axis=0))


def test_an_empty_mask_is_no_object_and_nothing_is_known():
    truth = truth_in_frame(
        Annotation((Drawn(mask=np.zeros((3, 3), bool)),)), Frame.identity((3, 3))
    )
    assert truth.boxes.shape == (0, 4)
    assert not truth.is_known


def test_void_and_ignored_objects_count_neither_way_but_an_object_counts():
    void = np.zeros((2, 6), bool)
    void[:, 0] = True
    crowd = Drawn(box=(1, 0, 4, 2), is_ignored=True)
    person = Drawn(polygons=(rectangle(3, 0, 5, 2),))
    truth = truth_in_frame(Annotation((crowd, person), void), Frame.identity((2, 6)), (5, 5))
    assert truth.ignore[0].tolist() == [True, True, True, False, False, False]
    assert truth.boxes.tolist() == [[3, 0, 5, 2]]
    assert truth.classes == (5,)
    boxed = Annotation((crowd, Drawn(box=(3, 0, 5, 2))), void)
    assert truth_in_frame(boxed, Frame.identity((2, 6))).ignore[0].tolist() == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotation(size=(4, 5)), "annotated at 5×4 pixels and the file has 6×4 pixels"),
        (Annotation(void=np.zeros((4, 5), bool)), r"the void mask is bool of shape \(4, 5\)"),
        (Annotation((Drawn(mask=np.zeros((4, 6))),)), "mask of an object is float64 of shape"),
        (Annotation((Drawn(box=(1, 1, 1, 3)),)), r"the box \(1, 1, 1, 3\) has no area"),
        (Annotation((Drawn(box=(1, 1, math.nan, 3)),)), "has no area"),
        (Annotation((Drawn(polygons=(((0, 0), (1, 1)),)),)), "a polygon of 2 points encloses"),
        (Annotation((Drawn(),)), "neither box, polygons nor mask"),
    ],
)
def test_what_cannot_be_drawn_on_the_file_is_refused(annotation, words):
    with pytest.raises(InputError, match=words):
        check_annotation(annotation, (4, 6))


def test_an_option_of_another_fit_is_refused():
    with pytest.raises(InputError, match="unknown frame 'croop': did you mean 'crop'"):
        Framing("croop")
    with pytest.raises(InputError, match="resize = 256 is for frame 'crop', not 'squash'"):
        Framing(resize=256)
    with pytest.raises(InputError, match="is for frame 'letterbox', not 'crop'"):
        Framing("crop", fill=(0, 0, 0))


sides = st.integers(2, 40)
frames = st.builds(
    lambda fit, original, size, mirrored: (
        Framing(fit).frame(original, size).mirrored()
        if mirrored
        else Framing(fit).frame(original, size)
    ),
    st.sampled_from(FITS),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(frames, st.data())
def test_to_move_then_to_box_is_to_box_then_to_move(frame, data):
    """The extent of a moved polygon, clipped, is the moved extent."""
    height, width = frame.original
    xs = st.floats(0, width, width=32)
    ys = st.floats(0, height, width=32)
    polygon = tuple(data.draw(st.lists(st.tuples(xs, ys), min_size=3, max_size=6)))
    low, high = np.min(polygon, axis=0), np.max(polygon, axis=0)
    moved = frame.points(polygon)
    clipped = np.clip([moved.min(axis=0), moved.max(axis=0)], 0, frame.size[::-1])
    assume((np.abs(clipped[1] - clipped[0]) > 1e-6).all())
    assert frame.box((*low, *high)) == pytest.approx(clipped.ravel(), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(frames, st.integers(0, 2**32 - 1))
def test_turned_twice_is_as_it_was_and_turned_once_is_the_mirror_image(frame, seed):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (*frame.original, 3), dtype=np.uint8)
    picture, mask = Image.fromarray(pixels), pixels[..., 0] > 127
    assert frame.mirrored().mirrored() == frame
    turned = frame.mirrored()
    assert np.array_equal(turned.picture(picture), frame.picture(picture)[:, ::-1])
    assert np.array_equal(turned.shown, frame.shown[:, ::-1])
    centres = (np.arange(frame.size[1]) + 0.5 - frame.offset[0]) / frame.scale[0]
    assume(np.abs(centres - np.rint(centres)).min() > 1e-9)  # either neighbour is right on an edge
    assert np.array_equal(turned.mask(mask), frame.mask(mask)[:, ::-1])
    box, there = frame.box((0.3, 0.2, 1.7, 1.9)), turned.box((0.3, 0.2, 1.7, 1.9))
    assert (box is None) == (there is None)
    if box is not None:
        x0, y0, x1, y1 = there
        width = frame.size[1]
        assert box == pytest.approx((width - x1, y0, width - x0, y1), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(frames, st.data())
def test_a_mask_and_the_polygon_of_the_same_rectangle_agree(frame, data):
    """Whole pixels in the file: centres on an edge aside, filling before or after is the same."""
    height, width = frame.original
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    mask = np.zeros(frame.original, bool)
    mask[y0:y1, x0:x1] = True
    away = np.ones(frame.size, bool)
    for axis, n in ((0, 1), (1, 0)):
        centres = (np.arange(frame.size[axis]) + 0.5 - frame.offset[n]) / frame.scale[n]
        off = np.abs(centres - np.rint(centres)) > 1e-6
        away &= off[:, None] if axis == 0 else off
    filled = frame.polygon(rectangle(x0, y0, x1, y1))
    assert not (away & (filled != frame.mask(mask))).any()


def ramps(size):
    """Two maps of an image: each pixel's row, and its column, as the place of its centre."""
    rows, columns = (np.arange(n, dtype=np.float32) + 0.5 for n in size)
    return np.repeat(rows[:, None], size[1], 1), np.repeat(columns[None], size[0], 0)


def test_a_heatmap_of_a_crop_is_laid_where_the_model_saw_it():
    frame = Framing("crop").frame((100, 200), (56, 56))  # as above: x · 0.64 - 36, y · 0.64 - 4
    rows, columns = map(frame.on_file, ramps((56, 56)))
    assert columns.shape == (100, 200)
    # the pixel (49, 100): x 100.5 · 0.64 - 36 = 28.32, y 49.5 · 0.64 - 4 = 27.68
    assert (rows[49, 100], columns[49, 100]) == pytest.approx((27.68, 28.32), rel=1e-6)
    # the crop shows x from 56.25 to 143.75 and y from 6.25 to 93.75: centres from 56.5 to 143.5
    seen = np.argwhere(frame.seen())
    assert (seen.min(axis=0).tolist(), seen.max(axis=0).tolist()) == ([6, 56], [93, 143])


def test_a_heatmap_of_a_letterbox_is_laid_without_the_padding():
    frame = Framing("letterbox").frame((10, 20), (8, 8))  # as above: x · 0.4, y · 0.4 + 2
    rows, columns = (frame.on_file(ramp)[4, 7] for ramp in ramps((8, 8)))
    assert (rows, columns) == pytest.approx((4.5 * 0.4 + 2, 7.5 * 0.4), rel=1e-6)
    assert frame.seen().all()
    half = frame.on_file(ramps((8, 8))[0], (5, 10))  # a picture of half the file's size
    assert half.shape == (5, 10)
    assert half[2, 0] == pytest.approx(5 * 0.4 + 2, rel=1e-6)


def test_a_heatmap_of_a_squashed_file_is_stretched_over_it():
    heatmap = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    frame = Framing().frame((9, 20), (12, 12))
    assert frame.is_stretch
    np.testing.assert_allclose(frame.on_file(heatmap), resize(heatmap, (9, 20)), atol=1e-6)
    assert not Framing("crop").frame((12, 12), (8, 8)).is_stretch
    assert not frame.mirrored().is_stretch


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("original", [(60, 90), (90, 40), (7, 5)])
def test_the_pixel_that_a_heatmap_peaks_at_is_the_one_that_was_drawn(fit, original):
    frame = Framing(fit).frame(original, (32, 48))
    height, width = original
    box = (width / 3, height / 3, width / 2, height / 2)  # of the file
    x0, y0, x1, y1 = frame.box(box)
    rows, columns = ramps((32, 48))
    blob = -((rows - (y0 + y1) / 2) ** 2 + (columns - (x0 + x1) / 2) ** 2).astype(np.float32)
    for turned, heatmap in ((frame, blob), (frame.mirrored(), blob[:, ::-1])):
        laid = turned.on_file(heatmap)
        y, x = np.unravel_index(np.argmax(laid), laid.shape)
        assert turned.seen()[y, x]
        assert box[0] - 1 <= x <= box[2]
        assert box[1] - 1 <= y <= box[3]
