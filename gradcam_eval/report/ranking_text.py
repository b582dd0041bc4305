"""Compared rankings in sentences, and as tables of a terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from gradcam_eval.core import Undefined
from gradcam_eval.report.rankings import Ranks
from gradcam_eval.report.text import DASH, confidence, interval, number
from gradcam_eval.texts import printable

_ITEMS = {"method": "methods", "depth": "relative depths", "cell": "cells"}
_MOST_NAMED = 4


def headings(found: Ranks) -> tuple[str, ...]:
    """Return the heads of the columns of `model_entries`."""
    top1 = f"top-1 [{confidence(found.level)} interval]"
    return "ranking", top1, "images", "best set", "its means", "best mean"


def ranking_sentences(found: Ranks) -> list[str]:
    """Say how far the rankings agree, and which choices transfer."""
    agree, what = found.concordance, _ITEMS[found.by]
    if isinstance(agree, Undefined):
        return [f"By {found.metric}, rankings of {what} are not compared: {agree.reason}."]
    text = (
        f"By {found.metric}, {agree.rankings} rankings of {agree.items} {what} agree to "
        f"Kendall's W = {number(agree.w)} (1 is the same order; unrelated rankings have "
        f"{number(agree.chance)} on average); with other images it could be "
        f"{interval(agree.low, agree.high)} at {confidence(found.level)}."
    )
    return [text, _transfers(found, what)]


def _transfers(found: Ranks, what: str) -> str:
    """Say which items are in the best set of every ranking."""
    able = found.transfers
    if isinstance(able, Undefined):
        return f"Which {what} transfer is not tested: {able.reason}."
    count = found.table["item"].nunique()
    if not able:
        return (
            f"None of the {count} {what} is in the best set of every ranking: each is shown to be "
            "worse than the best by at least one."
        )
    if len(able) == count:
        return f"All {count} {what} are in the best set of every ranking: none is excluded."
    more = len(able) - _MOST_NAMED
    names = ", ".join(able[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    verb = "is" if len(able) == 1 else "are"
    return f"{len(able)} of {count} {what} {verb} in the best set of every ranking: {names}."


def ranks_table(found: Ranks) -> Table:
    """Lay the items out for a terminal: a row each, its value and rank by each ranking."""
    title = f"{found.metric}: mean (rank); * in the best set of its ranking"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column(_ITEMS[found.by])
    for label in found.models["ranking"]:
        table.add_column(Text(printable(label)), justify="right")
    for item, entries in by_item(found):
        cells = [_entry(entry) for entry in entries]
        table.add_row(*(Text(printable(text)) for text in (item, *cells)))
    return table


def by_item(found: Ranks) -> list[tuple[str, list[dict[Any, Any]]]]:
    """Return each item with its rows, the best mean rank first (depths in their order)."""
    order = found.table.groupby("item", sort=False)["rank"].mean()
    if found.by != "depth":
        order = order.sort_values(kind="stable")
    rows = dict(iter(found.table.groupby("item", sort=False)))
    return [(str(item), rows[item].to_dict("records")) for item in order.index]


def _entry(row: dict[Any, Any]) -> str:
    if pd.isna(row["value"]):
        return DASH
    is_in = not pd.isna(row["in_best_set"]) and row["in_best_set"]
    return f"{number(row['value'])} ({row['rank']:g}){'*' if is_in else ' '}"


def models_table(found: Ranks) -> Table:
    """Lay out for a terminal how often each model is right, beside what its best set scores."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in headings(found):
        table.add_column(name, justify="left" if name == "ranking" else "right")
    for row in found.models.to_dict("records"):
        table.add_row(*(Text(printable(text)) for text in model_entries(row)))
    return table


def model_entries(row: dict[Any, Any]) -> tuple[str, ...]:
    """Write a row of `Ranks.models`."""
    known = not pd.isna(row["top1"])
    top1 = f"{number(row['top1'])} {interval(row['top1_low'], row['top1_high'])}"
    has_set = not pd.isna(row["best_set"])
    own = interval(row["low"], row["high"]) or "optimistic"
    return (
        row["ranking"],
        f"{top1} of {row['labelled']}" if known else "no labels",
        str(row["images"]),
        f"{row['best_set']} of {row['cells']} cells" if has_set else "too few images",
        f"{number(row['best'])} to {number(row['worst'])}" if has_set else DASH,
        f"{number(row['value'])} {own}",
    )
