"""`gradcam-eval compare`: exit codes, pairs and refusals, on two written runs."""

import numpy as np
import pandas as pd
import pytest
from study_folder import Plan, make_study
from typer.testing import CliRunner

from gradcam_eval.cli import app
from gradcam_eval.core import InputError
from gradcam_eval.report.runs import compare_runs

SAMPLES = tuple(f"disc_{n:02}" for n in range(10))
PLAN = Plan(layers=("a", "b"), methods=("grad_cam",), samples=SAMPLES, cost=False)


def shifted(folder, layer, by):
    """Write the same run, with the deletion of one layer moved."""
    make_study(folder, PLAN)
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    mine = (records["metric"] == "deletion") & (records["layer"] == layer)
    noise = np.linspace(-0.2, 0.2, mine.sum()) * by
    values = pd.to_numeric(records.loc[mine, "value"]) + by + noise
    records["value"] = records["value"].astype(object)
    records.loc[mine, "value"] = values.to_numpy()
    records.to_csv(folder / "records.csv", index=False)
    return folder


@pytest.fixture
def run_a(tmp_path):
    return make_study(tmp_path / "a", PLAN)


@pytest.mark.parametrize(("by", "code", "word"), [(0.1, 1, "worse"), (-0.1, 0, "better")])
def test_a_worse_cell_ends_with_1(tmp_path, run_a, by, code, word):
    run_b = shifted(tmp_path / "b", "a", by)
    table = compare_runs(run_a, run_b).table.set_index("layer")
    assert table["change"].to_dict() == {"a": word, "b": ""}
    assert table.loc["a", "difference"] == pytest.approx(by)
    assert table.loc["a", "low"] <= by <= table.loc["a", "high"]
    assert table.loc["b", "p"] == 1
    result = CliRunner().invoke(app, ["compare", str(run_a), str(run_b)])
    assert result.exit_code == code
    assert f"{int(word == 'worse')} are shown to be worse in b" in result.output


def test_another_metric_and_what_cannot_be_paired(tmp_path, run_a):
    run_b = shifted(tmp_path / "b", "a", 0.1)
    assert (compare_runs(run_a, run_b, metric="insertion").table["change"] == "").all()
    with pytest.raises(InputError, match="unknown metric 'road'"):
        compare_runs(run_a, run_b, metric="road")
    with pytest.raises(InputError, match="is not a results folder"):
        compare_runs(run_a, tmp_path)
    other = make_study(tmp_path / "c", Plan(layers=("c",), methods=("grad_cam",), cost=False))
    with pytest.raises(InputError, match="no cell in common"):
        compare_runs(run_a, other)
    few = make_study(tmp_path / "d", Plan(layers=("a",), samples=SAMPLES[:5], cost=False))
    assert set(compare_runs(run_a, few).table["change"]) == {"fewer than 6 independent images"}
