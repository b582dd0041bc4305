"""All metrics on one model and one data set: what `gradcam-eval check-metrics` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gradcam_eval.core import InputError
from gradcam_eval.files import write_table, write_text
from gradcam_eval.meta_evaluation.agreement import Concordance, concordances
from gradcam_eval.meta_evaluation.outcome import RULE, MetricResult, metric_results
from gradcam_eval.meta_evaluation.scoring import chosen_metrics, score_ladder
from gradcam_eval.metrics import METRICS
from gradcam_eval.statistics.units import FEWEST
from gradcam_eval.study.config import DataEntry, ModelEntry

FORMAT = 2
_INTEGERS = ("n", "missing", "tied", "smallest_n")


@dataclass(frozen=True)
class CheckSettings:
    """What is checked: every metric under its default protocol where nothing else is said.

    Attributes
    ----------
    model, data : as a study names them; the data's `count` and `seed` choose the images
    metrics : names; empty: all
    protocols : metric → protocol
    """

    model: ModelEntry
    data: DataEntry
    metrics: tuple[str, ...] = ()
    protocols: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class MetricCheck:
    """The outcome of a check.

    Attributes
    ----------
    results : of each metric
    agreement : of `concordances`
    records : every value
    images : how many were scored
    left_out, not_checked : (image, reason), (metric, reason)
    about : model, data and seed
    """

    results: list[MetricResult]
    agreement: list[Concordance]
    records: pd.DataFrame
    images: int
    left_out: tuple[tuple[str, str], ...]
    not_checked: tuple[tuple[str, str], ...]
    about: dict[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each metric: outcome, monotony, reliability, resolved steps."""
        return _frame([each.row() for each in self.results])

    @property
    def steps(self) -> pd.DataFrame:
        """A row for each metric and step of the ladder."""
        return _frame([row for each in self.results for row in each.step_rows()])

    def unable(self) -> list[dict[str, str]]:
        """Name every metric that is not shown to work, with why; empty where all are."""
        return [
            {"metric": each.metric, "protocol": each.protocol, "fault": _fault(each)}
            for each in self.results
            if each.outcome != "works"
        ]

    def circular(self) -> list[dict[str, str]]:
        """Name every metric that the ladder cannot validate: it compares with the same mask."""
        return [
            {"metric": each.metric, "protocol": each.protocol}
            for each in self.results
            if each.is_circular
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return all but the single values, for JSON: what does not exist is null."""
        return {
            "format": FORMAT,
            **self.about,
            "images": self.images,
            "rule": RULE,
            "unable": self.unable(),
            "not_validated": self.circular(),
            "metrics": _rows(self.table),
            "steps": _rows(self.steps),
            "agreement": [each.as_dict() for each in self.agreement],
            "left_out": [{"image": name, "reason": why} for name, why in self.left_out],
            "not_checked": [{"metric": name, "reason": why} for name, why in self.not_checked],
        }


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    whole = {name: "Int64" for name in _INTEGERS if name in frame}
    return frame.astype(whole)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=12))
    return rows


def _fault(result: MetricResult) -> str:
    """Say in words why a metric is not shown to work."""
    if result.outcome == "fails":
        return "prefers noise to the graded oracle: do not choose by it"
    if result.n < FEWEST:
        return f"has values on too few images ({result.n}; a claim needs {FEWEST})"
    return "is not shown to prefer the graded oracle to noise at this number of images"


def check_metrics(
    settings: CheckSettings,
    *,
    seed: int = 0,
    stage: Callable[[str, int], None] = lambda name, steps: None,
    step: Callable[[], None] = lambda: None,
) -> MetricCheck:
    """Score a ladder of heatmaps of known quality by every metric, and say which metrics work.

    Parameters
    ----------
    settings : model, data and metrics
    seed : of the heatmaps' noise, the metrics' draws, the tests and the bootstrap
    stage, step : called with the progress

    Raises
    ------
    InputError : an unknown name, no metric that can be checked, or no image that can
    """
    specs, refused = chosen_metrics(settings.metrics, settings.protocols)
    if not specs:
        raise InputError(f"no metric is left to check: {_listed(refused)}.")
    from gradcam_eval.models.engine import Predictor
    from gradcam_eval.study.subject import load

    data = settings.data
    source = data.open()
    loaded = load(settings.model, data.within)
    if not loaded.output.has_probabilities:
        raise InputError(f"check-metrics needs classes, and {loaded.label} returns {loaded.output}")
    stage("metrics checked", len(source.names))
    samples = source.samples(data.reading(loaded.classes, loaded.size, source, loaded.channels))
    predictor = Predictor(loaded.model, output=loaded.declared)
    scored = score_ladder(samples, predictor, specs, seed=seed, step=step)
    if not scored.images:
        raise InputError(
            f"none of the {len(scored.left_out)} images can be scored: {_listed(scored.left_out)}."
        )
    records = scored.records
    needs = records["metric"].map({name: metric.needs for name, metric in METRICS.items()})
    return MetricCheck(
        results=metric_results(records, seed=seed),
        agreement=concordances(records.assign(needs=needs), seed=seed),
        records=records.drop(columns=["model", "layer", "kind", "parts"]),
        images=scored.images,
        left_out=scored.left_out,
        not_checked=refused,
        about={"model": loaded.label, "data": data.path, "seed": seed},
    )


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{name}: {reason}" for name, reason in pairs[:3])
    return shown + ("; …" if len(pairs) > 3 else "")


def write_check(check: MetricCheck, folder: str | Path) -> list[Path]:
    """Write check_metrics.csv, _steps.csv, _values.csv and .json; return the paths.

    Raises
    ------
    InputError : the folder cannot be written to
    """
    folder = Path(folder)
    ends = (".csv", "_steps.csv", "_values.csv", ".json")
    paths = [folder / f"check_metrics{end}" for end in ends]
    text = json.dumps(check.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    values = check.records.rename(columns={"method": "noise"})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, table in zip(paths, (check.table, check.steps, values), strict=False):
            write_table(path, table)
        write_text(paths[-1], text + "\n")
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
    return paths
