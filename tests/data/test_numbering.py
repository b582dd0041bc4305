"""What labels that are numbers mean: every rule, and what is refused with how to say it."""

import numpy as np
import pytest
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.data import ClassMap, load_samples, open_source
from gradcam_eval.data.numbering import with_numbering


def of(count_or_names):
    is_count = isinstance(count_or_names, int | None)
    return ClassMap(n_classes=count_or_names) if is_count else ClassMap(tuple(count_or_names))


NAMES = [str(n) for n in range(11)]
PADDED = [f"{n:02d}" for n in range(11)]


@pytest.mark.parametrize(
    ("model", "folders", "indices"),
    [
        (3, ["1", "2", "3"], [0, 1, 2]),  # the example of the issue
        (3, ["0", "1", "2"], [0, 1, 2]),  # both readings agree
        (3, ["01", "02", "03"], [0, 1, 2]),
        (11, PADDED, list(range(11))),
        (3, ["7", "8", "9"], [0, 1, 2]),
        (2, ["dog", "cat"], [1, 0]),  # sorted, as Keras sorts them
        (2, ["cat", "Dog"], [1, 0]),  # capital letters first
        (3, ["0", "1", "cat"], [0, 1, 2]),
        (["x", "y", "z"], ["1", "2", "3"], [0, 1, 2]),
        (["1", "2", "3"], ["1", "2", "3"], [0, 1, 2]),  # the model's own names
        (["3", "2", "1"], ["1", "2", "3"], [2, 1, 0]),
        (["a", "b"], ["cat", "dog"], [None, None]),  # the model has names, and not these
        (10, ["3", "7"], [3, 7]),  # some of the classes, and a gap
        (2, ["1"], [1]),
        (2, ["cat"], [None]),
        (None, ["5", "3"], [5, 3]),
    ],
)
def test_class_folders_mean_what_keras_would_train_with(model, folders, indices):
    found = with_numbering(of(model), folders, kind="folders")
    assert [found.index(name) for name in folders] == indices


@pytest.mark.parametrize(
    ("model", "labels", "folders", "words"),
    [
        (11, NAMES, True, r"0, 1, 10, 2, .*'order' .* or 'from_0'"),  # text sorts 10 before 2
        (1000, ["1", "2", "3"], True, "'from_1' .* or 'from_0'"),
        (3, ["1", "2"], True, "classes are 0 to 2: .*'from_1' .* or 'from_0'"),
        (3, ["2", "3"], True, r"'from_1' \(1 is the model's class 0\), or with a class_map"),
        (3, ["3", "1", "2"], False, r"'from_1' \(1 is the model's class 0\), or with a class_map"),
        (200, ["200", "7"], False, "'from_1' "),
        (10, ["1", "2", "3"], False, "'from_1' .* or 'from_0'"),
        (None, ["1", "2"], False, "1, 2: say how"),
    ],
)
def test_an_ambiguous_numbering_is_refused_with_how_to_say_it(model, labels, folders, words):
    with pytest.raises(InputError, match=f"classes are numbered .*{words}"):
        with_numbering(of(model), labels, kind="folders" if folders else "list")


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (3, ["0", "2", "1"]),
        (3, ["2"]),
        (10, ["3", "7"]),
        (2, ["1"]),
        (3, ["9", "1"]),  # 9 is no class whatever the first number is: it is said of its image
        (["1", "2", "3"], ["1", "2", "3"]),
        (3, ["1", "2", "cat"]),
        (3, []),
    ],
)
def test_a_list_in_order_is_left_alone(model, labels):
    assert with_numbering(of(model), labels) == of(model)


def test_a_numbering_that_is_said_is_taken():
    from_1 = with_numbering(of(3), ["1", "2", "3"], numbering="from_1")
    assert [from_1.index(name) for name in "123"] == [0, 1, 2]
    with pytest.raises(InputError, match="label 0 is outside the model's 3 classes: valid is 1 to"):
        from_1.index("0")
    order = with_numbering(of(11), NAMES, kind="folders", numbering="order")
    assert [order.index(name) for name in ("0", "10", "2", "9")] == [0, 2, 3, 10]
    assert "as in image_dataset_from_directory: 0 = 0, 1 = 1, 10 = 2, 2 = 3" in order.note
    from_0 = with_numbering(of(11), NAMES, kind="folders", numbering="from_0")
    assert from_0.index("10") == 10
    # an explicit map wins, and names win over numbers
    known = ClassMap(("1", "b", "c"), explicit={"2": 0})
    found = with_numbering(known, ["1", "2", "3"], numbering="from_1")
    assert [found.index(name) for name in "123"] == [0, 0, 2]


