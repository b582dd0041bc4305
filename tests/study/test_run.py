import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS, register_method
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.engine_choice import EngineChoice
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.grid import read_maps
from gradcam_eval.results import run_study
from gradcam_eval.store import Ledger, map_path
from gradcam_eval.study.config import make_study
from gradcam_eval.study.run import Progress

ORDER = ["a.png", "b.png", "c.png", "d.png", "more/a.png"]  # b.png is cut short
GOOD = [name for name in ORDER if name != "b.png"]


class Stop(Exception):
    """The end of a run that is broken off."""


def stopping_at(step):
    """A progress that raises when the given step is done, as a kill would."""
    left = iter(range(step - 1))

    def count():
        if next(left, None) is None:
            raise Stop

    return Progress(step=count)


def tables(folder):
    return [pd.read_csv(folder / f"{name}.csv") for name in ("images", "records", "curves")]


def assert_same_tables(folder, other):
    """Same rows in the same order, numbers to 1e-6, wherever the pictures lie."""
    for mine, theirs in zip(tables(folder), tables(other), strict=True):
        for table in (mine, theirs):
            if "reason" in table:
                table["reason"] = table["reason"].str.replace(r"^.*/pictures/", "", regex=True)
        pd.testing.assert_frame_equal(mine, theirs, rtol=0, atol=1e-6)


@pytest.fixture
def judged(monkeypatch):
    """The names of the images that the model is asked about, as it happens."""
    from gradcam_eval.study import run

    names = []

    def judge(subject, sample):
        names.append(sample.name)
        return original(subject, sample)

    original = run.judge
    monkeypatch.setattr(run, "judge", judge)
    return names


def test_every_image_is_a_row_also_the_one_that_cannot_be_read(whole):
    found = read_folder(whole)
    assert found.images["sample"].tolist() == ORDER
    assert found.images["status"].tolist() == ["ok", "failed", "ok", "ok", "ok"]
    assert "b.png" in found.images["reason"][1]
    cells = [("early", "layer_cam"), ("early", "eigen_cam"), ("late", "layer_cam"),
             ("late", "eigen_cam"), ("", "random"), ("", "centre_gaussian"), ("", "edges"),
             ("", "oracle")]  # fmt: skip
    keys = zip(
        *(found.records[key] for key in ("sample", "metric", "layer", "method")), strict=True
    )
    metrics = ("deletion", "insertion", "pointing_game")
    assert list(keys) == [
        (name, metric, *cell) for name in GOOD for metric in metrics for cell in cells
    ]
    assert set(found.records["status"]) == {"value", "undefined"}
    # 1600 pixels, 224 a step: 9 points
    assert set(found.curves.groupby(["layer", "method", "sample", "metric"]).size()) == {9}


def test_what_the_report_needs_is_beside_the_results(values, model_file, tmp_path):
    values["question"] = "Which layer?"
    folder = make_study(values).run(results=tmp_path).folder  # as good as run_study
    assert folder == tmp_path / "toy"
    study = json.loads((folder / "study.json").read_text())
    assert (study["format"], study["models"], study["question"]) == (2, ["tiny"], "Which layer?")
    assert study["model_entries"][0]["name"] == str(model_file)
    deletion = study["metrics"][0]
    assert (deletion["name"], deletion["protocol"]) == ("deletion", "rise2018")
    assert deletion["higher_is_better"] is False
    assert deletion["parameters"]["step_pixels"] == 224
    facts = json.loads((folder / "environment.json").read_text())
    assert facts["models"]["tiny"]["input_size"] == [40, 40]
    assert len(facts["models"]["tiny"]["digest"]) == 64
    layers = pd.read_csv(folder / "layers.csv")
    assert layers[["model", "path", "shape", "stride"]].values.tolist() == [
        ["tiny", "early", "40×40×4", 1.0],
        ["tiny", "late", "20×20×6", 2.0],
    ]
    assert layers["roles"].tolist() == ["stages,all", "last,stages,all"]
    calls = pd.read_csv(folder / "calls.csv")
    assert set(calls["layer"]) == {"early", "late"}
    passes = calls.set_index(["layer", "method"])[["forwards", "backwards"]]
    assert passes.loc["late"].to_dict("index") == {
        "layer_cam": {"forwards": 1, "backwards": 1},
        "eigen_cam": {"forwards": 1, "backwards": 0},
    }
    path = map_path(folder, "tiny", "more/a.png")
    maps = read_maps(path)
    assert maps.maps["late", "eigen_cam"].shape == (20, 20)
    with Image.open(Path(values["data"]) / "more/a.png") as picture:
        assert (np.load(path)["image"] == np.asarray(picture.resize((40, 40), 2))).all()
        assert maps.image.shape == np.shape(picture)  # pictures show the photograph itself


