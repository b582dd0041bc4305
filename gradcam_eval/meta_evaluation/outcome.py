"""Does a metric work on heatmaps of known quality? One row for each metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from gradcam_eval.aggregates import MEAN
from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values
from gradcam_eval.meta_evaluation.ladder import RUNGS
from gradcam_eval.meta_evaluation.reliability import Reliability, reliability_of
from gradcam_eval.meta_evaluation.resolution import LEVEL, SIZES, Step, smallest_step, step_table
from gradcam_eval.metrics import METRICS
from gradcam_eval.records import checked_records, estimator_of
from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.units import FEWEST

Outcome: TypeAlias = Literal["works", "fails", "undetermined"]
CIRCULAR = ("truth", "labels")  # needs of metrics that compare with the mask of the ladder
RULE = (
    "A metric works where the graded oracle is shown to be better than noise. It fails where noise "
    f"is shown to be better than the graded oracle. Otherwise, and below {FEWEST} images, that is "
    "undetermined. Tests are paired, one-sided, at 5 %. A step is resolved at n images where it, "
    "and every larger step, is shown and 80 % of studies of n images would show it. Metrics that "
    "compare with the mask of which the ladder is made are not validated by it."
)


@dataclass(frozen=True, eq=False)
class MetricResult:
    """What the ladder shows of one metric.

    Attributes
    ----------
    metric, protocol, needs, higher_is_better : of the metric
    n, missing : images with a value of every heatmap, and without
    outcome : see `RULE`
    is_circular : whether the metric compares with the mask of which the ladder is made: then
        "works" is no validation
    reliability, steps : the details
    """

    metric: str
    protocol: str
    needs: str
    higher_is_better: bool
    n: int
    missing: int
    outcome: Outcome
    is_circular: bool
    reliability: Reliability
    steps: tuple[Step, ...]

    def resolved(self, n: int) -> float | None:
        """Return the smallest step that n images resolve, n of `SIZES`."""
        return smallest_step(list(self.steps), n)

    def row(self) -> dict[str, Any]:
        """Return the metric's row of the table."""
        known = ("metric", "protocol", "needs", "higher_is_better", "n", "missing", "outcome")
        numbers = asdict(self.reliability)
        numbers["monotony_low"], numbers["monotony_high"] = numbers.pop("low"), numbers.pop("high")
        return (
            {name: getattr(self, name) for name in known}
            | {"is_validated": self.outcome == "works" and not self.is_circular}
            | numbers
            | {f"step_at_{n}": self.resolved(n) for n in SIZES}
        )

    def step_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the table of steps."""
        for each in self.steps:
            row = {"metric": self.metric, "protocol": self.protocol, **asdict(each)}
            power = row.pop("power")
            yield row | {f"power_{n}": p for n, p in zip(SIZES, power, strict=True)}


def metric_results(records: pd.DataFrame, *, seed: int = 0) -> list[MetricResult]:
    """Return what the ladder shows of each metric.

    Parameters
    ----------
    records : of `score_ladder`
    seed : of the tests and the bootstrap
    """
    records = checked_records(records)
    groups = records.groupby(["metric", "protocol"], sort=False)
    return [_result(group, seed) for _, group in groups]


def _result(group: pd.DataFrame, seed: int) -> MetricResult:
    metric = METRICS[group["metric"].iloc[0]]
    scores, shares = ladder_values(group, seed)
    return MetricResult(
        metric=metric.name,
        protocol=str(group["protocol"].iloc[0]),
        needs=metric.needs,
        higher_is_better=metric.higher_is_better,
        n=len(scores),
        missing=group["sample"].nunique() - len(scores),
        outcome=_outcome(shares, seed),
        is_circular=metric.needs in CIRCULAR,
        reliability=reliability_of(scores, seed=seed),
        steps=tuple(step_table(shares, seed=seed)),
    )


def score_frame(group: pd.DataFrame) -> pd.DataFrame:
    """Return one metric's values, images × heatmaps, higher = better; NaN: no value."""
    up = METRICS[group["metric"].iloc[0]].higher_is_better
    table = group.pivot(index="sample", columns="method", values="value")[list(RUNGS)]
    return table.astype(float) * (1 if up else -1)


def ladder_values(group: pd.DataFrame, seed: int) -> tuple[Values, Values]:
    """Return each image's scores, and what it adds to the value of the data set, (n, 11) each.

    Of images that have a value of every heatmap; higher = better. The two differ where the value of
    the data set is no mean over images.
    """
    scores = score_frame(group).dropna()
    rule = estimator_of(group, seed=seed)
    if rule.aggregate == MEAN or not len(scores):
        return scores.to_numpy(float), scores.to_numpy(float)
    parts = group.pivot(index="sample", columns="method", values="parts").loc[scores.index]
    sign = 1 if METRICS[group["metric"].iloc[0]].higher_is_better else -1
    shares = [rule.shares(np.stack(list(parts[rung]))) for rung in RUNGS]
    return scores.to_numpy(float), sign * np.stack(shares, axis=1)


def _outcome(shares: Values, seed: int) -> Outcome:
    """Apply `RULE` to the two ends of the ladder."""
    gain = shares[:, :1] - shares[:, -1:]
    design = Design(level=LEVEL, seed=seed)
    better = simultaneous(gain, design=design)
    worse = simultaneous(gain, design=design.towards("worse"))
    if isinstance(better, Undefined) or isinstance(worse, Undefined):
        return "undetermined"
    if worse.p[0] <= LEVEL:
        return "fails"
    return "works" if better.p[0] <= LEVEL else "undetermined"
