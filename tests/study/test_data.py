"""The data of a study: which images, read how; and what a bad one does."""

import itertools
import re
import threading
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from gradcam_eval.cli import app
from gradcam_eval.core import InputError, Sample, Truth
from gradcam_eval.data import ClassMap, Entry, load_samples, open_source
from gradcam_eval.metrics.grids import Mosaic, mosaic_samples
from gradcam_eval.report.grid import read_maps
from gradcam_eval.results import run_study
from gradcam_eval.store import map_path
from gradcam_eval.study.config import make_study
from gradcam_eval.study.dataset import DataEntry
from gradcam_eval.study.run import Progress

SIZE = (40, 40)  # of the tiny model, which has three classes
LIST = """file,labels,x0,y0,x1,y1,subset
a.png,0,2,4,8,10,val
c.png,cow,3,4,9,10,val
d.png,7,4,4,10,10,val
more/a.png,2; 1,0,0,40,44,train
"""


@pytest.fixture
def listed(values, pictures):
    """The study on a list: a good image, one of an unmapped class, one out of range, a good one."""
    (pictures / "list.csv").write_text(LIST)
    return {**values, "layers": ["last"], "methods": ["layer_cam"], "metrics": ["pointing_game"],
            "data": {"path": str(pictures / "list.csv")}}  # fmt: skip


def images(folder):
    frame = pd.read_csv(folder / "images.csv", keep_default_na=False)
    return {row["sample"]: row for row in frame.to_dict("records")}


def test_a_list_is_studied_with_its_labels_boxes_and_groups(listed, tmp_path):
    said = []
    results = run_study(listed, results=tmp_path, progress=Progress(say=said.append))
    found = images(results.folder)
    assert list(found) == ["a.png", "c.png", "d.png", "more/a.png"]
    assert [row["status"] for row in found.values()] == ["ok", "ok", "failed", "ok"]
    assert found["d.png"]["reason"] == "label 7 is outside the model's 3 classes: valid is 0 to 2."
    assert [row["labels"] for row in found.values()] == ["class 0", "", "", "class 2; class 1"]
    assert [row["subset"] for row in found.values()] == ["val", "val", "", "train"]
    # 36 of 44 · 40 pixels are 2 %; the whole image is 100 %
    assert [row["size"] for row in found.values()] == ["small", "small", "", "large"]
    assert [row["hard"] for row in found.values()] == ["yes", "yes", "", "no"]
    unmapped = [line for line in said if "classes are not" in line]
    assert unmapped == [
        "tiny: 2 of the data set's 5 classes are not among the model's, and no truth for it: cow, 7"
    ]
    records = results.frame
    cow = records[records["sample"] == "c.png"]
    assert set(cow["status"]) == {"undefined"}  # its box is drawn round what the model has not


def test_summaries_are_split_by_groups(listed, tmp_path):
    results = run_study(listed, results=tmp_path)
    by = results.summary(by="hard")
    assert by.columns[0] == "hard"
    counts = by.groupby("hard", sort=False)[["n", "undefined"]].sum().sum(axis=1)
    whole = results.summary()
    assert counts.index.tolist() == ["no", "yes"]
    assert counts.sum() == whole[["n", "undefined"]].sum().sum()
    assert set(results.summary(by="subset")["subset"]) == {"train", "val"}
    with pytest.raises(InputError, match="unknown group of images 'hrad': did you mean 'hard'"):
        results.summary(by="hrad")
    done = CliRunner().invoke(app, ["report", str(results.folder), "--by", "hard"])
    assert done.exit_code == 0, done.output
    written = pd.read_csv(results.folder / "summary_by_hard.csv")
    assert written["mean"].tolist() == pytest.approx(by["mean"].astype(float).tolist(), nan_ok=True)


