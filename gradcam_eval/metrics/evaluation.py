"""The one way in which a study calls any metric, and several of them on the same heatmaps."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from gradcam_eval.aggregates import MEAN
from gradcam_eval.core import Case, Curve, InputError, Predict, Tally, Undefined
from gradcam_eval.metrics.cases import CaseByCase, Prepared
from gradcam_eval.metrics.registry import Metric, Result, find_metric

log = logging.getLogger(__name__)


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
    return _checked(metric, metric.function(cases, predict, protocol) if cases else [], len(cases))


def evaluate_all(
    measures: Sequence[tuple[str, str]], cases: Sequence[Case], predict: Predict | None = None
) -> list[list[Result | Exception]]:
    """Compute several metrics for every case, sharing what they ask of the same heatmap.

    A heatmap is brought into the image's frame and ranked once for all metrics that judge it
    beside its truth. They take one case after another, so that the memory does not grow with the
    number of cases.

    Parameters
    ----------
    measures : (metric, protocol) of each metric
    cases, predict : as for `evaluate`

    Returns
    -------
    list of lists, one for each measure
        As `evaluate` returns; what a metric raised stands in the place of the results that it
        would have been: of one case, or of all where a metric takes them together.

    Raises
    ------
    InputError
        Unknown names.
    """
    found: list[list[Result | Exception]] = [[] for _ in measures]
    alone = []
    for results, (name, protocol) in zip(found, measures, strict=True):
        metric, chosen = find_metric(name, protocol)
        if isinstance(metric.function, CaseByCase):
            alone.append((results, metric, metric.function, chosen))
        else:
            together = partial(evaluate, name, cases, predict, chosen)
            results += _attempted(together, metric, len(cases))
    for case in cases:
        prepared = Prepared.of(case)
        for results, metric, function, chosen in alone:
            judged = partial(_judged, metric, function, prepared, chosen)
            results += _attempted(judged, metric, 1)
    return found


def _judged(metric: Metric, function: CaseByCase, prepared: Prepared, name: str) -> list[Result]:
    return _checked(metric, [function.judge(prepared, name)], 1)


def _attempted(
    work: Callable[[], list[Result]], metric: Metric, count: int
) -> Sequence[Result | Exception]:
    """Return the results, or what was raised in the place of each: it must not end a study."""
    try:
        return work()
    except Exception as error:  # whatever a registered metric raises
        log.debug("metric %s failed", metric.name, exc_info=True)
        return [error] * count


def _checked(metric: Metric, found: Sequence[Result], count: int) -> list[Result]:
    """Return a metric's results, one for each case and finite, or say what is wrong with them."""
    results = list(found)
    if len(results) != count:
        raise InputError(
            f"the metric {metric.name!r} returned {len(results)} results for {count} cases: "
            "its function must return one for each case."
        )
    if metric.aggregate != MEAN and any(
        not isinstance(result, Tally | Undefined) for result in results
    ):
        raise InputError(
            f"the metric {metric.name!r} has the aggregate {metric.aggregate!r} and returned "
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
