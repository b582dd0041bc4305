import csv
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from gradcam_eval.core import BadSample, InputError, Sample
from gradcam_eval.data import Reading, load_samples, open_source, sample_names
from gradcam_eval.data.photos import photo_entry, read_manifest
from gradcam_eval.data.pipeline import read_entry
from gradcam_eval.resources import datasets_root

SIZE = (224, 224)
MANIFEST = read_manifest()
PHOTOS = {photo.name: photo for photo in MANIFEST.photos}
# Share of the picture that the drawn object covers: wide enough for a careful redraw, and too
# narrow for a shifted, swapped or lost polygon.
AREAS = {
    "chelsea": (0.70, 0.78),
    "coffee": (0.19, 0.23),
    "camera": (0.025, 0.04),
    "motorcycle_left": (0.27, 0.32),
    "astronaut": (0.06, 0.08),
    "rocket": (0.015, 0.022),
    "clock": (0.10, 0.13),
    "china": (0.22, 0.27),
    "flower": (0.22, 0.26),
    "grace_hopper": (0.41, 0.46),
}


@pytest.fixture(scope="module")
def samples():
    return {sample.name: sample for sample in load_samples("photos", SIZE)}


def test_the_manifest_lists_the_expected_photographs():
    assert list(PHOTOS) == sample_names("photos") == list(AREAS)
    assert MANIFEST.version == "1"
    assert len(MANIFEST.sha256) == 64


@pytest.mark.parametrize("name", AREAS)
def test_every_photograph_is_there_as_annotated(name, samples):
    sample = samples[name]
    assert isinstance(sample, Sample), sample
    assert sample.image.shape == (*SIZE, 3)
    assert sample.image.dtype == np.float32
    assert 0 <= sample.image.min() < sample.image.max() <= 255
    assert sample.id == PHOTOS[name].sha256[:16]
    assert sample.labels == PHOTOS[name].labels


@pytest.mark.parametrize("name", AREAS)
def test_polygons_lie_inside_and_boxes_are_their_extent(name):
    photo = PHOTOS[name]
    height, width = photo.size
    assert photo.objects
    for outline in photo.objects:
        points = np.concatenate([np.array(polygon) for polygon in outline.polygons])
        assert all(len(polygon) >= 3 for polygon in outline.polygons + outline.holes)
        assert (points >= 0).all()
        assert (points <= (width, height)).all()
        assert outline.box == (*points.min(axis=0), *points.max(axis=0))


@pytest.mark.parametrize("name", AREAS)
def test_the_mask_fills_its_boxes_and_covers_the_stated_share(name, samples):
    for truth in (samples[name].truth, samples[name].original_truth):
        low, high = AREAS[name]
        assert low < truth.mask.mean() < high
        rows, columns = np.nonzero(truth.mask)
        extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        union = (*truth.boxes[:, :2].min(axis=0), *truth.boxes[:, 2:].max(axis=0))
        # The tip of a thin part, such as a mirror, may miss the pixel centres near it.
        assert np.abs(np.subtract(extent, union)).max() < 3
    height, width = PHOTOS[name].size
    scale = np.array([SIZE[1] / width, SIZE[0] / height] * 2)
    assert np.allclose(samples[name].truth.boxes, samples[name].original_truth.boxes * scale)


def test_pixels_known_to_lie_on_and_off_the_objects(samples):
    for name, x, y, wanted in [
        ("chelsea", 170, 110, True),  # an eye
        ("chelsea", 430, 50, False),
        ("coffee", 290, 160, True),  # the espresso
        ("coffee", 365, 290, False),  # the spoon
        ("camera", 293, 400, True),  # the column
        ("camera", 330, 430, False),  # grass between the legs
        ("camera", 300, 155, False),  # the camera itself
        ("motorcycle_left", 368, 335, True),  # the engine cover
        ("motorcycle_left", 545, 240, False),  # between the fork tubes
        ("astronaut", 395, 150, True),  # the orbiter
        ("astronaut", 220, 100, False),  # the astronaut's face
        ("rocket", 322, 300, True),
        ("china", 200, 220, True),
        ("china", 500, 200, False),  # the lake
        ("flower", 307, 220, True),
        ("flower", 380, 415, True),  # the second flower
        ("grace_hopper", 260, 60, True),  # the badge of the cap
        ("grace_hopper", 260, 250, False),  # the face
        ("grace_hopper", 150, 500, True),
    ]:
        assert samples[name].original_truth.mask[y, x] == wanted, (name, x, y)


