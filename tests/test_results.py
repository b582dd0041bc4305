import json

import numpy as np
import pandas as pd
import pytest
from study_folder import Plan, make_study

from gradcam_eval.comparison import compare
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.metrics import agreement
from gradcam_eval.report.agreement import agreement_figure
from gradcam_eval.report.grid import read_maps
from gradcam_eval.results import Results
from gradcam_eval.statistics import Design, best_set, compare_all
from gradcam_eval.stats import summarise

A = ("toy_net", "top_activation", "grad_cam")
B = ("toy_net", "", "random")


@pytest.fixture
def folder(tmp_path):
    # so many images that another seed of the bootstrap gives another interval
    samples = tuple(f"disc_{n}" for n in range(12))
    layers = ("block2_expand", "top_activation")
    plan = Plan(layers=layers, methods=("grad_cam",), samples=samples, failed=("disc_3",))
    return make_study(tmp_path / "toy", plan)


@pytest.fixture
def seeded(folder):
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seed": 42}))
    return folder


def test_a_folder_may_be_given_as_text(folder):
    assert Results(str(folder)) == Results(folder)
    assert Results(str(folder)).folder == folder


def test_the_frame_is_the_records_with_text_as_text_and_numbers_as_numbers(folder):
    frame = Results(folder).frame
    written = pd.read_csv(folder / "records.csv", keep_default_na=False)
    assert len(frame) == len(written)
    assert set(frame["layer"]) == {"block2_expand", "top_activation", ""}
    assert frame["value"].dtype == np.float64


def test_summary_and_comparison_draw_with_the_study_s_seed(seeded):
    results = Results(seeded)
    pd.testing.assert_frame_equal(results.summary(), summarise(results.frame, seed=42))
    assert not results.summary().equals(summarise(results.frame, seed=0))
    found = results.compare(A, B, "deletion")
    assert found == compare(results.frame, A, B, "deletion", design=Design(seed=42))
    assert found.pairs == 11  # the failed image is no pair


@pytest.mark.usefixtures("plain_figures")
def test_the_report_is_made_anew_from_the_files(tmp_path):
    folder = make_study(tmp_path / "toy", Plan(methods=("grad_cam",), samples=("disc_0",)))
    (folder / "summary.csv").write_text("old")
    page = Results(folder).report()
    assert page == folder / "report.html"
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    assert summary["method"].tolist() == Results(folder).summary()["method"].tolist()
    assert "toy_net" in page.read_text(encoding="utf-8")
    copy = Results(folder).report(tmp_path / "elsewhere.html")
    assert copy == tmp_path / "elsewhere.html"
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot write .*gone/a\.html: No such file"):
        Results(folder).report(tmp_path / "gone" / "a.html")


@pytest.mark.parametrize("ask", [Results.summary, Results.report, lambda r: r.frame])
def test_a_folder_without_results_is_refused_and_left_alone(tmp_path, ask):
    with pytest.raises(InputError, match="is not a results folder"):
        ask(Results(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_claims_are_those_of_the_records(folder):
    results, frame = Results(folder), Results(folder).frame
    mine = frame[frame["metric"] == "deletion"]
    common = {"metric": "deletion", "higher_is_better": False}
    found = results.compare_all("deletion", reference=B)
    expected = compare_all(mine, reference=B, **common)
    keys = ["layer", "method"]
    pd.testing.assert_frame_equal(
        found.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )
    pd.testing.assert_frame_equal(results.best_set(), best_set(mine, **common))
    every = results.compare_all()
    names = {"random", "centre_gaussian", "edges", "top_activation · grad_cam"}
    assert set(every["reference"]) == names
    power = results.power()
    assert list(power["reference"])[-1] == ""
    assert (power["images_0.01"] >= power["images_0.05"]).all()
    assert results.recommend().cell == A
    assert isinstance(results.ranks().concordance, Undefined)  # of one model
    with pytest.raises(InputError, match=r"unknown metric 'deletoin'.*deletion"):
        results.best_set("deletoin")
    with pytest.raises(InputError, match="unknown model 'toy'"):
        results.recommend(model="toy")
    with pytest.raises(InputError, match="unknown reference"):
        results.compare_all(reference=("toy_net", "", "noise"))


def test_several_models_are_named_and_ranked(tmp_path):
    plan = Plan(models=("a_net", "b_net"), samples=tuple(f"d{n}" for n in range(8)), cost=False)
    two = Results(make_study(tmp_path / "two", plan))
    with pytest.raises(InputError, match="several: say model= one of a_net, b_net"):
        two.best_set()
    assert set(two.best_set(model="b_net")["model"]) == {"b_net"}
    depth = two.ranks(by="depth").concordance
    assert (depth.w, depth.rankings, depth.items) == (1, 2, 3)
    assert two.ranks(by="cell").concordance.items == 9
    with pytest.raises(InputError, match="unknown by 'layer'"):
        two.ranks(by="layer")


def test_agreement_compares_the_cells_maps_of_the_folder(folder):
    found = Results(folder).agreement()
    cells = ["block2_expand · grad_cam", "top_activation · grad_cam"]
    assert list(found.mean) == cells
    maps = {cell: [] for cell in cells}
    for path in sorted((folder / "maps").rglob("*.npz")):
        for (layer, method), heatmap in read_maps(path).maps.items():
            if layer:
                maps[f"{layer} · {method}"].append(heatmap)
    expected = agreement(maps)
    pd.testing.assert_frame_equal(found.mean, expected.mean)
    assert (found.n.to_numpy() == expected.n.to_numpy()).all()
    with_controls = Results(folder).agreement("top_overlap", controls=True)
    assert "random" in with_controls.mean
    assert with_controls.measure == "top_overlap"
    axes = agreement_figure(found.mean, found.n, found.measure).axes[0]
    assert len(axes.texts) == 4
    with pytest.raises(InputError, match="unknown model 'toy'"):
        Results(folder).agreement(model="toy")