@pytest.mark.parametrize(
    ("numbering", "labels", "folders", "words"),
    [
        ("order", ["1", "2", "3"], False, "is for class folders"),
        ("order", ["1", "2"], True, "needs a folder for each of the model's 3 classes"),
        ("form_1", ["1"], False, "unknown numbering 'form_1': did you mean 'from_1'"),
    ],
)
def test_a_numbering_that_cannot_be_is_refused(numbering, labels, folders, words):
    with pytest.raises(InputError, match=words):
        with_numbering(of(3), labels, kind="folders" if folders else "list", numbering=numbering)


@pytest.fixture
def folders(tmp_path):
    """Folders 1, 2 and 3, of which 2 is empty, as Keras counts it, and one that is hidden."""
    for name in ("1", "2", "3", ".hidden"):
        (tmp_path / name).mkdir()
    for n, name in enumerate(("1/a.png", "3/b.png", "3/c.jfif")):
        pixels = np.full((6, 8, 3), n, np.uint8)
        Image.fromarray(pixels).save(tmp_path / name, format="PNG")
    (tmp_path / "1" / "d.heic").write_bytes(b"x")
    (tmp_path / "3" / "e.tga").write_bytes(b"x")
    (tmp_path / "3" / "notes.txt").write_bytes(b"x")
    return tmp_path


def test_folders_on_disk_are_counted_with_the_empty_ones(folders):
    source = open_source(folders, format="class_folders")
    assert source.classes == ("1", "2", "3")
    assert source.skipped == ("1/d.heic", "3/e.tga")
    found = load_samples(source, (6, 8), classes=ClassMap(n_classes=3))
    assert [(each.name, each.labels) for each in found] == [
        ("1/a.png", (0,)), ("3/b.png", (2,)), ("3/c.jfif", (2,)),
    ]  # fmt: skip
    # whatever images are chosen, all folders count
    one = load_samples(source.named(["3/b.png"]), (6, 8), classes=ClassMap(n_classes=3))
    assert one[0].labels == (2,)


def test_keras_reads_the_same_folders_in_the_same_order(folders):
    keras = pytest.importorskip("keras")
    data = keras.utils.image_dataset_from_directory(folders, image_size=(6, 8), verbose=False)
    assert tuple(data.class_names) == open_source(folders, format="class_folders").classes


def test_the_numbering_can_be_given_where_the_data_is_opened(folders):
    source = open_source(folders, format="class_folders", numbering="from_1")
    found = load_samples(source, (6, 8), classes=ClassMap(n_classes=1000))
    assert [each.labels for each in found] == [(0,), (2,), (2,)]
    with pytest.raises(InputError, match="are numbered 1, 2, 3"):
        load_samples(folders, (6, 8), format="class_folders", classes=ClassMap(n_classes=1000))
    with pytest.raises(InputError, match="unknown numbering 'x'"):
        open_source(folders, numbering="x")


def test_labels_in_memory_are_indices():
    from gradcam_eval.data import Entry

    pixels = np.zeros((6, 8, 3), np.uint8)
    entries = [Entry(str(n), pixels, (str(n),)) for n in (1, 2)]
    found = load_samples(entries, (6, 8), classes=ClassMap(n_classes=5))
    assert [each.labels for each in found] == [(1,), (2,)]
    with pytest.raises(InputError, match="numbered 1, 2, and the model's classes are 0 to 1"):
        load_samples(entries, (6, 8), classes=ClassMap(n_classes=2))
    with pytest.raises(InputError, match="numbered 2, "):
        load_samples(entries[1:], (6, 8), classes=ClassMap(n_classes=2))