@pytest.mark.parametrize("readers", [1, 4])
def test_the_numbers_do_not_depend_on_the_readers(listed, tmp_path, readers):
    listed["data"]["readers"] = readers
    folder = run_study(listed, results=tmp_path / "these").folder
    listed["data"]["readers"] = 2
    other = run_study(listed, results=tmp_path / "those").folder
    for table in ("images", "records"):
        pd.testing.assert_frame_equal(
            *(pd.read_csv(each / f"{table}.csv") for each in (folder, other)), rtol=0, atol=1e-6
        )
    run_study(listed, results=tmp_path / "these")  # nor does the study's identity


def test_a_run_that_is_broken_off_leaves_no_thread_behind(listed, tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(listed, results=tmp_path, progress=Progress(step=stop))
    assert [t for t in threading.enumerate() if t.name.startswith("gradcam-eval-reader")] == []
    assert images(run_study(listed, results=tmp_path).folder)["a.png"]["status"] == "ok"


def test_a_strict_study_ends_at_the_first_bad_image(listed, tmp_path):
    with pytest.raises(InputError, match=r"the image 'd\.png' cannot be used: label 7 is outside"):
        make_study(listed).strictly().run(results=tmp_path)
    listed["data"]["strict"] = True
    with pytest.raises(InputError, match=r"the image 'd\.png' cannot be used"):
        run_study(listed, results=tmp_path)
    # the same study, not strict, goes on from there
    listed["data"]["strict"] = False
    assert len(images(run_study(listed, results=tmp_path).folder)) == 4


def test_a_corrupt_image_is_a_row_or_the_end(values, tmp_path):
    make_study(values)
    with pytest.raises(InputError, match=r"the image 'b\.png' cannot be used: .* is broken"):
        make_study(values).strictly().run(results=tmp_path)


def test_another_annotation_of_the_same_pictures_is_judged_anew(listed, pictures, tmp_path):
    first = run_study(listed, results=tmp_path).frame
    mine = first[(first["sample"] == "a.png") & (first["method"] == "oracle")]
    assert set(mine["status"]) == {"value"}
    text = LIST.replace("a.png,0,2,4,8,10,val", "a.png,cow,2,4,8,10,val", 1)
    (pictures / "list.csv").write_text(text)
    again = run_study(listed, results=tmp_path).frame
    mine = again[(again["sample"] == "a.png") & (again["method"] == "oracle")]
    assert set(mine["status"]) == {"undefined"}


def test_classes_come_from_a_mapping_file(listed, pictures, tmp_path):
    mapping = pictures / "classes.csv"
    mapping.write_text("name,index\ncow,1\n")
    listed["data"]["class_map"] = str(mapping)
    assert images(run_study(listed, results=tmp_path).folder)["c.png"]["labels"] == "class 1"
    mapping.write_text("name,index\ncow,3\n")
    with pytest.raises(InputError, match=r"line 2 of the class mapping .*index '3' is not a class"):
        run_study(listed, results=tmp_path / "other")
    assert not (tmp_path / "other").exists()
    listed["data"]["class_map"] = "gone.csv"
    with pytest.raises(InputError, match=r"there is no class mapping gone\.csv"):
        make_study(listed)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"hard": True}, ["a.png", "c.png", "d.png"]),
        ({"sizes": ["large"]}, ["more/a.png"]),
        ({"subset": "train"}, ["more/a.png"]),
        ({"classes": ["0", "cow"]}, ["a.png", "c.png"]),
        ({"count": 1, "subset": "val", "classes": ["cow"]}, ["c.png"]),
    ],
)
def test_only_the_images_that_are_wanted_are_studied(listed, tmp_path, choice, names):
    listed["data"] |= choice
    assert list(images(run_study(listed, results=tmp_path).folder)) == names


def test_difficult_images_alone_may_be_wanted(listed, tmp_path):
    listed["data"]["difficult"] = True  # the one image with a second label is all object
    with pytest.raises(InputError, match=r"no image of .* is in the subset"):
        run_study(listed, results=tmp_path)


