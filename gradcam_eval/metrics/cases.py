"""How a study's cases reach a metric that takes images, heatmaps and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from gradcam_eval.core import Case, Predict, Undefined, unknown_name
from gradcam_eval.metrics.inputs import Request, checked_request, reader
from gradcam_eval.protocols import protocol

Found = TypeVar("Found")
Rules = TypeVar("Rules")


def chosen(name: str | Any, metric: str, kind: type[Rules]) -> Rules:
    """Return a metric's protocol by its name, or the record that was given instead of a name."""
    found = protocol(name, metric) if isinstance(name, str) else name
    if not isinstance(found, kind):
        raise unknown_name(f"protocol of the metric {metric!r}", found, [kind.__name__])
    return found


def by_image(
    measure: Callable[[Predict, Request, Any], Sequence[Found | Undefined]],
    cases: Sequence[Case],
    predict: Predict | None,
    name: str,
    metric: str,
) -> list[Found | Undefined]:
    """Call a metric once for each image, with all the heatmaps of that image.

    Parameters
    ----------
    measure : (predict, request, protocol) → one result for each heatmap
    cases : those that share an image array and a seed are judged together
    predict : the model
    name : of the protocol; where it reads the label, a case without one is undefined
    metric : its name, from which the random draws follow
    """
    rules: Any = protocol(name, metric)
    read = reader(predict, rules.score)
    results: dict[int, Found | Undefined] = {}
    groups: dict[tuple[int, int], list[int]] = {}
    of_label = getattr(rules, "of", "target") == "label"
    for n, case in enumerate(cases):
        if of_label and not case.labels:
            results[n] = Undefined("the image has no label, and the protocol reads its score")
        else:
            groups.setdefault((id(case.image), case.seed), []).append(n)
    for members in groups.values():
        first = cases[members[0]]
        targets = [cases[n].labels[0] if of_label else cases[n].target for n in members]
        request = checked_request(first.image[None], [cases[n].heatmap for n in members], targets)
        request = replace(request, generator=partial(first.generator, metric))
        results.update(zip(members, measure(read, request, rules), strict=True))
    return [results[n] for n in range(len(cases))]
