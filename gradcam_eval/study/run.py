"""Run a study: model by model, image by image, each finished image kept at once."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam_eval.core import BadSample, InputError, Sample, reason_of
from gradcam_eval.data import Reading, Source
from gradcam_eval.data.photo import photo_arrays
from gradcam_eval.data.source import say_skipped
from gradcam_eval.files import replacing
from gradcam_eval.store import LEDGER, Ledger, check_unused, map_path
from gradcam_eval.study.config import Study
from gradcam_eval.study.forecast import forecast
from gradcam_eval.study.judge import Judged, failed_row, judge
from gradcam_eval.study.labels import labelled
from gradcam_eval.study.leftovers import remove_leftovers
from gradcam_eval.study.provenance import (
    earlier_engine,
    fingerprint_of,
    write_calls,
    write_layers,
    write_provenance,
)
from gradcam_eval.study.subject import LoadedModel, Subject, load, make_subject
from gradcam_eval.timing import CostPlan, cost_rows
from gradcam_eval.values import as_rgb

if TYPE_CHECKING:
    from gradcam_eval.models.engine_choice import EngineChoice

log = logging.getLogger(__name__)


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
class _Part:
    """One model of a run, with what is read for it and where its results go."""

    loaded: LoadedModel
    subject: Subject
    source: Source
    reading: Reading
    folder: Path

    @property
    def label(self) -> str:
        return self.loaded.label

    @property
    def study(self) -> Study:
        return self.subject.study

    def images_left(self, ledger: Ledger) -> int:
        return len(set(self.source.names) - ledger.finished(self.label))

    def cost_left(self, ledger: Ledger) -> CostPlan | None:
        cost = self.study.cost
        if not cost.rounds or ledger.has_cost(self.label):
            return None
        return CostPlan(cost.batch_sizes, cost.rounds, self.loaded.size)


def run(
    study: Study,
    *,
    results: Path = Path("results"),
    fresh: bool = False,
    progress: Progress,
    data: Source | None = None,
) -> Path:
    """Run a study, or go on where an earlier run of the same study stopped; return its folder.

    Parameters
    ----------
    study : what is compared
    results : the folder in which the study's own folder lies
    fresh : remove what an earlier run left, also another study's, instead of resuming
    progress : told what happens
    data : images instead of those that the study names

    Raises
    ------
    InputError : a model, layer, target or data set that cannot be used, a folder with another study
        or that cannot be made, another run in it, no image that could be judged, or, where the
        study is strict, the first image that cannot be read
    """
    folder = results / study.name
    check_unused(folder / LEDGER, is_removed=fresh)
    if fresh:
        _check_removable(folder)
    source = study.data.open(data)
    parts = [
        _part(study, load(entry, study.data.within), source, folder, fresh)
        for entry in study.models
    ]
    loaded = [part.loaded for part in parts]
    # Whatever was misspelt has ended the run by now, with the folder as it was.
    _make_folder(folder, fresh)
    fingerprint = fingerprint_of(study, loaded)
    with Ledger(folder / LEDGER, fingerprint) as ledger:
        subjects = [part.subject for part in parts]
        write_provenance(folder, study, loaded, _engines(parts, ledger), fingerprint)
        write_layers(folder, subjects)
        write_calls(folder, subjects)
        if source.skipped:
            progress.say(say_skipped(source.skipped))
        for part in parts:
            _run_model(ledger, part, progress)
        ledger.arrange([(part.label, name) for part in parts for name in part.source.names])
        ledger.export(folder)
        remove_leftovers(folder, [(p.label, n) for p in parts for n in ledger.finished(p.label)])
        _check_any_judged(study, ledger)
    return folder


def _part(study: Study, loaded: LoadedModel, source: Source, folder: Path, fresh: bool) -> _Part:
    reading = study.data.reading(loaded.classes, loaded.size, source, loaded.channels)
    source = labelled(study, loaded, source, reading.classes)
    engine = None if fresh else earlier_engine(folder, loaded.label)
    return _Part(loaded, make_subject(study, loaded, engine=engine), source, reading, folder)


def _engines(parts: Sequence[_Part], ledger: Ledger) -> dict[str, EngineChoice]:
    """Return the engine of each model that has one, and choose it where something is to be done."""
    engines = {}
    for part in parts:
        is_left = part.images_left(ledger) or part.cost_left(ledger)
        engine = part.subject.engine if is_left else part.subject.known_engine
        if engine is not None:
            engines[part.label] = engine
    return engines


def _run_model(ledger: Ledger, part: _Part, progress: Progress) -> None:
    label, names = part.label, part.source.names
    _forget_other_labels(ledger, part, progress)
    left, plan = part.images_left(ledger), part.cost_left(ledger)
    if left or plan:
        expected = forecast(part.subject, plan, images=left, size=part.loaded.size)
        progress.say(f"{label}: {expected}")
        progress.say(f"{label}: {part.subject.engine}")
    if left < len(names):
        progress.say(f"{label}: {len(names) - left} of {len(names)} images are there already")
    is_named = part.subject.output.has_probabilities  # a regression has no classes to be among
    if is_named and (unmapped := part.reading.classes.unmapped(part.source.labels)):
        progress.say(f"{label}: {_say_unmapped(unmapped, len(part.source.labels))}")
    if note := part.reading.classes.note:
        progress.say(f"{label}: {note}")
    progress.stage(f"{label}: images", len(names))
    samples = part.source.samples(part.reading, readers=part.study.data.readers)
    with contextlib.closing(samples):
        for sample in samples:
            if kept := _run_image(ledger, part, sample):
                progress.say(f"{label}: {kept}")
            progress.step()
    if plan:
        _measure_cost(ledger, part, plan, progress)


def _forget_other_labels(ledger: Ledger, part: _Part, progress: Progress) -> None:
    """Forget what was kept when the same methods had other labels: one would stand there as two."""
    known = {method.label for method in part.subject.explainer.methods}
    others = [label for label in ledger.methods(part.label) if label not in known]
    if others:
        ledger.forget(part.label)
        progress.say(
            f"{part.label}: judged anew, since an earlier version wrote the names of these methods "
            f"otherwise: {', '.join(others)}"
        )


def _measure_cost(ledger: Ledger, part: _Part, plan: CostPlan, progress: Progress) -> None:
    explainer, size = part.subject.explainer, part.loaded.size
    refused = explainer.refused(size)
    part.subject.release()  # what was compiled would stay in memory beside each cell
    cells = [each for each in explainer.cells(size) if each.key not in refused]
    progress.stage(f"{part.label}: cost", len(cells))
    rows = cost_rows(explainer, cells, plan=plan, on_cell=progress.step)
    ledger.write_cost(part.label, rows)


def _say_unmapped(unmapped: list[str], known: int) -> str:
    shown = ", ".join(unmapped[:20]) + (", …" if len(unmapped) > 20 else "")
    return (
        f"{len(unmapped)} of the data set's {known} classes are not among the model's, and no "
        f"truth for it: {shown}"
    )


def _run_image(ledger: Ledger, part: _Part, sample: Sample | BadSample) -> str:
    """Judge one image and keep it; whatever goes wrong with it becomes its row.

    An image that is finished and cannot be read now, because its file or disk fails, keeps its
    rows; what is returned says so. A file that can be read and is no image any more is another
    image, and its row fails.

    Raises
    ------
    InputError : the image cannot be read, and the study is strict
    """
    if isinstance(sample, BadSample):
        if part.study.data.strict:
            raise InputError(f"the image {sample.name!r} cannot be used: {sample.reason}")
        if sample.may_pass and sample.name in ledger.finished(part.label):
            return f"{sample.name} cannot be read now, and its results are kept: {sample.reason}"
        ledger.write_image(failed_row(part.label, sample.name, sample.reason), [])
        return ""
    state = sample.digest()
    if ledger.has_image(part.label, sample.name, state):
        return ""
    try:
        judged = judge(part.subject, sample)
    except Exception as error:  # one image must not end a study of thousands
        log.debug("image %s failed", sample.name, exc_info=True)
        ledger.write_image(failed_row(part.label, sample.name, reason_of(error)), [])
        return ""
    _write_maps(map_path(part.folder, part.label, sample.name), sample, judged)
    ledger.write_image(judged.row, judged.records, state=state)
    return ""


def _write_maps(path: Path, sample: Sample, judged: Judged) -> None:
    """Write the image, its truth, every heatmap at its own size and scale, and the photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        "image": as_rgb(sample.image),
        "boxes": sample.truth.boxes,
        "names": json.dumps([[cell.layer, cell.method] for cell in judged.maps]),
    }
    if sample.truth.mask is not None:
        arrays["mask"] = sample.truth.mask
    if sample.photo is not None:
        arrays |= photo_arrays(sample.photo)
    arrays |= {f"map_{i}": heatmap for i, heatmap in enumerate(judged.maps.values())}
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)


def _check_any_judged(study: Study, ledger: Ledger) -> None:
    images = ledger.images()
    if (images["status"] == "failed").all():
        raise InputError(
            f"none of the {len(images)} images of {study.data.path!r} could be judged; the first, "
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
    is_ours = (folder / "study.json").is_file() or (folder / LEDGER).is_file()
    if folder.is_dir() and any(folder.iterdir()) and not is_ours:
        raise InputError(
            f"{folder} was not written by a study (it has no study.json): it is not removed; "
            "move it away or give the study another name"
        )
