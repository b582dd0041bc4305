"""Two cells compared by one metric, paired by image: by how much, and is it chance?"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from gradcam_eval.aggregates import MEAN
from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.intervals import Estimator, Interval, Values
from gradcam_eval.records import Cell, checked_records, column_of, estimator_of, values_of


@dataclass(frozen=True)
class Comparison:
    """Two cells on the images that both have a value for: `difference` is a minus b."""

    pairs: int
    mean_a: float | Undefined
    mean_b: float | Undefined
    difference: float | Undefined
    interval: Interval | Undefined
    p: float | Undefined
    test: str


def compare(records: pd.DataFrame, a: Cell, b: Cell, metric: str, *, seed: int = 0) -> Comparison:
    """Compare two cells by one metric, paired by image.

    d_i = a_i - b_i; the interval is that of `summarise`. The p-value (two-sided) is Wilcoxon's
    signed-rank test with Pratt's treatment of zeros or, for a hit-or-miss metric, McNemar's exact
    test: 2 · P(X ≤ min(b, c)), X ~ Binomial(b + c, 1/2), from the b + c images that disagree.

    Parameters
    ----------
    records : as in `summarise`, with one protocol for this metric
    a, b : (model, layer, method); the samples are matched by name
    metric : name of the metric
    seed : of the bootstrap

    Raises
    ------
    InputError
        No such metric or cell, or the metric stands under several protocols.

    Notes
    -----
    Where all differences are 0 SciPy's Wilcoxon is nan: here p is undefined, with that reason.
    SciPy's p-value is exact or by permutation for few pairs, normal for many. An aggregate that is
    no mean has an interval and no p-value.
    """
    records = checked_records(records)
    chosen = records[records["metric"] == metric]
    if chosen.empty:
        raise unknown_name("metric", metric, records["metric"].unique())
    if (names := list(chosen["protocol"].unique()))[1:]:
        raise InputError(
            f"metric {metric!r} stands under {len(names)} protocols ({', '.join(names)}): "
            "keep the records of one of them."
        )
    rule = estimator_of(chosen, seed=seed)
    sides = [values_of(chosen, cell, rule.aggregate) for cell in (a, b)]
    pair = pd.concat(sides, axis=1, join="inner").dropna()
    left, right = (column_of(pair.iloc[:, side]) for side in (0, 1))
    test = _test_of(rule)
    if not len(pair):
        none = Undefined("no image has a value in both cells")
        return Comparison(0, none, none, none, none, none, test)
    (mean_a, *_), (mean_b, *_) = rule.single([left, right]).tolist()
    difference, low, high = rule.paired([(left, right)])[0].tolist()
    few = Undefined("one pair of images has no interval")
    interval = few if len(pair) < 2 else (low, high)
    p = _chance(left, right, rule)
    return Comparison(len(pair), mean_a, mean_b, difference, interval, p, test)


def _test_of(rule: Estimator) -> str:
    if rule.aggregate != MEAN:
        return "none"
    return "McNemar, exact" if rule.is_hits else "Wilcoxon, signed rank, Pratt"


def _chance(left: Values, right: Values, rule: Estimator) -> float | Undefined:
    """Return the p-value of the pairs, or why there is none."""
    from scipy import stats  # a second to import, and the summary does not need it

    if rule.aggregate != MEAN:
        return Undefined(
            f"{rule.aggregate} is a value of the whole data set: look at the interval instead"
        )
    if len(left) < 2:
        return Undefined("one pair of images says nothing about chance")
    if (left == right).all():
        return Undefined("all differences are 0")
    if rule.is_hits:
        return float(stats.binomtest(int((left > right).sum()), int((left != right).sum())).pvalue)
    return float(stats.wilcoxon(left - right, zero_method="pratt").pvalue)
