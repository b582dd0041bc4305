"""Do models, data sets, protocols or checkpoints rank methods and layers alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.intervals import Values, wilson_interval
from gradcam_eval.records import Cell
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import is_yes
from gradcam_eval.report.verdict import Verdict, primary_metric, verdicts_of
from gradcam_eval.statistics.ranks import Concordance, Ranking, concordance
from gradcam_eval.statistics.selection import confidence_set
from gradcam_eval.statistics.units import FEWEST

Tested: TypeAlias = tuple[Folder, Verdict]
BY = ("method", "depth", "cell")
_FLOATS = ("top1", "top1_low", "top1_high", "worst", "best", "value", "low", "high")


@dataclass(frozen=True, eq=False)
class Ranks:
    """How several models, data sets, protocols or checkpoints rank the same items.

    Attributes
    ----------
    metric : its name
    by : what the items are: "method", "depth" or "cell" (both)
    level : error rate of each interval and best set; that of the first study
    concordance : Kendall's W with its interval; Undefined where there is one ranking, or fewer
        than two items that all have
    table : a row for each ranking and item: ranking, item, value (the mean over the item's cells,
        in the metric's unit), rank (1 = best, ties at their mean), in_best_set (of the items, by
        the model confidence set; NA below 6 independent images) and images
    models : a row for each ranking: ranking, model, data, protocol, images, labelled, top1 with
        top1_low and top1_high (Wilson's interval; NA without labels), cells, best_set (how
        many cells are in it; NA below 6 images), worst and best (the means of its first and its
        last cell), and value, low, high of the cell with the best mean (from the images that did
        not choose it, with their interval, where there are enough; else optimistic)
    """

    metric: str
    by: str
    level: float
    concordance: Concordance | Undefined
    table: pd.DataFrame
    models: pd.DataFrame

    @property
    def transfers(self) -> list[str] | Undefined:
        """The items in the best set of every ranking, the best mean rank first.

        None of the rankings can tell them from its best; that does not show them to be as good.
        Undefined with one ranking, or where one has fewer than 6 independent images.
        """
        if self.table["ranking"].nunique() < 2:
            return Undefined("a choice transfers between two rankings")
        if self.table["in_best_set"].isna().any():
            return Undefined(f"a ranking has fewer than {FEWEST} independent images")
        items = self.table.groupby("item", sort=False)
        order = items["rank"].mean().sort_values(kind="stable")
        in_every = items["in_best_set"].all()
        return [str(item) for item in order.index if in_every[item]]


def compare_rankings(
    folders: Sequence[Folder], metric: str | None = None, *, by: str = "method"
) -> Ranks:
    """Rank methods or relative depths for each folder, model and protocol, and compare the ranks.

    Parameters
    ----------
    folders : results folders
    metric : by default the primary one of the first folder
    by : "method"; "depth", the layer's place among its model's layers in the study, 0 the first and
        1 the last, to as many steps as the ranking with the fewest layers has; or "cell", both

    Raises
    ------
    InputError : an unknown `by`, or a folder that has no such metric, or no value of it
    """
    if by not in BY:
        raise unknown_name("by", by, BY)
    name = primary_metric(folders[0])["name"] if metric is None else metric
    folders = [_at_level(folder, folders[0].analysis.level) for folder in folders]
    found = _verdicts(folders, name)
    for folder in folders:
        known = dict.fromkeys(each["name"] for each in folder.study["metrics"])
        if name not in known:
            raise unknown_name(f"metric of {folder.path}", name, known)
        if not any(each is folder for each, _ in found):
            raise InputError(
                f"{folder.path} has no value of {name!r} for any cell: leave it out, or name "
                "another metric."
            )
    return _compared(found, by)


def _at_level(folder: Folder, level: float) -> Folder:
    """Return a folder whose study declares this level."""
    analysis = folder.analysis.model_dump() | {"level": level}
    return replace(folder, study=folder.study | {"analysis": analysis})


def _verdicts(folders: Sequence[Folder], metric: str) -> list[Tested]:
    """Return the tests by one metric of each folder, model and protocol."""
    return [
        (folder, verdict)
        for folder in folders
        for model in folder.models
        for verdict in verdicts_of(folder, model, metric=metric)
    ]


def _compared(found: Sequence[Tested], by: str) -> Ranks:
    labels, level = _labels(found), found[0][0].analysis.level
    steps = min(len(_layers(folder, verdict)) for folder, verdict in found)
    tables = [_items(folder, verdict, by, steps) for folder, verdict in found]
    shared = [str(item) for item in tables[0] if all(item in table for table in tables)]
    rankings = [
        Ranking(
            label,
            table[shared].to_numpy(float),
            verdict.scores.units(list(table.index)),
            verdict.scores.design.tolerance,
        )
        for label, table, (_, verdict) in zip(labels, tables, found, strict=True)
    ]
    parts = [
        _ranked(ranking, shared, verdict)
        for ranking, (_, verdict) in zip(rankings, found, strict=True)
    ]
    models = [_model(label, *each) for label, each in zip(labels, found, strict=True)]
    table = pd.concat(parts, ignore_index=True).astype({"in_best_set": "boolean"})
    counts = dict.fromkeys(("images", "labelled", "cells", "best_set"), "Int64")
    floats = dict.fromkeys(_FLOATS, "Float64")
    return Ranks(
        metric=found[0][1].metric["name"],
        by=by,
        level=level,
        concordance=concordance(rankings, level=level),
        table=table,
        models=pd.DataFrame(models).astype(counts | floats),
    )


def comparisons(folder: Folder) -> list[Ranks]:
    """Return the ranks of methods and of depths by the primary metric; none of a single ranking."""
    if folder.records["status"].ne("value").all():
        return []
    found = _verdicts([folder], primary_metric(folder)["name"])
    return [_compared(found, by) for by in ("method", "depth")] if len(found) > 1 else []


def _labels(found: Sequence[Tested]) -> list[str]:
    """Name each ranking by what tells it from the others."""
    models = [verdict.best[0] for _, verdict in found]
    data = [str(folder.study.get("data", "")) for folder, _ in found]
    protocols = [verdict.metric["protocol"] for _, verdict in found]
    told = [column for column in (models, data, protocols) if len(set(column)) > 1]
    labels = [", ".join(parts) for parts in zip(*told, strict=True)] if told else models
    names = [str(folder.study.get("name")) for folder, _ in found]
    paths = [str(folder.path) for folder, _ in found]
    for runs in (names, paths):  # two runs of the same: their names or folders tell them apart
        if len(set(labels)) < len(labels):
            labels = [f"{run}: {label}" for run, label in zip(runs, labels, strict=True)]
    return labels


def _layers(folder: Folder, verdict: Verdict) -> list[str]:
    """Return the layers of a model that have competing cells, in the network's order."""
    used = {cell[1] for cell in verdict.values[2]}
    rows = folder.layers[folder.layers["model"] == verdict.best[0]]
    return [str(path) for path in rows["path"] if path in used]


