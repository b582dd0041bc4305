"""The public procedures on tables of records, and the figures beside the tests."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from gradcam_eval.aggregates import contributions, mean_of_maxima
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.statistics import Design, best_set, compare_all
from gradcam_eval.statistics.effects import effect_of
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.power import equivalence, images_for, round_up, smallest_difference
from gradcam_eval.statistics.ranks import (
    Ranking,
    cliques,
    concordance,
    critical_difference,
    friedman_p,
    kendall_w,
    mean_ranks,
)

RANDOM = ("net", "", "random")
DOWN = {"metric": "deletion", "higher_is_better": False}


def table(model="net", **cells):
    """Records from method → values; "random" is the control, the others are at the layer "top"."""
    rows = [
        {"model": model, "layer": "" if name == "random" else "top", "method": name}
        | {"sample": f"i{i:03}", "metric": "deletion", "value": value}
        for name, values in cells.items()
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def records(rng):
    base = rng.normal(0.4, 0.1, 30)
    return table(
        good=base - 0.2 + rng.normal(0, 0.05, 30),
        fair=base - 0.19 + rng.normal(0, 0.05, 30),
        same=base + rng.normal(0, 0.05, 30),
        random=base + rng.normal(0, 0.05, 30),
    )


def test_lower_is_better_has_negative_differences_and_an_upper_bound(records):
    found = compare_all(records, reference=RANDOM, **DOWN).set_index("method")
    assert list(found.index) == ["good", "fair", "same"]
    good = found.loc["good"]
    values = records.pivot(index="sample", columns="method", values="value")
    assert good["difference"] == pytest.approx((values["good"] - values["random"]).mean())
    assert good["difference"] < good["high"] < 0
    assert good["low"] is pd.NA
    assert list(found["is_shown"]) == [True, True, False]
    assert good["share"] > 0.9
    assert good["rank_biserial"] > 0.9  # positive = better
    assert good["relative"] == pytest.approx(-good["difference"] / np.ptp(records["value"]))
    worse = compare_all(records, reference=RANDOM, design=Design(alternative="worse"), **DOWN)
    assert not worse["is_shown"].any()
    assert worse["high"].isna().all()
    both = compare_all(records, reference=RANDOM, design=Design(alternative="two-sided"), **DOWN)
    assert (both["low"] < both["difference"]).all()
    assert (both["difference"] < both["high"]).all()


def test_several_references_are_one_family(records):
    one = compare_all(records, reference=RANDOM, **DOWN)
    two = compare_all(records, reference=[RANDOM, ("net", "top", "same")], **DOWN)
    assert len(two) == 3 + 2
    assert set(two["reference"]) == {"random", "top · same"}
    assert (two["p"][:3] >= one["p"]).all()


def test_the_best_set_and_what_does_not_compete(records):
    found = best_set(records, **DOWN)
    assert set(found["method"]) == {"good", "fair"}
    assert found["mean"].is_monotonic_increasing
    assert (found["images"] == 30).all()
    gaps = records["value"].where((records["method"] != "good") | (records["sample"] < "i010"))
    few = best_set(records.assign(value=gaps), **DOWN)
    assert set(few["method"]) == {"fair"}  # 10 of 30 images do not compete
    gaps = records["value"].where((records["method"] != "good") | (records["sample"] < "i020"))
    most = best_set(records.assign(value=gaps), **DOWN)
    assert (most["images"] == 20).all()


def test_each_comparison_has_its_own_pairs_and_too_few_make_no_claim(records):
    gaps = records["value"].where((records["method"] != "good") | (records["sample"] < "i005"))
    found = compare_all(records.assign(value=gaps), reference=RANDOM, **DOWN).set_index("method")
    assert list(found["images"]) == [5, 30, 30]
    assert found.loc["good", "note"] == "5 independent units"
    assert found.loc["good", "p"] is pd.NA
    assert not found.loc["good", "is_shown"]
    few = compare_all(records[records["sample"] < "i005"], reference=RANDOM, **DOWN)
    assert set(few["note"]) == {"5 independent units: a claim needs 6"}
    assert len(best_set(records[records["sample"] < "i005"], **DOWN)) == 3


def test_clusters_by_column_or_by_name(records):
    scenes = {name: name[:3] for name in records["sample"]}  # 3 scenes of 10 images
    by_name = compare_all(records, reference=RANDOM, design=Design(cluster=scenes), **DOWN)
    assert not by_name["is_shown"].any()
    with_column = records.assign(scene=records["sample"].map(scenes))
    by_column = compare_all(with_column, reference=RANDOM, design=Design(cluster="scene"), **DOWN)
    pd.testing.assert_frame_equal(by_name, by_column)
    with pytest.raises(InputError, match="unknown column of clusters 'scenes'"):
        compare_all(with_column, reference=RANDOM, design=Design(cluster="scenes"), **DOWN)


def test_row_order_is_without_effect(records):
    mixed = records.sample(frac=1, random_state=1)
    one, two = (best_set(each, **DOWN) for each in (records, mixed))
    pd.testing.assert_frame_equal(one, two)
    first, second = (
        compare_all(each, reference=RANDOM, **DOWN).sort_values("method", ignore_index=True)
        for each in (records, mixed)
    )
    pd.testing.assert_frame_equal(first, second)


def test_a_column_of_tolerances_is_carried_into_claims(records):
    exact = compare_all(records, reference=RANDOM, **DOWN)
    rough = compare_all(records.assign(tolerance=0.05), reference=RANDOM, **DOWN)
    np.testing.assert_allclose((rough["high"] - exact["high"]).astype(float), 0.1)
    rough = compare_all(records.assign(tolerance=0.2), reference=RANDOM, **DOWN)
    assert not rough["is_shown"].any()
    assert len(best_set(records.assign(tolerance=0.2), **DOWN)) == 3


def test_bad_input_is_refused(records):
    with pytest.raises(InputError, match="unknown metric 'x'"):
        best_set(records, metric="x", higher_is_better=True)
    with pytest.raises(InputError, match="unknown reference"):
        compare_all(records, reference=("net", "", "edges"), **DOWN)
    with pytest.raises(InputError, match="no column value: give model, layer"):
        compare_all(records.drop(columns="value"), reference=RANDOM, **DOWN)
    with pytest.raises(InputError, match="2 models"):
        best_set(pd.concat([records, records.assign(model="b")]), **DOWN)
    with pytest.raises(InputError, match="level = 5"):
        Design(level=5)
    with pytest.raises(InputError, match="unknown alternative 'beter'"):
        Design(alternative="beter")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.to_dict("records"), "records is a list: give a pandas DataFrame"),
        (lambda r: r.head(0), "the records have no row"),
        (lambda r: r.drop(columns=["model", "layer"]), "no column model, layer: give"),
        (lambda r: r.assign(sample=r["sample"].where(r["sample"] != "i003")), "no sample in 4 of"),
        (lambda r: r.assign(status="ok"), "unknown status 'ok'. Valid: value, undefined, failed"),
        (lambda r: r.assign(value="high"), "a value that is not a finite number"),
        (lambda r: r.assign(value=np.inf), "a value that is not a finite number"),
        (lambda r: pd.concat([r, r.head(1)]), "two rows for 'net', 'top', 'good', 'i000'"),
    ],
)
def test_tables_that_are_no_records_are_refused(records, change, message):
    for function in (
        lambda r: best_set(r, **DOWN),
        lambda r: compare_all(r, reference=RANDOM, **DOWN),
    ):
        with pytest.raises(InputError, match=message):
            function(change(records))


@pytest.mark.parametrize("reference", ["random", ("", "random"), [], None, [RANDOM, "random"]])
def test_a_reference_is_a_cell_or_several(records, reference):
    with pytest.raises(InputError, match=r"expected \(model, layer, method\)"):
        compare_all(records, reference=reference, **DOWN)


def test_a_direction_in_words_is_refused(records):
    """The text "lower" is true, and turned the answer round."""
    with pytest.raises(InputError, match="higher_is_better = 'lower': expected True or False"):
        best_set(records, metric="deletion", higher_is_better="lower")


def test_settings_that_are_no_design_are_refused(records):
    with pytest.raises(InputError, match="expected a Design"):
        best_set(records, design={"level": 0.05}, **DOWN)
    for wrong in ({"level": "a"}, {"seed": -1}, {"seed": "x"}, {"tolerance": "x"}):
        with pytest.raises(InputError, match="expected a"):
            Design(**wrong)


def test_a_missing_layer_is_that_of_a_control(records):
    for nothing in (None, np.nan):
        given = records.assign(layer=records["layer"].replace({"": nothing}))
        found = compare_all(given, reference=list(RANDOM), **DOWN)
        pd.testing.assert_frame_equal(found, compare_all(records, reference=RANDOM, **DOWN))


def test_numbers_as_names_of_samples_have_clusters_as_well(records):
    """A cluster by sample 3 was not that of the sample "3", and every image counted by itself."""
    numbered = records.assign(sample=records["sample"].str[1:].astype(int))
    scenes = {sample: sample // 10 for sample in range(30)}
    by_name = compare_all(numbered, reference=RANDOM, design=Design(cluster=scenes), **DOWN)
    column = numbered.assign(scene=numbered["sample"].map(scenes))
    by_column = compare_all(column, reference=RANDOM, design=Design(cluster="scene"), **DOWN)
    for found in (by_name, by_column):
        assert set(found["note"]) == {"3 independent units: a claim needs 6"}


def test_a_missing_cluster_is_none_and_two_are_refused(records):
    nowhere = records.assign(scene=np.nan)
    found = compare_all(nowhere, reference=RANDOM, design=Design(cluster="scene"), **DOWN)
    assert (found["units"] == 30).all()  # they were one cluster called "nan"
    twice = records.assign(scene=np.arange(len(records)) % 7)
    with pytest.raises(InputError, match="'i000' is in two clusters of the column 'scene'"):
        best_set(twice, design=Design(cluster="scene"), **DOWN)
    with pytest.raises(InputError, match="cluster has none of the 30 samples, as 'i000'"):
        best_set(records, design=Design(cluster={"image 0": "a"}), **DOWN)


def test_ties_and_missing_values_leave_cells_in_the_set(records):
    assert len(best_set(records.assign(value=0.5), **DOWN)) == 3
    equal = compare_all(records.assign(value=0.5), reference=RANDOM, **DOWN)
    assert (equal["p"] == 1).all()
    assert (equal["share"] == 0.5).all()
    apart = (records["method"] == "good") == (records["sample"] < "i015")
    few = records[records["method"].isin(["good", "fair"])]
    found = best_set(few.assign(value=few["value"].where(apart)), **DOWN)
    assert list(found["images"]) == [0, 0]  # they share no image
    assert found["mean"].isna().all()
    assert best_set(records.assign(value=np.nan), **DOWN).empty
    nothing = compare_all(records.assign(value=np.nan), reference=RANDOM, **DOWN)
    assert set(nothing["note"]) == {"no image has both values"}


def test_effect_by_hand():
    found = effect_of(np.array([3.0, -1.0, 2.0, 0.0]), 10.0)
    assert (found.relative, found.share) == (pytest.approx(0.1), 2.5 / 4)
    assert found.rank_biserial == pytest.approx((3 + 2 - 1) / 6)
    assert effect_of(np.zeros(4), 0.0).rank_biserial is None
    whole = effect_of(np.repeat([1.0, -1.0, 1.0], 4), 1.0, units=np.repeat(np.arange(3), 4))
    assert (whole.share_low, whole.share_high) == pytest.approx((0.0, 1.0))


def test_kendall_w_by_hand_and_by_friedman(rng):
    assert kendall_w(np.array([[1, 2, 3], [1, 2, 3.0]])) == 1
    assert kendall_w(np.array([[1, 2, 3], [3, 2, 1.0]])) == 0
    ranks = np.array([rng.permutation(5) + 1.0 for _ in range(4)])
    chi2 = scipy_stats.friedmanchisquare(*ranks.T).statistic
    assert kendall_w(ranks) == pytest.approx(chi2 / (4 * 4))
    tied = np.array([[1.5, 1.5, 3], [1, 2, 3.0]])
    assert kendall_w(tied) == pytest.approx(scipy_stats.friedmanchisquare(*tied.T).statistic / 4)


def test_concordance_of_two_models(rng):
    x = rng.normal(size=(40, 4))
    near = [Ranking("net", 0.3 * x + np.arange(4)) for _ in range(2)]
    found = concordance(near)
    assert (found.w, found.low, found.high) == (1, 1, 1)  # the images order every pair
    assert (found.chance, found.rankings, found.items) == (0.5, 2, 4)
    other = concordance([near[0], Ranking("net", 0.3 * x - np.arange(4))])
    assert other.w == other.low == other.high == 0
    noise = concordance([Ranking("net", x), Ranking("net", rng.normal(size=(40, 4)))])
    assert (noise.low, noise.high) == (0, 1)  # they order no pair
    few = concordance([Ranking("net", each.values[:5]) for each in near])
    assert (few.w, few.low, few.high) == (1, 0, 1)
    clusters = np.arange(40) // 8
    assert concordance([Ranking("net", each.values, clusters) for each in near]).low == 0
    assert isinstance(concordance([near[0]]), Undefined)
    assert isinstance(concordance([near[0], Ranking("net", x[:0])]), Undefined)


def test_the_interval_of_w_contains_that_of_the_true_means(rng):
    """Percentiles of a bootstrap miss it in most such studies: noise only lowers W."""
    for _ in range(8):
        truth = 0.2 * rng.normal(size=5) + 0.02 * rng.normal(size=(3, 5))
        studies = [Ranking("net", mean + 0.7 * rng.normal(size=(20, 5))) for mean in truth]
        found = concordance(studies)
        true = kendall_w(scipy_stats.rankdata(-truth, axis=1))
        assert found.low - 1e-9 <= true <= found.high + 1e-9
        assert found.low <= found.w <= found.high


def test_orders_within_the_tolerance_are_not_certain():
    """A page called W of two methods exactly 1, and both of them in every best set."""
    near = np.array([0.0, 0.006]) + 1e-4 * np.arange(20)[:, None] * [1, -1]
    sure, unsure = (
        concordance([Ranking("net", near, tolerance=each) for _ in range(2)]) for each in (0, 0.01)
    )
    assert (sure.low, sure.high) == (1, 1)
    assert (unsure.low, unsure.high) == (0, 1)


def test_orders_that_contradict_each_other_keep_w_below_1():
    """Two items are turned round for sure, the third one may be anywhere."""
    wobble = np.resize([0.1, -0.1], 20)
    free = np.resize([9.0, -9.0], 20)
    one = np.column_stack([1 + wobble, -1 - wobble, free])
    two = np.column_stack([-1 - wobble, 1 + wobble, free])
    found = concordance([Ranking("a", one), Ranking("b", two)])
    assert found.high == pytest.approx(kendall_w(np.array([[1, 2, 3], [2, 1, 3.0]])))
    assert found.low == pytest.approx(kendall_w(np.array([[1, 2, 3], [3, 1, 2.0]])), abs=0.3)


def test_mean_ranks_and_critical_difference():
    assert list(mean_ranks(np.array([[3.0, 1, 2], [3, 2, 1]]))) == [1, 2.5, 2.5]
    # Demšar 2006, table 5 and section 3.2.2: 4 classifiers on 14 data sets, q = 2.569.
    assert critical_difference(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert cliques(np.array([1.0, 1.5, 2.4, 4.0]), 1.0) == [(0, 1), (1, 2)]
    assert cliques(np.array([1.0, 2.0, 3.0]), 2.0) == [(0, 2)]
    assert cliques(np.array([1.0, 3.0]), 1.0) == []
    assert friedman_p(np.ones((7, 3))) == 1
    scores = np.array([[3.0, 1, 2], [3, 2, 1], [3, 1, 2], [3, 2, 1]])
    assert friedman_p(scores) == pytest.approx(scipy_stats.friedmanchisquare(*scores.T).pvalue)


def test_what_n_images_can_show(rng):
    d = rng.normal(0, 0.1, (40, 3))
    family = simultaneous(d)
    gap = smallest_difference(1.0, family.quantile) * family.error
    for k in range(3):
        assert images_for(gap[k], family)[k] in (40, 41)
        assert images_for(gap[k] / 2, family)[k] in (160, 161)
    rough = simultaneous(d, design=Design(tolerance=0.01))
    needs = smallest_difference(rough.error[0], rough.quantile, tolerance=0.01)
    assert images_for(needs, rough)[0] in (40, 41)
    assert images_for(0.01, rough) == Undefined("0.01 is within the tolerance of the metric (0.01)")
    assert [round_up(n) for n in (7.2, 99, 101, 1510)] == [8, 99, 110, 1600]


def test_equivalence_needs_a_margin_that_the_data_can_show(rng):
    d = rng.normal(0, 0.1, (40, 2))
    assert (equivalence(d, 0.1) < 0.05).all()
    assert (equivalence(d, 0.01) > 0.05).all()
    assert equivalence(d + np.array([0.1, 0]), 0.1)[0] > 0.05
    assert isinstance(equivalence(d[:4], 0.1), Undefined)


def test_half_of_a_shared_threshold_s_optimism_is_taken_off(rng):
    """Equal thresholds, the worst case: the best of 40 looks good on the images that chose it."""
    truth, published, ours = 0.4, [], []
    for _ in range(60):
        parts = (rng.random((12, 1, 40)) < truth).astype(float)
        published.append(mean_of_maxima(np.ones((1, 12)), parts)[0])
        ours.append(contributions(parts, "mean_of_maxima").mean())
    assert np.mean(published) > truth + 0.2
    half = truth + (np.mean(published) - truth) / 2
    assert np.mean(ours) == pytest.approx(half, abs=4 * np.std(ours) / np.sqrt(60))
    clear = np.zeros((12, 2, 5))
    clear[:, :, 3] = 1
    assert (contributions(clear, "mean_of_maxima") == 1).all()


def test_contributions_have_the_value_as_their_mean(rng):
    parts = np.stack([np.repeat([0, 1, 1, 2], 3), rng.random(12)], axis=1)[:, None]
    classes = [parts[parts[:, 0, 0] == label, 0, 1].mean() for label in (0, 1, 2)]
    assert contributions(parts, "mean_over_classes").mean() == pytest.approx(np.mean(classes))
    np.testing.assert_array_equal(contributions(np.arange(3.0), "mean"), np.arange(3.0))


def test_the_jackknife_of_a_pooled_precision_by_its_definition(rng):
    from gradcam_eval.aggregates import pooled_average_precision as rule

    parts = rng.integers(0, 9, (7, 2, 5)).astype(float) + 1
    found = contributions(parts, "pooled_average_precision")
    without = [rule((np.arange(7) != i).astype(float)[None], parts)[0] for i in range(7)]
    whole = rule(np.ones((1, 7)), parts)[0]
    assert found.mean() == pytest.approx(whole)
    np.testing.assert_allclose(found, whole + 6 * (np.mean(without) - without))


def test_hits_are_tested_by_flips_alone(rng):
    hits = {name: rng.integers(0, 2, 10).astype(float) for name in ("one", "random")}
    hits["one"] = np.maximum(hits["one"], hits["random"])
    hits["one"][:7], hits["random"][:7] = 1, 0
    found = compare_all(
        table(**hits), metric="deletion", reference=RANDOM, higher_is_better=True
    ).iloc[0]
    d = hits["one"] - hits["random"]
    moved = int(np.abs(d).sum())
    sums = [sum(s) for s in itertools.product((1, -1), repeat=moved)]
    assert found["p"] >= np.mean(np.array(sums) >= d.sum())
    assert found["is_shown"]
