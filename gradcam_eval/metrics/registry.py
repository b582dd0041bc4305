"""The table of metrics, and the one way in which a study calls any of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from gradcam_eval.aggregates import AGGREGATES, MEAN
from gradcam_eval.core import (
    Case,
    Curve,
    InputError,
    Predict,
    Tally,
    Undefined,
    unknown_name,
)
from gradcam_eval.protocols import describe

Result: TypeAlias = Curve | float | bool | Tally | Undefined
MetricFunction: TypeAlias = Callable[[Sequence[Case], Predict | None, str], Sequence[Result]]
Need: TypeAlias = Literal["predict", "truth", "labels", "explain", "heatmap"]


@dataclass(frozen=True)
class Metric:
    """A metric and what one must know to use it and to read its numbers.

    Attributes
    ----------
    name : the metric's name
    function : (cases, predict, protocol name) → one result for each case
    needs : beside the heatmap: "predict" (the model), "truth" (boxes or a mask of the explained
        class), "labels" (the same and the right classes: a wrong answer counts too), "explain"
        (more heatmaps of the same cell), or nothing ("heatmap")
    unit : of the number
    higher_is_better : the direction
    protocols : names of the protocols under which it can be computed
    default_protocol : the one used where nobody asks for another
    aggregate : how the images' results become one value, a key of `AGGREGATES`; all but the mean
        want a `Tally` of each image
    """

    name: str
    function: MetricFunction
    needs: Need
    unit: str
    higher_is_better: bool
    protocols: tuple[str, ...]
    default_protocol: str
    aggregate: str = MEAN

    @property
    def description(self) -> str:
        """What the function's docstring says first, in one line."""
        first = (self.function.__doc__ or "").strip().split("\n\n")[0]
        return " ".join(first.split())


METRICS: dict[str, Metric] = {}


def register_metric(  # noqa: PLR0913 - all that a reader needs, said once
    name: str,
    *,
    needs: Need,
    unit: str,
    higher_is_better: bool,
    protocols: tuple[str, ...] = ("own",),
    aggregate: str = MEAN,
) -> Callable[[MetricFunction], MetricFunction]:
    """Register the decorated function as a metric; the first protocol is the default.

    Raises
    ------
    InputError
        A protocol is not in `PROTOCOLS`, the aggregate not in `AGGREGATES`, or the name is taken
        by another function. The same function may be registered again, as happens when a notebook
        cell is run twice.

    Examples
    --------
    >>> @register_metric("peak", needs="truth", unit="heatmap's unit", higher_is_better=True)
    ... def peak(cases, predict, protocol):
    ...     return [float(case.heatmap.max()) for case in cases]
    >>> METRICS.pop("peak").default_protocol
    'own'
    """
    for protocol in protocols:
        describe(protocol)
    if aggregate not in AGGREGATES:
        raise unknown_name("aggregate", aggregate, AGGREGATES)

    def register(function: MetricFunction) -> MetricFunction:
        known = METRICS.get(name)
        if known and _origin(known.function) != _origin(function):
            raise InputError(f"a metric {name!r} exists already: choose another name.")
        METRICS[name] = Metric(
            name, function, needs, unit, higher_is_better, protocols, protocols[0], aggregate
        )
        return function

    return register


def _origin(function: MetricFunction) -> tuple[str, str]:
    return function.__module__, function.__qualname__


def find_metric(name: str, protocol: str | None = None) -> tuple[Metric, str]:
    """Return the metric and its protocol's name; both are checked."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    metric = METRICS[name]
    chosen = metric.default_protocol if protocol is None else protocol
    if chosen not in metric.protocols:
        raise unknown_name(f"protocol of the metric {name!r}", chosen, metric.protocols)
    return metric, chosen


def evaluate(
    metric_name: str,
    cases: Sequence[Case],
    predict: Predict | None = None,
    protocol_name: str | None = None,
) -> list[Result]:
    """Compute one metric under one protocol for every case.

    Parameters
    ----------
    metric_name : str
        A key of `METRICS`.
    cases : sequence of Case
        Cases that share an image array are computed together, which is cheaper.
    predict : Predict, optional
        The model; needed by metrics whose `needs` is "predict".
    protocol_name : str, optional
        By default the metric's `default_protocol`.

    Returns
    -------
    list of Curve, float, bool, Tally or Undefined
        One for each case, in order; the unit and the direction stand in `METRICS[metric_name]`. A
        number that is not finite comes back as `Undefined`.

    Raises
    ------
    InputError
        Unknown names, no model where one is needed, or a metric that does not return one result
        for each case.
    """
    metric, protocol = find_metric(metric_name, protocol_name)
    if metric.needs == "predict" and predict is None:
        raise InputError(f"the metric {metric_name!r} asks the model: give predict.")
    results = list(metric.function(cases, predict, protocol)) if cases else []
    if len(results) != len(cases):
        raise InputError(
            f"the metric {metric_name!r} returned {len(results)} results for {len(cases)} cases: "
            "its function must return one for each case."
        )
    if metric.aggregate != MEAN and any(
        not isinstance(result, Tally | Undefined) for result in results
    ):
        raise InputError(
            f"the metric {metric_name!r} has the aggregate {metric.aggregate!r} and returned "
            "plain values: its function must return a Tally or Undefined for each case."
        )
    return [_finite(result) for result in results]


def _finite(result: Result) -> Result:
    """Turn a number that is not finite into a value that says so."""
    value = result_value(result)
    if value is None or math.isfinite(value):
        return result
    return Undefined(f"the metric returned {value}")


def result_value(result: Result) -> float | None:
    """Return one image's result as a number: a curve's area, a hit's 1 or 0; None: undefined."""
    if isinstance(result, Undefined):
        return None
    if isinstance(result, Curve):
        return result.area
    if isinstance(result, Tally):
        return result.value
    if isinstance(result, (bool, np.bool_)):
        return 1.0 if result else 0.0
    return float(result)
