"""A user's table of records, checked: what is missing or ambiguous is said in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.records import Cell

NEEDED = ("model", "layer", "method", "sample", "metric", "value")
STATUSES = ("value", "undefined", "failed")
_CELL = "(model, layer, method), with layer '' for a control"


def completed(records: Any) -> pd.DataFrame:
    """Return the records with the columns that may be left out: kind, protocol and status.

    A layer that is None or NaN is "", that of a control.

    Raises
    ------
    InputError : no DataFrame, no row, a column is missing, a name is missing, an unknown status
    """
    if not isinstance(records, pd.DataFrame):
        raise InputError(
            f"records is a {type(records).__name__}: give a pandas DataFrame with the columns "
            f"{', '.join(NEEDED)}."
        )
    if missing := [name for name in NEEDED if name not in records]:
        raise InputError(
            f"the records have no column {', '.join(missing)}: give {', '.join(NEEDED)}; kind, "
            "protocol and status may be left out."
        )
    if records.empty:
        raise InputError("the records have no row: give one for each cell and image.")
    records = records.assign(layer=records["layer"].astype(object).fillna(""))
    for name in ("model", "method", "sample", "metric"):
        if (lost := records[name].isna()).any():
            raise InputError(
                f"the records have no {name} in {int(lost.sum())} of {len(records)} rows: name it, "
                "or leave these rows out."
            )
    added: dict[str, Any] = {}
    if "kind" not in records:
        added["kind"] = np.where(records["layer"] == "", "control", "cam")
    if "protocol" not in records:
        added["protocol"] = ""
    if "status" not in records:
        added["status"] = np.where(records["value"].isna(), "undefined", "value")
    elif unknown := set(records["status"].map(str)) - set(STATUSES):
        raise unknown_name("status", min(unknown), STATUSES)
    return records.assign(**added)


def is_higher(higher_is_better: Any) -> bool:
    """Return the direction of a metric, which must be said as True or False.

    Raises
    ------
    InputError : anything else, as "lower", which would count as true
    """
    if not isinstance(higher_is_better, bool | np.bool_):
        raise InputError(f"higher_is_better = {higher_is_better!r}: expected True or False")
    return bool(higher_is_better)


def cells_of(reference: Any) -> list[Cell]:
    """Return the references of a comparison: one cell, or several.

    Raises
    ------
    InputError : no triple of names
    """
    if _is_cell(reference):
        return [tuple(reference)]
    several = list(reference) if isinstance(reference, list | tuple | set) else []
    if not several or not all(map(_is_cell, several)):
        raise InputError(f"reference = {reference!r}: expected {_CELL}, or a list of them.")
    return [tuple(each) for each in several]


def _is_cell(names: Any) -> bool:
    is_triple = isinstance(names, list | tuple) and len(names) == 3
    return is_triple and all(isinstance(name, str) for name in names)


def clusters_of(
    records: pd.DataFrame, cluster: str | Mapping[str, str] | None
) -> Mapping[str, str]:
    """Return sample → cluster; a sample whose cluster is missing is in none.

    Raises
    ------
    InputError : no such column, or a sample in two clusters
    """
    if cluster is None:
        return {}
    names = records["sample"].map(str)
    if not isinstance(cluster, str):
        return {str(sample): str(name) for sample, name in cluster.items() if pd.notna(name)}
    if cluster not in records:
        raise unknown_name("column of clusters", cluster, records.columns)
    known = records[cluster].notna()
    pairs = pd.DataFrame({"sample": names, "cluster": records[cluster].map(str)})[known]
    pairs = pairs.drop_duplicates()
    if (twice := pairs["sample"].duplicated()).any():
        name = pairs["sample"][twice].iloc[0]
        raise InputError(
            f"the sample {name!r} is in two clusters of the column {cluster!r}: give it one."
        )
    return dict(zip(pairs["sample"], pairs["cluster"], strict=True))


def check_clusters(records: pd.DataFrame, cluster: str | Mapping[str, str] | None) -> None:
    """Refuse a mapping sample → cluster that has no sample of the records.

    Raises
    ------
    InputError : its keys are other names
    """
    if isinstance(cluster, Mapping) and cluster:
        names = records["sample"].map(str)
        if not names.isin([str(name) for name in cluster]).any():
            raise InputError(
                f"cluster has none of the {names.nunique()} samples, as {names.iloc[0]!r}: its "
                "keys must be names of samples."
            )
