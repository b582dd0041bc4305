"""Samples, entries and tensors that are in memory already."""

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcam_eval.core import BadSample, InputError, Sample, Truth
from gradcam_eval.data import ClassMap, Entry, entries_from_dataset, load_samples, open_source

SIZE = (6, 8)
PIXELS = np.random.default_rng(0).integers(2, 256, (*SIZE, 3), dtype=np.uint8)
CLASSES = ClassMap(("cat", "dog", "owl"))


class Tensor:
    """Has values, and gives them away only through `.numpy()`, as an eager tensor does."""

    def __init__(self, value):
        self.value = value

    def numpy(self):
        return np.asarray(self.value) if not isinstance(self.value, bytes) else self.value


class Tensors(list):
    element_spec = "anything"


def sample(name="a", image=None, labels=(1,)):
    image = PIXELS.astype(np.float32) if image is None else image
    return Sample("0" * 16, name, image, labels, Truth(SIZE), Truth(SIZE))


def test_samples_and_entries_pass_through():
    given = sample()
    found = load_samples([given, Entry("b", PIXELS, ("dog",))], SIZE, classes=CLASSES)
    assert found[0] is given
    assert (found[1].name, found[1].labels) == ("b", (1,))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (sample(image=np.zeros((5, 5, 3), np.float32)), "shape (5, 5, 3) and the model takes"),
        (sample(image=PIXELS), "is uint8 of shape"),
        (sample(labels=(3,)), "label 3 is outside the model's 3 classes"),
        (sample(labels=(-1,)), "label -1 is outside"),
    ],
)
def test_a_sample_that_the_model_cannot_take_is_a_row(bad, reason):
    (found,) = load_samples([bad], SIZE, classes=CLASSES)
    assert isinstance(found, BadSample)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "data has no sample"),
        ([PIXELS], "data has a ndarray: wanted `Sample`s"),
        (3, "data is int: wanted a path"),
        ([sample(), sample()], r"two images of \(in memory\) are called 'a'"),
    ],
)
def test_what_are_no_samples_is_refused(data, words):
    with pytest.raises(InputError, match=words):
        open_source(data)


def test_tensors_become_samples():
    mask = np.zeros((*SIZE, 1), bool)
    mask[1:3, 2:5] = True
    data = Tensors([
        (Tensor(PIXELS), Tensor(2)),
        (Tensor(PIXELS.astype(np.float32)), Tensor([0.0, 1.0, 0.0])),
        (Tensor(PIXELS), Tensor(0), Tensor([[1.0, 1.0, 3.0, 4.0]])),
        {"image": Tensor(PIXELS), "label": Tensor(b"owl"), "mask": Tensor(mask)},
        (Tensor(PIXELS[..., :1]), Tensor(-1)),
        {"image": Tensor(PIXELS), "label": Tensor([1, 0, 1]), "boxes": np.zeros((0, 4))},
    ])  # fmt: skip
    found = load_samples(data, SIZE, classes=CLASSES)
    assert [s.name for s in found] == [f"{n:06d}" for n in range(6)]
    assert [s.labels for s in found] == [(2,), (1,), (0,), (2,), (), (0, 2)]
    assert all(np.array_equal(s.image, PIXELS) for s in found if s.name != "000004")
    assert np.array_equal(found[4].image, PIXELS[..., :1].repeat(3, axis=2))
    assert found[2].truth.boxes.tolist() == [[1, 1, 3, 4]]
    assert found[3].truth.boxes.tolist() == [[2, 1, 5, 3]]
    assert np.array_equal(found[3].truth.mask, mask[..., 0])


def test_they_are_taken_one_by_one():
    taken = []
    entries = entries_from_dataset(taken.append(n) or (PIXELS, n) for n in range(5))
    assert next(entries).name == "000000"
    assert taken == [0]