@pytest.mark.parametrize("frame", ["crop", "letterbox"])
def test_pictures_are_framed_as_the_study_says(listed, pictures, tmp_path, frame):
    listed["data"]["frame"] = frame
    folder = run_study(listed, results=tmp_path).folder
    path = map_path(folder, "tiny", "a.png")
    (wanted, *_) = load_samples(pictures / "a.png", SIZE, framing=frame)
    assert np.array_equal(np.load(path)["image"], wanted.image)
    assert read_maps(path).frame == wanted.photo.frame
    assert wanted.photo.frame.resized != SIZE or frame == "letterbox"
    with pytest.raises(InputError, match="another study"):
        run_study({**listed, "data": {**listed["data"], "frame": "squash"}}, results=tmp_path)


def sample(name, side=40, labels=(1,)):
    pixels = np.random.default_rng(len(name)).integers(0, 255, (side, side, 3)).astype(np.float32)
    truth = Truth((side, side), np.array([[2, 2, 9, 9]], np.float32))
    return Sample(name * 4, name, pixels, labels, truth, truth)


def test_samples_in_memory_are_studied(values, tmp_path):
    del values["data"]
    values |= {"layers": ["last"], "methods": ["layer_cam"], "metrics": ["pointing_game"]}
    pixels = np.full((50, 40, 3), 90, np.uint8)
    data = [sample("a"), sample("bb", side=7), sample("ccc", labels=(3,)), Entry("d", pixels)]
    found = images(run_study(values, results=tmp_path, data=data).folder)
    assert [row["status"] for row in found.values()] == ["ok", "failed", "failed", "ok"]
    assert "make samples at the model's size" in found["bb"]["reason"]
    assert "outside the model's 3 classes" in found["ccc"]["reason"]
    study = make_study({**values, "data": "(in memory)"})
    with pytest.raises(InputError, match="in memory: give it to run_study as data="):
        study.run(results=tmp_path)
    assert study.run(results=tmp_path, data=data).folder == tmp_path / "toy"


