"""What n images can show, in words: never more than the metric can differ by."""

import json

import numpy as np
import pandas as pd
import pytest

from gradcam_eval.intervals import ANY
from gradcam_eval.metrics.listing import rows as metric_rows
from gradcam_eval.report.declared import range_of, tolerance_of
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.power import power_table
from gradcam_eval.report.sentences import sentence_of
from gradcam_eval.report.verdict import verdicts_of
from tests.report.study_folder import Plan, make_study

SAMPLES = tuple(f"disc_{at}" for at in range(7))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("power"), Plan(samples=SAMPLES))


def declared(path, **facts):
    """The folder with facts added to what study.json says of each metric."""
    file = path / "study.json"
    before = file.read_text()
    study = json.loads(before)
    study["metrics"] = [metric | facts for metric in study["metrics"]]
    file.write_text(json.dumps(study))
    found = read_folder(path)
    file.write_text(before)
    return found


def text_of(folder, at):
    verdict = verdicts_of(folder, "toy_net")[at]
    return " ".join(sentence_of(folder, verdict).points), power_table(folder, verdict)


@pytest.mark.parametrize(
    ("metric", "ends"),
    [
        ({"range": "0..1", "unit": "share"}, (0, 1)),
        ({"range": "-0.5..0.5", "unit": "u"}, (-0.5, 0.5)),
        ({"range": "-1..1 for probabilities", "unit": "probability"}, (-1, 1)),
        ({"range": "-1..1 for probabilities", "unit": "value"}, ANY),
        ({"range": "0..1", "unit": "probability or value"}, ANY),
        ({"range": "0..1", "unit": "score", "parameters": {"score": "log_odds"}}, ANY),
        ({"range": "0..1", "unit": "u", "parameters": {"score": "probability"}}, (0, 1)),
        ({"range": "0 or more", "unit": "u"}, (0, np.inf)),
        ({"range": "at most 1", "unit": "u"}, (-np.inf, 1)),
        ({"range": "0..ln(pixels)", "unit": "u"}, (0, np.inf)),
        ({}, ANY),
    ],
)
def test_the_declared_range_of_a_metric(metric, ends):
    assert range_of(metric) == ends


def test_every_range_that_the_package_declares_is_understood():
    said = {row["range"] for row in metric_rows().values()} - {""}
    assert len(said) > 5
    assert not [each for each in said if range_of({"range": each}) == ANY]


def test_a_difference_larger_than_the_range_is_not_promised(path):
    """Seven hits or misses: a difference of 1.6 cannot be, and was promised."""
    text, table = text_of(read_folder(path), 2)
    assert "no difference within the metric's range could be shown with 7 images" in text
    assert table["smallest_difference"].isna().any()
    assert not (table["smallest_difference"] > 1).any()


def test_a_range_of_the_metric_counts_where_it_is_declared(path):
    text, table = text_of(declared(path, range="0..1"), 0)
    assert "would be shown in 80 % of such studies" in text or "can show a difference of" in text
    narrow, none = text_of(declared(path, range="0..0.001"), 0)
    assert "No difference within the metric's range" in narrow or "better than" in narrow
    assert none["smallest_difference"].isna().all()
    assert table["smallest_difference"].notna().all()


def test_adaptive_curves_carry_their_tolerance_into_claims(path):
    rough = declared(path, parameters={"area": "trapezoid", "tolerance": 0.4})
    assert (rough.records["tolerance"] == 0.4).all()
    exact, loose = (verdicts_of(each, "toy_net")[0] for each in (read_folder(path), rough))
    assert loose.scores.design.tolerance == 0.8
    assert len(loose.members) == len(loose.table)
    control = loose.controls[0]
    bounds = [pd.Series(each.against(control)["high"], dtype=float) for each in (exact, loose)]
    pd.testing.assert_series_equal(bounds[0] + 0.8, bounds[1])
    text, table = text_of(rough, 0)
    assert "0.010 cannot be shown: it is within the curves' tolerance" in text
    assert table["images_0.01"].isna().all()
    low, high = (each.winner[2][1:] for each in (exact, loose))
    if exact.winner[2][1] == exact.winner[2][1]:
        assert high[0] == pytest.approx(low[0] - 0.4)


def test_an_area_between_two_curves_has_the_tolerance_of_both():
    curve = {"area": "trapezoid", "tolerance": 0.005}
    metric = {"name": "deletion", "parameters": curve}
    assert tolerance_of(metric) == 0.005
    assert tolerance_of(metric | {"name": "abpc"}) == 0.01
    assert tolerance_of({"name": "deletion", "parameters": curve | {"tolerance": None}}) == 0
    assert tolerance_of({"name": "pointing_game", "parameters": {"tolerance": 15}}) == 0
    assert tolerance_of({"name": "own"}) == 0
