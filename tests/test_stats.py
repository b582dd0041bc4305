import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from gradcam_eval.comparison import compare
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.intervals import bootstrap_interval, wilson_interval
from gradcam_eval.statistics import Design, compare_all
from gradcam_eval.stats import best_cells, summarise, summarise_by

DELETION = {"name": "deletion", "protocol": "rise2018", "higher_is_better": False}
GAME = {"name": "pointing_game", "protocol": "pointing2018", "higher_is_better": True}


def records(values, metric=DELETION, model="net"):
    """Rows from {(layer, method): [value, or text for undefined, or an exception for failed]}."""
    rows = []
    for (layer, method), entries in values.items():
        for i, entry in enumerate(entries):
            status, reason = "value", ""
            if isinstance(entry, str):
                status, reason = "undefined", entry
            if isinstance(entry, Exception):
                status, reason = "failed", str(entry)
            rows.append(
                {
                    "model": model,
                    "layer": layer,
                    "method": method,
                    "kind": "cam" if layer else "control",
                    "sample": f"image_{i}",
                    "metric": metric["name"],
                    "protocol": metric["protocol"],
                    "status": status,
                    "value": entry if status == "value" else None,
                    "reason": reason,
                }
            )
    return pd.DataFrame(rows)


def cell(summary, layer, method):
    rows = summary[(summary["layer"] == layer) & (summary["method"] == method)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_mean_counts_and_paired_difference_by_hand():
    table = records(
        {
            ("top", "grad_cam"): [0.1, 0.3, "no truth", ValueError("boom")],
            ("", "random"): [0.5, 0.4, 0.9, 0.9],
        }
    )
    summary = summarise(table)
    row = cell(summary, "top", "grad_cam")
    assert (row["n"], row["undefined"], row["failed"], row["pairs"]) == (2, 1, 1, 2)
    assert row["mean"] == pytest.approx(0.2)
    assert row["difference"] == pytest.approx(((0.1 - 0.5) + (0.3 - 0.4)) / 2)
    assert row["difference_low"] is pd.NA  # two pairs show nothing
    assert row["interval"] == "bootstrap-t"
    random = cell(summary, "", "random")
    assert random["mean"] == pytest.approx(0.675)
    assert random["difference"] is pd.NA
    assert random["difference_low"] is pd.NA


def test_what_is_undefined_is_na_never_zero():
    table = records({("top", "grad_cam"): ["no truth"], ("top", "layer_cam"): [0.4]})
    summary = summarise(table)
    nothing, single = cell(summary, "top", "grad_cam"), cell(summary, "top", "layer_cam")
    assert (nothing["n"], nothing["undefined"]) == (0, 1)
    for name in ("mean", "low", "high", "difference", "difference_low", "difference_high"):
        assert nothing[name] is pd.NA
    assert single["mean"] == pytest.approx(0.4)
    assert single["low"] is pd.NA
    assert single["difference"] is pd.NA
    assert single["pairs"] == 0


def test_what_ties_do_is_a_mean_shift_and_a_pooled_spread():
    table = records({("top", "grad_cam"): [0.1, 0.3, "no map"], ("", "random"): [0.5, 0.4, 0.9]})
    assert (summarise(table)[["tie_shift", "tie_spread"]].isna()).all(axis=None)
    table["tie_shift"] = [0.3, -0.1, None, 0, 0, 0]
    table["tie_spread"] = [0.03, 0.01, None, 0, 0, 0]
    summary = summarise(table)
    row, random = cell(summary, "top", "grad_cam"), cell(summary, "", "random")
    assert row["tie_shift"] == pytest.approx((0.3 - 0.1) / 2)
    assert row["tie_spread"] == pytest.approx(math.sqrt((0.03**2 + 0.01**2) / 2))
    assert (random["tie_shift"], random["tie_spread"]) == (0, 0)


def test_bootstrap_t_equals_a_slow_twin():
    values = np.array([0.1, 0.2, 0.25, 0.7, 0.9, 0.3, 0.35, 0.5, 0.55, 0.6, 0.15])
    generator = np.random.default_rng(1)
    n, mean, error = 11, values.mean(), values.std(ddof=1) / 11**0.5
    students = []
    for draw in generator.choice(values, (20_000, n)):
        spread = max(draw.std() / (n - 1) ** 0.5, error / 4)
        students.append((draw.mean() - mean) / spread)
    skewness = ((values - mean) ** 3).mean() / values.std() ** 3
    assert 0 < skewness < 0.5  # the longer tail is on the right, so the upper end is further out
    tail = 0.025 * n / (n + 5 + 25 * skewness / 0.5)
    low, high = np.quantile(students, [tail, 1 - 0.025 * n / (n + 5)])
    expected = (mean - high * error, mean - low * error)
    assert tuple(bootstrap_interval(values[:, None])[:, 0]) == pytest.approx(expected, abs=0.03)
    mirrored = bootstrap_interval(-values[:, None])[::-1, 0]
    assert tuple(-mirrored) == pytest.approx(expected, abs=0.03)


def test_a_tolerance_widens_every_interval_and_refuses_small_differences():
    """Values that may be off by .01: each interval by that, one of differences by twice that."""
    rng = np.random.default_rng(3)
    base, noise = rng.random(20), rng.normal(0, 1e-3, 20)
    table = records({("a", "m"): base + 0.015 + noise, ("", "random"): base})
    exact, rough = (summarise(each).iloc[0] for each in (table, table.assign(tolerance=0.01)))
    assert exact["low"] - rough["low"] == pytest.approx(0.01)
    assert rough["difference_high"] - exact["difference_high"] == pytest.approx(0.02)
    assert exact["difference_low"] > 0 > rough["difference_low"]
    with pytest.raises(InputError, match="a tolerance that is no number, 0 or more"):
        summarise(table.assign(tolerance="x"))


def test_few_values_have_student_s_interval():
    values = np.array([0.1, 0.2, 0.6, 0.7])
    expected = scipy_stats.t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    assert tuple(bootstrap_interval(values[:, None])[:, 0]) == pytest.approx(expected)


def test_mostly_zeros_have_a_share_and_no_interval_of_the_mean():
    table = records({("a", "m"): [0.0] * 8 + [0.3, 0.5], ("b", "m"): [0.0] * 7 + [0.3, 0.5, 0.2]})
    mostly, enough = (cell(summarise(table), layer, "m") for layer in "ab")
    assert mostly["low"] is pd.NA
    wilson = wilson_interval(2, 10)
    assert (mostly["nonzero"], mostly["nonzero_low"]) == (0.2, pytest.approx(wilson[0]))
    assert enough["nonzero"] is pd.NA
    assert enough["low"] is not pd.NA


def test_bootstrap_in_blocks_is_the_same_as_in_one(monkeypatch):
    values = np.random.default_rng(1).random((6, 3))
    whole = bootstrap_interval(values, seed=3, resamples=500)
    monkeypatch.setattr("gradcam_eval.intervals._BLOCK", 60)
    np.testing.assert_array_equal(bootstrap_interval(values, seed=3, resamples=500), whole)


def test_intervals_depend_on_the_seed_alone():
    rng = np.random.default_rng(0)
    table = records({("a", "m"): rng.random(12), ("", "random"): rng.random(12)})
    first = summarise(table, seed=5)
    pd.testing.assert_frame_equal(first, summarise(table, seed=5))
    keys = ["layer", "method"]
    shuffled = summarise(table.sample(frac=1, random_state=2), seed=5)
    pd.testing.assert_frame_equal(
        first.sort_values(keys, ignore_index=True), shuffled.sort_values(keys, ignore_index=True)
    )
    assert not first["low"].equals(summarise(table, seed=6)["low"])


def test_wilson_equals_scipy():
    assert wilson_interval(0, 7)[0] == 0
    assert wilson_interval(7, 7)[1] == 1
    for hits, n in ((0, 5), (3, 10), (7, 7)):
        expected = scipy_stats.binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson_interval(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("level", [0.01, 0.2])
def test_the_level_is_that_of_every_interval(level):
    few, hit = np.array([0.1, 0.2, 0.4, 0.6]), np.array([1.0, 1, 0, 1])
    values = {("a", "m"): few, ("", "random"): np.array([0.6, 0.6, 0.7, 0.9])}
    expected = scipy_stats.t.interval(1 - level, 3, few.mean(), few.std(ddof=1) / 2)
    row = cell(summarise(records(values), level=level), "a", "m")
    assert (row["low"], row["high"]) == pytest.approx(expected)
    assert row["confidence"] == 1 - level
    wilson = scipy_stats.binomtest(3, 4).proportion_ci(1 - level, method="wilson")
    row = cell(summarise(records({("a", "m"): hit}, GAME), level=level), "a", "m")
    assert (row["low"], row["high"]) == pytest.approx((wilson.low, wilson.high))


def test_bounds_of_differences_and_bootstrap_intervals_have_the_level(rng):
    values = rng.random((20, 2))
    table = records({("a", "m"): values[:, 0], ("", "random"): values[:, 1]})
    loose, usual, strict = (
        cell(summarise(table, level=each), "a", "m") for each in (0.3, 0.05, 0.01)
    )
    for low, high in (("low", "high"), ("difference_low", "difference_high")):
        assert strict[low] < usual[low] < loose[low] < loose[high] < usual[high] < strict[high]
    clusters = {f"image_{i}": f"c{i % 7}" for i in range(20)}
    rows = [cell(summarise(table, level=each, clusters=clusters), "a", "m") for each in (0.3, 0.01)]
    assert rows[1]["low"] < rows[0]["low"] < rows[0]["high"] < rows[1]["high"]


def test_no_interval_leaves_the_declared_range():
    """Ten probabilities, one of them high: the bootstrap-t went up to 1.010."""
    high = np.array([0.02, 0.05, 0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.9, 0.99])
    low = np.array([0.0, 0.01, 0.01, 0.02, 0.02, 0.05, 0.1, 0.3, 0.6, 0.9])
    table = records({("a", "m"): high, ("b", "m"): low, ("", "random"): 1 - high[::-1]})
    free, kept = summarise(table), summarise(table.assign(lowest=0.0, highest=1.0))
    assert (free["low"].min() < 0) & (free["high"].max() > 1)
    assert ((kept["low"] >= 0) & (kept["high"] <= 1)).all()
    inside = (free["low"] >= 0) & (free["high"] <= 1)
    pd.testing.assert_frame_equal(free[inside], kept[inside])
    wrong = cell(summarise(table.assign(lowest=0.0, highest=0.2)), "a", "m")
    assert wrong["high"] == wrong["mean"] > 0.2  # no such range: the mean stays in its interval
    clusters = {f"image_{i}": f"c{i % 3}" for i in range(10)}
    grouped = summarise(table.assign(lowest=0.0, highest=1.0), clusters=clusters)
    assert ((grouped["low"] >= 0) & (grouped["high"] <= 1)).all()
    with pytest.raises(InputError, match="the records have a highest that is no number"):
        summarise(table.assign(highest="one"))


def test_hits_get_wilson_and_no_empty_interval():
    table = records({("top", "m"): [1.0] * 7, ("", "random"): [0.0] * 7}, GAME)
    row = cell(summarise(table), "top", "m")
    assert row["interval"] == "wilson"
    assert (row["low"], row["high"]) == pytest.approx((7 / (7 + 1.959964**2), 1))
    assert row["difference"] == 1
    assert 0 < row["difference_low"] < 0.5  # every pair differs by 1, and there are few
    assert row["difference_high"] == 1


def test_one_value_between_0_and_1_makes_a_metric_continuous_in_all_cells():
    table = records({("a", "m"): [1.0, 0.0, 1.0], ("b", "m"): [1.0, 0.5, 1.0]})
    assert set(summarise(table)["interval"]) == {"bootstrap-t"}


def test_models_and_protocols_stay_apart():
    other = {**DELETION, "protocol": "other"}
    table = pd.concat(
        [
            records({("a", "m"): [0.1, 0.2], ("", "random"): [0.5, 0.5]}),
            records({("a", "m"): [0.8, 0.9], ("", "random"): [0.6, 0.6]}, model="net2"),
            records({("a", "m"): [0.3, 0.3], ("", "random"): [0.3, 0.3]}, other),
        ]
    )
    summary = summarise(table)
    cams = summary[summary["kind"] == "cam"]
    assert list(cams["difference"].round(6)) == [-0.35, 0.25, 0.0]
    assert len(best_cells(summary, [DELETION, other])) == 3


def test_compare_by_sign_flips():
    a, b = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.2, 0.4, 0.6, 0.8, 1.0, 1.2]
    table = records({("top", "m"): a, ("", "random"): b})
    result = compare(table, ("net", "top", "m"), ("net", "", "random"), "deletion")
    assert result.pairs == 6
    assert result.difference == pytest.approx(-0.35)
    assert 2 * 0.5**6 <= result.p < 0.05  # all six differences have one sign
    low, high = result.interval
    assert low < -0.35 < high < 0
    assert result.test == "sign flips and bootstrap-t"


def test_compare_hits_by_mcnemar():
    table = records(
        {("top", "m"): [1.0, 1, 1, 1, 0, 1], ("", "random"): [0.0, 0, 0, 1, 1, 0]}, GAME
    )
    result = compare(table, ("net", "top", "m"), ("net", "", "random"), "pointing_game")
    # Four against one of five that disagree: 2 · (C(5,0) + C(5,1)) / 2**5.
    assert result.p == pytest.approx(12 / 32)
    assert result.test == "sign flips"
    assert result.interval == (-1, 1)


def test_compare_says_what_is_undefined():
    same = records(
        {
            ("a", "m"): [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            ("b", "m"): [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            ("c", "m"): ["x", 0.3],
            ("d", "m"): [0.3, "x"],
        }
    )
    zero = compare(same, ("net", "a", "m"), ("net", "b", "m"), "deletion")
    assert (zero.p, zero.interval) == (1, (0, 0))
    one = compare(same, ("net", "a", "m"), ("net", "c", "m"), "deletion")
    assert one.pairs == 1
    assert one.p == Undefined("1 independent unit: a claim needs 6")
    assert isinstance(one.interval, Undefined)
    none = compare(same, ("net", "c", "m"), ("net", "d", "m"), "deletion")
    assert none.pairs == 0
    assert isinstance(none.difference, Undefined)
    with pytest.raises(InputError, match="compared with itself"):
        compare(same, ("net", "a", "m"), ("net", "a", "m"), "deletion")


def test_best_cells_respects_direction_ties_and_controls():
    up = {**DELETION, "name": "insertion", "higher_is_better": True}
    values = {
        ("a", "m"): [0.2, 0.4],
        ("b", "m"): [0.5, 0.7],
        ("c", "m"): [0.7, 0.5],
        ("", "random"): [0.0, 0.0],
    }
    summary = summarise(pd.concat([records(values), records(values, up)]))
    best = best_cells(summary, [DELETION, up])
    assert list(best["layer"]) == ["a", "b"]
    assert list(best["tied"]) == [0, 1]
    rounded = {("a", "m"): [0.3, 0.4], ("b", "m"): [0.3 - 1e-9, 0.4 - 1e-9]}
    best = best_cells(summarise(records(rounded)), [DELETION])
    assert (best["layer"].iloc[0], best["tied"].iloc[0]) == ("a", 1)  # the first of equal ones
    empty = best_cells(summarise(records({("a", "m"): ["x"]})), [DELETION])
    assert empty.empty
    assert "tied" in empty


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="protocol"), "no column protocol"),
        (lambda t: pd.concat([t, t.head(1)]), "two rows for 'net', 'a', 'm', 'image_0'"),
        (lambda t: t.assign(value=float("nan")), "not a finite number"),
    ],
)
def test_bad_records_are_refused(spoil, message):
    with pytest.raises(InputError, match=message):
        summarise(spoil(records({("a", "m"): [0.1, 0.2]})))