def test_the_two_flowers_are_two_objects(samples):
    assert samples["flower"].truth.boxes.shape == (2, 4)


def test_classes_agree_with_the_table_of_imagenet_classes():
    path = datasets_root() / "imagenet" / "classes.csv"
    with path.open(encoding="utf-8", newline="") as file:
        table = {int(row["index"]): (row["synset"], row["name"]) for row in csv.DictReader(file)}
    entries = json.loads((datasets_root() / "photos" / "manifest.json").read_text("utf-8"))
    for entry in entries["photos"]:
        for found in entry["classes"]:
            assert table[found["index"]] == (found["synset"], found["name"])
        assert entry["match"] in {"exact", "nearest", "none"}
        assert (entry["match"] == "none") == (entry["classes"] == [])


@pytest.mark.parametrize("name", AREAS)
def test_credit_licence_and_note_are_stated(name, samples):
    photo = PHOTOS[name]
    assert len(photo.credit) > 30
    assert photo.licence
    assert "Drawn:" in photo.note
    assert (samples[name].credit, samples[name].licence) == (photo.credit, photo.licence)


@pytest.mark.parametrize("name", AREAS)
def test_the_card_has_a_row_for_each_photograph(name):
    card = (datasets_root() / "photos" / "README.md").read_text("utf-8")
    assert f"| `{name}` |" in card


@pytest.mark.skipif(
    not importlib.metadata.version("scikit-image").startswith("0.26."),
    reason="the credits are quoted from scikit-image 0.26",
)
def test_skimage_states_the_credit_that_is_quoted():
    folder = importlib.util.find_spec("skimage").submodule_search_locations[0]
    with open(f"{folder}/data/_fetchers.py", encoding="utf-8") as file:
        stated = " ".join(file.read().split())
    for photo in MANIFEST.photos:
        if photo.package == "skimage":
            quotes = (photo.credit + " " + photo.licence).split('"')[1::2]
            assert quotes
            for quote in quotes:
                assert " ".join(quote.split()) in stated


def test_a_missing_package_gives_a_bad_sample():
    photo = replace(PHOTOS["china"], package="no_such_package")
    got = read_entry(photo_entry(photo), Reading(SIZE))
    assert isinstance(got, BadSample)
    assert got.reason.startswith("the package no_such_package is not installed: pip install")


def test_another_file_than_the_annotated_one_gives_a_bad_sample():
    got = read_entry(photo_entry(replace(PHOTOS["china"], sha256="0" * 64)), Reading(SIZE))
    assert isinstance(got, BadSample)
    assert got.name == "china"
    assert "is not the file that was annotated" in got.reason


def test_a_file_that_the_package_no_longer_has_gives_a_bad_sample():
    got = read_entry(
        photo_entry(replace(PHOTOS["china"], file="datasets/images/gone.jpg")), Reading(SIZE)
    )
    assert isinstance(got, BadSample)
    assert "there is no file sklearn/datasets/images/gone.jpg" in got.reason


def test_names_choose_photographs_in_the_manifest_order():
    photos = open_source("photos")
    assert photos.named(["rocket", "chelsea"]).names == ["chelsea", "rocket"]
    with pytest.raises(InputError, match="unknown image 'chelsee': did you mean 'chelsea'"):
        photos.named(["chelsee"])


def test_reading_imports_neither_tensorflow_nor_the_packages_of_the_photographs():
    code = (
        "import sys, gradcam_eval.data as d; assert 'skimage' not in sys.modules; "
        "d.load_samples('photos', (16, 16)); "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
