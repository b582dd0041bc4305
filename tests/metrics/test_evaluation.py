"""Several metrics of the same heatmaps: as each alone, what they share, and what is raised."""

from dataclasses import replace

import numpy as np
import pytest
from drawn import random_truths

from gradcam_eval.core import Case, InputError, Tally, Truth, Undefined
from gradcam_eval.metrics import METRICS, evaluate, evaluate_all, regions, register_metric, resized
from gradcam_eval.metrics.cases import case_by_case
from gradcam_eval.metrics.inputs import in_frame
from gradcam_eval.metrics.ranking import ranking
from gradcam_eval.protocols import OverlapProtocol

MEASURES = [
    (metric.name, protocol)
    for metric in METRICS.values()
    for protocol in metric.protocols
    if metric.needs in ("truth", "labels", "heatmap")
]


def cases_of(count=6):
    generator = np.random.default_rng(3)
    maps, masks, ignore, boxes = random_truths(generator, count)
    cases = []
    for n in range(count):
        size = masks[n].shape
        truth = Truth(size, boxes[n], masks[n], ignore[n], instances=(masks[n],))
        image = np.zeros((*size, 3), np.float32)
        cases.append(Case(image, maps[n], 1, truth, truth, labels=(1,), predicted=(n % 2, 5)))
    cases[0] = replace(cases[0], heatmap=np.zeros((3, 3), np.float32))
    cases[1] = replace(cases[1], heatmap=generator.normal(size=(4, 3)).astype(np.float32))
    cases[2] = replace(cases[2], truth=Truth(size), original_truth=Truth(size))
    return cases


def plain(results):
    return [(r.value, r.parts.tolist()) if isinstance(r, Tally) else r for r in results]


def test_together_they_give_what_each_gives_alone():
    cases = cases_of()
    together = evaluate_all(MEASURES, cases)
    assert len(together) == len(MEASURES)
    for (name, protocol), results in zip(MEASURES, together, strict=True):
        assert plain(results) == plain(evaluate(name, cases, None, protocol)), (name, protocol)
    assert evaluate_all(MEASURES, []) == [[] for _ in MEASURES]


def test_a_heatmap_is_resized_and_ranked_once_for_all(monkeypatch):
    made = []
    for module, function in ((resized, in_frame), (regions, ranking)):

        def counting(*arguments, function=function):
            made.append(function.__name__)
            return function(*arguments)

        monkeypatch.setattr(module, function.__name__, counting)
    names = ("pixel_roc_auc", "pixel_average_precision", "relevance_rank_accuracy", "iou")
    evaluate_all([(name, METRICS[name].default_protocol) for name in names], cases_of()[3:5])
    assert made == ["in_frame", "ranking"] * 2


def test_nothing_is_kept_of_a_heatmap_that_its_owner_changes():
    case = cases_of()[3]
    measures = [("energy_pointing_game", "energy2020"), ("pixel_roc_auc", "pixels_v1")]
    before = evaluate_all(measures, [case])
    case.heatmap[:] = case.heatmap[::-1, ::-1]
    after = evaluate_all(measures, [case])
    assert after == evaluate_all(measures, [replace(case, heatmap=case.heatmap.copy())])
    assert after != before


@pytest.mark.usefixtures("registered")
def test_what_a_metric_raises_stands_in_the_place_of_its_results():
    facts = {"needs": "truth", "unit": "1", "higher_is_better": True}

    @register_metric("together", **facts)
    def together(cases, predict, protocol):
        raise ValueError("all of them")

    @register_metric("energy_pointing_game_of_some", protocols=("energy2020",), **facts)
    @case_by_case("energy_pointing_game", OverlapProtocol)
    def some(prepared, rules):
        if not prepared.case.heatmap.any():
            raise ValueError(f"not under {rules.name}")
        return 1.0

    cases = cases_of()
    measures = [("together", "own"), ("energy_pointing_game_of_some", "energy2020")]
    failed, partly = evaluate_all([*measures, ("iou", "iou_otsu")], cases)[:2]
    assert [str(each) for each in failed] == ["all of them"] * 6
    assert str(partly[0]) == "not under energy2020"
    assert partly[1:] == [1.0] * 5


@pytest.mark.usefixtures("registered")
def test_a_metric_of_single_cases_is_checked_as_any_other():
    facts = {"needs": "truth", "unit": "1", "higher_is_better": True, "protocols": ("energy2020",)}

    @register_metric("not_finite", **facts)
    @case_by_case("energy_pointing_game", OverlapProtocol)
    def not_finite(prepared, rules):
        return float("nan")

    @register_metric("no_tally", aggregate="mean_over_classes", **facts)
    @case_by_case("energy_pointing_game", OverlapProtocol)
    def no_tally(prepared, rules):
        return 1.0

    names = [("not_finite", "energy2020"), ("no_tally", "energy2020")]
    (nan,), (error,) = evaluate_all(names, cases_of()[:1])
    assert nan == Undefined("the metric returned nan")
    assert isinstance(error, InputError)
    assert "returned plain values" in str(error)


def test_unknown_names_are_refused_at_once():
    with pytest.raises(InputError, match="unknown metric 'iuo'"):
        evaluate_all([("iuo", "iou_otsu")], cases_of())


def test_a_ranking_by_hand():
    # From the top: 3 (object); two 1s, one of them the object's; two zeros, one written as -0.
    values = np.array([1, 3, -0.0, 1, 0.0], np.float32)
    found = ranking(values, np.array([True, True, False, False, True]))
    assert found.pixels.tolist() == [1, 3, 5]
    assert found.hits.tolist() == [1, 2, 3]
    assert found.misses.tolist() == [0, 1, 2]
