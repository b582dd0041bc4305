"""The summary as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from gradcam_eval.report.text import DASH, number, statistic

_KEY = ["metric", "protocol"]


def summary_table(
    summary: pd.DataFrame, *, title: str | None = None, metrics: Sequence[dict[str, Any]] = ()
) -> Table:
    """Lay the summary out for a terminal: a row per cell, the metrics side by side.

    Each entry is the mean, or what the heading says of a metric that has another value of a data
    set, and its 95 % interval, in the metric's unit, and n where it is not the one in the heading;
    controls stand last, dimmed.

    Parameters
    ----------
    summary : of `stats.summarise`
    title : above the table
    metrics : of the study, which say what is no mean

    Returns
    -------
    rich.table.Table; three metrics fit 110 columns
    """
    usual = {key: int(rows["n"].mode().max()) for key, rows in summary.groupby(_KEY, sort=False)}
    models = list(summary["model"].unique())
    caption = "mean [95 % interval]; n = images with a value"
    titles = {(each["name"], each["protocol"]): statistic(each) for each in metrics}
    table = Table(title=title, caption=caption, box=None, pad_edge=False, header_style="bold")
    if len(models) > 1:
        table.add_column("model", overflow="fold")
    table.add_column("layer", overflow="fold")
    table.add_column("method", overflow="fold")
    for metric, protocol in usual:
        found = titles.get((metric, protocol), "mean")
        said = f"{found}, " if found != "mean" else ""
        heading = Text(f"{metric}\n{protocol}\n{said}n = {usual[metric, protocol]}")
        table.add_column(heading, justify="right", no_wrap=True)
    for model in models:
        for kind in ("cam", "control"):
            rows = summary[(summary["model"] == model) & (summary["kind"] == kind)]
            _add_rows(table, rows, usual, model if len(models) > 1 else None)
            if len(rows):
                table.add_section()
    return table


def _add_rows(
    table: Table, summary: pd.DataFrame, usual: dict[Any, int], model: str | None
) -> None:
    """Add a row for each cell, in order; names are plain text, never markup."""
    for (layer, method), rows in summary.groupby(["layer", "method"], sort=False):
        by_key = {(row["metric"], row["protocol"]): row for row in rows.to_dict("records")}
        names = [*([model] if model else []), str(layer) or DASH, str(method)]
        style = "dim" if not layer else ""
        entries = [_entry(by_key.get(key), n) for key, n in usual.items()]
        table.add_row(*(Text(name) for name in names), *map(Text, entries), style=style)


def _entry(row: dict[Any, Any] | None, usual: int) -> str:
    """Write a mean and its interval in the least space, and n where it is not the usual one."""
    if row is None or pd.isna(row["mean"]):
        return DASH
    text = _short(row["mean"])
    if not pd.isna(row["low"]):
        text += f" [{_short(row['low'])}, {_short(row['high'])}]"
    return text if row["n"] == usual else f"{text} n={row['n']}"


def _short(value: float) -> str:
    """Write a number without the zero before the point."""
    text = number(value)
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text
