"""CSV and JSON lines: every column, and what is refused."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gradcam_eval.core import BadSample, InputError
from gradcam_eval.data import ClassMap, load_samples, open_source
from gradcam_eval.data.readers.manifest import COLUMNS, ManifestImage

CLASSES = ClassMap(("cat", "dog", "owl"), ("n01", "n02", "n03"))


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "sub/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (10, 20, 30)).save(tmp_path / name)
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:6] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


def read_csv(folder, text, size=(6, 8)):
    (folder / "list.csv").write_text(text)
    return load_samples(folder / "list.csv", size, classes=CLASSES)


def read_jsonl(folder, *images, size=(6, 8)):
    (folder / "list.jsonl").write_text("\n".join(map(json.dumps, images)) + "\n\n")
    return load_samples(folder / "list.jsonl", size, classes=CLASSES)


def test_a_row_for_each_object_and_an_image_for_each_file(folder):
    first, second = read_csv(
        folder,
        "file,label,x0,y0,x1,y1,ignore,subset,credit,licence\n"
        "a.png,dog,1,1,3,4,,val,me,CC0\n"
        "sub/b.png,owl,0,0,8,6,no,val,,\n"
        "a.png,cat,4,0,6,2.5,,,,\n"
        "a.png,owl,0,5,8,6,yes,,,\n",
    )
    assert (first.name, second.name) == ("a.png", "sub/b.png")
    assert first.labels == (1, 0)  # of its objects, in order, without the ignored one
    assert first.truth.boxes.tolist() == [[1, 1, 3, 4], [4, 0, 6, 2.5]]
    assert first.truth.classes == (1, 0)
    assert first.truth.ignore.sum() == 8
    assert (first.credit, first.licence) == ("me", "CC0")
    assert dict(first.groups)["subset"] == "val"
    assert second.labels == (2,)


def test_an_image_may_have_labels_and_no_object(folder):
    first, second = read_csv(folder, "file,labels\na.png,n03; dog\nsub/b.png,2\n")
    assert (first.labels, second.labels) == ((2, 1), (2,))
    assert not first.truth.is_known
    (third,) = read_csv(folder, "file,label\na.png,dog\na.png,owl\n")
    assert third.labels == (1, 2)


def test_another_name_of_a_file_is_another_image(folder):
    text = (
        "file,name,labels,label,x0,y0,x1,y1\n"
        "a.png,a of cat,cat,cat,0,0,2,2\na.png,a of dog,dog,dog,3,3,5,5\n"
        "a.png,a of cat,,cat,4,4,6,6\nsub/b.png,,owl,,,,,\n"
    )
    found = read_csv(folder, text)
    assert [(each.name, each.labels) for each in found] == [
        ("a of cat", (0,)), ("a of dog", (1,)), ("sub/b.png", (2,)),
    ]  # fmt: skip
    assert [len(each.truth.boxes) for each in found] == [2, 1, 0]
    # one name is that of all rows of its file, said once or in each
    (named,) = read_csv(folder, "file,name,label\na.png,,cat\na.png,x,dog\n")
    assert (named.name, named.labels) == ("x", (0, 1))
    lines = [
        {"file": "a.png", "name": "a of cat", "labels": ["cat"]},
        {"file": "a.png", "name": "a of dog", "labels": ["dog"]},
    ]
    assert [each.name for each in read_jsonl(folder, *lines)] == ["a of cat", "a of dog"]


def test_a_mask_as_jpeg_says_so(folder):
    Image.new("L", (8, 6)).save(folder / "mask.jpg")
    Image.new("L", (8, 6)).save(folder / "mask.webp")
    for name, words in (
        ("mask.jpg", "is a JPEG, whose compression changes the values of a mask: save it as PNG"),
        ("mask.webp", "is no PNG, BMP, GIF, TIFF, as a picture of labels is: save it as PNG"),
    ):
        (bad,) = read_csv(folder, f"file,mask\na.png,{name}\n")
        assert words in bad.reason


def test_a_file_that_is_named_otherwise_is_found_out(folder):
    Image.new("RGB", (8, 6)).save(folder / "cafe\u0301.png")  # as macOS writes é
    bad, other = read_csv(folder, "file\ncaf\u00e9.png\nA.png\n")
    assert "looks the same in another Unicode form (NFC or NFD, which macOS writes)" in bad.reason
    assert "A.png, but a.png: mind capital letters" in other.reason


def test_annotations_are_rescaled_where_that_is_said(folder):
    # drawn on 16 × 12 pixels; the files have 8 × 6
    big = np.zeros((12, 16), np.uint8)
    big[4:8, 4:12] = 1
    Image.fromarray(big).save(folder / "big.png")
    (folder / "list.csv").write_text(
        "file,name,label,x0,y0,x1,y1,polygons,mask,void,width,height\n"
        "a.png,box,cat,2,4,6,8,,,,16,12\n"
        "a.png,polygon,cat,,,,,4 4 12 4 12 8 4 8,,,16,12\n"
        "a.png,mask,cat,,,,,,big.png,big.png,16,12\n"
        "a.png,turned,cat,2,4,6,8,,,,6,8\n"
        "a.png,same,cat,1,1,3,3,,,,8,6\n"
    )
    source = open_source(folder / "list.csv")
    as_is = load_samples(source, (6, 8), classes=CLASSES)
    assert [isinstance(each, BadSample) for each in as_is] == [True, True, True, True, False]
    assert "or say rescale = true (--rescale) where it was resized since" in as_is[0].reason
    box, polygon, mask, turned, same = load_samples(source.rescaled(), (6, 8), classes=CLASSES)
    assert box.truth.boxes.tolist() == [[1, 2, 3, 4]]
    assert polygon.truth.boxes.tolist() == [[2, 2, 6, 4]]
    assert np.array_equal(polygon.truth.mask, mask.truth.mask)
    assert mask.truth.mask[2:4, 2:6].all()
    assert mask.truth.mask.sum() == 8
    assert "the picture was turned, which rescale = true does not undo" in turned.reason
    assert same.truth.boxes.tolist() == [[1, 1, 3, 3]]


def test_masks_polygons_and_holes(folder):
    first, second = read_csv(
        folder,
        "file,labels,mask,polygons,holes\n"
        "a.png,cat,mask.png,,\n"
        'sub/b.png,cat,,"0 0 4 0 4 4 0 4; 6,0 8,0 8,2 6,2",1 1 3 1 3 3 1 3\n',
    )
    assert first.truth.boxes.tolist() == [[2, 1, 6, 3]]
    assert first.truth.mask.sum() == 8
    assert second.truth.boxes.tolist() == [[0, 0, 8, 4]]
    assert second.truth.mask.sum() == 16 + 4 - 4
    assert not second.truth.mask[1:3, 1:3].any()


def test_json_lines_say_the_same(folder):
    csv = read_csv(
        folder,
        "file,name,labels,label,x0,y0,x1,y1,polygons,ignore,void,width,height\n"
        "a.png,one,dog,dog,1,1,3,4,,,mask.png,8,6\n"
        "a.png,,,owl,,,,,0 0 2 0 2 1 0 1,1,,,\n",
    )
    jsonl = read_jsonl(
        folder,
        {
            "file": "a.png", "name": "one", "labels": ["dog"], "void": "mask.png", "width": 8,
            "height": 6,
            "objects": [
                {"label": "dog", "box": [1, 1, 3, 4]},
                {"label": "owl", "polygons": [[[0, 0], [2, 0], [2, 1], [0, 1]]], "ignore": True},
            ],
        },
    )  # fmt: skip
    (mine,), (theirs,) = csv, jsonl
    assert (mine.name, mine.labels, mine.groups) == (theirs.name, theirs.labels, theirs.groups)
    assert mine.name == "one"
    assert mine.truth.boxes.tolist() == theirs.truth.boxes.tolist() == [[1, 1, 3, 4]]
    assert np.array_equal(mine.truth.ignore, theirs.truth.ignore)
    # the void pixels in the box of the dog are the dog's: columns 2 of rows 1 and 2
    assert mine.truth.ignore.sum() == 8 - 2 + 2


def test_a_label_may_be_one_and_a_number(folder):
    (one,) = read_jsonl(folder, {"file": "a.png", "labels": 2})
    assert one.labels == (2,)
    (one,) = read_jsonl(folder, {"file": "a.png", "objects": [{"label": 1, "box": [0, 0, 2, 2]}]})
    assert one.labels == one.truth.classes == (1,)


def test_the_list_may_lie_elsewhere(folder, tmp_path_factory):
    table = tmp_path_factory.mktemp("lists") / "my.csv"
    table.write_text("file,labels\nsub/b.png,cat\n")
    found = open_source(folder, format="csv", options={"annotations": table})
    assert [s.labels for s in load_samples(found, (6, 8))] == [()]  # no cat in ImageNet is "cat"
    assert [s.labels for s in load_samples(found, (6, 8), classes=CLASSES)] == [(0,)]
    with pytest.raises(InputError, match="is a folder: give the list itself"):
        open_source(folder, format="csv")


BAD_ROWS = [
    ("file,x0,y0,x1,y1\na.png,1,1,x,3\n", r"line 2 of .*list\.csv: objects\.0\.box\.2 = 'x'"),
    ("file,x0,y0,x1,y1\na.png,1,1,,3\n", r"objects\.0\.box\.2 = ''"),
    ("file,x0,y0,x1,y1\na.png,1,1,nan,3\n", "finite number"),
    ("file,x0,y0,x1,y1\na.png,3,1,1,3\n", "has no area"),
    ("file,x0\na.png,3\n", r"objects\.0\.box"),
    ("file,polygons\na.png,0 0 1\n", r"objects\.0\.polygons\.0\.1"),
    ("file,polygons\na.png,0 0 1 1\n", "a polygon of 2 points"),
    ("file,mask\na.png,gone.png\n", r"there is no file .*gone\.png"),
    ("file,mask\na.png,../up.png\n", "no path inside"),
    ("file,mask\na.png,a.png\n", "wanted labels as a palette"),
    ("file,width,height\na.png,6,8\n", "annotated at 6×8 pixels and the file has 8×6"),
    ("file,ignore,x0,y0,x1,y1\na.png,perhaps,0,0,1,1\n", r"objects\.0\.ignore = 'perhaps'"),
    ("file,labels\na.png,7\n", "label 7 is outside the model's 3 classes"),
    ("file,labels\ngone.png,cat\n", "there is no file"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_ROWS)
def test_what_is_wrong_with_one_image_is_its_row(folder, text, reason):
    import re

    header, _ = text.split("\n", 1)
    bad, good = read_csv(folder, f"{text}sub/b.png{',' * header.count(',')}\n")
    assert isinstance(bad, BadSample)
    assert re.search(reason, bad.reason), bad.reason
    assert good.name == "sub/b.png"
    assert not isinstance(good, BadSample)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,lable\na.png,cat\n", r"unknown column of .* 'lable': did you mean 'label'"),
        ("labels\ncat\n", "has no column 'file'"),
        ("file,labels\n,cat\n", "line 2 of .* names no image"),
        ("file,labels\na.png\n", "line 2 of .* has not 2 columns"),
        ("file,labels\na.png,cat,dog\n", "line 2 of .* has not 2 columns"),
        ('file,labels\na.png,"cat\n', "is not CSV"),
        ("file\n../a.png\n", "no path inside"),
        ("file\n/etc/passwd\n", "no path inside"),
        ("file,name\na.png,x\nsub/b.png,x\n", "lists the image 'x' twice"),
        ("file\n", "lists no image"),
        ("", "has no column 'file'"),
        ("file;label;x0\na.png;cat;1\n", "separates its columns with ';': save it with commas"),
        ("file\tlabel\na.png\tcat\n", r"separates its columns with '\\t'"),
        (",file,labels\n0,a.png,cat\n", "first column of .* has no name, as the index that pandas"),
        ("Unnamed: 0,file\n0,a.png\n", "first column of .* has no name"),
        (
            "file,labels\na.png,cat\na.png,dog\n",
            "line 3 of .* says labels = 'dog' of a.png, and line 2 says 'cat': make them agree",
        ),
        ("file,subset\na.png,val\na.png,train\n", "line 3 .* says subset = 'train'"),
        ("file,void\na.png,mask.png\na.png,x.png\n", "says void = 'x.png'"),
        ("file,width\na.png,8\nsub/b.png,9\na.png,9\n", "line 4 .* says width = '9'.* line 2"),
        ("file,credit\na.png,me\na.png,you\n", "says credit = 'you'"),
        ("file,licence\na.png,CC0\na.png,CC-BY\n", "says licence = 'CC-BY'"),
        (
            "file,name,label\na.png,x,cat\na.png,y,dog\na.png,,owl\n",
            r"line 4 of .* has no name, and other rows of a.png have several \(x, y\)",
        ),
    ],
)
def test_what_is_wrong_with_the_list_is_refused(folder, text, words):
    with pytest.raises(InputError, match=words):
        read_csv(folder, text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1 of .* is not JSON"),
        ("[1]", "line 1 of .* is no JSON object"),
        ('{"files": "a.png"}', r"unknown field in line 1 of .* 'files': did you mean 'file'"),
        ('{"labels": ["cat"]}', "line 1 of .* names no image"),
        ('{"file": 3}', "names no image"),
        ('{"file": "a.png", "objects": [{"bbox": [0, 0, 1, 1]}]}', r"'objects\.0\.bbox'.* box, p"),
        ('{"file": "a.png"}\n{"file": "a.png"}', "lists the image 'a.png' twice"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_wrong_with_json_lines_is_refused(folder, line, words):
    (folder / "list.jsonl").write_text(line)
    with pytest.raises(InputError, match=words):
        open_source(folder / "list.jsonl")


def test_every_column_is_described_for_users():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
    for column in COLUMNS:
        assert f"`{column}`" in page, column
    for field in ManifestImage.model_fields:
        assert f"`{field}`" in page, field


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["csv", "jsonl"]))
def test_any_text_gives_entries_or_an_input_error(tmp_path_factory, text, suffix):
    path = tmp_path_factory.getbasetemp() / f"fuzz.{suffix}"
    path.write_text(text, encoding="utf-8", newline="")
    with contextlib.suppress(InputError):
        assert open_source(path).names


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*ManifestImage.model_fields]), json_values, max_size=6))
def test_any_json_gives_a_sample_a_reason_or_an_input_error(tmp_path_factory, image):
    folder = tmp_path_factory.getbasetemp()
    Image.new("RGB", (8, 6)).save(folder / "a.png")
    path = folder / "fuzz.jsonl"
    path.write_text(json.dumps({"file": "a.png", **image}), encoding="utf-8")
    with contextlib.suppress(InputError):
        assert len(load_samples(path, (6, 8))) == 1
