"""Every metric on the ladder of heatmaps, image by image, as records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.core import BadSample, Case, Predict, Sample, Tally, Undefined
from gradcam_eval.meta_evaluation.ladder import ladder
from gradcam_eval.metrics import METRICS, evaluate_all, find_metric
from gradcam_eval.study.judge import outcome, seed_of

_NOT_CHECKED = {
    "explain": "it needs heatmaps of further images, and a heatmap of known quality has none",
    "heatmap": "it looks at the heatmap alone: it knows no truth",
}


@dataclass(frozen=True, eq=False)
class LadderScores:
    """The score of every heatmap of the ladder by every metric.

    Attributes
    ----------
    records : as `stats.summarise` takes them, `method` being the heatmap's share of noise
    images : how many images were scored
    left_out : (image, reason)
    """

    records: pd.DataFrame
    images: int
    left_out: tuple[tuple[str, str], ...]


def chosen_metrics(
    names: Sequence[str], protocols: Mapping[str, str]
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Return the metrics to check, each with its protocol, and those that cannot be, with why.

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
    chosen = [find_metric(name, protocols.get(name)) for name in (names or METRICS)]
    specs = tuple((m.name, protocol) for m, protocol in chosen if m.needs not in _NOT_CHECKED)
    refused = tuple((m.name, _NOT_CHECKED[m.needs]) for m, _ in chosen if m.needs in _NOT_CHECKED)
    return specs, refused


def score_ladder(
    samples: Iterable[Sample | BadSample],
    predict: Predict,
    specs: Sequence[tuple[str, str]],
    *,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> LadderScores:
    """Score the heatmaps of each image's ladder by every metric.

    The explained class is the predicted one. An image whose predicted class is none of its labels,
    or whose truth is not known, is left out: what is drawn there is not known to be the evidence.

    Parameters
    ----------
    samples : images with their truth
    predict : the model
    specs : (metric, protocol), from `chosen_metrics`
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
            rows += _records(sample.name, cases, predict, specs)
        step()
    return LadderScores(pd.DataFrame(rows), images, tuple(left_out))


def _cases(sample: Sample | BadSample, predict: Predict, seed: int) -> dict[str, Case] | Undefined:
    """Return a case of each heatmap of the ladder."""
    if isinstance(sample, BadSample):
        return Undefined(sample.reason)
    probabilities = np.asarray(predict(sample.image[None]))[0]
    order = np.argsort(-probabilities, kind="stable")
    target = int(order[0])
    if target not in sample.labels:
        return Undefined("the predicted class is none of the image's labels")
    own = seed_of(seed, sample.id)
    heatmaps = ladder(sample.image, sample.truth.of(target), seed=own)
    if isinstance(heatmaps, Undefined):
        return heatmaps
    case_of = partial(
        Case,
        image=sample.image,
        target=target,
        truth=sample.truth.of(target),
        original_truth=sample.original_truth.of(target),
        labels=sample.ranked_labels(probabilities),
        predicted=tuple(order[:5].tolist()),
        seed=own,
    )
    return {name: case_of(heatmap=heatmap) for name, heatmap in heatmaps.items()}


def _records(
    sample: str, cases: dict[str, Case], predict: Predict, specs: Sequence[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    scored = evaluate_all(specs, list(cases.values()), predict)
    for (metric, protocol), results in zip(specs, scored, strict=True):
        for rung, result in zip(cases, results, strict=True):
            status, value, reason = outcome(result)
            yield {
                "model": "",
                "layer": "",
                "method": rung,
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
