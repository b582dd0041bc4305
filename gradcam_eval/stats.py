"""From records to claims: means, intervals, and differences paired by image.

Intervals of one cell are descriptive. Differences to the random control have the bounds of the
simultaneous tests of all cells of a model (`statistics.families`), "better" for the one end and
"worse" for the other, each at the level; there is none from fewer than 6 images. The mean of the
best of many cells is optimistic: the same images chose the cell (`statistics.winner`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.intervals import LEVEL, RESAMPLES, Estimator, share_of_others
from gradcam_eval.records import (
    TIES,
    checked_records,
    column_of,
    estimator_of,
    group_by,
    table_of,
)
from gradcam_eval.statistics.design import DESIGN, Design
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.frames import LEAST_SHARE
from gradcam_eval.statistics.inputs import clusters_of
from gradcam_eval.statistics.selection import ROUNDING
from gradcam_eval.statistics.units import clustered_interval, unit_codes

REFERENCE = "random"
_OTHERS = ("nonzero", "nonzero_low", "nonzero_high")
_KINDS = {"wilson": "clustered wilson", "bootstrap-t": "clustered t"}
_FLOATS = ("mean", "low", "high", "difference", "difference_low", "difference_high")


def summarise(
    records: pd.DataFrame,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    clusters: Mapping[str, str] | None = None,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Summarise records: a row per model × layer × method × metric × protocol.

    mean = Σ v_i / n over the images with a value; difference = Σ (v_i - r_i) / pairs over the
    images where both the cell and the control `random` of the same model have one. A metric with
    another aggregate has that in the place of the mean, over the same images, and the difference
    of two of them.

    Parameters
    ----------
    records : columns model, layer, method, kind, sample, metric, protocol, status, value; and
        aggregate and parts, where a value of the whole data set is no mean (`aggregates.py`); and
        tie_shift and tie_spread, where a protocol draws orders of equal pixels (`core.TieOrders`);
        and tolerance, by how much a value may be off, where curves have adaptive points; and lowest
        and highest, the metric's range, which no interval leaves
    seed : of the bootstrap; the same seed and records give the same intervals in any row order
    resamples : bootstrap resamples
    clusters : sample → its cluster, of images that are not independent of each other; a sample
        that is not there is one by itself
    level : intervals of one cell miss the true value in this share of samples, and bounds of
        differences miss any in this share of studies

    Returns
    -------
    DataFrame with model, layer, method, kind, metric, protocol, n, undefined, failed, mean, low,
    high, interval ("bootstrap-t" or "wilson"; "clustered t" or "clustered wilson"),
    confidence (1 − level), nonzero, nonzero_low, nonzero_high (the share of values that are not 0
    with Wilson's interval, where more than 70 % are 0 and the mean has no interval), pairs,
    difference, difference_low, difference_high, tie_shift (Σ shift_i / n: how far the mean would
    move with equal pixels in row-major order) and tie_spread (√(Σ spread_i² / n): the standard
    deviation of one image's value over random orders of them). What does not exist is `pd.NA`:
    every mean at n = 0, every interval at n < 2, every interval of a difference below 6 pairs,
    every difference of `random` to itself or without a `random` control, what ties do where a
    protocol has one order. Unit and direction are the metric's.

    Raises
    ------
    InputError
        A column is missing, a cell has two rows for one image, or a value is not finite.

    Notes
    -----
    A metric is taken for hit-or-miss where *all* its values, over all cells, are 0 or 1: by its
    values, not by its name. Its mean then gets Wilson's interval: a bootstrap of 7 hits in 7 images
    is the empty interval [1, 1]. Other means get the bootstrap-t over images. A value that is no
    mean is that of what each image adds (`aggregates.contributions`): where a data set shares a
    threshold, half of the optimism of the published value is taken off, as far as other images
    show it (`ge.max_box_acc` gives the published one).

    References
    ----------
    Efron & Tibshirani 1993; Wilson 1927; Westfall & Young 1993.
    """
    records = checked_records(records)
    rules = _estimators(records, seed=seed, resamples=resamples, level=level)
    return _summary(records, rules, clusters or {})


