"""Run a study: model by model, image by image, each finished image kept at once."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_eval.core import BadSample, InputError, Sample
from gradcam_eval.data import iter_samples, sample_names
from gradcam_eval.store import Ledger, check_unused, map_path
from gradcam_eval.study.config import Study
from gradcam_eval.study.forecast import forecast
from gradcam_eval.study.judge import Judged, failed_row, judge, reason_of
from gradcam_eval.study.provenance import fingerprint_of, write_layers, write_provenance
from gradcam_eval.study.subject import LoadedModel, Subject, load, make_subject
from gradcam_eval.timing import CostPlan, cost_rows

log = logging.getLogger(__name__)

_LEDGER = "ledger.sqlite"


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
    InputError : a model, layer or target that cannot be used, a folder with another study or that
        cannot be made, another run in it, or no image that could be judged
    """
    folder = results / study.name
    check_unused(folder / _LEDGER)
    if fresh:
        _check_removable(folder)
    loaded = [load(entry) for entry in study.models]
    pairs = [(each, make_subject(study, each)) for each in loaded]
    # Whatever was misspelt has ended the run by now, with the folder as it was.
    _make_folder(folder, fresh)
    fingerprint = fingerprint_of(study, loaded)
    with Ledger(folder / _LEDGER, fingerprint) as ledger:
        write_provenance(folder, study, loaded, fingerprint)
        write_layers(folder, [subject for _, subject in pairs])
        for each, subject in pairs:
            _run_model(ledger, folder, subject, each, progress)
        names = sample_names(study.data)
        ledger.arrange([(each.label, name) for each in loaded for name in names])
        ledger.export(folder)
        _check_any_judged(study, ledger)
    return folder


def _run_model(
    ledger: Ledger, folder: Path, subject: Subject, loaded: LoadedModel, progress: Progress
) -> None:
    label, study = subject.label, subject.study
    names = sample_names(study.data)
    plan = None
    if study.cost.rounds and not ledger.has_cost(label):
        plan = CostPlan(study.cost.batch_sizes, study.cost.rounds, loaded.size)
    left = len(set(names) - ledger.finished(label))
    if left or plan:
        expected = forecast(subject, plan, images=left, size=loaded.size)
        progress.say(f"{label}: {expected}")
    if left < len(names):
        progress.say(f"{label}: {len(names) - left} of {len(names)} images are there already")
    progress.stage(f"{label}: images", len(names))
    for sample in iter_samples(study.data, loaded.size, classes=loaded.classes):
        _run_image(ledger, folder, subject, sample)
        progress.step()
    if plan:
        refused = subject.explainer.refused(loaded.size)
        cells = [each for each in subject.explainer.cells(loaded.size) if each.key not in refused]
        forwards = [1 + cell.passes(loaded.size).forwards for cell in cells]
        progress.stage(f"{label}: cost", plan.count_calls(forwards))
        rows = cost_rows(loaded.model, cells, plan=plan, on_call=progress.step)
        ledger.write_cost(label, rows)


def _run_image(ledger: Ledger, folder: Path, subject: Subject, sample: Sample | BadSample) -> None:
    """Judge one image and keep it; whatever goes wrong with it becomes its row."""
    if isinstance(sample, BadSample):
        ledger.write_image(failed_row(subject.label, sample.name, sample.reason), [])
        return
    if ledger.has_image(subject.label, sample.name, sample.id):
        return
    try:
        judged = judge(subject, sample)
    except Exception as error:  # one image must not end a study of thousands
        log.debug("image %s failed", sample.name, exc_info=True)
        ledger.write_image(failed_row(subject.label, sample.name, reason_of(error)), [])
        return
    _write_maps(map_path(folder, subject.label, sample.name), sample, judged)
    ledger.write_image(judged.row, judged.records)


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


def _check_any_judged(study: Study, ledger: Ledger) -> None:
    images = ledger.images()
    if (images["status"] == "failed").all():
        raise InputError(
            f"none of the {len(images)} images of {study.data!r} could be judged; the first, "
            f"{images['sample'][0]!r}: {images['reason'][0]}"
        )


def _make_folder(folder: Path, fresh: bool) -> None:
    try:
        if fresh and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}; "
            "choose where results go with --results, or give the study another name"
        ) from error


def _check_removable(folder: Path) -> None:
    """Raise InputError for a folder that holds something, and that no study wrote."""
    is_ours = (folder / "study.json").is_file() or (folder / _LEDGER).is_file()
    if folder.is_dir() and any(folder.iterdir()) and not is_ours:
        raise InputError(
            f"{folder} was not written by a study (it has no study.json): it is not removed; "
            "move it away or give the study another name"
        )
