"""What `check_entries` finds, on entries whose faults are known, and the contact sheet."""

import dataclasses

import numpy as np
import pytest
import tiny_sets
from PIL import Image
from tiny_sets import SIZE

from gradcam_eval.core import Sample
from gradcam_eval.data import open_source
from gradcam_eval.data.annotation import Annotation, Drawn, Entry
from gradcam_eval.data.check import KINDS, Problem, check_entries, check_entry
from gradcam_eval.data.classmap import ClassMap
from gradcam_eval.data.pipeline import Reading, read_entry
from gradcam_eval.data.sheet import COLOURS, TILE, choose, contact_sheet

CLASSES = ClassMap(("cat", "dog"))
TWELVE_BITS = np.linspace(0, 4095, SIZE[0] * SIZE[1]).astype(np.uint16).reshape(SIZE)
PIXELS = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def entry(*objects, name="a", labels=(), file=PIXELS, **annotation):
    found = Annotation(objects, **annotation)
    return Entry(name, file, labels, lambda size: found)


def kinds(*entries, classes=CLASSES):
    return [
        (problem.kind, problem.name) for problem in check_entries("it", entries, classes).problems
    ]


def mask_of(rows, columns):
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


def test_facts_of_an_image_by_hand():
    triangle = ((0.0, 0.0), (4.0, 0.0), (0.0, 6.0))
    facts = check_entry(
        entry(
            Drawn(box=(-2, 1, 2, 4)),  # 2 × 3 = 6 of 48 pixels lie inside
            Drawn(polygons=(triangle,), label="dog"),  # 4 · 6 / 2 = 12
            Drawn(mask=mask_of(slice(0, 2), slice(0, 3)), label="cat"),  # 6
            Drawn(box=(0, 0, 8, 6), is_ignored=True),
            labels=("dog",),
            void=mask_of(5, 7),
        ),
        CLASSES,
    )
    assert facts.size == SIZE
    assert facts.shares == (6 / 48, 12 / 48, 6 / 48)
    assert (facts.n_masks, facts.n_ignored, facts.has_void) == (2, 1, True)
    assert (facts.labels, facts.classes) == (("dog",), ("dog", "cat"))
    assert [problem.kind for problem in facts.problems] == ["box beyond image"]
    assert facts.problems[0].detail == "object 1: box -2, 1, 2, 4 by 2 pixels"
    assert facts.is_usable


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (entry(name="caf\udce9"), "unusable text"),
        (entry(labels=("cat", "\ud800")), "unusable text"),
        (entry(file=lambda: "no bytes"), "unreadable image"),
        (entry(file=lambda: b"no image"), "unreadable image"),
        (entry(size=(8, 6)), "wrong annotation"),
        (entry(Drawn(box=(3, 3, 3, 5))), "wrong annotation"),
        (entry(labels=("2",)), "wrong class"),
        (entry(Drawn(box=(0, 0, 2, 2), label="2")), "wrong class"),
        (
            entry(
                Drawn(box=(0, 0, 2, 2)), Drawn(box=(0, 0, 2, 2), label="cat"), labels=("cat", "dog")
            ),
            "wrong class",
        ),
        (entry(Drawn(box=(8, 0, 12, 6))), "object outside"),
        (entry(Drawn(polygons=(((-3, 0), (-1, 0), (-1, 6)),))), "object outside"),
        (entry(Drawn(mask=np.zeros(SIZE, bool))), "empty mask"),
        (entry(Drawn(polygons=(((1, 1), (2, 2), (3, 3)),))), "empty mask"),
        (entry(Drawn(box=(0, 0, 8, 6.25))), "box beyond image"),
        (
            entry(Drawn(box=(0, 0, 4, 2), mask=mask_of(slice(0, 2), slice(3, 8)))),
            "box apart from mask",
        ),
        (entry(labels=("owl",)), "unmapped class"),
        (entry(Drawn(box=(0, 0, 2, 2)), file=lambda: tiny_sets.png(PIXELS, 3)), "turned by EXIF"),
        (entry(file=lambda: tiny_sets.png(TWELVE_BITS)), "narrow values"),
    ],
)
def test_each_kind_of_problem_is_found(bad, kind):
    report = check_entries("it", [bad], CLASSES)
    assert [problem.kind for problem in report.problems] == [kind]
    is_sample = isinstance(read_entry(bad, Reading((4, 4), classes=CLASSES)), Sample)
    assert report.images[0].is_usable == is_sample, "a study sees it alike"
    severity = KINDS[kind][0]
    assert report.exit_code() == (severity == "error")
    assert report.exit_code(strict=True) == 1


