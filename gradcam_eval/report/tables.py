"""The summary as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from gradcam_eval.report.rows import level_of, shows_ties
from gradcam_eval.report.text import DASH, arrow, confidence, interval, number, shift, statistic
from gradcam_eval.texts import printable

_KEY = ["metric", "protocol"]
_CAPTION = "mean [{} interval]; n = images with a value"
_CAPTION_OF_DIRECTIONS = "; ↑ higher is better, ↓ lower is better"
_CAPTION_OF_TIES = "; row by row = what the mean would gain with equal pixels in row-major order"


def summary_table(
    summary: pd.DataFrame, *, title: str | None = None, metrics: Sequence[dict[str, Any]] = ()
) -> Table:
    """Lay the summary out for a terminal: a row per cell, the metrics side by side.

    Each entry is the mean, or what the heading says of a metric that has another value of a data
    set, and its interval, in the metric's unit, and n where it is not the one in the heading;
    controls stand last, dimmed. Where a protocol draws orders of equal pixels a column says how far
    the mean would move in the declared one.

    Parameters
    ----------
    summary : of `stats.summarise`
    title : above the table
    metrics : of the study, which say what is no mean and which direction is better

    Returns
    -------
    rich.table.Table; three metrics fit 110 columns
    """
    measures = dict(iter(summary.groupby(_KEY, sort=False)))
    usual = {key: int(rows["n"].mode().max()) for key, rows in measures.items()}
    tied = {key for key, rows in measures.items() if shows_ties(rows)}
    models = list(summary["model"].unique())
    caption = _CAPTION.format(confidence(level_of(summary))) + (
        _CAPTION_OF_DIRECTIONS if metrics else ""
    )
    caption += _CAPTION_OF_TIES if tied else ""
    known = {(each["name"], each["protocol"]): each for each in metrics}
    table = Table(title=title, caption=caption, box=None, pad_edge=False, header_style="bold")
    if len(models) > 1:
        table.add_column("model", overflow="fold")
    table.add_column("layer", overflow="fold")
    table.add_column("method", overflow="fold")
    for metric, protocol in usual:
        heading = _heading(str(metric), str(protocol), usual[metric, protocol], known=known)
        table.add_column(heading, justify="right", no_wrap=True)
        if (metric, protocol) in tied:
            table.add_column(Text("row\nby\nrow"), justify="right", no_wrap=True)
    for model in models:
        for is_control in (False, True):
            is_kind = (summary["kind"] == "control") == is_control
            rows = summary[(summary["model"] == model) & is_kind]
            _add_rows(table, rows, usual, tied, name=model if len(models) > 1 else None)
            if len(rows):
                table.add_section()
    return table


def _heading(
    metric: str, protocol: str, n: int, *, known: dict[tuple[str, str], dict[str, Any]]
) -> Text:
    """Write a metric with its direction, its protocol, what its value is if no mean, and n."""
    study = known.get((metric, protocol), {})
    up = study.get("higher_is_better")
    name = metric if up is None else f"{metric} {arrow(bool(up))}"
    found = statistic(study)
    said = f"{found}, " if found != "mean" else ""
    return Text(f"{name}\n{protocol}\n{said}n = {n}")


def _add_rows(
    table: Table, summary: pd.DataFrame, usual: dict[Any, int], tied: set[Any], *, name: str | None
) -> None:
    """Add a row for each cell, in order; names are plain text, never markup."""
    for (layer, method), rows in summary.groupby(["layer", "method"], sort=False):
        by_key = {(row["metric"], row["protocol"]): row for row in rows.to_dict("records")}
        names = [*([name] if name else []), str(layer) or DASH, str(method)]
        names = list(map(printable, names))
        style = "dim" if not layer else ""
        entries = []
        for key, n in usual.items():
            entries.append(_entry(by_key.get(key), n))
            entries += [_shift(by_key.get(key))] if key in tied else []
        table.add_row(*map(Text, [*names, *entries]), style=style)


def _entry(row: dict[Any, Any] | None, usual: int) -> str:
    """Write a mean and its interval in the least space, and n where it is not the usual one."""
    if row is None or pd.isna(row["mean"]):
        return DASH
    text = _short(row["mean"])
    if not pd.isna(row["low"]):
        text += f" {_bare_interval(row['low'], row['high'])}"
    return text if row["n"] == usual else f"{text} n={row['n']}"


def _shift(row: dict[Any, Any] | None) -> str:
    """Write how far the mean moves with equal pixels row by row."""
    return DASH if row is None else _bare(shift(row["tie_shift"]))


def _short(value: float) -> str:
    """Write a number without the zero before the point."""
    return _bare(number(value))


def _bare_interval(low: float, high: float) -> str:
    """Write an interval without the zeros before the points."""
    return f"[{', '.join(map(_bare, interval(low, high)[1:-1].split(', ')))}]"


def _bare(text: str) -> str:
    """Drop the zero before the point of a number."""
    return text.replace("0.", ".", 1) if text.lstrip("−+").startswith("0.") else text