def test_a_study_plays_the_grid_pointing_game_on_cells(values, tmp_path):
    del values["data"]
    values |= {"layers": ["last"], "target": "label", "metrics": ["energy_pointing_game"]}
    mosaics = [Mosaic(sample("m").image, (0, 1, 2, 0), (0, 1, 2, 3))]
    found = run_study(values, results=tmp_path, data=mosaic_samples(mosaics))
    assert [row["target"] for row in images(found.folder).values()] == [0, 1, 2, 0]
    summary = found.summary().set_index("method")
    assert summary.loc["oracle", "mean"] == 1
    assert 0.2 < summary.loc["random", "mean"] < 0.3  # the control is the same map for all cells
    assert summary.loc["layer_cam", "n"] == 4


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"path": "photos", "frames": "crop"}, "unknown field 'data.frames': did you mean 'frame'"),
        ({}, "the field 'data.path' is missing"),
        (5, "data = 5: wanted a name, a path or a table"),
        ({"path": "photos", "frame": "croop"}, "data.frame = 'croop': input should be 'squash'"),
        ({"path": "photos", "resize": 256}, "data: resize = 256 is for frame 'crop'"),
        ({"path": "photos", "count": 0}, "data.count = 0: input should be greater"),
        ({"path": "photos", "readers": 0}, "data.readers = 0: input should be greater"),
        ({"path": "photos", "hard": "yes"}, "data.hard = 'yes': wanted true or false"),
        ({"path": "photos", "sizes": ["tiny"]}, "data.sizes.0 = 'tiny': input should be 'small'"),
        ({"path": "photos", "split": "val"}, "the data set 'photos' takes no split"),
        ({"path": "photos", "subset": "exac"}, "unknown subset 'exac': did you mean 'exact'"),
        ({"path": "photos", "classes": ["cow"]}, "unknown class of the data set 'cow'. Valid: n0"),
        ({"path": ".", "format": "vocc"}, "unknown format 'vocc': did you mean 'voc'"),
        (
            {"path": ".", "format": "folder", "split": "x"},
            "'folder' takes no split; it takes no",
        ),
        ({"path": ".", "format": "voc", "part": "x"}, "format 'voc' takes no part; it takes split"),
        ({"path": "photos", "fill": [0, 0, 300], "frame": "letterbox"}, "data.fill.2 = 300"),
    ],
)
def test_wrong_data_is_one_sentence(values, data, sentence):
    with pytest.raises(InputError) as caught:
        make_study({**values, "data": data})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_line_can_be_strict(listed, tmp_path, monkeypatch):
    text = "\n".join(
        f"{key} = {value!r}" for key, value in listed.items() if key not in ("data", "cost")
    )
    text += f"\n[data]\npath = {listed['data']['path']!r}\n[cost]\nrounds = 0\n"
    assert tomllib.loads(text)["data"] == listed["data"]
    (tmp_path / "toy.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["study", "toy.toml", "--strict"])
    assert isinstance(done.exception, InputError)
    assert "the image 'd.png' cannot be used" in str(done.exception)


def test_what_the_guide_shows_is_valid(values, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
    table = next(t for t in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[data]" in t)
    entry = DataEntry.model_validate(tomllib.loads(table)["data"])
    assert (entry.frame, entry.readers, entry.strict) == ("crop", 2, False)
    shown = re.search(r"```csv\n(file.*?)```", page, re.DOTALL)[1]
    (tmp_path / "cats").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "cats" / "tom.jpg")
    (tmp_path / "list.csv").write_text(shown)
    (tom,) = load_samples(tmp_path / "list.csv", SIZE)
    assert tom.labels == (281, 1)
    (tmp_path / "list.jsonl").write_text(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    (tom,) = load_samples(tmp_path / "list.jsonl", SIZE)
    assert tom.labels == (281,)
    assert tom.original_truth.boxes.tolist() == [[12, 30, 200, 180]]


@pytest.mark.parametrize("frame", ["squash", "crop", "letterbox"])
def test_the_oracle_hits_in_every_frame(values, pictures, tmp_path, frame):
    """The pointing game is played in the file's own pixels: truth and heatmap must still match."""
    pixels = np.full((60, 200, 3), 60, np.uint8)
    pixels[10:20, 110:120] = 250
    Image.fromarray(pixels).save(pictures / "wide.png")
    (pictures / "list.csv").write_text("file,labels,x0,y0,x1,y1\nwide.png,0,110,10,120,20\n")
    data = {"path": str(pictures / "list.csv"), "frame": frame}
    changes = {"layers": ["last"], "methods": ["layer_cam"], "metrics": ["pointing_game"]}
    changes |= {"target": "label", "controls": ["oracle", "random"], "data": data}
    records = run_study({**values, **changes}, results=tmp_path).frame
    oracle = records[records["method"] == "oracle"]
    assert oracle["value"].astype(float).tolist() == [1.0]


@pytest.fixture
def numbered(model, values, pictures):
    """Folders 1, 2 and 3, each with two pictures that the model takes for the class below it."""
    folder = pictures.parent / "numbered"
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 256, (300, 1, 1, 3)).repeat(40, 1).repeat(40, 2).astype(np.float32)
    classes = model.predict(shades, verbose=0).argmax(-1)
    for k in range(3):
        (folder / str(k + 1)).mkdir(parents=True)  # an empty one counts as well
        for n in np.flatnonzero(classes == k)[:3]:
            shade = Image.fromarray(shades[n].astype(np.uint8))
            shade.save(folder / str(k + 1) / f"{n}.png")
    data = {"path": str(folder), "format": "class_folders"}
    return {**values, "layers": ["last"], "methods": ["layer_cam"], "metrics": ["deletion"],
            "controls": ["random"], "target": "label", "data": data}  # fmt: skip


def test_class_folders_from_1_are_judged_by_the_right_class(numbered, tmp_path):
    said = []
    results = run_study(numbered, results=tmp_path, progress=Progress(say=said.append))
    rows = images(results.folder).values()
    assert {(row["status"], str(row["hit_top1"])) for row in rows} == {("ok", "True")}
    assert any("as in image_dataset_from_directory: 1 = 0, 2 = 1, 3 = 2" in line for line in said)
    page = results.report().read_text(encoding="utf-8")
    assert "its first answer is right" not in page
    # said to be indices, they are the wrong classes
    data = {**numbered["data"], "numbering": "from_0"}
    wrong = run_study({**numbered, "name": "wrong", "data": data}, results=tmp_path)
    rows = images(wrong.folder).values()
    assert not any(str(row["hit_top1"]) == "True" for row in rows)


def test_a_model_that_is_never_right_is_said(numbered, tmp_path):
    folder = Path(numbered["data"]["path"])
    files = sorted(folder.glob("*/*.png"))
    lines = [f"{file.relative_to(folder)},{int(file.parent.name) % 3}" for file in files]
    (folder / "list.csv").write_text("\n".join(["file,labels", *lines]) + "\n")
    study = {**numbered, "data": str(folder / "list.csv")}
    page = run_study(study, results=tmp_path).report().read_text(encoding="utf-8")
    assert f"its first answer is right on 0 of {len(files)} labelled images" in page
    (tmp_path / "s.toml").write_text(
        f'name = "cli"\nmodels = ["{study["models"][0]}"]\ndata = "{study["data"]}"\n'
        'metrics = ["pointing_game"]\ncost.rounds = 0\n'
    )
    done = CliRunner().invoke(app, ["study", str(tmp_path / "s.toml"), "--results", str(tmp_path)])
    assert "first answer is right on 0 of" in " ".join(done.output.split()), done.output


@pytest.mark.parametrize("target", ["label", "every label"])
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a.png,cow", "c.png,pig"], r"none of the 2 labels of .* \(cow, pig\) is a class of the "
         "model 'tiny'; the model has no class names: give them as classes = a file, or classes = "
         "'imagenet'; or give the data a class_map"),
        (["a.png,"], "no image of .* has a label: explain target = 'predicted'"),
    ],
)  # fmt: skip
def test_labels_without_a_class_stop_the_study_before_its_first_image(
    values, pictures, tmp_path, lines, words, target
):
    (pictures / "list.csv").write_text("\n".join(["file,labels", *lines]) + "\n")
    study = {**values, "target": target, "data": str(pictures / "list.csv")}
    with pytest.raises(InputError, match=words):
        run_study(study, results=tmp_path)
    assert not (tmp_path / "toy").exists()


