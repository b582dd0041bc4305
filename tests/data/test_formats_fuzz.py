"""Whatever bytes stand in a data set's files, readers and decoder say `InputError` or nothing."""

import contextlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_sets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gradcam_eval.core import InputError, Sample
from gradcam_eval.data import READERS
from gradcam_eval.data.classmap import ClassMap, read_mapping
from gradcam_eval.data.decode import decode
from gradcam_eval.data.pipeline import Reading, read_entry
from gradcam_eval.data.readers.files import inside
from gradcam_eval.data.readers.rle import decode_rle

READING = Reading((5, 5), classes=ClassMap(("cat", "dog")))
FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# pieces that formats take apart: numbers, separators, brackets, names, bytes that are no text
PIECES = st.sampled_from(
    [b"\0", b"\xff\xfe", b"\n", b",", b" ", b"<", b">", b"</object>", b"<!DOCTYPE a>", b"{", b"[",
     b'"', b"-1", b"nan", b"1e999", b"9" * 30, b"../", b"/", b"\\", b"n01440764", b"null", b"true",
     "²".encode(), "\u2028".encode(), b"a" * 300]
)  # fmt: skip


@st.composite
def mutations(draw):
    """A function of bytes: cut, replaced, doubled, or given pieces somewhere."""
    steps = draw(
        st.lists(
            st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES | st.binary(max_size=12)),
            min_size=1,
            max_size=3,
        )
    )

    def mutate(content):
        for where, length, piece in steps:
            start = int(where * len(content))
            content = content[:start] + piece + content[start + length :]
        return content

    return draw(st.sampled_from([mutate, mutate, lambda content: steps[0][2]]))


def walk(reader, root, options):
    """List and annotate everything: only InputError may come out, and a sample or a bad one."""
    with contextlib.suppress(InputError):
        for entry in reader(root, **options):
            with contextlib.suppress(InputError):
                entry.annotate(tiny_sets.SIZE)
            found = read_entry(entry, READING)
            assert isinstance(found, Sample) or found.reason


def manifest_csv(root):
    tiny_sets.photo(root / "a.png")
    tiny_sets.labels(root / "m.png", tiny_sets.TRIMAP)
    header = "file,name,label,x0,y0,x1,y1,polygons,holes,mask,ignore,void,width,height,subset"
    rows = (
        "a.png,one,cat,1,1,4,3,,,,,m.png,8,6,val",
        'a.png,one,dog,,,,,"1 1 5 1 5 4; 0 0 2 0 2 2","2 2 3 2 3 3",,yes,,,,',
        "a.png,one,dog,,,,,,,m.png,,,,,",
    )
    tiny_sets.text(root / "list.csv", "\n".join((header, *rows)))
    return lambda folder: READERS["csv"](folder / "list.csv"), {}


def manifest_jsonl(root):
    tiny_sets.photo(root / "a.png")
    tiny_sets.labels(root / "m.png", tiny_sets.TRIMAP)
    objects = [
        {"box": [1, 1, 4, 3], "label": "cat"},
        {
            "polygons": [[[1, 1], [5, 1], [5, 4]]],
            "holes": [[[2, 2], [3, 2], [3, 3]]],
            "ignore": True,
        },
        {"mask": "m.png", "label": "dog"},
    ]
    image = {"file": "a.png", "labels": ["cat"], "void": "m.png", "width": 8, "height": 6}
    tiny_sets.text(root / "list.jsonl", json.dumps(image | {"objects": objects}))
    return lambda folder: READERS["jsonl"](folder / "list.jsonl"), {}


def class_folders(root):
    tiny_sets.photo(root / "cat/a.png")
    tiny_sets.photo(root / "dog/sub/b.png")
    return READERS["class_folders"], {}


def folder(root):
    tiny_sets.photo(root / "a.png")
    return READERS["folder"], {}


OWN = {writer.__name__: writer for writer in (manifest_csv, manifest_jsonl, class_folders, folder)}


