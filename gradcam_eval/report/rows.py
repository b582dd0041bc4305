"""Pick rows of a summary: those of one metric."""

from __future__ import annotations

from typing import Any

import pandas as pd


def of_metric(rows: pd.DataFrame, metric: dict[str, Any]) -> pd.DataFrame:
    """Return the rows of one metric under one protocol."""
    return rows[(rows["metric"] == metric["name"]) & (rows["protocol"] == metric["protocol"])]


def shows_ties(rows: pd.DataFrame) -> bool:
    """Whether these rows say what the order of equal pixels does: their protocol draws orders."""
    return "tie_spread" in rows and bool(rows["tie_spread"].notna().any())