@pytest.mark.parametrize("step", [1, 5])
def test_broken_off_and_resumed_is_the_same_as_in_one_go(values, whole, tmp_path, judged, step):
    with pytest.raises(Stop):
        run_study(values, results=tmp_path / "parts", progress=stopping_at(step))
    assert judged == [name for name in ORDER[:step] if name != "b.png"]
    run_study(values, results=tmp_path / "parts")
    assert judged == GOOD  # each image once, in all
    assert_same_tables(whole, tmp_path / "parts" / "toy")


def test_killed_by_the_system_and_resumed_is_the_same_as_in_one_go(values, whole, tmp_path):
    """The process kills itself outright: nothing is closed, flushed or rolled back by Python."""
    code = """
import json, os, signal, sys
from pathlib import Path
from gradcam_eval.results import run_study
from gradcam_eval.study.config import make_study
from gradcam_eval.study.run import Progress
steps = []
def step():
    steps.append(1)
    if len(steps) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
run_study(json.loads(sys.argv[1]), results=Path(sys.argv[2]), progress=Progress(step=step))
"""
    command = [sys.executable, "-c", code, json.dumps(values), str(tmp_path / "parts")]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = tmp_path / "parts" / "toy"
    assert not (folder / "records.csv").exists()
    run_study(values, results=tmp_path / "parts")
    assert_same_tables(whole, folder)


def test_killed_while_an_image_is_written_leaves_it_whole_or_not_at_all(
    values, whole, tmp_path, monkeypatch
):
    """The worst moment: the maps are on the disk and their rows are not yet."""
    writes = []

    def write_image(self, row, records, **state):
        if row["sample"] == "c.png" and not writes:
            writes.append(1)
            raise Stop
        return original(self, row, records, **state)

    original = Ledger.write_image
    monkeypatch.setattr(Ledger, "write_image", write_image)
    with pytest.raises(Stop):
        run_study(values, results=tmp_path / "parts")
    assert map_path(tmp_path / "parts" / "toy", "tiny", "c.png").exists()
    run_study(values, results=tmp_path / "parts")
    assert_same_tables(whole, tmp_path / "parts" / "toy")


def test_the_engine_is_chosen_once_and_kept_for_a_resumed_run(values, tmp_path, monkeypatch):
    folder = run_study(values, results=tmp_path).folder
    facts = json.loads((folder / "environment.json").read_text())
    assert facts["engines"]["tiny"]["engine"] == "frozen"
    facts["engines"]["tiny"] = {"engine": "tensorflow", "ms_per_image": {}}
    (folder / "environment.json").write_text(json.dumps(facts))
    chosen = "gradcam_eval.models.engine_choice.choose_engine"
    monkeypatch.setattr(chosen, lambda *_, **__: pytest.fail("chosen again"))
    run_study(values, results=tmp_path)
    again = json.loads((folder / "environment.json").read_text())
    assert again["engines"] == facts["engines"]
    choice = EngineChoice("frozen", {"frozen": 1.0})
    monkeypatch.setattr(chosen, lambda model, *_, output: (choice, Predictor(model)))
    for unusable in ({"engine": "abacus"}, "frozen", {"engine": "frozen", "speed": 1}):
        facts["engines"]["tiny"] = unusable
        (folder / "environment.json").write_text(json.dumps(facts))
        run_study(values, results=tmp_path)
        again = json.loads((folder / "environment.json").read_text())
        assert again["engines"]["tiny"] == {"engine": "frozen", "ms_per_image": {"frozen": 1.0}}


def test_a_finished_study_that_is_shown_again_chooses_no_engine(values, tmp_path, monkeypatch):
    (Path(values["data"]) / "b.png").unlink()
    folder = run_study(values, results=tmp_path).folder
    (folder / "environment.json").unlink()
    chosen = "gradcam_eval.models.engine_choice.choose_engine"
    monkeypatch.setattr(chosen, lambda *_, **__: pytest.fail("chosen"))
    run_study(values, results=tmp_path)
    assert json.loads((folder / "environment.json").read_text())["engines"] == {}


