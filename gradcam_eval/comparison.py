"""Two cells compared by one metric, paired by image: a family of one."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.intervals import Interval
from gradcam_eval.records import Cell
from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.frames import scores_of
from gradcam_eval.statistics.tables import compare_scores


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


def compare(
    records: pd.DataFrame, a: Cell, b: Cell, metric: str, *, design: Design | None = None
) -> Comparison:
    """Compare two cells by one metric, paired by image.

    d_i = a_i − b_i; p-value (two-sided) and 95 % interval are those of `statistics.compare_all` for
    one cell: sign flips, with the bootstrap-t where the metric is no hit-or-miss.

    Parameters
    ----------
    records : as in `compare_all`, with one protocol for this metric
    a, b : (model, layer, method); the samples are matched by name
    metric : name of the metric
    design : level, clusters and seed; the test is two-sided

    Raises
    ------
    InputError
        No such metric or cell, the same cell twice, or several protocols of the metric.

    Notes
    -----
    Fewer than 6 independent pairs have neither interval nor p-value.
    """
    design = (design or Design()).towards("two-sided")
    scores = scores_of(records, metric=metric, higher_is_better=True, design=design)
    for cell in (a, b):
        if cell not in scores.kinds:
            raise unknown_name("cell", cell, map(str, scores.kinds))
    if a == b:
        raise InputError(f"a cell is compared with itself: {a}; name two cells")
    row = compare_scores(scores, [b], cells=[a]).iloc[0]
    values, samples = scores.shared([a, b])
    test = "sign flips" if scores.is_hits else "sign flips and bootstrap-t"
    if not len(samples):
        none = Undefined("no image has a value in both cells")
        return Comparison(0, none, none, none, none, none, test)
    means = values.mean(0).tolist()
    few = Undefined(str(row["note"]))
    interval = few if row["note"] else (float(row["low"]), float(row["high"]))
    p = few if row["note"] else float(row["p"])
    return Comparison(len(samples), means[0], means[1], float(row["difference"]), interval, p, test)
