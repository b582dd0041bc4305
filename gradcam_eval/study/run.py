"""Run a study: model by model, image by image, each finished image kept at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam_eval.core import BadSample, InputError, Sample
from gradcam_eval.data import iter_samples, sample_names
from gradcam_eval.environment import describe_environment
from gradcam_eval.metrics import METRICS
from gradcam_eval.models.catalogue import ANY_SIZE, ModelSpec
from gradcam_eval.protocols import describe
from gradcam_eval.store import FORMAT, Ledger, map_path
from gradcam_eval.study.config import ModelEntry, Study
from gradcam_eval.study.forecast import forecast
from gradcam_eval.study.judge import Judged, Subject, failed_row, judge
from gradcam_eval.timing import CostPlan, cost_rows

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Progress:
    """Where a run says how far it is; by default it says nothing.

    Attributes
    ----------
    say : one line of text
    stage : a stage begins: its name and its number of steps
    step : one step of the stage is done
    """

    say: Callable[[str], None] = lambda text: None
    stage: Callable[[str, int], None] = lambda name, steps: None
    step: Callable[[], None] = lambda: None


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model of the study in memory, with its spec and what identifies it."""

    label: str
    model: keras.Model
    spec: ModelSpec
    digest: str
    size: tuple[int, int]


def run(
    study: Study, *, results: Path = Path("results"), fresh: bool = False, progress: Progress
) -> Path:
    """Run a study, or go on where an earlier run of the same study stopped; return its folder.

    Parameters
    ----------
    study : what is compared
    results : the folder in which the study's own folder lies
    fresh : remove what an earlier run left, also another study's, instead of resuming
    progress : told what happens

    Raises
    ------
    InputError : a model, layer or target that cannot be used, or a folder with another study
    """
    folder = results / study.name
    if fresh and folder.exists():
        _remove(folder)
    loaded = [_load(entry) for entry in study.models]
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = study.fingerprint(_version(), *(each.digest for each in loaded))
    with Ledger(folder / "ledger.sqlite", fingerprint) as ledger:
        _write_provenance(folder, study, loaded, fingerprint)
        layers = []
        for each in loaded:
            subject = _subject(study, each)
            layers += _layer_rows(each, subject)
            _run_model(ledger, folder, subject, each, progress)
        _write_csv(folder / "layers.csv", layers)
        ledger.export(folder)
    return folder


def _run_model(
    ledger: Ledger, folder: Path, subject: Subject, loaded: LoadedModel, progress: Progress
) -> None:
    names = sample_names(subject.study.data)
    calls = subject.explainer.calls(loaded.size)
    expected = forecast(
        subject.study, subject.predictor, calls, images=len(names), size=loaded.size
    )
    progress.say(f"{subject.label}: {expected}")
    progress.stage(f"{subject.label}: images", len(names))
    for sample in iter_samples(subject.study.data, loaded.size):
        _run_image(ledger, folder, subject, sample)
        progress.step()
    cost = subject.study.cost
    if cost.rounds and not ledger.has_cost(subject.label):
        plan = CostPlan(cost.batch_sizes, cost.rounds, loaded.size)
        progress.stage(f"{subject.label}: cost", plan.count_calls(expected.cells))
        rows = cost_rows(
            loaded.model, calls, subject.study.methods, plan=plan, on_call=progress.step
        )
        ledger.write_cost(subject.label, rows)


def _run_image(ledger: Ledger, folder: Path, subject: Subject, sample: Sample | BadSample) -> None:
    """Judge one image and keep it; whatever goes wrong with it becomes its row."""
    if isinstance(sample, BadSample):
        ledger.write_image(failed_row(subject.label, sample.name, sample.reason), [])
        return
    if ledger.has_image(subject.label, sample.name, sample.id):
        return
    try:
        judged = judge(subject, sample)
    except InputError as error:
        ledger.write_image(failed_row(subject.label, sample.name, str(error)), [])
        return
    _write_maps(map_path(folder, subject.label, sample.name), sample, judged)
    ledger.write_image(judged.row, judged.records)


