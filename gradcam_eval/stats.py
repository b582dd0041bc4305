"""From records to claims: means, 95 % intervals, and differences paired by image.

How small n limits what can be said: a percentile bootstrap is too narrow below about 30 images (it
cannot see what was not drawn: with n = 8 its nominal 95 % covers about 90 %), and no two-sided
rank or sign test on n pairs can give a p-value below 2^(1-n): 0.0625 for five images. An interval
of the best of many cells is optimistic as well, because the cell was chosen by the same images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.intervals import RESAMPLES, Estimator
from gradcam_eval.records import (
    TIES,
    Cell,
    checked_records,
    column_of,
    estimator_of,
    group_by,
    table_of,
)

REFERENCE = "random"
ROUNDING = 1e-6  # of a mean: what float32 leaves open. Less apart is equal, whatever its interval
_FLOATS = ("mean", "low", "high", "difference", "difference_low", "difference_high")


def summarise(records: pd.DataFrame, *, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Summarise records: a row per model × layer × method × metric × protocol.

    mean = Σ v_i / n over the images with a value; difference = Σ (v_i - r_i) / pairs over the
    images where both the cell and the control `random` of the same model have one. A metric with
    another aggregate has that in the place of the mean, over the same images, and the difference
    of two of them.

    Parameters
    ----------
    records : columns model, layer, method, kind, sample, metric, protocol, status, value; and
        aggregate and parts, where a value of the whole data set is no mean (`aggregates.py`); and
        tie_shift and tie_spread, where a protocol draws orders of equal pixels (`core.TieOrders`)
    seed : of the bootstrap; the same seed and records give the same intervals in any row order
    resamples : bootstrap resamples

    Returns
    -------
    DataFrame with model, layer, method, kind, metric, protocol, n, undefined, failed, mean, low,
    high, interval ("bootstrap" or "wilson"), pairs, difference, difference_low, difference_high,
    tie_shift (Σ shift_i / n: how far the mean would move with equal pixels in row-major order) and
    tie_spread (√(Σ spread_i² / n): the standard deviation of one image's value over random orders
    of them). What does not exist is `pd.NA`: every mean at n = 0, every interval at n < 2, every
    difference of `random` to itself or without a `random` control, what ties do where a protocol
    has one order. Unit and direction are the metric's.

    Raises
    ------
    InputError
        A column is missing, a cell has two rows for one image, or a value is not finite.

    Notes
    -----
    A metric is taken for hit-or-miss where *all* its values, over all cells, are 0 or 1: by its
    values, not by its name. Its mean then gets Wilson's interval and its difference Newcombe's
    (method 10, built from Wilson's limits): a bootstrap of 7 hits in 7 images is the empty
    interval [1, 1]. Other metrics get the percentile bootstrap over images. Not BCa: it is nan
    on constant data. Bootstrap intervals of constant data have width 0. An aggregate is computed
    anew in each resample, so that the interval of a value at its best threshold holds the choice
    of that threshold.

    References
    ----------
    Efron & Tibshirani 1993; Wilson 1927; Newcombe 1998 (Statistics in Medicine 17, 2635-2650).
    """
    records = checked_records(records)
    return _summary(records, _estimators(records, seed, resamples))


def _estimators(
    records: pd.DataFrame, seed: int, resamples: int
) -> dict[tuple[str, ...], Estimator]:
    """Return for each metric and protocol how its values are put together."""
    return {
        key: estimator_of(group, seed=seed, resamples=resamples)
        for key, group in group_by(records, ["metric", "protocol"])
    }


def _summary(records: pd.DataFrame, rules: dict[tuple[str, ...], Estimator]) -> pd.DataFrame:
    parts = [
        _summarise_group(group, rules[key[1:]])
        for key, group in group_by(records, ["model", "metric", "protocol"])
    ]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_out_columns())
    floats = dict.fromkeys((*_FLOATS, *TIES), "Float64")
    counts = dict.fromkeys(("n", "undefined", "failed", "pairs"), "Int64")
    return frame.astype(floats | counts)[_out_columns()]


