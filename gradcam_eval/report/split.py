"""The summary of each group of images by itself, beside that of all: by size, class, subset."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradcam_eval.data.groups import SIZES
from gradcam_eval.report.folder import UNKNOWN, Folder
from gradcam_eval.report.rows import of_metric, summary_of

MOST = 8  # groups shown side by side; the file of the summary holds all


@dataclass(frozen=True, eq=False)
class Split:
    """A study's summary, split by one group of images.

    Attributes
    ----------
    by : the group's name
    values : the values shown, each with its number of images: the most frequent, in reading order
    left_out : how many values more there are
    summary : of `stats.summarise_by`, of all values
    """

    by: str
    values: tuple[tuple[str, int], ...]
    left_out: int
    summary: pd.DataFrame


def split_by(folder: Folder, by: str) -> Split:
    """Summarise each group of a study's images by itself.

    Raises
    ------
    InputError : the images have no such group
    """
    groups = folder.group(by)
    judged = set(folder.records["sample"])
    counts = Counter(value for sample, value in groups.items() if sample in judged)
    most = sorted(counts, key=lambda value: (value == UNKNOWN, -counts[value], value))[:MOST]
    shown = tuple((value, counts[value]) for value in sorted(most, key=_reading_order))
    return Split(by, shown, len(counts) - len(shown), summary_of(folder, by))


def split_tables(
    split: Split, whole: pd.DataFrame, metrics: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return a table for each metric: a row for each cell, all images and each group side by side.

    Parameters
    ----------
    split : the summary by groups
    whole : the summary of all images, of one model
    metrics : of the study
    """
    model = set(whole["model"])
    mine = split.summary[split.summary["model"].isin(model)]
    parts = [whole, *(mine[mine[split.by] == value] for value, _ in split.values)]
    return [_table(metric, parts) for metric in metrics]


def _table(metric: dict[str, Any], parts: list[pd.DataFrame]) -> dict[str, Any]:
    """Return the rows of cells and of controls, and of each column the usual n."""
    found = [_by_cell(of_metric(part, metric)) for part in parts]
    usual = [max(map(int, _modes(row["n"] for row in cells.values()))) for cells in found]
    rows: dict[str, list[dict[str, Any]]] = {"cam": [], "control": []}
    for key, first in found[0].items():
        entries = [{"value": cells.get(key), "is_best": False} for cells in found]
        kind = "control" if first["kind"] == "control" else "cam"
        rows[kind].append({"layer": key[0], "method": key[1], "entries": entries})
    return {"metric": metric, "rows": rows, "usual": usual}


def _modes(counts: Iterable[int]) -> list[int]:
    return statistics.multimode(counts) or [0]


def _by_cell(rows: pd.DataFrame) -> dict[tuple[str, str], dict[Any, Any]]:
    return {(row["layer"], row["method"]): row for row in rows.to_dict("records")}


def _reading_order(value: str) -> tuple[bool, int, str]:
    """Put sizes in their order, other values in that of the alphabet, and the unknown last."""
    return value == UNKNOWN, SIZES.index(value) if value in SIZES else 0, value
