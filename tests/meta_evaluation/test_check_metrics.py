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
    asked = [word for name in METRICS for word in ("--metric", name)]
    done = call(
        "--count", "6", *asked, "--protocol", "average_gain=drop2018_mean", "-o", str(tmp_path)
    )
    assert done.exit_code == 0, done.output
    assert "evidence_gap on evidence/single, 6 images" in done.stdout
    assert "not judged: gini_sparseness" in done.stdout
    assert "Kendall's W" in done.stdout
    pairs = pd.read_csv(tmp_path / "check_metrics.csv").set_index(["metric", "better"])
    assert len(pairs) == 3 * 3
    assert pairs.loc[("pixel_roc_auc", "random"), "verdict"] == "tells"
    assert pairs.loc[("average_gain", "oracle"), "protocol"] == "drop2018_mean"
    written = json.loads((tmp_path / "check_metrics.json").read_text(encoding="utf-8"))
    assert written["images"] == 6
    assert written["not_judged"][0]["metric"] == "gini_sparseness"
    failed = pairs[~pairs["verdict"].str.startswith("tells")].reset_index()["metric"].unique()
    assert [each["metric"] for each in written["unable"]] == list(failed)
    assert all(each["fault"] in done.stdout for each in written["unable"])
    values = pd.read_csv(tmp_path / "check_metrics_values.csv")
    assert len(values) == 6 * 3 * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "delition"], "did you mean 'deletion'"),
        (["--protocol", "deletion"], "METRIC=NAME"),
        (["--protocol", "deletion=road2022"], "protocol of the metric 'deletion'"),
        (["--metric", "gini_sparseness"], "no metric is left"),
        (["--model", "evidence_gab", "--metric", "iou"], "did you mean 'evidence_gap'"),
        (["--data", "evidence/singel", "--metric", "iou"], "did you mean 'evidence/single'"),
    ],
)
def test_wrong_input_is_a_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        call(*arguments)
