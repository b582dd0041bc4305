"""The best cell by each metric, and how all others differ from it on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradcam_eval.choice import choice_shares
from gradcam_eval.core import Undefined
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import cell_name, metric_label
from gradcam_eval.stats import ROUNDING, best_cells, rivals


@dataclass(frozen=True, eq=False)
class Verdict:
    """The best cell of one model by one metric, and how all others differ from it by image."""

    metric: dict[str, Any]
    label: str  # the metric's name, with its protocol where the study has several of it
    best: dict[str, Any]
    others: pd.DataFrame  # of stats.rivals, with `gain`: better than the best cell by how much
    shares: pd.DataFrame | Undefined  # of choice_shares

    @property
    def name(self) -> str:
        """The best cell's name."""
        return cell_name(self.best["layer"], self.best["method"])

    @property
    def slack(self) -> float:
        """How far apart values may lie that differ by what float32 rounds alone."""
        return ROUNDING * abs(float(self.best["mean"]))

    @property
    def open_cells(self) -> int:
        """How many other cells the data cannot tell from the best one."""
        cams = self.others[self.others["kind"] != "control"]
        return int(((cams["low"] <= self.slack) & (cams["high"] >= -self.slack)).sum())

    @property
    def cells_ahead(self) -> int:
        """How many other cells are better on the images that both have, if not in their mean."""
        cams = self.others[self.others["kind"] != "control"]
        return sum(self.change(row) == "worse" for row in cams.to_dict("records"))

    def change(self, row: dict[Any, Any]) -> str:
        """Say what the best cell is beside another on the same images: better, worse or neither."""
        if not (row["low"] > self.slack or row["high"] < -self.slack):
            return ""
        return "worse" if row["gain"] > 0 else "better"

    def is_best(self, row: dict[Any, Any]) -> bool:
        """Whether a row is of the best cell."""
        return (row["layer"], row["method"]) == (self.best["layer"], self.best["method"])

    def other(self, layer: str, method: str) -> dict[Any, Any] | None:
        """Return how one other cell differs from the best one, if it was judged."""
        found = self.others[(self.others["layer"] == layer) & (self.others["method"] == method)]
        return None if found.empty else found.iloc[0].to_dict()


def verdicts_of(folder: Folder, summary: pd.DataFrame) -> list[Verdict]:
    """Return a verdict for each metric that has values, for the rows of one model."""
    metrics = {(metric["name"], metric["protocol"]): metric for metric in folder.study["metrics"]}
    verdicts = []
    for row in best_cells(summary, folder.study["metrics"]).to_dict("records"):
        best = {str(key): value for key, value in row.items()}
        metric = metrics[best["metric"], best["protocol"]]
        cell = best["model"], best["layer"], best["method"]
        others = rivals(folder.records, cell, best["metric"], best["protocol"])
        sign = 1 if metric["higher_is_better"] else -1
        others = others.assign(gain=sign * others["difference"])
        label = metric_label(metric["name"], metric["protocol"], folder.study["metrics"])
        shares = choice_shares(
            _of_one(folder.records, best),
            higher_is_better=metric["higher_is_better"],
            seed=folder.seed,
        )
        verdicts.append(Verdict(metric, label, best, others, shares))
    return verdicts


def _of_one(records: pd.DataFrame, row: dict[str, Any]) -> pd.DataFrame:
    """Return the records of a row's model, metric and protocol."""
    for key in ("model", "metric", "protocol"):
        records = records[records[key] == row[key]]
    return records
