"""Two runs compared cell by cell, paired by image: did a new model version get worse?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.report.folder import Folder, read_folder
from gradcam_eval.report.text import DASH, confidence, interval, number, signed
from gradcam_eval.report.verdict import primary_metric, scores_by
from gradcam_eval.statistics.families import Family, simultaneous
from gradcam_eval.statistics.frames import Scores
from gradcam_eval.statistics.units import FEWEST


@dataclass(frozen=True, eq=False)
class RunComparison:
    """How the cells of a run differ from those of an earlier one.

    Attributes
    ----------
    metric : its name
    level : error rate of all comparisons together, as the earlier run declares it
    table : a row for each cell that both runs have: model, layer, method, images, before, after,
        difference (after minus before), low, high, p and change ("better", "worse", "" or why
        nothing is claimed)
    """

    metric: str
    level: float
    table: pd.DataFrame


def compare_runs(
    run_a: str | Path, run_b: str | Path, *, metric: str | None = None
) -> RunComparison:
    """Compare each cell of run B with the same cell of run A, all at once, two-sided.

    Parameters
    ----------
    run_a, run_b : results folders; models are matched by name, or one with one where each run has
        a single model; layers and methods by name, images by name
    metric : of both runs under the same protocol, by default A's primary one

    Raises
    ------
    InputError : no such folder or metric, another protocol, or no cell or image in common
    """
    before, after = read_folder(run_a), read_folder(run_b)
    chosen = _metric(before, metric)
    keys = {(each["name"], each["protocol"]) for each in after.study["metrics"]}
    if (chosen["name"], chosen["protocol"]) not in keys:
        raise InputError(
            f"{after.path} has no {chosen['name']} ({chosen['protocol']}): compare runs with the "
            "same metric and protocol."
        )
    rows: list[dict[str, Any]] = []
    gains: list[pd.Series] = []
    tested: list[Scores] = []
    for old, new in _models(before, after):
        sides = scores_by(before, old, chosen), scores_by(after, new, chosen)
        if sides[0] is not None and sides[1] is not None:
            found = _pairs(sides[0], sides[1], old, new)
            rows += found[0]
            gains += found[1]
            tested.append(sides[0])
    if not rows:
        raise InputError(
            f"{before.path} and {after.path} have no cell in common with a value on the same "
            "image: names of layers, methods and images must agree."
        )
    table = pd.concat(gains, axis=1).sort_index()
    scores = replace(tested[0], design=tested[0].design.towards("two-sided"))
    units = scores.units([str(name) for name in table.index])
    is_hits = bool(np.isin(table.to_numpy(), [-1, 0, 1, np.nan]).all())
    family = simultaneous(table.to_numpy(float), units=units, is_hits=is_hits, design=scores.design)
    full = [row | _change(family, at, scores) for at, row in enumerate(rows)]
    return RunComparison(chosen["name"], scores.design.level, pd.DataFrame(full))


def _metric(folder: Folder, name: str | None) -> dict[str, Any]:
    metrics = folder.study["metrics"]
    if name is None:
        return primary_metric(folder)
    found = [each for each in metrics if each["name"] == name]
    if not found:
        raise unknown_name("metric", name, [each["name"] for each in metrics])
    first: dict[str, Any] = found[0]
    return first


def _models(before: Folder, after: Folder) -> list[tuple[str, str]]:
    if len(before.models) == 1 and len(after.models) == 1:
        return [(before.models[0], after.models[0])]
    return [(name, name) for name in before.models if name in after.models]


def _pairs(
    before: Scores, after: Scores, old: str, new: str
) -> tuple[list[dict[str, Any]], list[pd.Series]]:
    """Return a row and the gains by image of each cell that both runs have."""
    rows: list[dict[str, Any]] = []
    gains = []
    for cell in before.cells:
        twin = (new, *cell[1:])
        if twin not in after.cells:
            continue
        first, second = before.column(cell), after.column(twin)
        both = pd.concat([first, second], axis=1, join="inner").dropna()
        if both.empty:
            continue
        rows.append(
            {"model": old, "layer": cell[1], "method": cell[2], "images": len(both)}
            | {"before": float(both.iloc[:, 0].mean()), "after": float(both.iloc[:, 1].mean())}
        )
        gains.append(before.sign * (both.iloc[:, 1] - both.iloc[:, 0]))
    return rows, gains


def _change(family: Family | Undefined, at: int, scores: Scores) -> dict[str, object]:
    """Return the test's part of a row, in the metric's unit."""
    if isinstance(family, Undefined) or family.units[at] < FEWEST:
        few = f"fewer than {FEWEST} independent images"
        return {"difference": None, "low": None, "high": None, "p": None, "change": few}
    sign, widest = scores.sign, scores.estimator.widest
    ends = np.clip([family.low[at], family.high[at]], -widest, widest)
    low, high = sorted((sign * ends).tolist())
    word = "better" if family.difference[at] > 0 else "worse"
    return {
        "difference": sign * float(family.difference[at]),
        "low": low,
        "high": high,
        "p": float(family.p[at]),
        "change": word if family.p[at] <= scores.design.level else "",
    }


def comparison_table(found: RunComparison) -> Table:
    """Lay the comparison out for a terminal."""
    title = f"{found.metric}: B minus A [{confidence(found.level)} simultaneous interval]"
    table = Table(title=title, box=None, pad_edge=False, header_style="bold")
    for name in ("model", "layer", "method"):
        table.add_column(name, overflow="fold")
    for name in ("A", "B", "difference", "p", "n", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.table.to_dict("records"):
        difference = f"{signed(row['difference'])} {interval(row['low'], row['high'], sign=True)}"
        p = DASH if pd.isna(row["p"]) else f"{row['p']:.3f}"
        cells = [row["model"], row["layer"], row["method"], number(row["before"])]
        cells += [number(row["after"]), difference, p, str(row["images"]), row["change"]]
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
