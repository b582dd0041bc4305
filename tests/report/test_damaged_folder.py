"""Files of a results folder that no study wrote: refused in a sentence, never a number of them."""

import json

import pandas as pd
import pytest
from study_folder import Plan, make_study

from gradcam_eval.core import InputError
from gradcam_eval.report.engine_check import engine_line
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.metric_check import unable_metrics

PLAN = Plan(layers=("a",), methods=("grad_cam",), samples=("s", "t"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study") / "toy", PLAN)


@pytest.fixture
def folder(written, tmp_path):
    for file in written.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda study: study["metrics"][0].pop("protocol"),
            r"metrics\.0\.protocol: Field required",
        ),
        (lambda study: study["metrics"][1].update(higher_is_better="yes"), "valid boolean"),
        (lambda study: study["metrics"][1].update(aggregate="x"), "expected one of mean"),
        (lambda study: study.update(models="toy_net"), "models: Input should be a valid list"),
        (lambda study: study.update(models=[1]), r"models\.0"),
        (lambda study: study.update(metrics=[]), "metrics: List should have at least 1"),
        (lambda study: study.update(metrics={"a": 1}), "metrics: Input should be a valid list"),
        (lambda study: study.update(format="9" * 5000), "has format '9"),
    ],
)
def test_a_study_json_of_another_form_is_refused(folder, change, said):
    change_json(folder / "study.json", change)
    with pytest.raises(InputError, match=said) as error:
        read_folder(folder)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("name", ["study.json", "environment.json", "check_metrics.json"])
def test_json_that_is_nested_too_deeply_is_refused(folder, name):
    (folder / name).write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not valid JSON"):
        read_folder(folder)


def rows(text):
    return text.split("\n")


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("records.csv", lambda text: text + rows(text)[1] + "\n", "two rows of one value"),
        ("images.csv", lambda text: text + rows(text)[1] + "\n", "two rows of one image"),
        (
            "records.csv",
            lambda text: text.replace(",value,0", ",valeu,0", 1),
            "a status that is none",
        ),
        ("images.csv", lambda text: text.replace(",ok,", ",OK,", 1), "a status that is none"),
        ("records.csv", lambda text: text.replace(",value,0.", ",value,0.x", 1), "no number"),
        ("records.csv", lambda text: text.replace(",value,0.", ",value,1e999", 1), "no number"),
        ("records.csv", lambda text: text + "toy_net,a\n", "a status that is none"),
        ("curves.csv", lambda text: text + "toy_net,a\n", "no number"),
    ],
)
def test_a_table_that_no_study_wrote_is_refused(folder, file, change, said):
    path = folder / file
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    with pytest.raises(InputError, match=rf"{file} has .*{said}.*run the study again"):
        read_folder(folder)


@pytest.mark.parametrize("engines", [None, [], {"toy_net": []}, {"toy_net": {"ms_per_image": 3}}])
def test_an_environment_of_another_form_says_nothing(folder, engines):
    images = pd.read_csv(folder / "images.csv").assign(engine="frozen", engine_difference=1e-7)
    images.to_csv(folder / "images.csv", index=False)
    change_json(folder / "environment.json", lambda facts: facts.update(engines=engines))
    said = engine_line(read_folder(folder), "toy_net")
    assert said.endswith("TensorFlow's by 1e-07 at most.")


def test_a_check_of_metrics_of_another_form_says_nothing(folder):
    unable = [{"metric": ["deletion"], "protocol": "rise2018"}, 3, {"metric": "deletion"}]
    (folder / "check_metrics.json").write_text(json.dumps({"unable": unable}))
    assert unable_metrics(read_folder(folder)) == []
