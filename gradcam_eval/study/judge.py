"""One image: heatmaps of every cell and control, judged by every metric, as rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import (
    Case,
    Curve,
    Heatmap,
    InputError,
    Record,
    Sample,
    Tally,
    Undefined,
    reason_of,
)
from gradcam_eval.data.groups import GROUPS
from gradcam_eval.data.near_duplicates import perceptual_hash
from gradcam_eval.methods import find_methods
from gradcam_eval.methods.controls import CONTROLS, ControlInput, oracle
from gradcam_eval.metrics import METRICS, Result, evaluate_all, result_value
from gradcam_eval.study.asking import SharedExplainer
from gradcam_eval.study.config import LABELS
from gradcam_eval.study.map_check import compare_maps
from gradcam_eval.study.subject import Subject, asks_the_model

if TYPE_CHECKING:
    from gradcam_eval.methods.heatmaps import Heatmaps
    from gradcam_eval.models.engine import Predictor

_MOST_NAMED = 5  # of the classes that are right for an image


@dataclass(frozen=True)
class Cell:
    """What made a heatmap: a layer and a method, or a control, which has no layer."""

    layer: str
    method: str

    @property
    def is_control(self) -> bool:
        """Whether no method made it."""
        return not self.layer

    @property
    def kind(self) -> str:
        """Return the method's kind ("cam", "layer", "fusion" or "input"), or "control"."""
        return "control" if self.is_control else find_methods(self.method)[0].kind


@dataclass(frozen=True, eq=False)
class Judged:
    """An image's row, its records with their kinds, and its heatmaps."""

    row: dict[str, Any]
    records: list[tuple[str, Record]]
    maps: dict[Cell, Heatmap]


def judge(subject: Subject, sample: Sample) -> Judged:
    """Explain one image, judge every heatmap by every metric, and return all that came of it.

    A metric that raises becomes failed records with the exception's text; the others go on.

    Raises
    ------
    InputError : the study explains labels and this image has none
    """
    if not subject.output.has_probabilities:
        sample = _without_classes(sample)
    explained = subject.explainer(sample.image, _target(subject, sample))
    target, said = int(explained.targets[0]), explained.predictions[0]
    mismatch = _mismatch(subject, sample, target)
    found = dict(_heatmaps(subject, sample, explained, mismatch))
    shared = Case(
        image=sample.image,
        heatmap=np.zeros((0, 0), np.float32),
        target=target,
        truth=sample.truth.of(target),
        original_truth=sample.original_truth.of(target),
        labels=sample.ranked_labels(said),
        predicted=tuple(_ranked(subject, said)[:5]),
        seed=seed_of(subject.study.seed, sample.id),
    )
    asked = SharedExplainer(subject.explainer, target)
    cases = {
        cell: replace(
            shared,
            heatmap=heatmap,
            explain=asked.of((cell.layer, cell.method)) if not cell.is_control else None,
        )
        for cell, heatmap in found.items()
        if not isinstance(heatmap, Undefined)
    }
    predictor, difference, refusal = _engine(subject, sample)
    barred = {need: why for need, why in (("truth", mismatch), ("predict", refusal)) if why}
    records = [
        (cell.kind, _record(subject, sample, cell, measure, result))
        for measure, results in _results(subject, predictor, found, cases, barred)
        for cell, result in results.items()
    ]
    row = image_row(subject, sample, target, said)
    row |= {"engine": predictor.engine, "engine_difference": difference}
    row |= compare_maps(subject.live, sample, explained)
    return Judged(row, records, {cell: case.heatmap for cell, case in cases.items()})


def _without_classes(sample: Sample) -> Sample:
    """Return an image as a regression sees it: labels are none of its, and objects have no class.

    An outline then counts for whatever value is explained.
    """
    truths = {
        name: replace(getattr(sample, name), classes=()) for name in ("truth", "original_truth")
    }
    return replace(sample, labels=(), n_main=1, **truths)