def test_every_label_is_a_record_of_its_own(listed, tmp_path):
    pictures = Path(listed["data"]["path"]).parent
    (pictures / "list.csv").write_text(
        "file,labels,label,x0,y0,x1,y1\n"
        "a.png,1; cow; 0,0,0,0,20,44\n"
        "a.png,,1,20,0,40,44\n"
        "c.png,2,2,3,4,9,10\n"
        "d.png,cow,,,,,\n"
    )
    study = {**listed, "target": "every label", "metrics": ["pointing_game", "deletion"]}
    results = run_study(study, results=tmp_path)
    found = images(results.folder)
    assert list(found) == ["a.png [1]", "a.png [0]", "c.png", "d.png"]
    assert [row["target"] for row in found.values()] == ["1", "0", "2", ""]
    assert [row["class"] for row in found.values()] == ["1", "0", "2", ""]
    assert [row["labels"] for row in found.values()][:2] == ["class 1; class 0", "class 0; class 1"]
    assert "this image has none" in found["d.png"]["reason"]
    records = results.frame
    hits = records[(records["metric"] == "pointing_game") & (records["method"] == "oracle")]
    assert hits["value"].tolist() == [1, 1, 1], "each by the boxes of its own class"
    scores = records[(records["metric"] == "deletion") & (records["method"] == "random")]
    assert scores["value"].nunique() == 3
    page = results.report().read_text(encoding="utf-8")
    assert "3 records are of 2 images, one for each label" in page
    clustered = results.summary()
    assert set(clustered["interval"]) == {"clustered t", "clustered wilson"}
    assert "every label of each image" in page
    said = []
    run_study(study, results=tmp_path, progress=Progress(say=said.append))
    assert any("3 of 4 images are there already" in line for line in said)


