"""Two cells compared by one metric, paired by image: by how much, and is it chance?"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.intervals import RESAMPLES, Interval, paired_intervals
from gradcam_eval.stats import Cell, checked_records, is_hit_metric, values_of


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
    SciPy's p-value is exact or by permutation for few pairs, normal for many.
    """
    from scipy import stats  # a second to import, and the summary does not need it

    records = checked_records(records)
    chosen = records[records["metric"] == metric]
    if chosen.empty:
        raise unknown_name("metric", metric, records["metric"].unique())
    if (names := list(chosen["protocol"].unique()))[1:]:
        raise InputError(
            f"metric {metric!r} stands under {len(names)} protocols ({', '.join(names)}): "
            "keep the records of one of them."
        )
    pair = pd.concat([values_of(chosen, cell) for cell in (a, b)], axis=1, join="inner").dropna()
    left, right = pair.to_numpy(float).T
    is_hits = is_hit_metric(chosen)
    test = "McNemar, exact" if is_hits else "Wilcoxon, signed rank, Pratt"
    if not len(pair):
        none = Undefined("no image has a value in both cells")
        return Comparison(0, none, none, none, none, none, test)
    low, high = paired_intervals([(left, right)], is_hits, seed=seed, resamples=RESAMPLES)[
        0
    ].tolist()
    few = len(pair) < 2
    p: float | Undefined
    if few:
        p = Undefined("one pair of images says nothing about chance")
    elif (left == right).all():
        p = Undefined("all differences are 0")
    elif is_hits:
        p = float(stats.binomtest(int((left > right).sum()), int((left != right).sum())).pvalue)
    else:
        p = float(stats.wilcoxon(left - right, zero_method="pratt").pvalue)
    interval = Undefined("one pair of images has no interval") if few else (low, high)
    means = float(left.mean()), float(right.mean())
    return Comparison(len(pair), *means, float((left - right).mean()), interval, p, test)
