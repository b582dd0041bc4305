"""What a study was, and where it ran: the files that stand beside its results."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_eval.environment import describe_environment
from gradcam_eval.files import write_table, write_text
from gradcam_eval.ledger_rows import FORMAT
from gradcam_eval.metrics import METRICS
from gradcam_eval.models.output import Output
from gradcam_eval.protocols import BUILT_IN, describe
from gradcam_eval.study.config import Study
from gradcam_eval.study.subject import LoadedModel, Subject

if TYPE_CHECKING:
    from gradcam_eval.models.engine_choice import EngineChoice


def fingerprint_of(study: Study, loaded: Sequence[LoadedModel]) -> str:
    """Return a digest of all that decides the results: study, models and version; not the images.

    Protocols of the user's own count with every parameter, since no version fixes them. Each image
    has a digest of its own, since a folder may grow.
    """
    from importlib.metadata import version

    names = {protocol for _, protocol in study.measures} - BUILT_IN
    own = [json.dumps(describe(name), sort_keys=True) for name in sorted(names)]
    return study.fingerprint(version("gradcam-eval"), *(each.identity for each in loaded), *own)


def write_provenance(
    folder: Path,
    study: Study,
    loaded: Sequence[LoadedModel],
    engines: Mapping[str, EngineChoice],
    fingerprint: str,
) -> None:
    """Write study.json, with every parameter resolved, and environment.json.

    `engines` are those that are known, by the model's label.
    """
    resolved = study.model_dump(mode="json")
    entries = resolved.pop("models")
    data = resolved.pop("data")
    resolved.pop("protocols")
    outputs = [each.output for each in loaded]
    resolved["metrics"] = [_describe_metric(*measure, outputs) for measure in study.measures]
    path = folder / "study.json"
    content = {
        "format": FORMAT,
        **resolved,
        "data": data.pop("path"),
        "data_options": data,
        "models": [each.label for each in loaded],
        "model_entries": entries,
        "fingerprint": fingerprint,
        "created": _first_created(path, fingerprint),
    }
    _write_json(path, content)
    facts = describe_environment()
    facts["models"] = {each.label: _describe_model(each) for each in loaded}
    facts["engines"] = {label: asdict(engine) for label, engine in engines.items()}
    _write_json(folder / "environment.json", facts)


def earlier_engine(folder: Path, label: str) -> EngineChoice | None:
    """Return the engine that an earlier run in this folder chose for a model, if it is usable."""
    from gradcam_eval.models.engine import ENGINES
    from gradcam_eval.models.engine_choice import EngineChoice

    try:
        facts = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        chosen = EngineChoice(**facts["engines"][label])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    times = chosen.ms_per_image
    if not isinstance(times, dict) or not all(isinstance(ms, int | float) for ms in times.values()):
        return None
    is_there = chosen.engine != "openvino" or importlib.util.find_spec("openvino") is not None
    return chosen if chosen.engine in ENGINES and is_there else None


def write_layers(folder: Path, subjects: Sequence[Subject]) -> None:
    """Write layers.csv: a row for each model × layer that the study explains."""
    import pandas as pd

    rows = [_layer_row(subject.label, layer) for subject in subjects for layer in subject.layers]
    write_table(folder / "layers.csv", pd.DataFrame(rows))


def write_calls(folder: Path, subjects: Sequence[Subject]) -> None:
    """Write calls.csv: how often one image's heatmap of each cell runs the model."""
    import pandas as pd

    rows = []
    for subject in subjects:
        size = subject.loaded.size
        for cell in subject.explainer.cells(size):
            passes = cell.passes(size)
            names = {"model": subject.label, "layer": cell.layer, "method": cell.method.label}
            rows.append({**names, "forwards": 1 + passes.forwards, "backwards": passes.backwards})
    columns = ["model", "layer", "method", "forwards", "backwards"]
    write_table(folder / "calls.csv", pd.DataFrame(rows, columns=columns))


def _layer_row(label: str, layer: dict[str, Any]) -> dict[str, Any]:
    shape = "×".join(str(side or "any") for side in layer["shape"])
    return {"model": label, **layer, "shape": shape}


def _first_created(path: Path, fingerprint: str) -> str:
    """Return when the study began: a run that goes on from an earlier one keeps its date."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        return str(earlier["created"]) if earlier["fingerprint"] == fingerprint else now
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return now


def _describe_metric(name: str, protocol: str, outputs: Sequence[Output]) -> dict[str, Any]:
    metric = METRICS[name]
    parameters = describe(protocol)
    for said_already in ("name", "metrics"):
        del parameters[said_already]
    return {
        "name": name,
        "protocol": protocol,
        "higher_is_better": metric.higher_is_better,
        "aggregate": metric.aggregate,
        "unit": _unit(metric.unit, outputs),
        "range": metric.bounds,
        "description": metric.description,
        "parameters": parameters,
    }


def _unit(unit: str, outputs: Sequence[Output]) -> str:
    """Return a metric's unit for these models: a regression's value is read, no probability."""
    if all(output.has_probabilities for output in outputs):
        return unit
    is_mixed = any(output.has_probabilities for output in outputs)
    return unit.replace("probability", "probability or value" if is_mixed else "value")


def _describe_model(loaded: LoadedModel) -> dict[str, Any]:
    facts = asdict(loaded.spec)
    facts = {key: facts[key] for key in ("name", "preprocess", "built_in", "licence", "source")}
    facts |= {"input_size": loaded.size, "digest": loaded.digest}
    facts |= {"n_classes": loaded.classes.count}
    return {
        **facts,
        "output": str(loaded.output),
        "output_kind": loaded.output.kind,
        "random": loaded.random,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
