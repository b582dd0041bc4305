from pathlib import Path

import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.models.classes import (
    class_names_from,
    imagenet_classes,
    resolve_class,
    synsets_from,
)

NAMES = tuple(c.name for c in imagenet_classes())
SYNSETS = tuple(c.synset for c in imagenet_classes())


def test_the_table_is_complete_and_in_order():
    assert [c.index for c in imagenet_classes()] == list(range(1000))
    assert len(set(SYNSETS)) == len(set(NAMES)) == 1000
    assert list(SYNSETS) == sorted(SYNSETS)  # the order of ILSVRC is alphabetical


@pytest.mark.parametrize(
    ("index", "synset", "name"),
    [
        (0, "n01440764", "tench"),
        (285, "n02124075", "Egyptian cat"),
        (652, "n03763968", "military uniform"),
        (665, "n03785016", "moped"),
        (872, "n04485082", "tripod"),
        (967, "n07920052", "espresso"),
        (999, "n15075141", "toilet tissue"),
    ],
)
def test_well_known_classes_by_each_way_of_asking(index, synset, name):
    assert (SYNSETS[index], NAMES[index]) == (synset, name)
    for wanted in (index, str(index), np.int64(index), synset, name, name.upper(), f" {name} "):
        assert resolve_class(wanted, NAMES, SYNSETS) == index
    assert resolve_class(name.replace(" ", "_"), NAMES, SYNSETS) == index


def test_every_name_but_the_four_ambiguous_ones_leads_to_its_class():
    refused = []
    for index, name in enumerate(NAMES):
        try:
            assert resolve_class(name, NAMES, SYNSETS) == index
        except InputError:
            refused.append(index)
    assert refused == [264, 474, 517, 638]


@pytest.mark.parametrize(
    ("wanted", "indices"),
    [
        ("crane", r"134 \(crane bird\), 517 \(crane\)"),
        ("maillot", r"638 \(maillot\), 639 \(maillot tank suit\)"),
        ("cardigan", r"264 \(Cardigan\), 474 \(cardigan\)"),
    ],
)
def test_ambiguous_names_are_refused_with_their_indices(wanted, indices):
    with pytest.raises(InputError, match=f"ambiguous.*{indices}"):
        resolve_class(wanted, NAMES, SYNSETS)


def test_a_number_may_be_a_name_at_another_position():
    assert resolve_class("1", ("0", "1", "2")) == 1
    assert resolve_class("1", ("1", "2", "3")) == 0  # names come before indices
    assert resolve_class("0", ("1", "2", "3")) == 0
    assert resolve_class("1", ("1",)) == 0  # there is no index 1
    assert resolve_class(1, ("1", "2", "3")) == 1


@pytest.mark.parametrize("wanted", [1000, "1000", -1, "-1"])
def test_index_out_of_range(wanted):
    with pytest.raises(InputError, match="out of range: valid is 0 to 999"):
        resolve_class(wanted, NAMES, SYNSETS)


def test_unknown_names_come_with_near_ones():
    with pytest.raises(InputError, match=r"did you mean 'Egyptian cat'.*from 0 to 999"):
        resolve_class("egiptian cat", NAMES, SYNSETS)
    with pytest.raises(InputError, match="unknown class ''"):
        resolve_class("", NAMES, SYNSETS)


def test_a_model_without_names_takes_an_index_only():
    assert resolve_class("3", (), n_classes=4) == 3
    assert resolve_class(7, ()) == 7
    with pytest.raises(InputError, match="valid is 0 to 3"):
        resolve_class(4, (), n_classes=4)
    with pytest.raises(InputError, match="no class names, so give an index from 0 to 3"):
        resolve_class("cat", (), n_classes=4)


@pytest.mark.parametrize("wanted", [True, 1.5, None])
def test_what_is_no_class_at_all(wanted):
    with pytest.raises(InputError, match="an index, a name or a synset"):
        resolve_class(wanted, NAMES)


def test_names_from_a_text_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffcat\r\n dog, big \r\nkäse\r\n\r\n".encode())
    assert class_names_from(path) == ("cat", "dog, big", "käse")


def test_names_from_a_table(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text('index,name\n0,cat\n1,"dog, big"\n')
    assert class_names_from(path) == ("cat", "dog, big")
    path.write_text("cat\ndog\n")
    assert class_names_from(path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "no names or an empty one"),
        ("a.txt", b"cat\n\ndog\n", "no names or an empty one"),
        ("a.txt", b"\xff\xfe\x00", "UTF-8"),
        ("a.csv", b"index,name\n1,cat\n0,dog\n", "row 0 .* has the index '1'"),
        ("a.csv", b"index,name\n0\n", "no names or an empty one"),
    ],
)
def test_files_that_hold_no_names(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        class_names_from(tmp_path / name)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        class_names_from(tmp_path / "none.txt")


def test_imagenet_is_no_file_of_class_names():
    assert class_names_from("imagenet") == NAMES
    assert synsets_from(Path("imagenet")) == SYNSETS
    assert synsets_from("other.txt") == synsets_from(None) == ()