def test_every_reader_is_fuzzed():
    fuzzed = {name.removeprefix("manifest_") for name in tiny_sets.WRITERS | OWN}
    assert set(READERS) <= fuzzed


@pytest.mark.parametrize("name", tiny_sets.WRITERS | OWN)
def test_what_is_fuzzed_is_a_data_set_that_can_be_read(name, tmp_path):
    reader, options = (tiny_sets.WRITERS | OWN)[name](tmp_path)
    reading = replace(READING, classes=ClassMap())  # of any number of classes, as wsol's
    found = [read_entry(entry, reading) for entry in reader(tmp_path, **options)]
    assert all(isinstance(each, Sample) for each in found), found


@FUZZ
@given(mutations())
def test_a_class_mapping_survives_any_bytes(tmp_path_factory, mutate):
    path = tmp_path_factory.getbasetemp() / "classes.csv"
    path.write_bytes(mutate(b"name,index,class\nhund,1,\npet,0-1;1,\nkatze,,cat\n"))
    with contextlib.suppress(InputError):
        found = read_mapping(path, READING.classes)
        assert all({*found.indices(name)} <= {0, 1} for name in found.explicit)


@pytest.mark.parametrize("name", tiny_sets.WRITERS | OWN)
def test_readers_survive_any_file(name, tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    reader, options = (tiny_sets.WRITERS | OWN)[name](source)
    options = {key: copy / Path(value).relative_to(source) for key, value in options.items()}
    files = sorted(file for file in source.rglob("*") if file.is_file())
    shutil.copytree(source, copy)

    @FUZZ
    @given(st.sampled_from(files), mutations())
    def survive(file, mutate):
        target = copy / file.relative_to(source)
        target.write_bytes(mutate(file.read_bytes()))
        walk(reader, copy, options)
        target.unlink()
        walk(reader, copy, options)
        shutil.copyfile(file, target)

    survive()


def encoded(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (*tiny_sets.SIZE, 3), dtype=np.uint8)
    with io.BytesIO() as stream:
        Image.fromarray(pixels).save(stream, format=kind)
        return stream.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # it says what is odd in TIFF files
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_decoder_survives_any_bytes(kind):
    content = encoded(kind)

    @FUZZ
    @given(mutations())
    def survive(mutate):
        with contextlib.suppress(InputError):
            picture = decode(mutate(content), name="x")
            assert picture.mode == "RGB"
            assert min(picture.size) >= 1

    survive()


@FUZZ
@given(st.text(max_size=40))
def test_no_name_leaves_the_folder(name):
    root = Path("/data/set")
    with contextlib.suppress(InputError):
        path = inside(root, name)
        assert ".." not in path.parts
        assert path.is_relative_to(root)


def runs_of(mask):
    """Run lengths down the columns, pixel by pixel; the first run is background."""
    runs, current = [0], False
    for value in mask.T.ravel():
        if bool(value) != current:
            runs.append(0)
            current = bool(value)
        runs[-1] += 1
    return runs


def compressed(runs):
    """COCO's text: groups of 5 bits with the lowest first, differences from the fourth run on."""
    text = ""
    for n, run in enumerate(runs):
        number = run - runs[n - 2] if n > 2 else run
        while True:
            group, number = number & 31, number >> 5
            is_last = (number == 0 and not group & 16) or (number == -1 and group & 16)
            text += chr(48 + group + (0 if is_last else 32))
            if is_last:
                break
    return text


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 70), st.integers(0, 2**32))
def test_run_lengths_come_back_as_the_mask(height, width, seed):
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < random.random() ** 3
    runs = runs_of(mask)
    for counts in (runs, compressed(runs)):
        decoded = decode_rle({"size": [height, width], "counts": counts}, "it")
        assert np.array_equal(decoded, mask)


@FUZZ
@given(st.text(max_size=20) | st.lists(st.integers(-3, 60), max_size=6), st.integers(0, 9))
def test_run_lengths_survive_anything(counts, side):
    with contextlib.suppress(InputError):
        assert decode_rle({"size": [side, side], "counts": counts}, "it").shape == (side, side)
