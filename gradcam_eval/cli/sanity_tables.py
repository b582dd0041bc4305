"""What `gradcam-eval sanity` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.table import Table

from gradcam_eval.cli.terminal import cell, console, say
from gradcam_eval.report.text import interval, number, plural
from gradcam_eval.sanity.check import SanityCheck
from gradcam_eval.sanity.conclusion import NOT_CALIBRATED, PASSES

_MOST_CLASSES = 10


def explained_classes(names: tuple[str, ...]) -> str:
    """Say of how many images each class is explained, the most frequent first."""
    counts = Counter(names).most_common()
    shown = [f"{name} ({plural(count, 'image')})" for name, count in counts[:_MOST_CLASSES]]
    more = len(counts) - len(shown)
    return ", ".join(shown + [f"and {more} more"] * (more > 0))


def print_conclusions(check: SanityCheck, measure: str) -> None:
    """Print a check's table by one measure, its reasons, and what every measure concludes."""
    table = check.conclusions(measure)
    rows = [
        (
            *(row["layer"] or "control", row["method"], row["conclusion"], f"{row['n']}"),
            *(_estimated(row, name) for name in ("after_output", "over_steps", "repeatability")),
            number(row["chance"]),
        )
        for row in table.to_dict("records")
    ]
    head = ("layer", "method", "conclusion", "n", "after the output layer", "over the steps")
    title = f"{check.name}, by {measure.replace('_', ' ')}, protocol {check.protocol}"
    _print(title, (*head, "repeatability", "chance"), rows)
    if set(table["conclusion"]) == {NOT_CALIBRATED}:
        say(f"{check.name}: {NOT_CALIBRATED}: {table['reason'].iloc[0]}")
        return
    for row in table.to_dict("records"):
        if row["layer"] and row["reason"]:
            say(f"{_cell_of(row)} {row['conclusion']}: {row['reason']}")
        elif not row["layer"] and row["conclusion"] == PASSES:
            say(f"{_cell_of(row)} passes: do not rely on what else this check says here")
    _print_measures(check)


def _print_measures(check: SanityCheck) -> None:
    """Print what each measure concludes, and where they disagree."""
    measures = check.rules.measures
    rows = [
        (row["layer"] or "control", row["method"], *(row[name] for name in measures))
        for row in check.conclusions().to_dict("records")
    ]
    heads = ("layer", "method", *(name.replace("_", " ") for name in measures))
    _print(f"{check.name}, by every measure", heads, rows)
    for row in check.disagreements().to_dict("records"):
        say(f"{_cell_of(row)}: the measures disagree, so nothing is shown")


def print_rises(check: SanityCheck) -> None:
    """Print how much more complex heatmaps are without anything learned, where that is known."""
    table = check.complexity_rises()
    rows = [
        (
            *(row["layer"], row["method"], row["conclusion"], f"{row['n']}"),
            *(number(row[name]) for name in ("trained", "randomised")),
            _estimated(row, "rise"),
        )
        for row in table.to_dict("records")
    ]
    head = ("layer", "method", "conclusion", "n", "trained", "without anything learned")
    if rows:
        _print("entropy of the heatmaps (efficient MPRT)", (*head, "rise [95 %]"), rows)


def _estimated(row: Mapping[Any, Any], name: str) -> str:
    return f"{number(row[name])} {interval(row[f'{name}_low'], row[f'{name}_high'])}"


def _cell_of(row: Mapping[Any, Any]) -> str:
    return f"{row['method']} at {row['layer']}" if row["layer"] else f"control {row['method']}"


def print_shift(frame: pd.DataFrame) -> None:
    """Print of how many images a shifted input left the heatmap as it was."""
    if frame.empty:
        return
    rows: list[tuple[str, ...]] = []
    for key, each in frame.groupby(["layer", "method"], sort=False):
        known = each[each["reason"] == ""]
        alike = int(known["is_invariant"].astype(bool).sum())
        conclusion = "passes" if len(known) and alike == len(known) else "fails"
        conclusion = conclusion if len(known) else "undecided"
        largest = number(known["difference"].max())
        layer, method = map(str, key)
        rows.append((layer, method, conclusion, f"{alike} of {len(known)}", largest))
    head = ("layer", "method", "conclusion", "images alike", "largest relative difference")
    _print("input invariance", head, rows)


def _print(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(title=cell(title), box=None, header_style="bold", title_justify="left")
    for column in head:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    console().print(table)