def _load(entry: ModelEntry) -> LoadedModel:
    from gradcam_eval.models.identity import load_with_spec, model_digest
    from gradcam_eval.models.layers import input_shape

    model, spec = load_with_spec(entry.name, preprocess=entry.preprocess, classes=entry.classes)
    height, width, _ = input_shape(model, spec.input_size or ANY_SIZE)
    return LoadedModel(entry.label, model, spec, model_digest(model), (height, width))


def _subject(study: Study, loaded: LoadedModel) -> Subject:
    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.models.classes import resolve_class
    from gradcam_eval.models.engine import Predictor

    explainer = Explainer(loaded.model, study.layers, study.methods, score=study.score)
    explainer.calls(loaded.size)  # an unknown layer ends the run here, before any work
    spec = loaded.spec
    is_rule = study.target in ("predicted", "label")
    target = (
        None
        if is_rule
        else resolve_class(
            study.target, spec.class_names, spec.synsets, n_classes=loaded.model.output_shape[-1]
        )
    )
    return Subject(
        loaded.label, study, explainer, Predictor(loaded.model), spec.class_names, target
    )


def _layer_rows(loaded: LoadedModel, subject: Subject) -> list[dict[str, Any]]:
    chosen = {call.path for call in subject.explainer.calls()}
    from gradcam_eval.models.layers import list_layers

    table = list_layers(loaded.model, loaded.size)
    table["shape"] = ["×".join(str(side or "any") for side in shape) for shape in table["shape"]]
    rows = table[table["path"].isin(chosen)].to_dict("records")
    return [
        {"model": loaded.label} | {str(column): value for column, value in row.items()}
        for row in rows
    ]


def _write_maps(path: Path, sample: Sample, judged: Judged) -> None:
    """Write the picture, its truth and every heatmap at its own size and scale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        "image": np.rint(sample.image).astype(np.uint8),
        "boxes": sample.truth.boxes,
        "names": json.dumps([[cell.layer, cell.method] for cell in judged.maps]),
    }
    if sample.truth.mask is not None:
        arrays["mask"] = sample.truth.mask
    arrays |= {f"map_{i}": heatmap for i, heatmap in enumerate(judged.maps.values())}
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)


def _write_provenance(
    folder: Path, study: Study, loaded: list[LoadedModel], fingerprint: str
) -> None:
    resolved = study.model_dump(mode="json")
    entries = resolved.pop("models")
    resolved.pop("protocols")
    resolved["metrics"] = [_describe_metric(study, metric) for metric in study.metrics]
    _write_json(
        folder / "study.json",
        {
            "format": FORMAT,
            **resolved,
            "models": [each.label for each in loaded],
            "model_entries": entries,
            "fingerprint": fingerprint,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    facts = describe_environment()
    facts["models"] = {each.label: _describe_model(each) for each in loaded}
    _write_json(folder / "environment.json", facts)


def _describe_metric(study: Study, name: str) -> dict[str, Any]:
    metric, protocol = METRICS[name], study.protocol_of(name)
    return {
        "name": name,
        "protocol": protocol,
        "higher_is_better": metric.higher_is_better,
        "unit": metric.unit,
        "description": metric.unit,
        "parameters": describe(protocol),
    }


def _describe_model(loaded: LoadedModel) -> dict[str, Any]:
    facts = asdict(loaded.spec)
    facts = {key: facts[key] for key in ("name", "preprocess", "built_in", "licence", "source")}
    return {**facts, "input_size": loaded.size, "digest": loaded.digest}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    pd.DataFrame(rows).to_csv(path, index=False)


def _remove(folder: Path) -> None:
    """Remove a results folder, and nothing that is not one."""
    if any(folder.iterdir()) and not (folder / "study.json").is_file():
        raise InputError(
            f"{folder} was not written by a study (it has no study.json): it is not removed; "
            "move it away or give the study another name"
        )
    shutil.rmtree(folder)


def _version() -> str:
    from importlib.metadata import version

    return version("gradcam-eval")
