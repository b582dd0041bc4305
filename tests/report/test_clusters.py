"""The records of one image in a study of every label: one unit in each interval and test."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from study_folder import Plan, make_study

from gradcam_eval.report.answer import answer
from gradcam_eval.report.caveats import caveats
from gradcam_eval.report.clusters import joined, records_of_one_image
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.top1 import label_warning
from gradcam_eval.report.verdict import verdicts_of
from gradcam_eval.results import Results

IMAGES = 12
LABELS = ("cat", "dog")
CELL = ("toy_net", "top_activation", "grad_cam")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve images with two labels; both records of an image have the same value."""
    samples = tuple(f"{at}.png [{label}]" for at in range(IMAGES) for label in LABELS)
    plan = Plan(layers=("top_activation",), methods=("grad_cam",), samples=samples, cost=False)
    path = make_study(tmp_path_factory.mktemp("results") / "toy", plan)
    images = pd.read_csv(path / "images.csv", dtype=str, keep_default_na=False)
    images["id"] = images["sample"].str.replace(r" \[.*", "", regex=True)
    images["class"] = images["sample"].str.extract(r"\[(.*)\]")
    images.to_csv(path / "images.csv", index=False)
    records = pd.read_csv(path / "records.csv", dtype=str, keep_default_na=False)
    records = records[records["metric"] == "deletion"]
    first = records["sample"].str.replace("[dog]", "[cat]")
    values = records.set_index(["layer", "method", "sample"])["value"]
    keys = zip(records["layer"], records["method"], first, strict=True)
    records["value"] = [values[key] for key in keys]
    records.to_csv(path / "records.csv", index=False)
    return path


def declare(folder, **study):
    """Return the folder's results as of a study that declares this."""
    said = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(said | {"analysis": {}} | study))
    return Results(folder)


def row_of(results):
    table = results.summary().set_index(["model", "layer", "method"])
    return table.loc[CELL]


def test_intervals_are_those_of_images_not_of_records(folder):
    alone = row_of(declare(folder, target="label"))
    found = row_of(declare(folder, target="every label"))
    records = read_folder(folder).records
    mine = records[(records["method"] == "grad_cam") & records["sample"].str.endswith("[cat]")]
    values = mine["value"].to_numpy(float)
    half = t.ppf(0.975, IMAGES - 1) * values.std(ddof=1) / np.sqrt(IMAGES)  # of Student's interval
    assert found["interval"] == "clustered t"
    assert (found["n"], alone["n"]) == (2 * IMAGES, 2 * IMAGES)
    assert found["mean"] == pytest.approx(values.mean())
    expected = [values.mean() - half, values.mean() + half]
    assert [found["low"], found["high"]] == pytest.approx(expected)
    assert alone["high"] - alone["low"] < 0.85 * 2 * half, "as if 24 images were independent"


def test_tests_are_those_of_images(folder):
    tested = {}
    for target in ("label", "every label"):
        results = declare(folder, target=target)
        tested[target] = results.compare_all("deletion", reference=("toy_net", "", "edges"))
        verdict = verdicts_of(read_folder(folder), "toy_net")[0]
        assert verdict.selection.units == (24 if target == "label" else 12)
    assert tested["every label"]["p"][0] > tested["label"]["p"][0]
    assert tested["every label"]["high"][0] > tested["label"]["high"][0]


def test_the_report_says_it_once(folder):
    results = declare(folder, target="every label")
    found = read_folder(folder)
    said = answer(found, results.summary(), "toy_net")
    (text,) = [each for each in said.warnings if "one for each label" in each]
    assert text.startswith("24 records are of 12 images, one for each label")
    assert "tests and intervals take them together" in text
    scope = str(said.sentences[1])
    assert "24 records, 1 cell" in scope
    assert "right on 12 of 12 labelled images" in scope, "an image counts once"
    assert label_warning(found, "toy_net") == ""


def test_a_declared_cluster_holds_the_other_records_of_its_images_too(folder):
    declare(folder, target="every label", analysis={"cluster": "class"})
    found = read_folder(folder)
    assert len(set(found.clusters.values())) == 1, "each image shows a cat and a dog"
    assert Results(folder).clusters == found.clusters
    said = caveats(found, verdicts_of(found, "toy_net"), model="toy_net")
    assert any('with cluster = "class" 1 independent unit remains.' in each for each in said)


def test_an_image_with_one_label_is_in_no_cluster():
    images = pd.DataFrame(
        {"sample": ["a", "b [1]", "b [2]", "a", "c"], "id": ["x", "y", "y", "x", ""]}
    )
    assert records_of_one_image(images) == {"b [1]": "y", "b [2]": "y"}
    assert records_of_one_image(images[:1]) == {}


def test_clusters_that_share_a_sample_are_joined():
    chain = joined({"a": "1", "b": "1", "c": "2"}, {"b": "x", "d": "x", "e": "y"}, {"d": 0, "c": 0})
    assert chain == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e"}
    assert joined({}, {}) == {}