def test_a_finished_study_is_not_computed_again(values, tmp_path, judged, monkeypatch):
    values["cost"] = {"rounds": 1, "batch_sizes": [1]}
    first = run_study(values, results=tmp_path)
    before = {path.name: path.read_bytes() for path in first.folder.glob("*.csv")}
    begun = json.loads((first.folder / "study.json").read_text())["created"]
    judged.clear()
    for name in ("cost_rows", "forecast"):
        monkeypatch.setattr(
            f"gradcam_eval.study.run.{name}", lambda *_, **__: pytest.fail("computed")
        )
    monkeypatch.setattr("gradcam_eval.study.provenance.datetime", Later)
    said = []
    # b.png is still broken, so it is tried again, and judged by nobody
    values["question"] = "Another question about the same results?"
    with pytest.raises(pytest.fail.Exception):
        run_study(values, results=tmp_path, progress=Progress(say=said.append))
    (Path(values["data"]) / "b.png").unlink()
    run_study(values, results=tmp_path, progress=Progress(say=said.append))
    assert judged == []
    assert said == ["tiny: 4 of 4 images are there already"]
    after = {path.name: path.read_bytes() for path in first.folder.glob("*.csv")}
    assert (
        after.keys()
        == before.keys()
        == {f"{n}.csv" for n in ("images", "records", "curves", "cost", "layers", "calls")}
    )
    assert all(after[name] == before[name] for name in after if name != "images.csv")
    assert json.loads((first.folder / "study.json").read_text())["created"] == begun


class Later:
    """A clock that shows another year."""

    @staticmethod
    def now(zone):
        from datetime import datetime

        return datetime(2099, 1, 1, tzinfo=zone)


def test_images_that_changed_came_or_went_are_followed(values, tmp_path, judged):
    folder = Path(values["data"])
    run_study(values, results=tmp_path)
    judged.clear()
    (folder / "b.png").write_bytes((folder / "d.png").read_bytes())  # mended
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes())  # changed
    (folder / "d.png").unlink()
    (folder / "a2.png").write_bytes((folder / "more/a.png").read_bytes())
    found = read_folder(run_study(values, results=tmp_path).folder)
    assert judged == ["a2.png", "b.png", "c.png"]
    assert found.images["sample"].tolist() == ["a.png", "a2.png", "b.png", "c.png", "more/a.png"]
    assert set(found.images["status"]) == {"ok"}
    assert list(dict.fromkeys(found.records["sample"])) == found.images["sample"].tolist()
    deletion = found.records.query("method == 'layer_cam' and metric == 'deletion'")
    area = deletion.set_index("sample")["value"]
    assert area["c.png"].tolist() == pytest.approx(area["a.png"].tolist(), abs=1e-6)


def test_another_study_or_model_under_the_same_name_is_refused(values, model, tmp_path):
    folder = run_study(values, results=tmp_path).folder
    before = (folder / "study.json").read_text()
    for change in ({"seed": 1}, {"methods": ["layer_cam"]}):
        with pytest.raises(InputError, match=r"holds results of another study, model or version"):
            run_study({**values, **change}, results=tmp_path)
    other = keras.models.clone_model(model)  # the same layers, other weights
    path = tmp_path / "other" / "tiny.keras"
    path.parent.mkdir()
    other.save(path)
    Path(values["models"][0]).rename(tmp_path / "kept.keras")
    try:
        path.rename(values["models"][0])
        with pytest.raises(InputError, match=r"holds results of another study, model or version"):
            run_study(values, results=tmp_path)
    finally:
        (tmp_path / "kept.keras").replace(values["models"][0])
    assert (folder / "study.json").read_text() == before
    run_study({**values, "question": "the same, asked otherwise"}, results=tmp_path)


