"""Every metric on heatmaps of known quality, image by image, as records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.core import BadSample, Case, Predict, Sample, Tally, Undefined
from gradcam_eval.meta_evaluation.known_quality import known_heatmaps
from gradcam_eval.metrics import METRICS, evaluate_all, find_metric
from gradcam_eval.study.judge import outcome, seed_of

_NOT_JUDGED = {
    "explain": "it asks for heatmaps of further images, and a heatmap of known quality has none",
    "heatmap": "it looks at the heatmap alone: it knows no truth",
}


@dataclass(frozen=True, eq=False)
class Judged:
    """What every metric said of the known heatmaps.

    Attributes
    ----------
    records : as `stats.summarise` wants them, `method` being the heatmap's quality
    images : how many images were judged
    left_out : (image, reason)
    """

    records: pd.DataFrame
    images: int
    left_out: tuple[tuple[str, str], ...]


def chosen_metrics(
    names: Sequence[str], protocols: Mapping[str, str]
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Return the metrics to judge, each with its protocol, and those that cannot be, with why.

    Parameters
    ----------
    names : keys of `METRICS`; empty: all of them
    protocols : metric → protocol, where it is not the metric's default

    Raises
    ------
    InputError : an unknown metric, or a protocol that is not one of its
    """
    for name in protocols:
        find_metric(name, protocols[name])
    wanted = [find_metric(name, protocols.get(name)) for name in (names or METRICS)]
    measures = tuple((m.name, rules) for m, rules in wanted if m.needs not in _NOT_JUDGED)
    refused = tuple((m.name, _NOT_JUDGED[m.needs]) for m, _ in wanted if m.needs in _NOT_JUDGED)
    return measures, refused


def judge_known(
    samples: Iterable[Sample | BadSample],
    predict: Predict,
    measures: Sequence[tuple[str, str]],
    *,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> Judged:
    """Judge the four known heatmaps of each image by every metric.

    The explained class is the predicted one. An image whose predicted class is none of its labels,
    or whose truth is not known, is left out: what is drawn there is not known to be the evidence.

    Parameters
    ----------
    samples : images with their truth
    predict : the model
    measures : (metric, protocol), from `chosen_metrics`
    seed : of the noise in the heatmaps and of the metrics' own draws
    step : called after each image
    """
    rows: list[dict[str, Any]] = []
    left_out: list[tuple[str, str]] = []
    images = 0
    for sample in samples:
        cases = _cases(sample, predict, seed)
        if isinstance(cases, Undefined):
            left_out.append((sample.name, cases.reason))
        else:
            images += 1
            rows += _records(sample.name, cases, predict, measures)
        step()
    return Judged(pd.DataFrame(rows), images, tuple(left_out))


def _cases(sample: Sample | BadSample, predict: Predict, seed: int) -> dict[str, Case] | Undefined:
    """Return a case of each quality."""
    if isinstance(sample, BadSample):
        return Undefined(sample.reason)
    probabilities = np.asarray(predict(sample.image[None]))[0]
    order = np.argsort(-probabilities, kind="stable")
    target = int(order[0])
    if target not in sample.labels:
        return Undefined("the model's answer is none of the image's labels")
    own = seed_of(seed, sample.id)
    heatmaps = known_heatmaps(sample.image, sample.truth.of(target), seed=own)
    if isinstance(heatmaps, Undefined):
        return heatmaps
    shared = Case(
        image=sample.image,
        heatmap=heatmaps["oracle"],
        target=target,
        truth=sample.truth.of(target),
        original_truth=sample.original_truth.of(target),
        labels=sample.ranked_labels(probabilities),
        predicted=tuple(order[:5].tolist()),
        seed=own,
    )
    return {name: replace(shared, heatmap=heatmap) for name, heatmap in heatmaps.items()}


def _records(
    sample: str, cases: dict[str, Case], predict: Predict, measures: Sequence[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    judged = evaluate_all(measures, list(cases.values()), predict)
    for (metric, protocol), results in zip(measures, judged, strict=True):
        for quality, result in zip(cases, results, strict=True):
            status, value, reason = outcome(result)
            yield {
                "model": "",
                "layer": "",
                "method": quality,
                "kind": "control",
                "sample": sample,
                "metric": metric,
                "protocol": protocol,
                "status": status,
                "value": value,
                "reason": reason,
                "aggregate": METRICS[metric].aggregate,
                "parts": result.parts if isinstance(result, Tally) else None,
            }