def test_unknown_names_and_several_protocols_are_refused():
    table = records({("a", "m"): [0.1, 0.2]})
    with pytest.raises(InputError, match="did you mean 'deletion'"):
        compare(table, ("net", "a", "m"), ("net", "b", "m"), "deletions")
    with pytest.raises(InputError, match="unknown cell"):
        compare(table, ("net", "a", "m"), ("net", "b", "m"), "deletion")
    both = pd.concat([table, records({("a", "m"): [0.1]}, {**DELETION, "protocol": "other"})])
    with pytest.raises(InputError, match="2 protocols"):
        compare(both, ("net", "a", "m"), ("net", "b", "m"), "deletion")


def test_a_summary_by_group_is_the_summary_of_each_group():
    table = records({("conv", "a"): [0.1, 0.2, 0.3, 0.6], ("", "random"): [0.5, "no", 0.5, 0.4]})
    names = table["sample"].unique()
    groups = dict(zip(names, ["yes", "no", "yes", "no"], strict=True))
    found = summarise_by(table, groups, by="hard", design=Design(seed=3))
    assert found["hard"].tolist() == ["no", "no", "yes", "yes"]
    for value in ("no", "yes"):
        mine = table[table["sample"].map(groups) == value]
        wanted = summarise(mine, seed=3)
        got = found[found["hard"] == value].drop(columns="hard").reset_index(drop=True)
        pd.testing.assert_frame_equal(got, wanted)
    # by hand: (0.2 + 0.6) / 2 and (0.1 + 0.3) / 2
    assert found[found["method"] == "a"]["mean"].tolist() == pytest.approx([0.4, 0.2])
    assert found["undefined"].tolist() == [0, 1, 0, 0]


