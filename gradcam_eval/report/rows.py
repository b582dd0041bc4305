"""The summary of a folder, its rows of one metric, and how sure its intervals are."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gradcam_eval.intervals import LEVEL
from gradcam_eval.report.folder import Folder
from gradcam_eval.statistics.design import Design
from gradcam_eval.stats import summarise, summarise_by


def of_metric(rows: pd.DataFrame, metric: dict[str, Any]) -> pd.DataFrame:
    """Return the rows of one metric under one protocol."""
    return rows[(rows["metric"] == metric["name"]) & (rows["protocol"] == metric["protocol"])]


def shows_ties(rows: pd.DataFrame) -> bool:
    """Whether these rows say what the order of equal pixels does: their protocol draws orders."""
    return "tie_spread" in rows and bool(rows["tie_spread"].notna().any())


def level_of(rows: pd.DataFrame) -> float:
    """Return the error rate of a summary's intervals."""
    return round(1 - float(rows["confidence"].iloc[0]), 12) if len(rows) else LEVEL


def summary_of(folder: Folder, by: str | None = None) -> pd.DataFrame:
    """Return the summary of a folder's records as its study declares it: level and clusters.

    Parameters
    ----------
    by : a group of the images; each is summarised by itself then
    """
    level, clusters, seed = folder.analysis.level, folder.clusters, folder.seed
    if by is None:
        return summarise(folder.records, seed=seed, clusters=clusters, level=level)
    design = Design(level, cluster=clusters, seed=seed)
    return summarise_by(folder.records, folder.group(by), by=by, design=design)
