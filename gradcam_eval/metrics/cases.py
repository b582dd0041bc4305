"""How a study's cases reach a metric: an image's together, or each alone with its truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, update_wrapper
from typing import Any, TypeVar

from gradcam_eval.core import Case, Predict, Undefined, unknown_name
from gradcam_eval.metrics.inputs import Request, as_predict, checked_request, scored
from gradcam_eval.metrics.regions import FramedMap, framed_map, region_of
from gradcam_eval.metrics.resized import Resized
from gradcam_eval.protocols import protocol
from gradcam_eval.protocols.localization_kinds import Drawn, Frame

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
    model = as_predict(predict)
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
        results.update(zip(members, scored(measure, model, request, rules), strict=True))
    return [results[n] for n in range(len(cases))]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case, and what several metrics ask of its heatmap and its truth, each made once."""

    case: Case
    resized: Resized
    _framed: dict[tuple[Drawn, Frame], FramedMap | Undefined] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def of(cls, case: Case) -> Prepared:
        """Return a case of which nothing is made yet."""
        return cls(case, Resized(case.heatmap))

    def framed(self, drawn: Drawn = "mask", frame: Frame = "image") -> FramedMap | Undefined:
        """Return the heatmap on the truth's region, or what is wrong with either."""
        if (drawn, frame) not in self._framed:
            truth = self.case.truth if frame == "image" else self.case.original_truth
            self._framed[drawn, frame] = framed_map(self.resized, region_of(truth, drawn))
        return self._framed[drawn, frame]


class CaseByCase:
    """A metric's function that judges each case alone, by `judge(prepared case, protocol)`.

    It is called as any metric's function; `evaluate_all` calls `judge`, so that the metrics of one
    case share what is prepared.
    """

    def __init__(
        self, judge: Callable[[Prepared, Any], Any], metric: str, kind: type[Rules]
    ) -> None:
        self._judge, self._metric, self._kind = judge, metric, kind
        update_wrapper(self, judge)  # its name and what it says

    def judge(self, prepared: Prepared, name: str) -> Any:
        """Return one case's result under the protocol of that name."""
        return self._judge(prepared, chosen(name, self._metric, self._kind))

    def __call__(self, cases: Sequence[Case], predict: Predict | None, name: str) -> list[Any]:
        """Return the result of each case."""
        return [self.judge(Prepared.of(case), name) for case in cases]


def case_by_case(
    metric: str, kind: type[Rules]
) -> Callable[[Callable[[Prepared, Rules], Any]], CaseByCase]:
    """Turn a judge of single cases, (prepared case, protocol) → result, into a metric's function.

    Parameters
    ----------
    metric : the metric's name, whose protocols it is given
    kind : of these protocols
    """
    return partial(CaseByCase, metric=metric, kind=kind)