def test_samples_in_memory_have_a_record_for_each_label():
    image, truth = np.zeros((4, 4, 3), np.float32), Truth((4, 4))
    groups = (("subset", "val"), ("class", "cat"), ("size", "small"))
    one = Sample("0", "s", image, (0, 3, 1), truth, truth, groups=groups, n_main=2)
    source = open_source([one, Sample("1", "t", image, (1,), truth, truth)])
    found = source.every_label(ClassMap(("cat", "dog", "owl", "pug"))).entries
    assert [(each.name, each.labels, each.n_main) for each in found] == [
        ("s [cat]", (0, 3, 1), 2), ("s [dog]", (1, 0, 3), 1), ("t", (1,), 1),
    ]  # fmt: skip
    assert [dict(each.groups) for each in found[:2]] == [
        dict(groups), {"subset": "val", "class": "", "size": ""},
    ]  # fmt: skip


def test_two_names_of_one_class_are_one_label():
    entry = Entry("a", np.zeros((4, 4, 3), np.uint8), ("owl", "kitty", "cat", "cow"))
    classes = ClassMap(("cat", "dog", "owl"), explicit={"kitty": 0})
    found = open_source([entry]).every_label(classes).entries
    assert [(each.name, each.labels) for each in found] == [
        ("a [owl]", ("owl", "kitty", "cat", "cow")),
        ("a [kitty]", ("kitty", "owl", "cat", "cow")),
    ]
    only = ClassMap(("dog",), explicit={"cow": 0})
    (single,) = open_source([entry]).every_label(only).entries
    assert (single.name, single.labels[0]) == ("a", "cow"), "its groups are those of this label"


def test_layers_may_be_given_for_a_model(values, model_file, tmp_path):
    other = tmp_path / "other.keras"
    other.write_bytes(Path(model_file).read_bytes())
    models = [{"name": str(model_file), "layers": "early"}, {"name": str(other)}]
    study = {**values, "models": models, "layers": ["late"], "methods": ["layer_cam"],
             "metrics": ["pointing_game"]}  # fmt: skip
    results = run_study(study, results=tmp_path)
    layers = pd.read_csv(results.folder / "layers.csv")
    assert list(zip(layers["model"], layers["path"], strict=True)) == [
        ("tiny", "early"), ("other", "late"),
    ]  # fmt: skip
    wrong = [{"name": str(model_file), "layers": []}]
    with pytest.raises(InputError, match=r"models\.0\.layers = \[\]: wanted at least one"):
        make_study({**study, "models": wrong})


def test_pictures_that_were_resized_are_studied_with_rescale(listed, tmp_path):
    pictures = Path(listed["data"]["path"]).parent
    (pictures / "list.csv").write_text(
        "file,labels,x0,y0,x1,y1,width,height\na.png,0,4,8,16,20,80,88\n"
    )
    with pytest.raises(InputError, match=r"say rescale = true"):
        run_study(listed, results=tmp_path)
    study = {**listed, "data": {**listed["data"], "rescale": True}}
    results = run_study(study, results=tmp_path, fresh=True)
    maps = read_maps(map_path(results.folder, "tiny", "a.png"))
    assert maps.boxes.tolist() == [pytest.approx([2, 4 * 40 / 44, 8, 10 * 40 / 44])]


def test_endless_data_is_studied_with_a_count(listed, tmp_path):
    def endless():
        for n in itertools.count():
            yield Entry(f"{n}", np.full((40, 40, 3), n + 1, np.uint8), ("0",))

    study = {key: value for key, value in listed.items() if key != "data"}
    with pytest.raises(InputError, match="may never end"):
        run_study(study, results=tmp_path, data=endless())
    study["data"] = {"path": "(in memory)", "count": 2}
    assert list(images(run_study(study, results=tmp_path, data=endless()).folder)) == [0, 1]


def test_a_folder_says_what_it_skipped(values, pictures, tmp_path):
    (pictures / "a.heic").write_bytes(b"x")
    said = []
    study = {**values, "metrics": ["pointing_game"], "layers": ["last"]}
    run_study(study, results=tmp_path, progress=Progress(say=said.append))
    assert "1 image file in a format that is not read: a.heic; convert them to PNG" in said
