"""`gradcam-eval check-metrics` on the planted evidence and the network that uses it."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from gradcam_eval.cli import app
from gradcam_eval.core import InputError

METRICS = ("pixel_roc_auc", "average_gain", "pxap", "gini_sparseness")


def call(*arguments):
    return CliRunner().invoke(app, ["check-metrics", *arguments], catch_exceptions=False)


def test_it_prints_a_table_names_the_unable_and_writes_files(tmp_path):
    options = [word for name in METRICS for word in ("--metric", name)]
    done = call(
        "--count", "6", *options, "--protocol", "average_gain=drop2018_mean", "-o", str(tmp_path)
    )
    assert done.exit_code == 0, done.output
    assert "evidence_gap on evidence/single, 6 images" in done.stdout
    assert "not checked: gini_sparseness" in done.stdout
    assert "Kendall's W" in done.stdout
    assert "the mask they compare with: pixel_roc_auc, pxap" in done.stdout
    table = pd.read_csv(tmp_path / "check_metrics.csv").set_index("metric")
    assert table.loc["pixel_roc_auc", "outcome"] == "works"
    assert not table["is_validated"][["pixel_roc_auc", "pxap"]].any()
    assert table.loc["pixel_roc_auc", "monotony"] > 0.9
    assert table.loc["pixel_roc_auc", "step_at_10"] <= 0.5
    assert table.loc["average_gain", "protocol"] == "drop2018_mean"
    written = json.loads((tmp_path / "check_metrics.json").read_text(encoding="utf-8"))
    assert written["images"] == 6
    assert written["not_checked"][0]["metric"] == "gini_sparseness"
    assert [each["metric"] for each in written["not_validated"]] == ["pixel_roc_auc", "pxap"]
    failed = table[table["outcome"] != "works"].index
    assert [each["metric"] for each in written["unable"]] == list(failed)
    steps = pd.read_csv(tmp_path / "check_metrics_steps.csv")
    assert len(steps) == 3 * 10
    values = pd.read_csv(tmp_path / "check_metrics_values.csv")
    assert len(values) == 6 * 3 * 11
    assert sorted(values["noise"].unique()) == pytest.approx([step / 10 for step in range(11)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "delition"], "did you mean 'deletion'"),
        (["--protocol", "deletion"], "METRIC=NAME"),
        (["--protocol", "deletion=road2022"], "protocol of the metric 'deletion'"),
        (["--metric", "gini_sparseness"], "no metric is left"),
        (["--model", "evidence_gab", "--metric", "iou"], "did you mean 'evidence_gap'"),
        (["--bits", "99", "--metric", "iou"], "bits = 99: expected 1 to"),
        (["--window", "5", "5", "--metric", "iou"], "expected two numbers, the lower first"),
        (["--bits", "8", "--window", "0", "5", "--metric", "iou"], "give bits or window"),
        (["--data", "evidence/singel", "--metric", "iou"], "did you mean 'evidence/single'"),
    ],
)
def test_wrong_input_is_a_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        call(*arguments)


def test_how_files_are_read_reaches_the_data(monkeypatch):
    received = []

    def stop(settings, **options):
        received.append(settings)
        raise InputError("that is all")

    monkeypatch.setattr("gradcam_eval.meta_evaluation.check.check_metrics", stop)
    options = ["--values", "0", "1", "--window", "10", "4095", "--large", "reduce"]
    with pytest.raises(InputError, match="that is all"):
        call("--metric", "iou", "--data", "scans", *options)
    data = received[0].data
    assert (data.path, data.within, data.pixels.range) == ("scans", (0, 1), (10, 4095))
    assert data.large == "reduce"