def _items(folder: Folder, verdict: Verdict, by: str, steps: int) -> pd.DataFrame:
    """Return the mean score of each item on each image, larger = better: images × items."""
    values, samples, cells = verdict.values
    layers = _layers(folder, verdict)
    depths = {layer: _depth(at, len(layers), steps) for at, layer in enumerate(layers)}
    keys = [_item(cell, depths, by) for cell in cells]
    names = [key for key in dict.fromkeys(keys) if key]
    if by == "depth":
        names.sort(key=float)
    found: dict[str, Values] = {
        name: values[:, [at for at, key in enumerate(keys) if key == name]].mean(1)
        for name in names
    }
    return pd.DataFrame(found, index=samples)


def _item(cell: Cell, depths: dict[str, str], by: str) -> str:
    """Return the item that a cell belongs to, "" where it has none: a method at no single layer."""
    if by == "method":
        return cell[2]
    depth = depths.get(cell[1], "")
    return depth if by == "depth" else f"{depth or cell[1]} · {cell[2]}"


def _depth(at: int, count: int, steps: int) -> str:
    """Write a layer's relative depth, 0 to 1, in `steps` steps."""
    if count < 2 or steps < 2:
        return "1.00"
    step = int(at / (count - 1) * (steps - 1) + 0.5)
    return f"{step / (steps - 1):.2f}"


def _ranked(ranking: Ranking, items: list[str], verdict: Verdict) -> pd.DataFrame:
    """Return the items' values, ranks and whether they are in the best set."""
    from scipy.stats import rankdata

    n = len(ranking.values)
    columns = ["ranking", "item", "value", "rank", "in_best_set", "images"]
    if not items:
        return pd.DataFrame(columns=columns)
    means = ranking.values.mean(0) if n else np.full(len(items), np.nan)
    chosen = confidence_set(ranking.values, units=ranking.units, design=verdict.scores.design)
    is_in = chosen.is_in.tolist() if chosen.units >= FEWEST else [None] * len(items)
    values, ranks = (verdict.scores.sign * means).tolist(), rankdata(-means).tolist()
    rows = zip(items, values, ranks, is_in, strict=True)
    return pd.DataFrame([(ranking.label, *row, n) for row in rows], columns=columns)


def _model(label: str, folder: Folder, verdict: Verdict) -> dict[str, Any]:
    """Return how often the model is right, beside what its best set scores."""
    model = verdict.best[0]
    known = folder.labelled(model)
    hits = sum(map(is_yes, known["hit_top1"]))
    level = folder.analysis.level
    low, high = wilson_interval(hits, len(known), level=level) if len(known) else (None, None)
    _, found, own = verdict.winner
    is_own = found.is_split or len(verdict.table) == 1
    means = verdict.table[verdict.table["is_in"]]["mean"]
    return {
        "ranking": label,
        "model": model,
        "data": str(folder.study.get("data", "")),
        "protocol": verdict.metric["protocol"],
        "images": verdict.images,
        "labelled": len(known),
        "top1": hits / len(known) if len(known) else None,
        "top1_low": low,
        "top1_high": high,
        "cells": len(verdict.table),
        "best_set": len(verdict.members) if verdict.is_tested else None,
        "worst": means.iloc[-1] if verdict.is_tested else None,
        "best": means.iloc[0] if verdict.is_tested else None,
        "value": own[0],
        "low": own[1] if is_own else None,
        "high": own[2] if is_own else None,
    }
