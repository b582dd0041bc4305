"""Records as tables: checked, and laid out by image and cell for what is computed of them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd

from gradcam_eval.aggregates import AGGREGATES, MEAN
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.intervals import ANY, LEVEL, RESAMPLES, Estimator, Interval, Values

Cell: TypeAlias = tuple[str, str, str]  # model, layer ("" for a control), method

TIES = ("tie_shift", "tie_spread")  # what the order of equal pixels does to a value

BOUNDS = {"lowest": -np.inf, "highest": np.inf}  # the range of a metric, which intervals keep to

_COLUMNS = ("model", "layer", "method", "kind", "sample", "metric", "protocol", "status", "value")


def checked_records(records: pd.DataFrame) -> pd.DataFrame:
    """Return the records with numeric values, or say what is wrong with them."""
    if missing := [name for name in _COLUMNS if name not in records]:
        raise InputError(
            f"the records have no column {', '.join(missing)}: a results folder's records.csv "
            f"has {', '.join(_COLUMNS)}."
        )
    value = pd.to_numeric(records["value"], errors="coerce").astype(float)
    wrong = (records["status"] == "value") & ~np.isfinite(value)
    double = records.duplicated(["model", "layer", "method", "sample", "metric", "protocol"])
    for flags, fault in ((wrong, "a value that is not a finite number"), (double, "two rows")):
        if flags.any():
            row = records[flags].iloc[0]
            names = ", ".join(repr(row[key]) for key in ("model", "layer", "method", "sample"))
            raise InputError(
                f"the records have {fault} for {names} in metric {row['metric']!r}: "
                "keep one row per image and cell, and mark what has no value as undefined."
            )
    records = _with_declared(records.assign(value=value.where(records["status"] == "value")))
    if "aggregate" not in records:
        return records.assign(aggregate=MEAN, parts=None)
    if unknown := set(records["aggregate"]) - set(AGGREGATES):
        raise unknown_name("aggregate", min(unknown), AGGREGATES)
    lost = (records["status"] == "value") & (records["aggregate"] != MEAN)
    if (lost & records["parts"].isna()).any():
        raise InputError(
            "the records have values without their parts, which an aggregate needs: run the study "
            "again."
        )
    return records


def _with_declared(records: pd.DataFrame) -> pd.DataFrame:
    """Return the records with the columns that may be left out, as numbers."""
    slack = pd.to_numeric(records.get("tolerance", 0.0), errors="coerce")
    records = records.assign(tolerance=slack)
    if not (records["tolerance"] >= 0).all():
        raise InputError(
            "the records have a tolerance that is no number, 0 or more: give by how much a value "
            "may be off, in the metric's unit, or leave the column out."
        )
    for name, default in BOUNDS.items():
        known = pd.to_numeric(records.get(name, default), errors="coerce")
        records = records.assign(**{name: known})
        if records[name].isna().any():
            raise InputError(
                f"the records have a {name} that is no number: give the end of the metric's range, "
                "or leave the column out."
            )
    for name in TIES:
        known = pd.to_numeric(records.get(name, np.nan), errors="coerce")
        records = records.assign(**{name: known})
    return records


def group_by(records: pd.DataFrame, keys: list[str]) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """Return the groups of the records in the order in which they first appear."""
    return [(tuple(map(str, key)), group) for key, group in records.groupby(keys, sort=False)]


def estimator_of(
    records: pd.DataFrame, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Estimator:
    """Return how one metric's values are put together; `records` are checked, of all its cells.

    It is hit-or-miss where it has values, all 0 or 1, of which the mean is taken; its range is then
    0 to 1.
    """
    values = records["value"].dropna()
    aggregate = str(records["aggregate"].iloc[0]) if len(records) else MEAN
    is_hits = aggregate == MEAN and len(values) > 0 and bool(values.isin([0.0, 1.0]).all())
    tolerance = float(records["tolerance"].max()) if len(records) else 0.0
    bounds = (0.0, 1.0) if is_hits else _bounds(records)
    return Estimator(aggregate, is_hits, seed, resamples, tolerance, level, bounds)


def _bounds(records: pd.DataFrame) -> Interval:
    """Return the range that the records declare, the widest where they declare several."""
    if records.empty:
        return ANY
    return float(records["lowest"].min()), float(records["highest"].max())


def table_of(group: pd.DataFrame, aggregate: str) -> pd.DataFrame:
    """Return samples × (layer, method) of one model and metric, NaN where there is no value."""
    cells = pd.MultiIndex.from_frame(group[["layer", "method"]].drop_duplicates())
    values = "value" if aggregate == MEAN else "parts"
    table = group.pivot(index="sample", columns=["layer", "method"], values=values)
    return table.reindex(columns=cells)


def column_of(values: pd.Series) -> Values:
    """Return a cell's values that are there: (n,), or (n, R, S) of an aggregate."""
    known = values.dropna()
    return np.stack(list(known)) if len(known) and known.dtype == object else known.to_numpy()


def values_of(records: pd.DataFrame, cell: Cell, aggregate: str = MEAN) -> pd.Series:
    """Return one cell's values by sample, or the parts that an aggregate is made of."""
    keys = list(zip(records["model"], records["layer"], records["method"], strict=True))
    if cell not in keys:
        raise unknown_name("cell", cell, dict.fromkeys(str(key) for key in keys))
    chosen = records[[key == cell for key in keys]]
    return chosen.set_index("sample")["value" if aggregate == MEAN else "parts"]
