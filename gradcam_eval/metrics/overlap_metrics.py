"""Metrics of a heatmap on a region as entries of the table of metrics: one line of facts each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gradcam_eval.core import Undefined
from gradcam_eval.metrics.cases import Prepared, case_by_case
from gradcam_eval.metrics.regions import FramedMap
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.protocols import OverlapProtocol


@dataclass(frozen=True)
class OverlapMetric:
    """What is measured of a heatmap on its truth's region, and what a reader needs to know.

    Attributes
    ----------
    measure : (heatmap in its frame, protocol) → value; higher is better
    protocol : the only one
    unit : of the value
    says : what it is, in one line
    """

    measure: Callable[[FramedMap, OverlapProtocol], float | Undefined]
    protocol: str
    unit: str
    says: str


def register_overlap_metrics(table: Mapping[str, OverlapMetric]) -> None:
    """Register each metric of a table under its name."""
    for name, entry in table.items():
        register = register_metric(
            name,
            needs="truth",
            unit=entry.unit,
            bounds="0..1",
            higher_is_better=True,
            protocols=(entry.protocol,),
        )
        register(case_by_case(name, OverlapProtocol)(_judge_of(entry)))


def _judge_of(entry: OverlapMetric) -> Callable[[Prepared, OverlapProtocol], float | Undefined]:
    def judge(prepared: Prepared, rules: OverlapProtocol) -> float | Undefined:
        framed = prepared.framed(rules.drawn, rules.frame)
        return framed if isinstance(framed, Undefined) else entry.measure(framed, rules)

    judge.__doc__ = entry.says
    return judge
