"""Folders, single files and names: everything that `load_samples` accepts."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from gradcam_eval.core import BadSample, InputError
from gradcam_eval.data import (
    DATASETS,
    ClassMap,
    iter_samples,
    load_samples,
    open_source,
    sample_names,
)
from gradcam_eval.data import opening as module

SIZE = (8, 10)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden.png", ".cache/d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 12), (10, 20, 30)).save(path)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "looks.png").mkdir()
    return tmp_path


def test_a_folder_is_read_recursively_in_order_without_hidden_files(folder):
    assert sample_names(folder) == ["a.JPG", "b.png", "broken.png", "sub/c.webp"]
    assert [sample.name for sample in load_samples(folder, SIZE)] == sample_names(folder)


def test_samples_of_a_folder_have_neither_labels_nor_truth(folder):
    sample = next(s for s in load_samples(str(folder), SIZE) if s.name == "b.png")
    assert sample.image.shape == (*SIZE, 3)
    assert sample.image[0, 0].tolist() == [10, 20, 30]
    assert sample.labels == ()
    assert not sample.truth.is_known
    assert sample.truth.size == SIZE
    assert sample.original_truth.size == (12, 20)
    assert sample.id == hashlib.sha256((folder / "b.png").read_bytes()).hexdigest()[:16]


def test_a_broken_file_becomes_a_bad_sample_and_ends_nothing(folder):
    got = {sample.name: sample for sample in load_samples(folder, SIZE)}
    assert isinstance(got["broken.png"], BadSample)
    assert str(folder / "broken.png") in got["broken.png"].reason
    assert [name for name, s in got.items() if isinstance(s, BadSample)] == ["broken.png"]


def test_a_link_to_nowhere_is_a_bad_sample_and_not_left_out(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "here.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "folder.png").mkdir()
    gone, here = load_samples(tmp_path, SIZE)
    assert isinstance(gone, BadSample)
    assert "there is no file" in gone.reason
    assert here.name == "here.png"


def test_a_single_file_is_a_data_set_of_one(folder):
    (sample,) = load_samples(folder / "b.png", SIZE)
    assert sample.name == "b.png"
    assert sample_names(folder / "b.png") == ["b.png"]
    hidden = load_samples(folder / ".hidden.png", SIZE)  # asked for by name
    assert [found.name for found in hidden] == [".hidden.png"]


def test_names_choose_samples(folder):
    source = open_source(folder)
    got = load_samples(source.named(["sub/c.webp", "a.JPG"]), SIZE)
    assert [sample.name for sample in got] == ["a.JPG", "sub/c.webp"]
    with pytest.raises(InputError, match=r"unknown image 'sub/c\.web': did you mean 'sub/c\.webp'"):
        source.named(["sub/c.web"])


def test_samples_are_decoded_one_at_a_time(folder, monkeypatch):
    read = []
    real = module.decode_file
    monkeypatch.setattr(
        module, "decode_file", lambda *a, **k: read.append(k["name"]) or real(*a, **k)
    )
    samples = iter_samples(folder, SIZE)
    assert len(sample_names(folder)) == 4
    assert read == []
    next(samples)
    assert read == [str(folder / "a.JPG")]


@pytest.fixture
def classes(tmp_path):
    for name in ("val/n02/a.png", "val/n01/x/b.png", "train/n01/c.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 12)).save(path)
    return tmp_path


def test_a_folder_of_class_folders_gives_labels(classes):
    source = open_source(classes / "val", format="class_folders")
    assert source.names == ["n01/x/b.png", "n02/a.png"]
    assert source.labels == ["n01", "n02"]
    mapped = load_samples(source, SIZE, classes=ClassMap(("cat", "dog"), ("n01", "n02")))
    assert [sample.labels for sample in mapped] == [(0,), (1,)]
    assert [sample.labels for sample in load_samples(source, SIZE)] == [(), ()]
    split = open_source(classes, format="class_folders", options={"split": "train"})
    assert [dict(s.groups)["subset"] for s in load_samples(split, SIZE)] == ["train"]
    assert split.names == ["n01/c.png"]


def test_class_folders_that_are_none_are_refused(classes):
    with pytest.raises(InputError, match=r"there is no folder .*test: give the folder that holds"):
        open_source(classes, format="class_folders", options={"split": "test"})
    with pytest.raises(InputError, match="no path inside"):
        open_source(classes / "val", format="class_folders", options={"split": "../train"})
    Image.new("RGB", (20, 12)).save(classes / "val" / "loose.png")
    with pytest.raises(InputError, match=r"the image loose\.png of .* lies in no class folder"):
        open_source(classes / "val", format="class_folders")


def test_a_format_takes_its_own_options_alone(folder):
    with pytest.raises(InputError, match="format 'folder' takes no split; it takes no options"):
        open_source(folder, format="folder", options={"split": "val"})
    with pytest.raises(InputError, match="unknown format 'foldr': did you mean 'folder'"):
        open_source(folder, format="foldr")
    with pytest.raises(InputError, match="the data set 'photos' takes no annotations"):
        open_source("photos", options={"annotations": folder})


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"has no image that is read: give one with \.apng"):
        sample_names(tmp_path)
    with pytest.raises(InputError, match="has no image"):
        load_samples(tmp_path, SIZE)


@pytest.mark.parametrize("source", ["photo", "/no/such/folder", "x" * 5000])
def test_an_unknown_source_lists_the_data_sets(source):
    with pytest.raises(InputError, match=r"unknown data set, folder or image .* Valid: photos"):
        load_samples(source, SIZE)
    with pytest.raises(InputError, match="unknown data set"):
        sample_names(source)


def test_a_registered_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "mine.png")
    monkeypatch.chdir(tmp_path)
    assert "chelsea" in sample_names("photos")
    assert sample_names("./photos") == ["mine.png"]


@pytest.mark.parametrize("name", DATASETS)
def test_every_registered_set_keeps_its_promises(name):
    names = sample_names(name)
    assert DATASETS[name].description
    assert len(set(names)) == len(names) > 0
    (sample,) = load_samples(open_source(name).named(names[:1]), (16, 24))
    assert sample.name == names[0]
    assert sample.image.shape == (16, 24, 3)
    assert sample.image.dtype == np.float32
    assert sample.truth.size == (16, 24)
