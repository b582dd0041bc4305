"""The table of metrics, and how one comes into it; `evaluation.py` calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

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
    bounds : of the number, in words; "" where nobody said
    """

    name: str
    function: MetricFunction
    needs: Need
    unit: str
    higher_is_better: bool
    protocols: tuple[str, ...]
    default_protocol: str
    aggregate: str = MEAN
    bounds: str = ""

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
    bounds: str = "",
) -> Callable[[MetricFunction], MetricFunction]:
    """Register the decorated function, (cases, predict, protocol) → one result a case, as a metric.

    Parameters
    ----------
    name : what studies and results call it
    needs : beside the heatmap: "predict", "truth", "labels" or "explain", or "heatmap" for nothing
    unit : of the number
    higher_is_better : the direction
    protocols : names under which it can be computed; the first is the default
    aggregate : how the images' results become one value, a key of `AGGREGATES`
    bounds : of the number, in words, as in "0..1"

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
            name=name,
            function=function,
            needs=needs,
            unit=unit,
            higher_is_better=higher_is_better,
            protocols=protocols,
            default_protocol=protocols[0],
            aggregate=aggregate,
            bounds=bounds,
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