def test_what_is_in_order_is_no_problem():
    good = entry(
        # 30 of 48 pixels in common
        Drawn(box=(0, 0, 8, 6), mask=mask_of(slice(0, 6), slice(0, 5)), label="cat"),
        Drawn(box=(1, 1, 2, 2), label="owl"),
        Drawn(mask=np.zeros(SIZE, bool), label="owl", is_ignored=True),
        labels=("cat", "1"),
    )
    report = check_entries("it", [good], ClassMap(("cat", "dog", "owl")))
    assert (report.problems, report.exit_code(strict=True)) == ((), 0)


def test_every_kind_is_tried_above():
    listed = test_each_kind_of_problem_is_found.pytestmark[0].args[1]
    # these want a folder or two images: see the next tests
    others = {"same content", "near-duplicates", "skipped file", "further frames"}
    assert {kind for _, kind in listed} | others == set(KINDS)


@pytest.mark.parametrize(("beyond", "is_said"), [(2.8e-14, False), (0.004, False), (0.1, True)])
def test_rounding_is_no_box_beyond_its_image(beyond, is_said):
    said = kinds(entry(Drawn(box=(0, 0, 8 + beyond, 6))))
    assert said == ([("box beyond image", "a")] if is_said else [])


def test_what_is_not_read_is_said(tmp_path):
    frames = [Image.new("RGB", (8, 6), (80 * n, 0, 0)) for n in range(3)]
    for name in ("pages.tif", "film.gif", "film.webp", "film.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "one.png")
    frames[1].save(tmp_path / "one.jpg")
    (tmp_path / "a.heic").write_bytes(b"x")
    source = open_source(tmp_path)
    report = check_entries("it", source.entries, CLASSES, skipped=source.skipped)
    assert report.exit_code() == 0
    assert all(image.perceptual_hash for image in report.images)  # also of a file of several pages
    found = {(each.kind, each.name, each.detail) for each in report.problems}
    assert found >= {
        ("skipped file", "a.heic", "not read"),
        *(
            ("further frames", name, "3 frames")
            for name in ("pages.tif", "film.gif", "film.webp", "film.png")
        ),
    }
    assert {each.name for each in report.problems if each.kind == "further frames"} == {
        "pages.tif", "film.gif", "film.webp", "film.png",
    }  # fmt: skip


def test_near_duplicates_are_named_and_copies_of_a_file_are_not_named_twice(rng):
    scene = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    scene = np.asarray(Image.fromarray(scene).resize((160, 120), Image.Resampling.BICUBIC))
    smaller = np.asarray(Image.fromarray(scene).resize((80, 60)))
    darker = (scene * 0.8).astype(np.uint8)
    entries = [
        entry(name="scene", file=scene),
        entry(name="other", file=scene[:, ::-1]),
        entry(name="smaller", file=smaller),
        entry(name="darker", file=darker),
    ]
    (found,) = check_entries("it", entries, CLASSES).problems
    assert found == Problem("near-duplicates", "scene", "looks like smaller, darker")
    assert found.severity == "warning"
    copies = [entry(name=name, file=scene) for name in "ab"]
    assert kinds(*copies) == [("same content", "a")]


def test_classes_are_counted_and_duplicates_named():
    other = PIXELS[::-1].copy()
    report = check_entries(
        "it",
        [
            entry(name="a", labels=("cat",)),
            entry(name="b", labels=("owl",), file=other),
            entry(Drawn(box=(0, 0, 2, 2), label="owl"), name="c", labels=("cat",)),
        ],
        CLASSES,
    )
    assert report.class_counts == (("cat", 2, (0,)), ("owl", 2, ()))
    assert [(p.kind, p.name, p.detail) for p in report.problems] == [
        ("same content", "a", "also c"),
        ("unmapped class", "owl", "2 images"),
    ]


def test_an_error_of_a_users_own_function_costs_one_image():
    def broken(size):
        raise ZeroDivisionError("oh")

    bad = Entry("x", PIXELS, annotate=broken)
    report = check_entries("it", [bad, entry(name="y", file=PIXELS[::-1].copy())], CLASSES)
    assert report.problems == (Problem("wrong annotation", "x", "ZeroDivisionError: oh"),)
    assert [image.is_usable for image in report.images] == [False, True]


@pytest.mark.parametrize("name", tiny_sets.WRITERS)
def test_tiny_sets_of_every_format_have_no_error(name, tmp_path):
    reader, options = tiny_sets.WRITERS[name](tmp_path)
    report = check_entries(name, reader(tmp_path, **options), ClassMap(n_classes=1000))
    assert report.exit_code() == 0, report.problems
    assert dataclasses.asdict(report)["source"] == name


def test_each_image_is_a_step():
    steps = []
    check_entries("it", [entry(name=n) for n in "abc"], CLASSES, step=lambda: steps.append(1))
    assert len(steps) == 3


def test_problems_come_first_and_the_rest_is_evenly_spread():
    entries = [entry(name=str(n)) for n in range(10)]
    chosen = choose(entries, {"7": "bad", "gone": "no image"}, 4)
    assert [each.name for each in chosen] == ["7", "0", "4", "9"]
    assert len(choose(entries, {}, 24)) == 10
    assert choose(entries[:1], {"0": "bad"}, 24) == entries[:1]
    assert len(choose(entries, {str(n): "" for n in range(10)}, 3)) == 3


def test_the_sheet_draws_boxes_and_masks_where_they_are():
    white = np.full((30, 60, 3), 255, np.uint8)
    mask = np.zeros((30, 60), bool)
    mask[10:20, 0:30] = True
    sheet = np.asarray(
        contact_sheet([entry(Drawn(box=(40, 0, 60, 30)), Drawn(mask=mask), file=white)])
    )
    # 60 pixels become TILE: times 5, and the tile begins behind a gap of 14
    tile = sheet[14:, 14:]
    assert tuple(tile[0, 200]) == COLOURS[0], "the box's upper left corner is (40, 0)"
    assert tuple(tile[75, 299]) == COLOURS[0]
    assert tuple(tile[75, 250]) == (255, 255, 255), "nothing within a box is tinted"


def test_the_sheet_names_the_objects_of_an_image_of_several_classes():
    white = np.full((30, 60, 3), 255, np.uint8)
    cat, dog = Drawn((10, 10, 20, 20), label="cat"), Drawn((40, 20, 60, 30), label="dog" * 99)

    def tile(*objects):
        return np.asarray(contact_sheet([entry(*objects, file=white)]))[14:, 14:]

    # 60 pixels become TILE: the boxes begin at (50, 50) and (200, 100), and a name stands in the 14
    # rows above
    assert tuple(tile(cat, dog)[38, 51]) == COLOURS[0]
    assert tuple(tile(cat, dog)[87, 20]) == COLOURS[1], "a long name begins further left and is cut"
    assert tuple(tile(cat, cat)[38, 51]) == (255, 255, 255), "the caption says it already"


def test_the_sheet_tints_masks_and_hatches_what_is_ignored():
    white = np.full((30, 60, 3), 255, np.uint8)
    mask, void = np.zeros((30, 60), bool), np.zeros((30, 60), bool)
    mask[10:20, 0:30], void[:, 50:] = True, True
    tile = np.asarray(contact_sheet([entry(Drawn(mask=mask), file=white, void=void)]))[14:, 14:]
    tint = tuple(np.rint(0.55 * 255 + 0.45 * np.array(COLOURS[0])).astype(int))
    assert tuple(tile[75, 75]) == tint
    assert tuple(tile[25, 75]) == (255, 255, 255)
    hatched = (tile[0:150, 250:300] == 0).all(axis=2).mean()
    assert 0.25 < hatched < 0.4


def test_the_sheet_shows_what_cannot_be_read():
    sheet = contact_sheet(
        [entry(name="bad", file=lambda: b""), entry(name="odd", size=(1, 1))],
        {"bad": "unreadable image: " + "x" * 400},
        called=str.upper,
    )
    assert sheet.width == 2 * (TILE + 14) + 14
    pixels = np.asarray(sheet)
    assert (pixels[20:100, 20:100] == 225).all()
    assert ((pixels[..., 0] > 150) & (pixels[..., 1] < 60)).any(), "the problem is written in red"
