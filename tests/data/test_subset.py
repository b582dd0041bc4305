"""Groups and subsets; every share is worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gradcam_eval.core import InputError, Sample, Truth
from gradcam_eval.data import Source, Subset
from gradcam_eval.data.annotation import Annotation, Drawn, Entry
from gradcam_eval.data.decode import picture_size
from gradcam_eval.data.groups import groups_of, size_class, union_area

SIZE = (10, 20)  # 200 pixels, the centre at x = 10, y = 5


def entry(name="a", labels=("cat",), objects=(), subset=""):
    pixels = np.zeros((*SIZE, 3), np.uint8)
    return Entry(name, pixels, labels, lambda size: Annotation(objects), subset)


def groups(labels=("cat",), *objects):
    found = entry(labels=labels, objects=objects)
    return dict(groups_of(found, found.annotate(SIZE), SIZE))


@pytest.mark.parametrize(
    ("boxes", "size", "hard"),
    [
        ([(0, 0, 4, 3)], "small", "yes"),  # 12/200 = 0.06 < 1/16
        ([(0, 0, 5, 2.5)], "medium", "yes"),  # 12.5/200 = 1/16
        ([(0, 0, 5, 10)], "large", "yes"),  # 50/200 = 1/4, and still at most 1/4
        ([(0, 0, 5.1, 10)], "large", "no"),
        ([(9, 4, 12, 6)], "small", "no"),  # over the centre
        ([(10, 5, 12, 6)], "small", "no"),  # the corner counts
        ([(8, 4, 10, 6)], "small", "yes"),  # half-open: it ends at the centre
        ([(0, 0, 4, 3), (1, 0, 5, 3)], "medium", "yes"),  # union 15/200 = 0.075, not 24/200
        ([(0, 0, 4, 3), (9, 4, 12, 6)], "medium", "no"),  # 12 + 6 = 18; one has the centre
        ([(-100, 0, 4, 3)], "small", "yes"),  # what lies outside the image does not count
    ],
)
def test_size_and_hard_by_the_union_of_the_boxes(boxes, size, hard):
    found = groups(("cat",), *(Drawn(box) for box in boxes))
    assert (found["size"], found["hard"]) == (size, hard)


def test_the_main_objects_are_those_of_the_first_label():
    cat, dog = Drawn((0, 0, 4, 3), label="cat"), Drawn((5, 0, 20, 10), label="dog")
    assert groups(("cat", "dog"), cat, dog)["size"] == "small"
    assert groups(("dog", "cat"), cat, dog)["size"] == "large"
    assert groups(("cow",), cat, dog)["size"] == "large"  # none shows it: all of them
    assert groups((), cat, dog) == {
        "subset": "", "class": "", "size": "large", "hard": "no", "difficult": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "box", "others", "difficult"),
    [
        (("cat",), (0, 0, 4, 12), ("dog",), "yes"),  # cut to 40 of 200 pixels, and a dog
        (("cat",), (0, 0, 4.9, 10), ("dog",), "yes"),  # 49/200 < 1/4
        (("cat",), (0, 0, 5, 10), ("dog",), "no"),  # 1/4 is not less than 1/4
        (("cat",), (8, 3, 12, 7), ("dog",), "yes"),  # over the centre
        (("cat",), (0, 0, 4, 3), (), "no"),  # nothing distracts
        (("cat",), (0, 0, 4, 3), ("cat",), "no"),
        (("cat", "dog"), (0, 0, 4, 3), (), "yes"),  # a dog is there, and not drawn
        ((), (0, 0, 4, 3), ("dog",), ""),  # of which class nobody knows
    ],
)
def test_difficult_is_small_beside_another_class(labels, box, others, difficult):
    drawn = [Drawn(box, label="cat"), *(Drawn((18, 0, 20, 2), label=name) for name in others)]
    assert groups(labels, *drawn)["difficult"] == difficult


def test_an_ignored_object_of_another_class_distracts():
    crowd = Drawn((15, 0, 20, 10), label="dog", is_ignored=True)
    assert groups(("cat",), Drawn((0, 0, 4, 3), label="cat"), crowd)["difficult"] == "yes"


def test_ignored_objects_do_not_count_and_without_objects_nothing_is_known():
    crowd = Drawn((0, 0, 20, 10), is_ignored=True)
    assert groups(("cat",), crowd, Drawn((0, 0, 4, 3)))["size"] == "small"
    assert groups(("cat",), crowd) == {
        "subset": "", "class": "cat", "size": "", "hard": "", "difficult": "",
    }  # fmt: skip


def test_the_limits_of_sizes():
    assert [size_class(s) for s in (0.0624, 1 / 16, 0.2499, 0.25)] == [
        "small", "medium", "medium", "large",
    ]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 11)] * 2, *[st.integers(1, 6)] * 2), min_size=1))
def test_the_union_equals_the_pixels_counted_one_by_one(corners):
    boxes = [(x, y, min(x + w, 12), min(y + h, 12)) for x, y, w, h in corners[:6]]
    grid = [[any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in boxes) for x in range(12)]
            for y in range(12)]  # fmt: skip
    assert union_area(np.array(boxes, float)) == np.sum(grid)


def source():
    small, large = (Drawn((0, 0, 4, 3)),), (Drawn((0, 0, 20, 10)),)
    return Source(
        "test",
        (
            entry("a", ("cat",), small, "train"),
            entry("b", ("dog",), small, "val"),
            entry("c", ("cat", "dog"), large, "val"),
            entry("d", ("dog",), (), "val"),
        ),
    )


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Subset(), "abcd"),
        (Subset(subset="val"), "bcd"),
        (Subset(classes=("cat",)), "ac"),
        (Subset(classes=("cat", "dog")), "abcd"),
        (Subset(sizes=("small",)), "ab"),
        (Subset(sizes=("small", "large")), "abc"),
        (Subset(hard=True), "ab"),
        (Subset(hard=False), "c"),  # of d nobody knows
        (Subset(subset="val", classes=("dog",), hard=True), "b"),
        (Subset(count=9), "abcd"),
        (Subset(difficult=False), "abc"),  # of d nobody knows
    ],
)
def test_subsets_keep_the_order_and_meet_all_that_is_given(wanted, names):
    assert source().select(wanted).names == list(names)


def test_difficult_ones_can_be_chosen():
    small = (Drawn((0, 0, 4, 3)),)
    made = Source("test", (entry("a", ("cat", "dog"), small), entry("b", ("cat",), small)))
    assert made.select(Subset(difficult=True)).names == ["a"]
    assert made.select(Subset(difficult=False, hard=True)).names == ["b"]


def test_what_the_data_set_has_not_is_refused_with_what_it_has():
    for wanted, words in (
        (Subset(subset="vall"), "unknown subset 'vall': did you mean 'val'.* Valid: train, val"),
        (Subset(classes=("cow",)), "unknown class of the data set 'cow'. Valid: cat, dog"),
        (Subset(sizes=("medium",)), "no image of test is in the subset"),
    ):
        with pytest.raises(InputError, match=words):
            source().select(wanted)
    with pytest.raises(InputError, match="count = 0"):
        Subset(count=0)


MANY = [entry(f"{n:03d}") for n in range(200)]


def test_a_count_is_chosen_by_the_seed_whatever_the_order():
    chosen = [e.name for e in Subset(count=20).chosen(MANY)]
    assert len(chosen) == 20
    assert chosen == sorted(chosen)
    assert {e.name for e in Subset(count=20).chosen(MANY[::-1])} == set(chosen)
    assert [e.name for e in Subset(count=20, seed=1).chosen(MANY)] != chosen
    assert set(chosen) <= {e.name for e in Subset(count=21).chosen(MANY)}
    # a few images that come or go change the choice by at most as many
    assert len(set(chosen) - {e.name for e in Subset(count=20).chosen(MANY[:-3])}) <= 3


def test_the_choice_is_the_same_on_every_machine():
    # by sha256 of "0\x1f" and the name in hex the order is c, d, b, a; of "1\x1f" c, b, a, d
    assert source().select(Subset(count=2)).names == ["c", "d"]
    assert source().select(Subset(count=3)).names == ["b", "c", "d"]
    assert source().select(Subset(count=3, seed=1)).names == ["a", "b", "c"]


def test_a_count_is_taken_from_those_that_fit():
    assert source().select(Subset(count=2, hard=True)).names == ["a", "b"]


def test_no_more_annotations_are_read_than_the_count_needs():
    read = []

    def annotate(size):
        read.append(size)
        return Annotation((Drawn((0, 0, 4, 3)),))

    pixels = np.zeros((*SIZE, 3), np.uint8)
    many = [Entry(str(n), pixels, annotate=annotate) for n in range(50)]
    assert len(Subset(count=3, hard=True).chosen(many)) == 3
    assert read == [SIZE] * 3


def test_an_image_that_cannot_be_read_stays_and_its_row_will_say_why(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    bad = Entry("bad", tmp_path / "bad.png", ("cat",))
    assert Source("test", (bad, *source().entries)).select(Subset(hard=True)).names == [
        "bad", "a", "b",
    ]  # fmt: skip


def test_ready_samples_have_no_subsets():
    image = np.zeros((*SIZE, 3), np.float32)
    sample = Sample("0", "s", image, (), Truth(SIZE), Truth(SIZE))
    with pytest.raises(InputError, match="made already have no subsets"):
        Source("test", (sample,)).select(Subset(subset="val"))
    assert Source("test", (sample,)).select(Subset(count=1)).entries == (sample,)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_in_the_header_is_that_of_the_upright_picture(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    Image.new("RGB", (16, 12)).save(path, exif=exif)
    from gradcam_eval.data.decode import decode

    picture = decode(path, name="a")
    assert picture_size(path) == (picture.height, picture.width)
    assert picture_size(path) == ((12, 16) if orientation < 5 else (16, 12))


def test_a_file_without_a_header_has_no_size(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(InputError, match="is not an image"):
        picture_size(tmp_path / "a.png")