def summarise_by(
    records: pd.DataFrame, groups: Mapping[str, str], *, by: str, seed: int = 0
) -> pd.DataFrame:
    """Summarise the records of each group of samples by itself.

    Parameters
    ----------
    records : as for `summarise`
    groups : sample → the group's value
    by : the name of the column, in front, that holds it

    Returns
    -------
    The summaries of `summarise` one below the other, in the order of the values. Whether a metric
    is hit-or-miss is decided by all records, so that it has the same interval in each group.

    Raises
    ------
    InputError : as `summarise`, or a sample is in no group
    """
    records = checked_records(records)
    rules, values = _estimators(records, seed, RESAMPLES), records["sample"].map(groups)
    if values.isna().any():
        raise InputError(
            f"the image {records['sample'][values.isna()].iloc[0]!r} is in no group of {by!r}: "
            "give each image a value."
        )
    parts = []
    for value in sorted(values.unique()) or [""]:
        part = _summary(records[values == value], rules)
        part.insert(0, by, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def rivals(records: pd.DataFrame, cell: Cell, metric: str, protocol: str) -> pd.DataFrame:
    """Return how every cell of the same model differs from `cell`, paired by image.

    Columns layer, method, kind, pairs, difference (theirs minus that of `cell`), low, high;
    formulas as in `summarise`, NaN where undefined. `cell` itself is left out.
    """
    records = checked_records(records)
    records = records[(records["metric"] == metric) & (records["protocol"] == protocol)]
    rule = estimator_of(records)
    group = records[records["model"] == cell[0]]
    table = table_of(group, rule.aggregate)
    if cell[1:] not in table:
        raise unknown_name("cell", cell[1:], [str(name) for name in table])
    paired = _differences(table, table[cell[1:]], rule)
    kinds = group.drop_duplicates(["layer", "method"])["kind"].to_numpy()
    frame = pd.DataFrame({"kind": kinds}, index=table.columns).join(paired).reset_index()
    frame = frame.rename(columns={"difference_low": "low", "difference_high": "high"})
    mine = (frame["layer"] == cell[1]) & (frame["method"] == cell[2])
    return frame[~mine].reset_index(drop=True)


def best_cells(summary: pd.DataFrame, metrics: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the best layer × method of each model by each metric; controls do not compete.

    Parameters
    ----------
    summary : from `summarise`
    metrics : each with name, protocol and higher_is_better, as in `study.json`

    Returns
    -------
    The rows of `summary`, one per model × metric with a value, and two columns more:
    higher_is_better and tied (how many other cells share the best mean, to `ROUNDING`; the first
    one stands).

    Notes
    -----
    Means over different images are compared as they are where a cell is undefined on some: look
    at `n` beside them.
    """
    rows = []
    for model in summary["model"].unique():
        for metric in metrics:
            wanted = (summary["model"] == model) & (summary["kind"] != "control")
            wanted &= (summary["metric"] == metric["name"]) & summary["mean"].notna()
            cells = summary[wanted & (summary["protocol"] == metric["protocol"])]
            if cells.empty:
                continue
            up = bool(metric["higher_is_better"])
            mean = cells["mean"].astype(float)
            top = is_equal(mean, mean.max() if up else mean.min())
            extra = {"higher_is_better": up, "tied": int(top.sum()) - 1}
            rows.append(cells[top].head(1).assign(**extra))
    if not rows:
        return summary.head(0).assign(higher_is_better=False, tied=0)
    return pd.concat(rows, ignore_index=True)


def is_equal(values: pd.Series, best: float) -> NDArray[np.bool_]:
    """Say which means are the best one, but for what float32 rounds."""
    return np.isclose(values.astype(float), best, rtol=ROUNDING, atol=1e-12)


def _summarise_group(group: pd.DataFrame, rule: Estimator) -> pd.DataFrame:
    """Return the summary of one model by one metric, cells in order of appearance."""
    keys = [group["layer"], group["method"]]
    frame = group.groupby(keys, sort=False)[["model", "kind", "metric", "protocol"]].first()
    for status, column in (("value", "n"), ("undefined", "undefined"), ("failed", "failed")):
        frame[column] = (group["status"] == status).groupby(keys, sort=False).sum()
    table = table_of(group, rule.aggregate)
    found = rule.single([column_of(table[cell]) for cell in table])
    frame[["mean", "low", "high"]] = pd.DataFrame(found, index=table.columns)
    frame["tie_shift"] = group["tie_shift"].groupby(keys, sort=False).mean()
    frame["tie_spread"] = (group["tie_spread"] ** 2).groupby(keys, sort=False).mean() ** 0.5
    frame["interval"] = rule.interval
    reference = table.get(("", REFERENCE))
    if reference is None:
        frame["pairs"] = 0
        frame[list(_FLOATS[3:])] = np.nan
        return frame.reset_index()
    frame = frame.join(_differences(table, reference, rule))
    frame.loc[[("", REFERENCE)], list(_FLOATS[3:])] = np.nan
    return frame.reset_index()


def _differences(table: pd.DataFrame, reference: pd.Series, rule: Estimator) -> pd.DataFrame:
    """Return pairs, difference and its interval of each column of `table` to `reference`."""
    sides = []
    for cell in table:
        known = table[cell].notna() & reference.notna()
        sides.append((column_of(table[cell][known]), column_of(reference[known])))
    frame = pd.DataFrame({"pairs": [len(a) for a, _ in sides]})
    frame[["difference", "difference_low", "difference_high"]] = rule.paired(sides)
    return frame.set_index(table.columns)


def _out_columns() -> list[str]:
    """Return the columns of the summary, in order."""
    keys = ["model", "layer", "method", "kind", "metric", "protocol", "n", "undefined", "failed"]
    return [*keys, *_FLOATS[:3], "interval", "pairs", *_FLOATS[3:], *TIES]