class Endless:
    """A data set of tensors that repeats for ever, and says so."""

    element_spec = "anything"

    def __init__(self, cardinality):
        self.taken, self._cardinality = 0, cardinality

    def cardinality(self):
        return self._cardinality

    def __len__(self):
        raise TypeError("The dataset is infinite.")

    def __iter__(self):
        while True:
            self.taken += 1
            yield PIXELS, self.taken % 3


@pytest.mark.parametrize("cardinality", [-1, -2])  # endless, unknown
def test_data_that_may_never_end_needs_a_count(cardinality):
    data = Endless(cardinality)
    with pytest.raises(InputError, match=r"may never end: say how many to take with count=…"):
        open_source(data)
    assert data.taken == 0
    found = open_source(data, count=5)
    assert [len(found.names), data.taken] == [5, 5]
    if cardinality == -1:
        with pytest.raises(InputError, match="may never end"):
            entries_from_dataset(data)
    assert next(iter(entries_from_dataset(data, count=1))).labels == ("0",)


def test_a_generator_needs_a_count_and_a_list_does_not():
    with pytest.raises(InputError, match=r"may never end"):
        open_source(sample(str(n)) for n in itertools.count())
    endless = (sample(str(n)) for n in itertools.count())
    assert open_source(endless, count=3).names == ["0", "1", "2"]
    assert next(endless).name == "3", "no more was taken than was wanted"
    assert open_source(iter([sample()]), count=10).names == ["a"]
    assert open_source([sample("a"), sample("b")], count=1).names == ["a"]
    assert open_source(entries_from_dataset([(PIXELS, 0)])).names == ["000000"], "of a list"
    with pytest.raises(InputError, match="may never end"):
        open_source(entries_from_dataset((PIXELS, n) for n in itertools.count()))
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(InputError, match=rf"count = {wrong}: wanted a number of images"):
            open_source([sample()], count=wrong)


def test_a_repeated_dataset_of_tensorflow_is_seen_to_be_endless():
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices((pictures(2), [0, 1]))
    with pytest.raises(InputError, match="may never end"):
        open_source(data.repeat())
    assert len(open_source(data.repeat().take(5)).names) == 5
    unknown = data.filter(lambda image, label: label > 0)
    with pytest.raises(InputError, match="may never end"):
        open_source(unknown)
    assert open_source(unknown, count=100).entries[0].labels == ("1",)
    assert len(open_source(data.batch(2).repeat(), count=3).names) == 3


def test_images_in_0_to_1_need_their_scale():
    share = PIXELS / 255
    with pytest.raises(InputError, match=r"element 0 .*: the values of its image run .*values="):
        list(entries_from_dataset([(share, 0)]))
    (found,) = entries_from_dataset([(share, 0)], values=(0, 1))
    assert np.array_equal(found.file, PIXELS)


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ((PIXELS[None], 0), r"it is a batch of 1 images with a label of shape \(\)"),
        ((PIXELS[None], [0, 1]), r"it is a batch of 1 images with a label of shape \(2,\)"),
        ((PIXELS[None, None], [0]), r"its image is uint8 of shape \(1, 1, 6, 8, 3\)"),
        ((PIXELS.astype(float) + 10, 0), "the values of its image run from"),
        (
            (np.full((*SIZE, 3), np.nan), 0),
            "its image have values that are not finite",
        ),
        ((PIXELS, 1.5), "its label is float64 of shape"),
        ((PIXELS, [3, 4]), "its label is int64 of shape"),
        ((PIXELS, 0, np.zeros((5, 5))), r"its mask is float64 and has the shape \(5, 5\)"),
        ({"label": 0}, "it has no 'image'"),
        (
            {"image": PIXELS, "boxes": np.zeros((2, 5))},
            r"its boxes are float64 and have the shape \(2, 5\)",
        ),
        ({"image": PIXELS, "boxes": np.zeros((0, 4)), "mask": PIXELS[..., 0]}, "boxes and a mask"),
        ((np.zeros((7, 4, 3), np.uint8), 0, np.zeros((7, 4))), "may be boxes or a mask"),
    ],
)
def test_other_elements_are_refused_with_their_number(element, words):
    with pytest.raises(InputError, match=f"element 1 of the data set: .*{words}"):
        list(entries_from_dataset([(PIXELS, 0), element]))


