"""Read a results folder: everything that the report may know."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from gradcam_eval.aggregates import MEAN
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.data.groups import GROUPS
from gradcam_eval.intervals import ANY
from gradcam_eval.records import TIES, Cell
from gradcam_eval.report.clusters import hashed_clusters, joined, records_of_one_image
from gradcam_eval.report.declared import range_of, tolerance_of
from gradcam_eval.report.study_file import check_study
from gradcam_eval.store import map_path
from gradcam_eval.study.analysis import NEAR_DUPLICATES, Analysis

UNKNOWN = "unknown"
_COLUMNS: dict[str, str] = {
    "images": "model sample id title labels target target_name probability top5 hit_top1 hit_top5 "
    "credit licence width height status reason",
    "layers": "model path type shape stride roles",
    "records": "model layer method kind sample metric protocol status value reason",
    "curves": "model layer method sample metric protocol fraction score",
    "tallies": "model layer method sample metric protocol parts",
    "cost": "model layer method batch_size forwards backwards first_call_ms median_ms_per_image "
    "low_ms_per_image high_ms_per_image rounds ratio_to_forward",
    "calls": "model layer method forwards backwards",
}
_TIMES = ("median_ms_per_image", "low_ms_per_image", "high_ms_per_image", "ratio_to_forward")
_KEY = ("model", "layer", "method", "sample", "metric", "protocol")
_STATUS = {"images": ("ok", "failed"), "records": ("value", "undefined", "failed")}
_NUMBERS = {"value", "probability", "fraction", "score", *TIES, *_COLUMNS["cost"].split()[3:]}


@dataclass(frozen=True)
class Latency:
    """The time of a cell's heatmap: ms an image, quartiles, and the ratio to the forward pass.

    `ratio` is the median over rounds of the ratio within a round; NaN where there is none.
    """

    median: float
    low: float
    high: float
    ratio: float


@dataclass(frozen=True, eq=False)
class Folder:
    """What a study left behind; a table that was not asked for is empty.

    `records` has the metric's range as `lowest` and `highest` (infinite where it has none), and two
    columns more where a metric's value is no mean over the images: `aggregate`, how they become one
    value, and `parts`, what each adds to it; and `tolerance`, by how much a value may be off, where
    curves have adaptive points. `metric_check` is what `gradcam-eval check-metrics` wrote there, if
    it did. `calls` are the model's passes for one image's heatmap of each cell, which are known
    without timing it.
    """

    path: Path
    study: dict[str, Any]
    environment: dict[str, Any]
    images: pd.DataFrame
    layers: pd.DataFrame
    records: pd.DataFrame
    curves: pd.DataFrame
    cost: pd.DataFrame
    metric_check: dict[str, Any] = field(default_factory=dict)
    calls: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=_COLUMNS["calls"].split())
    )

    @property
    def models(self) -> list[str]:
        """The models with records or images, in the study's order."""
        seen = [*self.study["models"], *self.images["model"], *self.records["model"]]
        known = {*self.images["model"], *self.records["model"]}
        return [name for name in dict.fromkeys(seen) if name in known]

    @property
    def seed(self) -> int:
        """The study's seed, so that intervals made from the folder are always the same."""
        seed = self.study.get("seed", 0)
        return seed if isinstance(seed, int) and seed >= 0 else 0

    @property
    def analysis(self) -> Analysis:
        """What the study declared about its tests; a folder of an earlier version: the defaults.

        Raises
        ------
        InputError : study.json has something else there
        """
        try:
            return Analysis.model_validate(self.study.get("analysis", {}))
        except ValidationError as error:
            raise InputError(
                f"{self.path / 'study.json'} has no valid analysis: {error.errors()[0]['msg']}"
            ) from error

    @property
    def clusters(self) -> dict[str, str]:
        """The cluster of each sample that is not independent of another one.

        Those that the study declares; and where it explains every label, the records of an image
        are always in one. A declared cluster of one of them then holds the others, too.
        """
        declared = self._declared_clusters()
        if not self.has_every_label:
            return declared
        of_image = records_of_one_image(self.images)
        return joined(of_image, declared) if declared else of_image

    @property
    def has_every_label(self) -> bool:
        """Whether the study explains each label of an image, in a record of its own."""
        return bool(self.study.get("target") == "every label")

    def labelled(self, model: str) -> pd.DataFrame:
        """Return a row for each image of which it is known whether a model is right."""
        images = self.images[(self.images["model"] == model) & (self.images["status"] == "ok")]
        known = images[images["hit_top1"] != ""]
        if self.has_every_label:
            known = known[(known["id"] == "") | ~known["id"].duplicated()]
        return known

    def _declared_clusters(self) -> dict[str, str]:
        name = self.analysis.cluster
        if not name:
            return {}
        if name == NEAR_DUPLICATES:
            return hashed_clusters(self.images, self.path)
        groups = self.group(name)
        return {name: value for name, value in groups.items() if value != UNKNOWN}

    def group(self, name: str) -> dict[str, str]:
        """Return the value of a group for each sample, "unknown" where it has none.

        Raises
        ------
        InputError : the images have no such group, or the folder was written before there were any
        """
        known = [group for group in GROUPS if group in self.images]
        if name not in known:
            raise unknown_name("group of images", name, known)
        values = zip(self.images["sample"], self.images[name], strict=True)
        # a sample that failed for one model has its groups in the row of another
        found = {sample: value for sample, value in values if value}
        return {sample: found.get(sample, UNKNOWN) for sample in self.images["sample"]}

    def last_layer(self, model: str) -> str | None:
        """Return the path of the model's last layer: by its role, else the one listed last."""
        layers = self.layers[self.layers["model"] == model]
        if layers.empty:
            return None
        is_last = layers["roles"].str.contains(r"\blast\b")
        return str((layers[is_last] if is_last.any() else layers)["path"].iloc[-1])

    def latencies(self, model: str) -> dict[Cell, Latency]:
        """Return the time of a model's cells at the smallest batch size that was measured."""
        cost = self.cost[(self.cost["model"] == model) & (self.cost["layer"] != "")]
        cost = cost[cost["batch_size"] == cost["batch_size"].min()]
        cost = cost[cost["median_ms_per_image"].notna()]
        names = cost[["model", "layer", "method"]].itertuples(index=False, name=None)
        times = cost[[*_TIMES]].astype(float).itertuples(index=False, name=None)
        return {cell: Latency(*each) for cell, each in zip(names, times, strict=True)}

    @property
    def model_calls(self) -> dict[Cell, tuple[int, int]]:
        """The forward and backward passes of one image's heatmap, for each cell."""
        rows = self.calls[self.calls["forwards"].notna() & self.calls["backwards"].notna()]
        names = rows[["model", "layer", "method"]].itertuples(index=False, name=None)
        passes = rows[["forwards", "backwards"]].astype(int).itertuples(index=False, name=None)
        return dict(zip(names, passes, strict=True))

    def output(self, model: str) -> str:
        """Return what a model returns for an image, in words; "" where nobody wrote it."""
        return str(self._fact(model, "output"))

    def output_kind(self, model: str) -> str:
        """Return the kind of a model's output; "" where nobody wrote it."""
        return str(self._fact(model, "output_kind"))

    def random_operation(self, model: str) -> str:
        """Return the first operation by which a model is random at inference; "" where none is."""
        found = self._fact(model, "random")
        return str(found[0]) if isinstance(found, list) and found else ""

    def engine_times(self, model: str) -> dict[str, float]:
        """Return the ms of one image on each engine that was timed; empty where nobody wrote it."""
        times = about_model(self.environment, "engines", model).get("ms_per_image")
        found = times.items() if isinstance(times, dict) else ()
        return {engine: float(ms) for engine, ms in found if isinstance(ms, int | float)}

    def _fact(self, model: str, name: str) -> Any:
        return about_model(self.environment, "models", model).get(name, "")

    def maps(self, model: str, sample: str) -> Path | None:
        """Return the file of an image's maps, or None; names cannot lead out of the folder."""
        path = map_path(self.path, model, sample)
        return path if path.is_file() else None


