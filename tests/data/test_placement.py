"""Where boxes, polygons and masks go: turned by EXIF, from 0 to 1, reduced with their picture."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tiny_sets import png

from gradcam_eval.core import BadSample, InputError, Sample, Truth
from gradcam_eval.data import (
    Annotation,
    ClassMap,
    Drawing,
    Drawn,
    Entry,
    Reading,
    entries_from_dataset,
    load_samples,
    open_source,
)
from gradcam_eval.data.pipeline import read_entry
from gradcam_eval.data.placement import Placement, annotation_of

STORED = (6, 8)  # (H, W)


def upright(mask, orientation):
    """Return a stored mask as Pillow shows it: the slow twin of our own turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(stream, "PNG", exif=exif)
    return np.asarray(ImageOps.exif_transpose(Image.open(stream))) > 0


def place(orientation, size=None, stored=STORED):
    shown = stored[::-1] if orientation > 4 else stored
    return Placement(stored, orientation, size or shown)


def entry(*objects, boxes="", boxes_unit="", **annotation):
    found = Annotation(objects, **annotation)
    return Entry("a", lambda: b"", (), lambda size: found, boxes=boxes, boxes_unit=boxes_unit)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 8),
    st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(1, 8), st.integers(1, 6)),
)
def test_stored_boxes_polygons_and_masks_turn_as_the_picture_does(orientation, corners):
    x0, y0, width, height = corners
    x1, y1 = min(8, x0 + width), min(6, y0 + height)
    mask = np.zeros(STORED, bool)
    mask[y0:y1, x0:x1] = True
    polygon = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    given_ = entry(
        Drawn(box=(x0, y0, x1, y1)), Drawn(polygons=(polygon,)), Drawn(mask=mask),
        boxes="stored", boxes_unit="pixels", void=mask, size=STORED,
    )  # fmt: skip
    found = annotation_of(given_, place(orientation))
    shown = upright(mask, orientation)
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert found.objects[0].box == expected
    points = np.array(found.objects[1].polygons[0])
    assert (*points.min(axis=0), *points.max(axis=0)) == expected
    assert np.array_equal(found.objects[2].mask, shown)
    assert np.array_equal(found.void, shown)


@pytest.mark.parametrize("boxes", ["", "upright"])
def test_upright_boxes_stay_where_they_are(boxes):
    given_ = entry(Drawn(box=(1, 2, 3, 4)), boxes=boxes)
    assert annotation_of(given_, place(3)).objects[0].box == (1, 2, 3, 4)


def test_a_stated_size_tells_which_frame_was_drawn_in():
    given_ = entry(Drawn(box=(1, 2, 3, 4)), size=STORED)
    with pytest.raises(InputError, match=r"annotated at 8×6.*say boxes = 'stored'"):
        annotation_of(given_, place(6))


def test_a_rotated_photograph_with_stored_boxes_lies_on_its_object():
    pixels = np.zeros((*STORED, 3), np.uint8)
    pixels[1:3, 1:4] = 255  # the object, as it is stored
    found = Annotation((Drawn(box=(1, 1, 4, 3)),))
    drawn = Entry("a", lambda: png(pixels, 3), (), lambda size: found, boxes="stored")
    sample = read_entry(drawn, Reading(STORED, classes=ClassMap(())))
    (x0, y0, x1, y1) = sample.truth.boxes[0].astype(int)
    assert (sample.image[y0:y1, x0:x1] == 255).all()
    assert sample.image.sum() == 3 * 255 * 6
    assert "turned by 180° as EXIF says" in sample.applied


