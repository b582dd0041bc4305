"""Folders, single files and names: everything that `load_samples` accepts."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from gradcam_eval.core import BadSample, InputError
from gradcam_eval.data import (
    DATASETS,
    iter_samples,
    load_samples,
    open_source,
    sample_names,
)
from gradcam_eval.data import pipeline as module

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
    real = module.decode
    monkeypatch.setattr(module, "decode", lambda *a, **k: read.append(k["name"]) or real(*a, **k))
    samples = iter_samples(folder, SIZE)
    assert len(sample_names(folder)) == 4
    assert read == []
    next(samples)
    assert read == [str(folder / "a.JPG")]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"has no image: give one with \.bmp"):
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