def pictures(count):
    return np.random.default_rng(1).integers(2, 256, (count, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("batch", [None, 1, 2, 3, 8])
def test_a_real_dataset_of_tensorflow_is_read_in_batches_of_any_size(batch):
    tf = pytest.importorskip("tensorflow")
    given, boxes = pictures(3), np.float32([[[1, 1, 4, 5]]]).repeat(3, 0).repeat(2, 1)
    boxes[:, 1] += np.arange(3)[:, None]
    data = tf.data.Dataset.from_tensor_slices((given, [0, 1, 2], boxes))
    data = data if batch is None else data.batch(batch)
    found = load_samples(data, SIZE, classes=CLASSES)
    assert [s.name for s in found] == ["000000", "000001", "000002"]
    assert [s.labels for s in found] == [(0,), (1,), (2,)]
    assert all(np.array_equal(s.image, image) for s, image in zip(found, given, strict=True))
    assert found[2].truth.boxes.tolist() == [[1, 1, 4, 5], [3, 3, 6, 6]]


def test_batches_of_one_hot_labels_names_and_masks_are_taken_apart():
    given, masks = pictures(2), np.zeros((2, *SIZE, 1), bool)
    masks[0, 1:3, 2:5] = masks[1, 0, 0] = True
    data = Tensors([
        (Tensor(given), Tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), Tensor(masks)),
        {"image": Tensor(given), "label": Tensor(np.array([b"dog", b"cat"], object))},
        Tensor(given),
    ])  # fmt: skip
    found = load_samples(data, SIZE, classes=CLASSES)
    assert [s.labels for s in found] == [(2,), (0,), (1,), (0,), (), ()]
    assert np.array_equal(found[0].truth.mask, masks[0, ..., 0])
    assert found[1].truth.boxes.tolist() == [[0, 0, 1, 1]]


def test_boxes_of_different_number_come_as_ragged_tensors():
    tf = pytest.importorskip("tensorflow")
    boxes = tf.ragged.constant([[[1, 1, 3, 4]], [[0, 0, 2, 2], [2, 2, 5, 5]]], ragged_rank=1)
    data = tf.data.Dataset.from_tensor_slices({"image": pictures(2), "boxes": boxes}).batch(2)
    found = load_samples(data, SIZE, classes=CLASSES)
    assert [s.truth.boxes.tolist() for s in found] == [
        [[1, 1, 3, 4]], [[0, 0, 2, 2], [2, 2, 5, 5]],
    ]  # fmt: skip


def test_a_batch_is_held_no_longer_than_it_is_read():
    taken = []
    entries = entries_from_dataset(taken.append(n) or (pictures(2), [n, n]) for n in range(5))
    assert [next(entries).name for _ in range(3)] == ["000000", "000001", "000002"]
    assert taken == [0, 1]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_arrays_of_any_kind_are_read_or_refused(data):
    """Whatever the parts of an element are: an entry that reads as a sample, or InputError."""
    shapes = st.lists(st.integers(0, 4), max_size=5).map(tuple)
    kinds = st.sampled_from(
        ["uint8", "float32", "int64", "bool", "complex64", "S3", "U3", "object"]
    )
    array = st.builds(lambda shape, kind: np.zeros(shape, kind), shapes, kinds)
    part = array | st.text(max_size=3) | st.none() | st.floats()
    element = data.draw(
        st.lists(part, max_size=4).map(tuple)
        | st.dictionaries(st.sampled_from(["image", "label", "boxes", "mask", "x"]), part)
        | st.tuples(st.just(PIXELS), part, part)
    )
    with contextlib.suppress(InputError):
        for entry in entries_from_dataset([element]):
            (found,) = load_samples([entry], SIZE, classes=CLASSES)
            assert isinstance(found, Sample) or found.reason