def _ranked(subject: Subject, said: NDArray[np.float32]) -> list[int]:
    """Return the classes, the most probable first; a regression's values have no such order."""
    if not subject.output.has_probabilities:
        return []
    ranked: list[int] = np.argsort(-said, kind="stable").tolist()
    return ranked


def _engine(
    subject: Subject, sample: Sample
) -> tuple[Predictor, float | str, InputError | Undefined | None]:
    """Return what computes this image's scores, how far it is off, and why that is too far.

    The largest difference of a probability from TensorFlow's; "" where no metric of the study asks
    the model, where the model has no row of scores for an image, or where it gives another answer
    at each call. For exploring no difference is too large. Where the study leaves the engine to us,
    TensorFlow itself computes an image on which the chosen one is too far off.
    """
    # TensorFlow: not to be imported early
    from gradcam_eval.models.engine import EXPLORING, LARGEST_DIFFERENCE

    if not asks_the_model(subject.study):
        return subject.predictor, "", None
    if no_row := subject.output.no_row:
        return subject.predictor, "", no_row
    difference = subject.predictor.difference(sample.image[None])
    if difference <= LARGEST_DIFFERENCE or subject.predictor.engine in EXPLORING:
        return subject.predictor, difference, None
    if subject.predictor.variation(sample.image[None]) > LARGEST_DIFFERENCE:
        return subject.predictor, "", None  # a random model, which is not the engine's fault
    if subject.study.engine == "auto":
        return subject.reference, 0.0, None
    refusal = InputError(
        f"the engine {subject.predictor.engine!r} differs from TensorFlow by {difference:.1e} in a "
        f"probability of this image, more than {LARGEST_DIFFERENCE:g}: use engine = 'tensorflow'"
    )
    return subject.predictor, difference, refusal


def _target(subject: Subject, sample: Sample) -> int | str | None:
    if subject.study.target not in LABELS:
        return subject.target
    if not sample.labels:
        raise InputError("the study explains each image's label, and this image has none")
    if sample.n_main == 1:
        return sample.labels[0]
    said = subject.predictor(sample.image[None])[0]
    return sample.ranked_labels(said.mean(axis=tuple(range(said.ndim - 1))))[0]


def _mismatch(subject: Subject, sample: Sample, target: int) -> Undefined | None:
    """Say why the annotation cannot judge this target: it is drawn round another class."""
    if not sample.labels or target in sample.labels:
        return None
    drawn = _named(subject, sample.labels, ", ")
    explained = subject.output.name_of(target, subject.class_names)
    return Undefined(f"the explained class is {explained}, and the annotation shows {drawn}")


def _named(subject: Subject, labels: tuple[int, ...], separator: str) -> str:
    """Name classes, of many the first few."""
    name = subject.output.name_of
    shown = [name(label, subject.class_names) for label in labels[:_MOST_NAMED]]
    more = len(labels) - len(shown)
    return separator.join(shown + ([f"{more} more"] if more else []))


def _heatmaps(
    subject: Subject, sample: Sample, explained: Heatmaps, mismatch: Undefined | None
) -> Iterator[tuple[Cell, Heatmap | Undefined]]:
    for cell in subject.explainer.cells():
        reason = explained.refused.get(cell.key)
        yield Cell(*cell.key), explained[cell.key][0] if reason is None else Undefined(reason)
    truth = sample.truth.of(int(explained.targets[0]))
    for name in subject.study.controls:
        seed = seed_of(subject.study.seed, sample.id, name)
        given = ControlInput(sample.image, truth, np.random.default_rng(seed))
        is_oracle = CONTROLS[name] is oracle  # the truth of another class is no truth here
        yield Cell("", name), mismatch if mismatch and is_oracle else CONTROLS[name](given)