def about_model(environment: dict[str, Any], what: str, model: str) -> dict[str, Any]:
    """Return what environment.json says of a model under a key; empty where it says nothing."""
    models = environment.get(what)
    facts = models.get(model) if isinstance(models, dict) else None
    return facts if isinstance(facts, dict) else {}


def read_folder(path: str | Path) -> Folder:
    """Read `results/<study>/`; only `study.json` and `records.csv` must exist.

    Raises
    ------
    InputError
        A file is missing, cannot be parsed, is of another format version or lacks a column.
    """
    path = Path(path)
    study = _json(path, "study.json", required=True)
    check_study(path / "study.json", study)
    tables = {name: _table(path, name) for name in _COLUMNS}
    records = _with_parts(tables["records"], tables.pop("tallies"), study)
    tables["records"] = _with_range(_with_tolerance(records, study), study)
    check = _json(path, "check_metrics.json")
    return Folder(path, study, _json(path, "environment.json"), **tables, metric_check=check)


def _with_parts(
    records: pd.DataFrame, tallies: pd.DataFrame, study: dict[str, Any]
) -> pd.DataFrame:
    """Put what each image adds to a value of the data set beside its record."""
    named = {(each["name"], each["protocol"]): each for each in study["metrics"]}
    aggregates = {key: each.get("aggregate", MEAN) for key, each in named.items()}
    if all(aggregate == MEAN for aggregate in aggregates.values()):
        return records
    keys = [name for name in tallies.columns if name != "parts"]
    try:
        read = tallies["parts"].map(lambda text: np.array(json.loads(text), float))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"tallies.csv holds parts that are no numbers ({error}): run the study again."
        ) from error
    pairs = zip(records["metric"], records["protocol"], strict=True)
    records = records.assign(aggregate=[aggregates.get(pair, MEAN) for pair in pairs])
    return records.merge(tallies.assign(parts=read), on=keys, how="left")


