"""A metric that works is said to, one that does not is named: with made-up metrics and values."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from gradcam_eval.core import BadSample, InputError, Sample, Truth, Undefined
from gradcam_eval.meta_evaluation.agreement import concordances
from gradcam_eval.meta_evaluation.check import MetricCheck
from gradcam_eval.meta_evaluation.ladder import RUNGS
from gradcam_eval.meta_evaluation.outcome import metric_results
from gradcam_eval.meta_evaluation.scoring import chosen_metrics, score_ladder
from gradcam_eval.metrics import METRICS, register_metric

SIDE = 32


def _overlap(case):
    return float(np.corrcoef(case.heatmap.ravel(), case.truth.mask.ravel())[0, 1])


def _fails(case):
    raise ZeroDivisionError("no luck")


MADE_UP = {
    "made_perfect": (True, _overlap),
    "made_perfect_error": (False, lambda case: -_overlap(case)),
    "made_backwards": (True, lambda case: -_overlap(case)),
    "made_constant": (True, lambda case: 0.5),
    "made_noise": (True, lambda case: case.generator(str(case.heatmap.sum())).random()),
    "made_undefined": (True, lambda case: Undefined("never")),
    "made_failing": (True, _fails),
    # a hit or a miss
    "made_hit": (True, lambda case: _overlap(case) > 0.5),
    "made_of_the_image": (True, lambda case: float(case.image.mean())),
    "made_with_the_mask": (True, _overlap),
}


@contextmanager
def registered():
    def register(name, up, score):
        needs = "truth" if name == "made_with_the_mask" else "predict"

        @register_metric(name, needs=needs, unit="", higher_is_better=up)
        def function(cases, predict, protocol):
            return [score(case) for case in cases]

    for name, (up, score) in MADE_UP.items():
        register(name, up, score)
    yield
    for name in MADE_UP:
        METRICS.pop(name, None)


@pytest.fixture(autouse=True)
def made_up():
    with registered():
        yield


def samples(count=24):
    found = []
    for n in range(count):
        generator = np.random.default_rng(n)
        row, column = generator.integers(2, SIDE - 12, 2)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[row : row + 10, column : column + 10] = True
        image = generator.uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32)
        truth = Truth(mask.shape, mask=mask)
        found.append(Sample(f"id{n}", f"image{n}", image, (1,), truth, truth))
    return found


def predict(images):
    return np.tile([0.2, 0.8], (len(images), 1))


def table(count=24, seed=0):
    specs, _ = chosen_metrics(tuple(MADE_UP), {})
    return score_ladder(samples(count), predict, specs, seed=seed)


@pytest.fixture(scope="module")
def scored():
    with registered():
        return table().records


@pytest.fixture(scope="module")
def results(scored):
    with registered():
        return {each.metric: each for each in metric_results(scored)}


def test_works_fails_and_undetermined(results):
    assert {name: each.outcome for name, each in results.items()} == {
        "made_perfect": "works",
        "made_perfect_error": "works",
        "made_backwards": "fails",
        "made_constant": "undetermined",
        "made_noise": "undetermined",
        "made_undefined": "undetermined",
        "made_failing": "undetermined",
        "made_hit": "works",
        "made_of_the_image": "undetermined",
        "made_with_the_mask": "works",
    }
    perfect, hit = results["made_perfect"], results["made_hit"]
    assert perfect.reliability.monotony == pytest.approx(1)
    assert perfect.reliability.alpha == pytest.approx(1)
    assert [perfect.resolved(n) for n in (10, 30, 100)] == [0.1] * 3
    assert hit.resolved(10) > 0.1  # nearly all steps are ties of two hits or two misses
    assert hit.steps[9].margin == pytest.approx(1)
    turned = results["made_perfect_error"]  # lower is better there
    assert turned.steps[3].margin == pytest.approx(perfect.steps[3].margin)
    assert results["made_of_the_image"].reliability.inter_method == pytest.approx(1)
    assert results["made_backwards"].resolved(100) is None
    assert results["made_failing"].n == 0
    assert results["made_failing"].missing == 24


def test_a_metric_of_the_ladders_own_mask_is_not_validated(results):
    rows = {name: each.row() for name, each in results.items()}
    assert rows["made_perfect"]["is_validated"]
    assert not rows["made_with_the_mask"]["is_validated"]
    assert not rows["made_backwards"]["is_validated"]
    check = MetricCheck(list(results.values()), [], None, 24, (), (), {})
    assert check.circular() == [{"metric": "made_with_the_mask", "protocol": "own"}]
    faults = {each["metric"]: each["fault"] for each in check.unable()}
    assert set(faults) == {name for name, each in results.items() if each.outcome != "works"}
    assert faults["made_backwards"].startswith("prefers noise")
    assert faults["made_failing"] == "has values on too few images (0; a claim needs 6)"
    assert faults["made_constant"].startswith("is not shown to prefer the graded oracle")


def test_the_value_of_a_data_set_counts_where_it_is_no_mean_over_images():
    """`pxap` pools the pixels of all images; its steps are those of the pooled precision."""
    scored = score_ladder(samples(8), predict, [("pxap", "pxap2020")])
    (result,) = metric_results(scored.records)
    assert (result.n, result.outcome) == (8, "works")
    assert 0 < result.steps[9].margin < 1
    assert result.reliability.monotony > 0.9


def test_the_same_seed_gives_the_same_numbers():
    specs = [("made_perfect", "own"), ("made_noise", "own")]
    scored = (score_ladder(samples(8), predict, specs, seed=seed) for seed in (0, 0, 1))
    one, two, other = (metric_results(each.records) for each in scored)
    assert [each.row() for each in one] == [each.row() for each in two]
    assert [each.row() for each in one] != [each.row() for each in other]


def test_too_few_images_are_undetermined():
    found = metric_results(score_ladder(samples(5), predict, [("made_perfect", "own")]).records)
    assert {each.outcome for each in found} == {"undetermined"}


def test_images_that_show_no_known_evidence_are_left_out():
    good, wrong, bare = samples(3)
    wrong = replace(wrong, labels=(0,))
    bare = replace(bare, truth=Truth((SIDE, SIDE)))
    steps = []
    scored = score_ladder(
        [good, wrong, bare, BadSample("broken", "cannot be read")],
        predict,
        [("made_perfect", "own")],
        step=lambda: steps.append(1),
    )
    assert (scored.images, len(steps)) == (1, 4)
    assert len(scored.records) == len(RUNGS)
    assert [name for name, _ in scored.left_out] == ["image1", "image2", "broken"]
    assert "none of the image's labels" in scored.left_out[0][1]


def test_metrics_that_know_no_truth_or_need_more_heatmaps_are_not_checked():
    specs, refused = chosen_metrics(("gini_sparseness", "max_sensitivity", "iou"), {})
    assert specs == (("iou", "iou_half_max"),)
    assert [name for name, _ in refused] == ["gini_sparseness", "max_sensitivity"]
    every, _ = chosen_metrics((), {"iou": "iou_otsu"})
    assert ("iou", "iou_otsu") in every
    assert ("deletion", "rise2018") in every
    with pytest.raises(InputError, match="protocol of the metric 'iou'"):
        chosen_metrics((), {"iou": "rise2018"})


def test_agreement_is_1_among_metrics_of_one_order_and_0_between_opposites(scored):
    records = scored.assign(needs="truth")
    same = records[records["metric"].isin(["made_perfect", "made_perfect_error"])]
    found = {each.group: each for each in concordances(same)}
    assert found["all"].metrics == 2
    assert found["all"].images == 24
    assert found["all"].kendall_w == pytest.approx(1)
    assert found["all"].kendall_w_of_mean_ranks == pytest.approx(1)
    assert found["all"].krippendorff_alpha == pytest.approx(1)
    assert found["faithfulness"].metrics == 0
    assert found["faithfulness"].kendall_w is None
    opposite = records[records["metric"].isin(["made_perfect", "made_backwards"])]
    against = concordances(opposite)[0]
    assert against.kendall_w == pytest.approx(0, abs=1e-12)
    assert against.krippendorff_alpha < -0.5
    blind = records[records["metric"].isin(["made_perfect", "made_undefined"])]
    assert concordances(blind)[0].kendall_w is None