def test_a_metric_is_hit_or_miss_in_all_groups_or_in_none():
    table = records({("conv", "a"): [0.0, 1.0, 0.5, 0.25]})
    groups = dict(zip(table["sample"], "yynn", strict=True))
    assert set(summarise_by(table, groups, by="g")["interval"]) == {"bootstrap-t"}


def test_every_image_is_in_a_group_and_no_record_gives_an_empty_summary():
    table = records({("conv", "a"): [0.1, 0.2]})
    first, second = table["sample"]
    with pytest.raises(InputError, match=f"the image '{second}' is in no group of 'hard'"):
        summarise_by(table, {first: "yes"}, by="hard")
    empty = summarise_by(table.head(0), {}, by="hard")
    assert len(empty) == 0
    assert empty.columns.tolist() == ["hard", *summarise(table).columns]


def test_images_of_a_cluster_are_not_counted_as_independent():
    """Five copies of each of eight images say no more than the eight do."""
    generator = np.random.default_rng(2)
    eight = {key: generator.random(8) for key in (("top", "grad_cam"), ("", "random"))}
    copies = records({key: list(np.repeat(values, 5)) for key, values in eight.items()})
    clusters = {f"image_{at}": f"scene {at // 5}" for at in range(40)}
    row = cell(summarise(copies, clusters=clusters), "top", "grad_cam")
    single = eight["top", "grad_cam"]
    half = scipy_stats.t.ppf(0.975, 7) * single.std(ddof=1) / math.sqrt(8)
    assert row["interval"] == "clustered t"
    assert (row["low"], row["high"]) == pytest.approx((single.mean() - half, single.mean() + half))
    alone = cell(summarise(records({k: list(v) for k, v in eight.items()})), "top", "grad_cam")
    for end in ("difference_low", "difference_high"):
        assert row[end] == pytest.approx(alone[end], rel=0.25)  # the units have another order
    narrow = cell(summarise(copies), "top", "grad_cam")
    assert narrow["high"] - narrow["low"] < 0.6 * (row["high"] - row["low"])


