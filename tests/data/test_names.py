"""A name, label or credit that UTF-8 cannot write: one row with a reason, for every reader."""

import json
import os
from pathlib import Path

import pytest
import tiny_sets

from gradcam_eval.core import BadSample, InputError, ReadError, Sample
from gradcam_eval.data import ClassMap, Entry, load_samples, open_source
from gradcam_eval.data.check import check_entries
from gradcam_eval.data.readers import list_entries

BAD = os.fsdecode(b"caf\xe9")
SHOWN = r"caf\xe9"


def jsonl(root, *images):
    tiny_sets.photo(root / "a.png")
    lines = [
        json.dumps({"file": "a.png", "name": f"good {n}"} | each) for n, each in enumerate(images)
    ]
    (root / "list.jsonl").write_text("\n".join([*lines, '{"file": "a.png"}']))
    return "jsonl", root / "list.jsonl", {}


def folder(root):
    tiny_sets.photo(root / "a.png")
    tiny_sets.photo(root / f"{BAD}.png")
    return "folder", root, {}


def class_folders(root):
    tiny_sets.photo(root / "cat/a.png")
    tiny_sets.photo(root / BAD / "a.png")
    return "class_folders", root, {}


def imagenet(root):
    tiny_sets.photo(root / "n01440764/a.png")
    tiny_sets.photo(root / f"n01440764/{BAD}.png")
    return "imagenet", root, {}


def voc(root):
    tiny_sets.photo(root / "JPEGImages/a.jpg")
    (root / "Annotations").mkdir()
    for name in ("a", BAD):
        (root / f"Annotations/{name}.xml").write_text("<annotation></annotation>")
    return "voc", root, {}


def coco(root):
    tiny_sets.photo(root / "a.png")
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": f"{BAD}.png"}]
    images += [{"id": 3, "file_name": "b.png", "flickr_url": "\ud800"}]
    images += [{"id": 4, "file_name": "c.png", "license": 1}]
    content = {"images": images, "annotations": [], "categories": []}
    content |= {"licenses": [{"id": 1, "name": "\ud800"}]}
    (root / "boxes.json").write_text(json.dumps(content))
    return "coco", root, {"annotations": str(root / "boxes.json")}  # a text where a path is meant


@pytest.mark.parametrize("write", [folder, class_folders, imagenet, voc, coco])
def test_every_reader_keeps_the_good_images_and_says_what_is_wrong_with_the_others(tmp_path, write):
    format, path, options = write(tmp_path)
    source = open_source(path, format=format, options=options)
    found = load_samples(source, (4, 4))
    good = [each for each in found if isinstance(each, Sample)]
    bad = [each for each in found if isinstance(each, BadSample)]
    assert len(good) == 1
    assert bad
    assert all("cannot be kept as UTF-8 text" in each.reason for each in bad)
    assert any(SHOWN in each.name or SHOWN in each.reason for each in bad)
    for each in found:
        (each.name + (each.reason if each in bad else "")).encode()


@pytest.mark.parametrize("field", ["name", "credit", "subset", "licence", "labels", "file"])
@pytest.mark.parametrize("text", ["\ud800", "a\udce9", "a\0b"])
def test_any_text_of_a_list_is_checked(tmp_path, field, text):
    value = [text] if field == "labels" else text
    if (field, text) == ("file", "a\0b"):
        return  # no path at all: such a list is refused, see test_manifest
    format, path, _ = jsonl(tmp_path, {field: value})
    entries = list_entries(format, path, {})
    report = check_entries("it", entries, ClassMap())
    assert [(each.kind, each.severity) for each in report.problems[:1]] == [
        ("unusable text", "error")
    ]
    assert "cannot be kept as UTF-8 text" in report.problems[0].detail
    assert [isinstance(each, Sample) for each in load_samples(path, (4, 4))] == [False, True]


def test_a_field_that_is_no_unicode_is_an_unknown_one(tmp_path):
    for where in ({"\ud800": 1}, {"file": 3, "\ud800": 1}):
        format, path, _ = jsonl(tmp_path, where)
        with pytest.raises(InputError, match=r"unknown field in line 1 .*\\ud800"):
            list_entries(format, path, {})


def test_a_name_that_is_no_text_is_said_in_short(tmp_path):
    format, path, _ = jsonl(tmp_path, {"file": "b.png", "name": ["x" * 10_000]})
    assert [each.name for each in list_entries(format, path, {})] == ["b.png", "a.png"]


def test_a_path_may_be_a_text(tmp_path):
    tiny_sets.photo(tmp_path / "a.png")
    source = open_source([Entry("a", str(tmp_path / "a.png"))])
    assert isinstance(load_samples(source, (4, 4))[0], Sample)
    assert len(list_entries("folder", str(tmp_path), {})) == 1


@pytest.mark.parametrize("format", ["folder", "class_folders", "imagenet"])
def test_a_folder_that_cannot_be_listed_is_said_and_its_images_are_not_lost(
    tmp_path, monkeypatch, format
):
    """A disk that fails for a while must not look like a data set with fewer images."""
    tiny_sets.photo(tmp_path / "n01440764/a.png")
    tiny_sets.photo(tmp_path / "n01443537/b.png")

    def scandir(path="."):
        if Path(os.fsdecode(path)).name == "n01443537":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    def listdir(path="."):
        if Path(os.fsdecode(path)).name == "n01443537":
            raise PermissionError(13, "Permission denied", str(path))
        return original_list(path)

    original, original_list = os.scandir, os.listdir
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(ReadError, match=r"cannot be listed.*(denied|n01443537)"):
        list_entries(format, tmp_path, {})
