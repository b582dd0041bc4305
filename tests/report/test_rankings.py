"""Rankings of models, data sets and runs beside each other; folders in memory."""

from dataclasses import replace

import numpy as np
import pytest
from simulated import folder_of
from study_folder import Plan, make_study
from typer.testing import CliRunner

from gradcam_eval.cli import app
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.report.critical import critical_figure
from gradcam_eval.report.ranking_text import ranking_sentences
from gradcam_eval.report.rankings import compare_rankings
from gradcam_eval.report.verdict import verdicts_of
from gradcam_eval.results import Results, compare_ranks

BY_METHOD = np.tile([3.0, 2.0, 1.0, 0.0], 2)  # grad, layer, eigen and xgrad_cam at two layers


def study(gains=BY_METHOD, *, n=30, seed=0, name="a", model="net", data="photos"):
    generator = np.random.default_rng(seed)
    x = np.asarray(gains) + 0.3 * generator.normal(size=(n, len(gains)))
    folder = folder_of(x, generator.normal(size=(n, 1)))
    changed = {
        table: getattr(folder, table).assign(model=model)
        for table in ("images", "layers", "records")
    }
    facts = {"name": name, "data": data, "models": [model]}
    return replace(folder, study=folder.study | facts, **changed)


def test_models_of_several_folders_that_rank_alike():
    found = compare_rankings([study(), study(model="other", seed=1)])
    assert (found.concordance.w, found.concordance.rankings, found.concordance.items) == (1, 2, 4)
    assert found.models["ranking"].tolist() == ["net", "other"]
    assert found.transfers == ["grad_cam"]
    first = found.table[found.table["ranking"] == "net"].set_index("item")
    assert first["rank"].to_dict() == {
        "grad_cam": 1, "layer_cam": 2, "eigen_cam": 3, "xgrad_cam": 4
    }  # fmt: skip
    values = study().records.groupby("method")["value"].mean()
    assert first.loc["grad_cam", "value"] == pytest.approx(values["grad_cam"])
    text = " ".join(ranking_sentences(found))
    assert (
        "By insertion, 2 rankings of 4 methods agree to Kendall's W = 1.000 (1 is the same order"
        in text
    )
    assert "unrelated rankings have 0.500 on average" in text
    assert "1 of 4 methods is in the best set of every ranking: grad_cam." in text


def test_a_choice_that_does_not_transfer():
    found = compare_rankings([study(), study(BY_METHOD[::-1], data="scans", seed=1)])
    assert found.models["ranking"].tolist() == ["photos", "scans"]
    assert found.concordance.w == 0
    assert found.transfers == []
    assert "None of the 4 methods is in the best set of every" in ranking_sentences(found)[1]


def test_items_that_nothing_tells_apart_all_transfer():
    found = compare_rankings([study(np.zeros(8)), study(np.zeros(8), data="scans", seed=1)])
    assert len(found.transfers) == 4
    assert "none is excluded" in ranking_sentences(found)[1]


def test_two_runs_of_the_same_are_told_apart_and_few_images_claim_nothing(tmp_path):
    found = compare_rankings([study(), study(name="b", n=5, seed=1)])
    assert found.models["ranking"].tolist() == ["a: net", "b: net"]
    assert isinstance(found.transfers, Undefined)
    assert "fewer than 6 independent images" in ranking_sentences(found)[1]
    assert found.table["in_best_set"].isna().sum() == 4
    one = compare_rankings([study()])
    assert isinstance(one.concordance, Undefined)
    assert isinstance(one.transfers, Undefined)
    assert len(ranking_sentences(one)) == 1


def test_relative_depth_has_as_many_steps_as_the_fewest_layers():
    shallow = study(np.repeat([0.0, 1.0], 4))
    deep = study(np.repeat([0.0, 0.4, 1.0], 4), model="deep", seed=1)
    found = compare_rankings([shallow, deep], by="depth")
    assert found.table["item"].tolist() == ["0.00", "1.00"] * 2
    assert found.concordance.w == 1
    assert found.transfers == ["1.00"]
    middle = deep.records[deep.records["layer"].isin(["layer_1", "layer_2"])]["value"].mean()
    assert found.table["value"].iloc[-1] == pytest.approx(middle)
    cells = compare_rankings([shallow, deep], by="cell")
    assert cells.concordance.items == 8