def test_hits_of_clusters_have_wilson_s_interval_of_the_clusters():
    table = records({("top", "grad_cam"): [1.0] * 20, ("", "random"): [0.0] * 20}, GAME)
    clusters = {f"image_{at}": f"scene {at // 5}" for at in range(20)}
    row = cell(summarise(table, clusters=clusters), "top", "grad_cam")
    assert row["interval"] == "clustered wilson"
    assert (row["low"], row["high"]) == pytest.approx(wilson_interval(4, 4))


def test_the_bounds_of_a_summary_are_those_of_the_claims():
    """Also beside a control with few values, which is in no family with the cells."""
    generator = np.random.default_rng(5)
    values = {("top", name): list(generator.random(12)) for name in ("a", "b", "c")}
    values |= {("", "random"): list(generator.random(12))}
    values |= {("", "oracle"): ["no truth"] * 5 + list(generator.random(7))}
    table = records(values)
    summary = summarise(table)
    for alternative, end in (("better", "low"), ("worse", "high")):
        claims = compare_all(
            table,
            metric="deletion",
            reference=("net", "", "random"),
            higher_is_better=True,
            design=Design(alternative=alternative),
        )
        for row in claims.to_dict("records"):
            found = cell(summary, row["layer"], row["method"])
            assert found["difference"] == pytest.approx(row["difference"])
            assert found[f"difference_{end}"] == pytest.approx(row[end])