def _with_tolerance(records: pd.DataFrame, study: dict[str, Any]) -> pd.DataFrame:
    """Add the column `tolerance` where the values of a metric have one."""
    named = {(each["name"], each["protocol"]): tolerance_of(each) for each in study["metrics"]}
    if not any(named.values()):
        return records
    pairs = zip(records["metric"], records["protocol"], strict=True)
    return records.assign(tolerance=[named.get(pair, 0.0) for pair in pairs])


def _with_range(records: pd.DataFrame, study: dict[str, Any]) -> pd.DataFrame:
    """Add the columns `lowest` and `highest`, infinite where a metric has no range."""
    ends = np.tile(ANY, (len(records), 1))
    for each in study["metrics"]:
        mine = (records["metric"] == each["name"]) & (records["protocol"] == each["protocol"])
        ends[mine.to_numpy()] = range_of(each)
    return records.assign(lowest=ends[:, 0], highest=ends[:, 1])


def _json(path: Path, name: str, *, required: bool = False) -> dict[str, Any]:
    """Return a JSON object, empty where an optional file is absent."""
    file = path / name
    if not file.is_file():
        if required:
            raise InputError(
                f"{path} is not a results folder (it has no {name}): give a folder that "
                "`gradcam-eval study` wrote."
            )
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not valid JSON ({error}): run the study again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no JSON object: run the study again.")
    return content


def _table(path: Path, name: str) -> pd.DataFrame:
    """Return a CSV with text as text and numbers as numbers, empty where the file is absent."""
    columns = _COLUMNS[name].split()
    file = path / f"{name}.csv"
    if not file.is_file():
        if name == "records":
            raise InputError(
                f"{path} has no records.csv: the study has not run; run it, then ask for the "
                "report again."
            )
        return pd.DataFrame(columns=columns, dtype=str)
    try:
        # A layer named "" or a class named "null" must not turn into a missing value.
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{file} is not a readable CSV ({error}): run the study again.") from error
    if missing := [column for column in columns if column not in frame]:
        raise InputError(f"{file} has no column {', '.join(missing)}: run the study again.")
    for column in _NUMBERS & set(frame):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    if fault := _fault(name, frame):
        raise InputError(f"{file} has {fault}: run the study again.")
    return frame


def _fault(name: str, frame: pd.DataFrame) -> str:
    """Say what no study writes into a table; "" where it is sound."""
    key = [column for column in _KEY if column in frame]
    if name in ("images", "records", "tallies") and frame.duplicated(key).any():
        return "two rows of one " + ("image" if name == "images" else "value")
    if name in _STATUS and not frame["status"].isin(_STATUS[name]).all():
        return f"a status that is none of {', '.join(_STATUS[name])}"
    numbers = frame[["fraction", "score"]] if name == "curves" else frame.iloc[:0, :0]
    if name == "records":
        numbers = frame.loc[frame["status"] == "value", ["value"]]
    return "" if np.isfinite(numbers.to_numpy(float)).all() else "a value that is no number"