def test_methods_at_no_layer_have_no_depth():
    folder = study()
    records = folder.records.assign(layer="input").drop_duplicates(["sample", "method"])
    records = records[records["kind"] == "cam"]
    folders = [replace(folder, records=records), replace(study(seed=1), records=records)]
    found = compare_rankings(folders, by="depth")
    assert found.table.empty
    assert isinstance(found.concordance, Undefined)
    assert "are not compared" in ranking_sentences(found)[0]
    assert compare_rankings(folders, by="cell").table["item"].iloc[0] == "input · grad_cam"


def test_top_1_stands_beside_the_scores_of_the_best_set():
    folder = study(np.r_[3, 3, np.zeros(6)], n=40)
    images = folder.images.assign(hit_top1=["True"] * 30 + ["False"] * 10)
    (row,) = compare_rankings([replace(folder, images=images)]).models.to_dict("records")
    assert (row["top1"], row["labelled"], row["best_set"], row["cells"]) == (0.75, 40, 2, 8)
    assert row["top1_low"] < 0.75 < row["top1_high"]
    means = folder.records.groupby(["layer", "method"])["value"].mean().sort_values()
    assert (row["worst"], row["best"]) == pytest.approx(means.iloc[-2:])
    assert row["low"] < row["value"] < row["high"]  # on the half that did not choose it


def test_what_cannot_be_compared_is_said():
    with pytest.raises(InputError, match=r"unknown metric of \. 'deletion'.*insertion"):
        compare_rankings([study()], "deletion")
    empty = study(seed=1)
    empty = replace(empty, records=empty.records.assign(status="undefined", value=np.nan))
    with pytest.raises(InputError, match="has no value of 'insertion' for any cell"):
        compare_rankings([study(), empty])
    with pytest.raises(InputError, match="unknown by 'layer'"):
        compare_rankings([study()], by="layer")
    with pytest.raises(InputError, match="no results folder is given"):
        compare_ranks([])


def test_the_command_compares_the_models_of_several_runs(tmp_path):
    samples = tuple(f"d{n}" for n in range(8))
    plan = Plan(models=("a_net", "b_net"), methods=("grad_cam",), samples=samples, cost=False)
    runs = [make_study(tmp_path / name, plan) for name in ("one", "two")]
    found = CliRunner().invoke(app, ["ranks", *map(str, runs), "--by", "depth"])
    assert found.exit_code == 0, found.output
    assert (
        "By deletion, 4 rankings of 3 relative depths agree to Kendall's W = 1.000" in found.output
    )
    assert "1 of 3 relative depths is in the best set of every ranking: 1.00." in found.output
    assert "8 of 8" in found.output or "1.000 [0.676, 1.000] of 8" in found.output
    same = compare_ranks([Results(runs[0]), runs[1]], by="depth")
    assert len(same.models) == 4


def test_the_critical_difference_diagram_shows_ranks_and_claims_nothing():
    (verdict,) = verdicts_of(study(), "net")
    figure = critical_figure(verdict)
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 8
    assert {names[0], names[1]} == {"layer_0 · grad_cam", "layer_1 · grad_cam"}
    points, *lines = axes.get_lines()
    np.testing.assert_array_less(points.get_xdata()[:-1], points.get_xdata()[1:] + 1e-9)
    assert points.get_xdata().sum() == pytest.approx(8 * 9 / 2)
    assert lines, "the two layers of a method lie close"
    assert "30 images, Friedman p < 0.001" in axes.get_title(loc="left")
    assert set(axes.get_xticks()) <= set(range(1, 9))
    many = critical_figure(verdicts_of(study(np.arange(64.0), n=7), "net")[0])
    assert len(many.axes[0].get_yticklabels()) == 60
    assert "the first 60 of 64 cells" in many.axes[0].get_title(loc="left")
    assert critical_figure(verdicts_of(study(n=5), "net")[0]) is None
    assert critical_figure(verdicts_of(study([1.0, 2.0]), "net")[0]) is None