def _estimators(
    records: pd.DataFrame, *, seed: int, level: float, resamples: int = RESAMPLES
) -> dict[tuple[str, ...], Estimator]:
    """Return for each metric and protocol how its values are put together."""
    return {
        key: estimator_of(group, seed=seed, resamples=resamples, level=level)
        for key, group in group_by(records, ["metric", "protocol"])
    }


def _summary(
    records: pd.DataFrame, rules: dict[tuple[str, ...], Estimator], clusters: Mapping[str, str]
) -> pd.DataFrame:
    parts = [
        _summarise_group(group, rules[key[1:]], clusters)
        for key, group in group_by(records, ["model", "metric", "protocol"])
    ]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_out_columns())
    floats = dict.fromkeys((*_FLOATS, *_OTHERS, *TIES), "Float64")
    counts = dict.fromkeys(("n", "undefined", "failed", "pairs"), "Int64")
    return frame.astype(floats | counts)[_out_columns()]


def summarise_by(
    records: pd.DataFrame,
    groups: Mapping[str, str],
    *,
    by: str,
    design: Design = DESIGN,
) -> pd.DataFrame:
    """Summarise the records of each group of samples by itself.

    Parameters
    ----------
    records : as for `summarise`
    groups : sample → the group's value
    by : the name of the column, in front, that holds it
    design : level, seed, and sample → its cluster

    Returns
    -------
    The summaries of `summarise` one below the other, in the order of the values. Whether a metric
    is hit-or-miss is decided by all records, so that it has the same interval in each group.

    Raises
    ------
    InputError : as `summarise`, or a sample is in no group
    """
    records = checked_records(records)
    rules = _estimators(records, seed=design.seed, level=design.level)
    values, clusters = records["sample"].map(groups), clusters_of(records, design.cluster)
    if values.isna().any():
        raise InputError(
            f"the image {records['sample'][values.isna()].iloc[0]!r} is in no group of {by!r}: "
            "give each image a value."
        )
    parts = []
    for value in sorted(values.unique()) or [""]:
        part = _summary(records[values == value], rules, clusters)
        part.insert(0, by, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


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


def _summarise_group(
    group: pd.DataFrame, rule: Estimator, clusters: Mapping[str, str]
) -> pd.DataFrame:
    """Return the summary of one model by one metric, cells in order of appearance."""
    keys = [group["layer"], group["method"]]
    frame = group.groupby(keys, sort=False)[["model", "kind", "metric", "protocol"]].first()
    for status, column in (("value", "n"), ("undefined", "undefined"), ("failed", "failed")):
        frame[column] = (group["status"] == status).groupby(keys, sort=False).sum()
    table = table_of(group, rule.aggregate)
    found = rule.single([column_of(table[cell]) for cell in table])
    if clusters:
        bounds = [_clustered(table[cell], rule, clusters) for cell in table]
        kept = rule.within(found[:, 0], np.array(bounds))
        found[:, 1:] = np.where(np.isnan(found[:, 1:]), np.nan, kept)
    frame[["mean", "low", "high"]] = pd.DataFrame(found, index=table.columns)
    others = [_others(table[cell], rule, clusters) for cell in table]
    shares = [(np.nan,) * 3 if rule.is_hits or each is None else each for each in others]
    frame[list(_OTHERS)] = pd.DataFrame(shares, index=table.columns)
    frame["tie_shift"] = group["tie_shift"].groupby(keys, sort=False).mean()
    frame["tie_spread"] = (group["tie_spread"] ** 2).groupby(keys, sort=False).mean() ** 0.5
    frame["interval"] = _KINDS[rule.interval] if clusters else rule.interval
    frame["confidence"] = round(1 - rule.level, 12)
    if ("", REFERENCE) not in table:
        frame["pairs"] = 0
        frame[list(_FLOATS[3:])] = np.nan
        return frame.reset_index()
    count = frame["n"].where(frame["kind"] != "control", 0).reindex(table.columns)
    competes = (count.to_numpy(int) > 0) & (count.to_numpy() >= LEAST_SHARE * count.max())
    frame = frame.join(_differences(table, competes, rule, clusters))
    frame.loc[[("", REFERENCE)], list(_FLOATS[3:])] = np.nan
    return frame.reset_index()


def _clustered(
    column: pd.Series, rule: Estimator, clusters: Mapping[str, str]
) -> tuple[float, float]:
    """Return the interval of one cell whose images come in clusters."""
    known = column.dropna()
    if known.empty:
        return np.nan, np.nan
    units = unit_codes(list(known.index), clusters)
    values = rule.shares(column_of(known))
    return clustered_interval(values, units, is_hits=rule.is_hits, level=rule.level)


def _others(
    column: pd.Series, rule: Estimator, clusters: Mapping[str, str]
) -> tuple[float, float, float] | None:
    """Return the share of one cell's values that are not 0, where its mean has no interval."""
    known = column.dropna()
    values = rule.shares(column_of(known))
    found = share_of_others(values, level=rule.level)
    if found is None or not clusters:
        return found
    units = unit_codes(list(known.index), clusters)
    others = (values != 0).astype(float)
    return (found[0], *clustered_interval(others, units, is_hits=True, level=rule.level))


def _differences(
    table: pd.DataFrame,
    competes: NDArray[np.bool_],
    rule: Estimator,
    clusters: Mapping[str, str],
) -> pd.DataFrame:
    """Return pairs, difference and its simultaneous bounds of each column to the control random.

    The cells that compete are one family, as in the report's tests; all else is another one.
    """
    reference = table["", REFERENCE]
    apart = np.full(table.shape, np.nan)
    for at, cell in enumerate(table):
        known = (table[cell].notna() & reference.notna()).to_numpy()
        if known.any() and table[cell].name != reference.name:
            ours, theirs = (column_of(side[known]) for side in (table[cell], reference))
            apart[known, at] = rule.shares(ours) - rule.shares(theirs)
    has_reference = reference.notna().to_numpy()
    units = unit_codes(list(table.index[has_reference]), clusters)
    bounds = np.full((table.shape[1], 2), np.nan)
    for family in (competes, ~competes):
        bounds[family] = _bounds(apart[np.ix_(has_reference, family)], units, rule)
    pairs = (table.notna() & reference.notna().to_numpy()[:, None]).sum()
    frame = pd.DataFrame({"pairs": pairs.to_numpy()}, index=table.columns)
    count = (~np.isnan(apart)).sum(0)
    frame["difference"] = np.where(count > 0, np.nansum(apart, 0) / np.maximum(count, 1), np.nan)
    frame[list(_FLOATS[4:])] = bounds
    return frame


def _bounds(apart: NDArray[np.float64], units: NDArray[np.intp], rule: Estimator) -> Any:
    """Return the bounds of the one-sided families that claims come from: low and high, (K, 2)."""
    ends = []
    for alternative in ("better", "worse"):
        design = Design(rule.level, alternative, seed=rule.seed, tolerance=2 * rule.tolerance)
        found = simultaneous(apart, units=units, is_hits=rule.is_hits, design=design)
        if isinstance(found, Undefined):
            return np.full((apart.shape[1], 2), np.nan)
        ends.append(found.low if alternative == "better" else found.high)
    known = np.where(np.isfinite(ends), ends, np.nan).T
    return np.clip(known, -rule.widest, rule.widest)


def _out_columns() -> list[str]:
    """Return the columns of the summary, in order."""
    keys = ["model", "layer", "method", "kind", "metric", "protocol", "n", "undefined", "failed"]
    return [*keys, *_FLOATS[:3], "interval", "confidence", *_OTHERS, "pairs", *_FLOATS[3:], *TIES]