def seed_of(*parts: object) -> int:
    """Return a seed that depends on the parts alone: not on order, shards or a resumed run."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _results(
    subject: Subject,
    predictor: Predictor,
    found: dict[Cell, Heatmap | Undefined],
    cases: dict[Cell, Case],
    barred: dict[str, Undefined | InputError],
) -> Iterator[tuple[tuple[str, str], dict[Cell, Result | Exception]]]:
    """Yield each measure of the study with its result for every cell, in the study's order."""
    needs = {measure: METRICS[measure[0]].needs for measure in subject.study.measures}
    asked = [measure for measure, need in needs.items() if need not in barred]
    judged = evaluate_all(asked, list(cases.values()), predictor)
    of_cases = {
        measure: dict(zip(cases, results, strict=True))
        for measure, results in zip(asked, judged, strict=True)
    }
    undefined = {cell: why for cell, why in found.items() if isinstance(why, Undefined)}
    for measure, need in needs.items():
        if measure in of_cases:
            known = {**of_cases[measure], **undefined}
            yield measure, {cell: known[cell] for cell in found}
        else:
            yield measure, dict.fromkeys(found, barred[need])


def _record(
    subject: Subject,
    sample: Sample,
    cell: Cell,
    measure: tuple[str, str],
    result: Result | Exception,
) -> Record:
    status, value, reason = outcome(result)
    return Record(
        model=subject.label,
        layer=cell.layer,
        method=cell.method,
        sample=sample.name,
        metric=measure[0],
        protocol=measure[1],
        status=status,
        value=value,
        reason=reason,
        curve=result if isinstance(result, Curve) else None,
        tally=result if isinstance(result, Tally) else None,
    )


def outcome(result: Result | Exception) -> tuple[Any, float | None, str]:
    """Return a record's status, value and reason."""
    if isinstance(result, Undefined):
        return "undefined", None, result.reason
    if isinstance(result, Exception):
        return "failed", None, reason_of(result)
    return "value", result_value(result), ""


def image_row(
    subject: Subject, sample: Sample, target: int, said: NDArray[np.float32]
) -> dict[str, Any]:
    """Return what the model saw in an image, beside what is right for it.

    `said` are the probabilities, or a regression's values, which stand in `top5` in their order.
    """
    order = _ranked(subject, said)
    names = [subject.output.name_of(k, subject.class_names) for k in range(len(said))]
    shown = order[:5] if order else range(len(said))
    labels = set(sample.labels)
    height, width = sample.original_truth.size
    return {
        "model": subject.label,
        "sample": sample.name,
        "id": sample.id,
        "title": sample.name,
        "labels": _named(subject, sample.ranked_labels(said), "; "),
        "target": target,
        "target_name": names[target],
        "probability": float(said[target]) if order else "",
        "top5": json.dumps([(names[k], float(said[k])) for k in shown]),
        "hit_top1": bool(labels & set(order[:1])) if labels else "",
        "hit_top5": bool(labels & set(order[:5])) if labels else "",
        "credit": sample.credit,
        "licence": sample.licence,
        "width": width,
        "height": height,
        "pixels": _pixels(sample),
        "perceptual_hash": perceptual_hash(sample.image),
        "applied": sample.applied,
        **{group: dict(sample.groups).get(group, "") for group in GROUPS},
        "status": "ok",
        "reason": "",
    }


def _pixels(sample: Sample) -> str:
    """Return a digest of what the model is shown: the same for one picture in two files."""
    shown = np.rint(sample.image).astype(np.uint8)
    return hashlib.sha256(shown.tobytes()).hexdigest()[:16]


def failed_row(label: str, name: str, reason: str) -> dict[str, Any]:
    """Return the row of an image that could not be judged, and why."""
    empty = (
        *("id", "labels", "target", "target_name", "probability", "top5", "hit_top1", "hit_top5"),
        *(
            "credit",
            "licence",
            "width",
            "height",
            "pixels",
            "perceptual_hash",
            "applied",
            *GROUPS,
            "engine",
            "engine_difference",
        ),
    )
    return {
        "model": label,
        "sample": name,
        "title": name,
        **dict.fromkeys(empty, ""),
        "status": "failed",
        "reason": reason,
    }
