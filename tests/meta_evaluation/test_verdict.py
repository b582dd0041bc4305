"""A metric that can tell is said to, one that cannot is named: with made-up metrics and values."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gradcam_eval.core import BadSample, InputError, Sample, Truth, Undefined
from gradcam_eval.meta_evaluation.agreement import concordances
from gradcam_eval.meta_evaluation.judging import chosen_metrics, judge_known
from gradcam_eval.meta_evaluation.known_quality import PAIRS, QUALITIES, known_heatmaps
from gradcam_eval.meta_evaluation.verdict import SIZES, pair_table, whole_orders
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
    # 1 for the two better ones: a hit or a miss
    "made_hit": (True, lambda case: _overlap(case) > 0.5),
}


@pytest.fixture(autouse=True)
def made_up():
    def register(name, up, measure):
        @register_metric(name, needs="truth", unit="", higher_is_better=up)
        def function(cases, predict, protocol):
            return [measure(case) for case in cases]

    for name, (up, measure) in MADE_UP.items():
        register(name, up, measure)
    yield
    for name in MADE_UP:
        METRICS.pop(name)


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
    measures, _ = chosen_metrics(tuple(MADE_UP), {})
    return judge_known(samples(count), predict, measures, seed=seed)


def verdicts(pairs, metric):
    return pairs[pairs["metric"] == metric]["verdict"].tolist()


def test_the_known_heatmaps_are_in_the_order_of_their_names():
    sample = samples(1)[0]
    maps = known_heatmaps(sample.image, sample.truth, seed=3)
    assert tuple(maps) == QUALITIES
    mask = sample.truth.mask
    np.testing.assert_array_equal(maps["oracle"], mask)
    np.testing.assert_array_equal(maps["inverted"], ~mask)
    gaps = [maps[name][mask].mean() - maps[name][~mask].mean() for name in QUALITIES]
    assert gaps[0] == 1
    assert gaps[3] == -1
    assert gaps[0] > gaps[1] > 0.3 > abs(gaps[2])
    assert all(each.min() >= 0 and each.max() <= 1 for each in maps.values())
    again = known_heatmaps(sample.image, sample.truth, seed=3)
    other = known_heatmaps(sample.image, sample.truth, seed=4)
    np.testing.assert_array_equal(again["good"], maps["good"])
    assert not np.array_equal(other["random"], maps["random"])
    # The noise in `good` is not the one that stands alone.
    smooth = maps["good"] - maps["random"] / 3
    assert smooth[~mask].std() > 0.05


def test_a_perfect_metric_tells_and_blind_ones_are_named():
    pairs = pair_table(table().records)
    assert verdicts(pairs, "made_perfect") == ["tells"] * 3
    assert verdicts(pairs, "made_perfect_error") == ["tells"] * 3
    assert verdicts(pairs, "made_backwards") == ["reversed"] * 3
    assert verdicts(pairs, "made_constant") == ["cannot tell"] * 3
    assert verdicts(pairs, "made_noise") == ["cannot tell"] * 3
    assert verdicts(pairs, "made_undefined") == ["undecided"] * 3
    assert verdicts(pairs, "made_failing") == ["undecided"] * 3
    assert verdicts(pairs, "made_hit") == ["cannot tell", "tells", "cannot tell"]


def test_counts_margins_and_sizes_follow_from_the_values():
    judged = table()
    pairs = pair_table(judged.records).set_index(["metric", "better"])
    perfect = pairs.loc[("made_perfect", "oracle")]
    assert (perfect["n"], perfect["right"], perfect["tied"], perfect["missing"]) == (24, 24, 0, 0)
    values = judged.records[judged.records["metric"] == "made_perfect"]
    means = values.groupby("method")["value"].apply(lambda column: column.astype(float).mean())
    assert perfect["margin"] == pytest.approx(means["oracle"] - means["good"])
    assert perfect["smallest_n"] == SIZES[0]
    turned = pairs.loc[("made_perfect_error", "oracle")]
    assert turned["margin"] == pytest.approx(perfect["margin"])  # lower is better there
    constant = pairs.loc[("made_constant", "good")]
    assert (constant["right"], constant["tied"], constant["wrong"]) == (0, 24, 0)
    assert pd.isna(constant["smallest_n"])
    assert pairs.loc[("made_failing", "good")]["missing"] == 24
    orders = whole_orders(judged.records).set_index("metric")
    assert orders.loc["made_perfect", "share"] == 1
    assert orders.loc["made_backwards", "share"] == orders.loc["made_constant", "share"] == 0
    assert orders.loc["made_undefined", "n"] == 0


def test_a_weak_signal_needs_more_images():
    """Better by 0.3 with noise of spread 1: seen in the mean of 200 images, never of 5."""
    generator = np.random.default_rng(0)
    records = table(1).records
    records = records[records["metric"] == "made_perfect"]
    parts = [
        records.assign(sample=str(n), value=generator.normal([0.9, 0.6, 0.3, 0.0], 0.7))
        for n in range(200)
    ]
    found = pair_table(pd.concat(parts))
    assert found["verdict"].str.startswith("tells").all()
    assert (found["smallest_n"] > 20).all()
    assert (found["smallest_n"] <= 200).all()


def test_the_same_seed_gives_the_same_numbers():
    one, two, other = table(8), table(8), table(8, seed=1)
    pd.testing.assert_frame_equal(pair_table(one.records), pair_table(two.records))
    assert not pair_table(one.records).equals(pair_table(other.records))


def test_too_few_images_are_undecided():
    assert set(pair_table(table(4).records)["verdict"]) == {"undecided"}


def test_images_that_show_no_known_evidence_are_left_out():
    good, wrong, bare = samples(3)
    wrong = replace(wrong, labels=(0,))
    bare = replace(bare, truth=Truth((SIDE, SIDE)))
    steps = []
    judged = judge_known(
        [good, wrong, bare, BadSample("broken", "cannot be read")],
        predict,
        [("made_perfect", "own")],
        step=lambda: steps.append(1),
    )
    assert (judged.images, len(steps)) == (1, 4)
    assert [name for name, _ in judged.left_out] == ["image1", "image2", "broken"]
    assert "none of the image's labels" in judged.left_out[0][1]


def test_metrics_that_know_no_truth_or_ask_for_more_heatmaps_are_not_judged():
    measures, refused = chosen_metrics(("gini_sparseness", "max_sensitivity", "iou"), {})
    assert measures == (("iou", "iou_half_max"),)
    assert [name for name, _ in refused] == ["gini_sparseness", "max_sensitivity"]
    every, _ = chosen_metrics((), {"iou": "iou_otsu"})
    assert ("iou", "iou_otsu") in every
    assert ("deletion", "rise2018") in every
    with pytest.raises(InputError, match="protocol of the metric 'iou'"):
        chosen_metrics((), {"iou": "rise2018"})


def test_agreement_is_1_among_metrics_of_one_mind_and_0_between_opposites():
    records = table().records.assign(needs="truth")
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
    assert len(PAIRS) == 3
