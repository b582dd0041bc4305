"""From entries to samples: classes mapped, bad images as rows."""

import hashlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gradcam_eval.core import BadSample
from gradcam_eval.data import ClassMap, Framing, Reading
from gradcam_eval.data.annotation import Annotation, Drawn, Entry
from gradcam_eval.data.pipeline import read_entry

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
READING = Reading((6, 8), classes=ClassMap(("cat", "dog", "owl"), ("n1", "n2", "n3")))


def png(pixels=PIXELS, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def entry(file=PIXELS, labels=(), objects=(), **fields):
    return Entry("a", file, labels, lambda size: Annotation(objects), **fields)


def test_pixels_bytes_functions_and_paths_give_the_same_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    for file in (PIXELS, lambda: PIXELS, png, path):
        assert np.array_equal(read_entry(entry(file), READING).image, PIXELS)
    digest = hashlib.sha256(png()).hexdigest()[:16]
    assert read_entry(entry(path), READING).id == read_entry(entry(png), READING).id == digest
    assert read_entry(entry(PIXELS), READING).id == read_entry(entry(lambda: PIXELS), READING).id


def test_names_become_indices_and_the_rest_is_kept():
    found = read_entry(
        entry(labels=("owl", "n1", "cow", "owl"), credit="me", licence="CC0"), READING
    )
    assert found.labels == (2, 0)
    assert (found.credit, found.licence, found.name) == ("me", "CC0", "a")


def test_objects_have_the_class_that_they_say():
    objects = (Drawn((0, 0, 4, 3), label="dog"), Drawn((4, 0, 8, 3), label="cow"))
    found = read_entry(entry(labels=("dog",), objects=objects), READING)
    assert found.truth.classes == found.original_truth.classes == (1, -1)
    assert found.truth.of(1).boxes.tolist() == [[0, 0, 4, 3]]


BOX = Drawn((0, 0, 4, 3))


@pytest.mark.parametrize(
    ("labels", "objects", "classes"),
    [
        (("dog",), (BOX,), ()),  # every box shows the labels
        ((), (BOX,), ()),  # nobody said what it shows
        (("cow",), (BOX,), (-1,)),  # a cow, and the model has none: not the truth of any class
        (("cow", "dog"), (BOX,), ()),
        (("dog",), (BOX, Drawn((0, 0, 1, 1), label="owl")), (1, 2)),
        (("cow",), (BOX, Drawn((0, 0, 1, 1), label="owl")), (-1, 2)),
    ],
)
def test_objects_without_a_class_of_their_own_show_the_labels(labels, objects, classes):
    assert read_entry(entry(labels=labels, objects=objects), READING).truth.classes == classes


def test_a_name_of_several_classes_makes_each_of_them_right():
    pets = ClassMap(READING.classes.names, READING.classes.synsets, explicit={"pet": (0, 1)})
    reading = replace(READING, classes=pets)
    objects = (Drawn((0, 0, 4, 3), label="pet"), Drawn((4, 0, 8, 3), label="owl"))
    found = read_entry(entry(labels=("pet", "owl"), objects=objects), reading)
    assert (found.labels, found.n_main) == ((0, 1, 2), 2)
    assert found.truth.classes == found.original_truth.classes == ((0, 1), 2)
    for target, left in ((0, 0), (1, 0), (2, 4)):
        assert found.truth.of(target).boxes[:, 0].tolist() == [left]
    found = read_entry(entry(labels=("cow", "owl", "pet"), objects=objects), reading)
    assert (found.labels, found.n_main) == ((2, 0, 1), 1)  # no cow: the owl is the main label
    mixed = read_entry(entry(labels=("pet",), objects=(BOX, objects[1])), reading)
    assert mixed.truth.classes == ((0, 1), 2)


def fails(size):
    raise KeyError("bndbox")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry(lambda: b"\x89PNG"), "a is "),
        (entry(lambda: PIXELS / 255), r"a is float64 of shape \(6, 8, 3\): expected uint8"),
        (entry(lambda: PIXELS[..., 0]), "expected uint8 or float32"),
        (entry(labels=("3",)), "label 3 is outside the model's 3 classes: valid is 0 to 2"),
        (entry(labels=("-1",)), "label -1 is outside"),
        (entry(objects=(Drawn(),)), "an object has neither box"),
        (entry(labels=("cat", "dog"), objects=(BOX, Drawn((0, 0, 1, 1), label="owl"))),
         "some objects have a class and others have none, and the image has 2 labels"),
        (Entry("a", PIXELS, annotate=fails), "KeyError: 'bndbox'"),
        (Entry("a", PIXELS, annotate=lambda size: Annotation(size=(8, 6))), "annotated at 6×8"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_image_is_its_reason(bad, reason):
    found = read_entry(bad, READING)
    assert isinstance(found, BadSample)
    assert found.name == "a"
    assert re.search(reason, found.reason), found.reason


def test_annotations_hold_for_the_upright_image():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    stored = np.ascontiguousarray(PIXELS.transpose(1, 0, 2)[::-1])
    seen = []
    turned = Entry("a", lambda: png(stored, exif=exif), annotate=lambda s: seen.append(s) or SIX)
    found = read_entry(turned, READING)
    assert seen == [(6, 8)]
    assert np.array_equal(found.image, PIXELS)
    assert found.truth.boxes.tolist() == [[0, 0, 4, 3]]


SIX = Annotation((BOX,), size=(6, 8))


def test_picture_and_truth_go_through_the_same_frame():
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:20, 40:60] = 255
    drawn = Entry("a", pixels, annotate=lambda size: Annotation((Drawn((40, 10, 60, 20)),)))
    for fit in ("squash", "crop", "letterbox"):
        found = read_entry(drawn, Reading((40, 40), Framing(fit)))
        bright = found.image[..., 0] > 127
        x0, y0, x1, y1 = np.rint(found.truth.boxes[0]).astype(int)
        assert bright[y0:y1, x0:x1].mean() > 0.9
        bright[y0:y1, x0:x1] = False
        assert bright.mean() < 0.02 if fit != "letterbox" else not bright[10:30].any()
        # the shorter side of the file, less 1/8 where it is cropped; the longer one where padded
        size = {"squash": (40, 80), "crop": (35, 35), "letterbox": (80, 80)}[fit]
        assert found.original_truth.size == size