def test_boxes_from_0_to_1_are_refused_or_scaled_where_that_is_said():
    half = Drawn(box=(0.25, 0.5, 0.5, 1.0), polygons=(((0.25, 0.5), (0.5, 0.5), (0.5, 1)),))
    with pytest.raises(InputError, match=r"first pixel of 8×6: say boxes_unit = 'relative'"):
        annotation_of(entry(half), place(1))
    (moved,) = annotation_of(entry(half, boxes_unit="relative"), place(1)).objects
    assert moved.box == (2, 3, 4, 6)
    assert moved.polygons == (((2, 3), (4, 3), (4, 6)),)
    assert annotation_of(entry(half, boxes_unit="pixels"), place(1)).objects[0].box == half.box


@pytest.mark.parametrize(
    ("boxes", "is_refused"),
    [
        ([(0, 0, 1, 1)], True),  # the whole picture, or its first pixel
        ([(0.1, 0.2, 1.004, 0.9)], True),  # rounded beyond the edge
        ([(0, 0, 2, 2)], False),
        ([(0.1, 0.1, 0.4, 0.4), (3, 3, 5, 5)], False),
        ([], False),
    ],
)
def test_what_counts_as_relative(boxes, is_refused):
    given_ = entry(*(Drawn(box=box) for box in boxes))
    if not is_refused:
        assert len(annotation_of(given_, place(1)).objects) == len(boxes)
        return
    with pytest.raises(InputError, match="boxes_unit"):
        annotation_of(given_, place(1))


def test_lists_coco_and_python_say_their_unit(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*STORED, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("file,x0,y0,x1,y1\na.png,0.25,0.5,0.5,1\n")
    (tmp_path / "a.jsonl").write_text('{"file": "a.png", "objects": [{"box": [0.25,0.5,0.5,1]}]}')
    (tmp_path / "a.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "cat"}],'
        '"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0.25,0.5,0.25,0.5]}]}'
    )
    for path, format in ((tmp_path / "a.csv", None), (tmp_path / "a.jsonl", None),
                         (tmp_path / "a.json", "coco")):  # fmt: skip
        (bad,) = load_samples(path, STORED, format=format)
        assert isinstance(bad, BadSample)
        assert "boxes_unit = 'relative'" in bad.reason
        (good,) = load_samples(path, STORED, format=format, drawn=Drawing(boxes_unit="relative"))
        assert good.truth.boxes.tolist() == [[2, 3, 4, 6]]
    element = {"image": pixels, "boxes": np.array([[0.25, 0.5, 0.5, 1]])}
    (bad,) = load_samples(entries_from_dataset([element]), STORED)
    assert "boxes_unit" in bad.reason
    (good,) = load_samples(entries_from_dataset([element], boxes_unit="relative"), STORED)
    assert good.truth.boxes.tolist() == [[2, 3, 4, 6]]
    truth = Truth(STORED, np.array([[0.25, 0.5, 0.5, 1]], np.float32))
    (bad,) = load_samples([Sample("0", "a", pixels.astype(np.float32), (), truth, truth)], STORED)
    assert "multiply boxes from 0 to 1 by the sides" in bad.reason


def test_a_format_with_a_unit_of_its_own_takes_no_other(tmp_path):
    with pytest.raises(InputError, match="is for csv, jsonl, coco and data in memory"):
        open_source(tmp_path, format="voc", drawn=Drawing(boxes_unit="relative"))
    with pytest.raises(InputError, match=r"unknown boxes 'storred': did you mean 'stored'"):
        Drawing(boxes="storred")


@pytest.mark.parametrize(("orientation", "expected"), [(1, (2, 2, 3, 4)), (3, (5, 2, 6, 4))])
def test_a_reduced_picture_takes_its_boxes_along(orientation, expected):
    stored = (24, 32)
    mask = np.zeros(stored, bool)
    mask[8:16, 8:12] = True
    given_ = entry(Drawn(box=(8, 8, 12, 16), mask=mask), boxes="stored")
    (moved,) = annotation_of(given_, place(orientation, (6, 8), stored)).objects
    assert moved.box == expected
    x0, y0, x1, y1 = expected
    assert moved.mask.sum() == (x1 - x0) * (y1 - y0)
    assert moved.mask[y0:y1, x0:x1].all()
