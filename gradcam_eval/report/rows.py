"""Pick rows of a summary: those of one metric, and the best cells among them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gradcam_eval.stats import best_cells, is_equal


def of_metric(rows: pd.DataFrame, metric: dict[str, Any]) -> pd.DataFrame:
    """Return the rows of one metric under one protocol."""
    return rows[(rows["metric"] == metric["name"]) & (rows["protocol"] == metric["protocol"])]


def shows_ties(rows: pd.DataFrame) -> bool:
    """Whether these rows say what the order of equal pixels does: their protocol draws orders."""
    return "tie_spread" in rows and bool(rows["tie_spread"].notna().any())


def winners(summary: pd.DataFrame, metric: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the cells with the best mean of one model by one metric, ties and all."""
    cells = of_metric(summary[summary["kind"] != "control"], metric)
    best = best_cells(cells, [metric])
    if best.empty:
        return set()
    cells = cells[cells["mean"].notna()]
    tied = is_equal(cells["mean"], float(best["mean"].iloc[0]))
    return set(zip(cells[tied]["layer"], cells[tied]["method"], strict=True))
