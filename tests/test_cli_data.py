"""`gradcam-eval data`: what it prints, how it ends, and that it needs no TensorFlow."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gradcam_eval import cli
from gradcam_eval.data import DATASETS, READERS
from gradcam_eval.resources import datasets_root

HEAVY = (
    "import sys\nfrom gradcam_eval.cli import main\ntry:\n    main()\nfinally:\n"
    "    print('imported:', *sorted({'tensorflow', 'keras'} & set(sys.modules)), file=sys.stderr)\n"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A COCO data set of three images: one in order, one with a box beyond it, one broken."""
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate("ab"):
        pixels = np.random.default_rng(n).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    content = {
        "images": [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate("abc")],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 5, "bbox": [1, 1, 4, 3]},
            {"id": 2, "image_id": 1, "category_id": 6, "bbox": [4, 1, 6, 3]},
        ],
        "categories": [{"id": 5, "name": "tench"}, {"id": 6, "name": "dog"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    (tmp_path / "map.csv").write_text("name,synset\ndog,n02085620\n")
    return tmp_path


@pytest.fixture
def call(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradcam-eval", "data", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("show", "voc"),
        ("show", "photos", "-o", "sheet.png"),
        ("check", "photos", "-o", "sheet.png"),
        ("check", "--help"),
    ],
)
def test_nothing_of_it_imports_tensorflow(arguments, tmp_path):
    command = [sys.executable, "-c", HEAVY, "data", *arguments]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "imported:\n")


def test_list_has_every_data_set_and_format(call):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert set(DATASETS) | set(READERS) <= set(lines)
    assert lines["photos"].split()[1] == str(len(DATASETS["photos"].entries()))
    listed = json.loads(call("list", "--json")[1])
    assert [each["name"] for each in listed["formats"]] == list(READERS)


def test_every_format_of_a_published_data_set_has_a_card_that_checks_it():
    published = {"imagenet", "voc", "coco", "pets", "cub", "wsol"}
    assert published <= set(READERS)
    for name in published:
        card = (datasets_root() / name / "README.md").read_text(encoding="utf-8")
        assert f"--format {name}" in card
        assert "gradcam-eval data check " in card
        assert "Licence" in card


@pytest.mark.parametrize("name", DATASETS)
def test_every_built_in_data_set_has_a_card(call, name):
    code, out, _ = call("show", name)
    assert code == 0
    assert out.startswith("# ")
    assert f"\n{len(DATASETS[name].entries())} images, " in out


def test_show_prints_the_card_and_draws(call, tmp_path):
    code, out, _ = call("show", "photos", "-o", tmp_path / "sheet.png")
    assert code == 0
    assert out.startswith("# photos\n")
    assert f"written to {tmp_path / 'sheet.png'}" in out
    assert "10 images, 16 classes, and these licences stated:" in out
    assert "  3 × CC0" in out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
    shown = json.loads(call("show", "coco", "--json")[1])
    assert shown["images"] == 0
    assert shown["card"].startswith("# COCO\n")


def test_sizes_of_large_pictures_are_plain_numbers(call, tmp_path):
    Image.new("RGB", (12000, 2)).save(tmp_path / "long.png")
    assert "  width: 12,000 to 12,000, median 12,000 pixels" in call("check", tmp_path)[1]


def test_an_unknown_name_is_told_each_valid_one_once(call):
    code, _, err = call("show", "nothing")
    assert code == 2
    valid = err.rstrip().removesuffix(".").partition("Valid: ")[2].split(", ")
    assert "photos" in valid
    assert len(valid) == len(set(valid))


def test_check_counts_and_says_what_is_wrong(call, folder):
    code, out, err = call("check", ".", "--format", "coco", "--annotations", "boxes.json")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == ".: 3 images, 2 of them usable"
    assert "  width: 8 to 8, median 8 pixels" in lines
    # 4 · 3 and, cut at the edge, 4 · 3 of 48 pixels
    assert "  share of the image an object covers: 25 to 25, median 25 %" in lines
    assert "  classes: 2, 1 of them known to efficientnet_lite0, indices 0 to 0" in lines
    assert "  most frequent: dog 1, tench 1" in lines
    assert (
        "  c.png: c.png is broken or incomplete" in out or "  c.png: c.png is not an image" in out
    )
    assert "  b.png: object 1 (dog): box 4, 1, 10, 4 by 2 pixels" in lines
    assert "  dog: 1 image" in lines


def test_a_mapping_gives_names_to_the_model_and_warnings_end_with_0(call, folder):
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes())
    arguments = ["check", ".", "-f", "coco", "--annotations", "boxes.json", "--classes", "map.csv"]
    code, out, _ = call(*arguments)
    assert code == 0
    assert "2 of them known" in out
    assert "unmapped" not in out
    assert "dog (Chihuahua) 1" in out
    assert "warning: same content, 1 ×" in out
    assert "  a.png: also c.png" in out
    assert call(*arguments, "--strict")[0] == 1


def test_names_from_a_file_do_not_steer_the_terminal(call, folder):
    content = (folder / "boxes.json").read_text().replace('"dog"', r'"d\u001b[31mog"')
    (folder / "boxes.json").write_text(content)
    out = call("check", ".", "--format", "coco", "--annotations", "boxes.json")[1]
    assert "\x1b" not in out
    assert r"d\x1b[31mog 1" in out


def test_json_stands_alone_and_the_sheet_is_written(call, folder):
    code, out, err = call(
        "check", ".", "-f", "coco", "--annotations", "boxes.json", "--json", "-o", "s.png"
    )
    found = json.loads(out)
    assert (code, found["exit_code"], err) == (1, 1, "")
    assert [each["kind"] for each in found["problems"]] == [
        "box beyond image",
        "unreadable image",
        "unmapped class",
    ]
    assert found["problems"][1]["severity"] == "error"
    assert {each["name"]: each["indices"] for each in found["class_counts"]} == {
        "tench": [0],
        "dog": [],
    }
    assert found["images"][0]["shares"] == [0.25]
    assert (folder / "s.png").exists()


def test_a_set_without_problem_says_so(call, folder):
    code, out, _ = call("check", "a.png", "--strict")
    assert code == 0
    assert out.splitlines()[-1] == "no problem found"


WRONG = [
    (["check", "gone"], "unknown data set, folder or image 'gone'"),
    (["check", ".", "--format", "cocoa"], "did you mean 'coco'?"),
    (["check", ".", "--format", "coco", "--split", "val"], "takes no split"),
    (["check", ".", "--format", "coco", "--annotations", "x.json"], "there is no file x.json"),
    (["check", ".", "--model", "efficientnet_lite"], "did you mean 'efficientnet_lite0'?"),
    (["check", ".", "--classes", "gone.csv"], "gone.csv cannot be read"),
    (["check", ".", "-o", "sheet.jpg"], "sheet.jpg must end in .png"),
    (["check", ".", "-o", "no/sheet.png"], "there is no folder no"),
    (["show", "vox"], "did you mean 'voc'?"),
    (["show", "voc", "-o", "x.png"], "use data check"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=lambda x: " ".join(x)[:40])
def test_bad_input_is_one_sentence_and_exit_code_2(call, folder, arguments, sentence):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("gradcam-eval: ")
    assert sentence in err
    assert err.count("\n") == 1