def test_class_names_decide_results_as_well(values, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\nowl\n")
    values |= {"models": [{"name": values["models"][0], "classes": str(names)}], "target": "owl"}
    found = read_folder(run_study(values, results=tmp_path).folder)
    assert set(found.images["target_name"]) == {"owl", ""}
    names.write_text("owl\ndog\ncat\n")
    with pytest.raises(InputError, match="another study, model or version"):
        run_study(values, results=tmp_path)


def test_what_was_misspelt_leaves_no_folder_behind_and_removes_none(values, tmp_path):
    with pytest.raises(InputError, match="unknown layer 'laet': did you mean 'late'"):
        run_study({**values, "layers": ["laet"]}, results=tmp_path)
    with pytest.raises(InputError, match="unknown class 'owl'"):
        run_study({**values, "target": "owl"}, results=tmp_path)
    assert not (tmp_path / "toy").exists()
    folder = run_study(values, results=tmp_path).folder
    with pytest.raises(InputError, match="unknown layer"):
        run_study({**values, "layers": ["laet"]}, results=tmp_path, fresh=True)
    assert (folder / "records.csv").exists()


def test_fresh_removes_what_a_study_left_and_nothing_else(values, tmp_path, judged):
    folder = run_study(values, results=tmp_path).folder
    (folder / "summary.csv").write_text("old")
    judged.clear()
    run_study({**values, "seed": 1}, results=tmp_path, fresh=True)
    assert judged == GOOD
    assert not (folder / "summary.csv").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"was not written by a study .* it is not removed"):
        run_study({**values, "name": "mine"}, results=tmp_path, fresh=True)
    assert (mine / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    run_study({**values, "name": "empty"}, results=tmp_path, fresh=True)


def test_fresh_does_not_remove_the_folder_of_a_run_that_is_going_on(values, tmp_path):
    folder = run_study(values, results=tmp_path).folder
    fingerprint = json.loads((folder / "study.json").read_text())["fingerprint"]
    with Ledger(folder / "ledger.sqlite", fingerprint):
        for fresh in (True, False):
            with pytest.raises(InputError, match="another run is writing to"):
                run_study(values, results=tmp_path, fresh=fresh)
    assert (folder / "records.csv").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(values, tmp_path):
    (tmp_path / "toy").write_text("a file, not a folder")
    for fresh in (True, False):
        with pytest.raises(InputError, match=r"cannot make the folder .*toy: .*--results"):
            make_study(values).run(results=tmp_path, fresh=fresh)
    with pytest.raises(InputError, match=r"cannot make the folder .*: Not a directory"):
        run_study(values, results=tmp_path / "toy")


def test_where_no_image_can_be_judged_the_study_says_why(values, tmp_path):
    for picture in Path(values["data"]).rglob("*.png"):
        picture.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of the 5 images of .* the first, 'a.png': "):
        run_study(values, results=tmp_path)
    images = pd.read_csv(tmp_path / "toy" / "images.csv")
    assert set(images["status"]) == {"failed"}


def test_an_image_on_which_anything_fails_is_a_row(values, tmp_path, monkeypatch):
    from gradcam_eval.study import judge

    def edges(given):
        if given.image.mean() > limit:
            raise MemoryError("no room")
        return original(given)

    original = judge.CONTROLS["edges"]
    means = sorted(np.asarray(Image.open(Path(values["data"]) / name)).mean() for name in GOOD)
    limit = (means[-1] + means[-2]) / 2
    monkeypatch.setitem(judge.CONTROLS, "edges", edges)
    found = read_folder(run_study(values, results=tmp_path).folder)
    assert sorted(found.images["status"]) == ["failed", "failed", "ok", "ok", "ok"]
    assert "MemoryError: no room" in found.images["reason"].tolist()


def test_a_method_that_was_registered_is_studied_like_the_others(values, tmp_path):
    @register_method
    def mean_activation(activations, gradients):
        return keras.ops.mean(activations, axis=-1)

    try:
        found = read_folder(
            run_study({**values, "methods": ["mean_activation"]}, results=tmp_path).folder
        )
    finally:
        del METHODS["mean_activation"]
    mine = found.records[found.records["method"] == "mean_activation"]
    assert len(mine) == 2 * 3 * len(GOOD)
    assert set(mine[mine["metric"] != "pointing_game"]["status"]) == {"value"}


def test_two_models_stand_side_by_side_each_with_its_cost(values, model, tmp_path):
    second = tmp_path / "second.keras"
    keras.models.clone_model(model).save(second)
    values["models"] += [{"name": str(second), "preprocess": "tf"}]
    values |= {"layers": ["last"], "cost": {"rounds": 1, "batch_sizes": [2]}}
    steps, stages = [], []
    progress = Progress(
        stage=lambda name, total: stages.append((name, total)), step=lambda: steps.append(1)
    )
    found = read_folder(run_study(values, results=tmp_path, progress=progress).folder)
    assert found.models == ["tiny", "second"]
    assert list(dict.fromkeys(found.records["model"])) == ["tiny", "second"]
    assert found.images["sample"].tolist() == ORDER * 2
    assert found.cost["model"].tolist() == ["tiny"] * 3 + ["second"] * 3
    assert found.cost["method"].tolist() == ["forward", "layer_cam", "eigen_cam"] * 2
    assert stages == [
        (f"{m}: {s}", n) for m in ("tiny", "second") for s, n in (("images", 5), ("cost", 2))
    ]
    assert len(steps) == sum(total for _, total in stages)


def test_what_a_method_refuses_is_undefined_with_the_reason(values, tmp_path):
    """CAM needs the pooled layer: the earlier stage has no CAM, and all else is judged."""
    changes = {"methods": ["grad_cam", "cam", "fusion_mean(of=cam)"], "metrics": ["deletion"]}
    changes |= {"controls": [], "cost": {"rounds": 1, "batch_sizes": [1]}}
    folder = run_study(make_study({**values, **changes}), results=tmp_path).folder
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    found = {
        (row["layer"], row["method"]): (row["status"], row["reason"])
        for row in records[records["sample"] == "a.png"].to_dict("records")
    }
    assert found["late", "cam"] == found["early", "grad_cam"] == ("value", "")
    for layer, method in (("early", "cam"), ("early+late", "fusion_mean(of=cam)")):
        status, reason = found[layer, method]
        assert status == "undefined"
        assert reason.startswith("cam cannot explain layer 'early': CAM needs a layer whose output")
    cost = pd.read_csv(folder / "cost.csv", keep_default_na=False)
    timed = set(zip(cost["layer"], cost["method"], strict=True))
    assert timed == {("", "forward"), ("early", "grad_cam"), ("late", "grad_cam"), ("late", "cam")}


def test_input_methods_options_ranks_and_fusions_are_studied(values, tmp_path):
    changes = {
        "methods": ["gradient", "rise(masks=8)", "fusion_max", "score_cam(channels=2)"],
        "metrics": ["deletion"], "controls": [], "target": "predicted:2", "score": "log_odds",
    }  # fmt: skip
    folder = run_study(make_study({**values, **changes}), results=tmp_path).folder
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    cells = set(zip(records["layer"], records["method"], strict=True))
    assert cells == {
        ("input", "gradient"), ("input", "rise(masks=8)"), ("early+late", "fusion_max"),
        ("early", "score_cam(channels=2)"), ("late", "score_cam(channels=2)"),
    }  # fmt: skip
    assert set(records["status"]) <= {"value", "undefined"}
    images = pd.read_csv(folder / "images.csv", keep_default_na=False)
    judged = images[images["status"] == "ok"]
    second = [json.loads(top)[1][0] for top in judged["top5"]]
    assert judged["target_name"].tolist() == second


def test_what_earlier_labels_named_is_judged_anew(values, tmp_path, judged):
    values |= {"methods": ["grad_cam", "fusion_max(gamma=3)"], "metrics": ["deletion"]}
    values["cost"] = {"rounds": 1, "batch_sizes": [1]}
    first = run_study(values, results=tmp_path)
    before = tables(first.folder)
    for label in ("'fusion_max(gamma=3.0)'", "method"):  # as of an earlier version; as it is
        with contextlib.closing(sqlite3.connect(first.folder / "ledger.sqlite")) as ledger, ledger:
            ledger.execute(f"UPDATE records SET method={label} WHERE method LIKE 'fusion%'")
            ledger.execute("DELETE FROM images WHERE sample='c.png'")
            ledger.execute("DELETE FROM records WHERE sample='c.png'")
            ledger.execute("DELETE FROM ties WHERE sample='c.png'")
            for table, column in (("images", "content"), ("cost", "sha256")):
                ledger.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        judged.clear()
        said = []
        run_study(values, results=tmp_path, progress=Progress(say=said.append))
        is_earlier = label != "method"
        assert judged == (["a.png", "c.png", "d.png", "more/a.png"] if is_earlier else ["c.png"])
        assert ("otherwise: fusion_max(gamma=3.0)" in said[0]) == is_earlier
        for mine, theirs in zip(tables(first.folder), before, strict=True):
            pd.testing.assert_frame_equal(mine, theirs, rtol=0, atol=1e-6)
