"""What a reader should know before relying on the answer: warnings, computed from the data."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd

from gradcam_eval.report.engine_check import engine_warning
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.metric_check import unable_metrics
from gradcam_eval.report.text import interval, number, plural, signed
from gradcam_eval.report.verdict import Verdict
from gradcam_eval.texts import isolated

SMALL = 30  # below this a percentile bootstrap is visibly too narrow
_MOST_NAMED = 4  # of copies, and of groups of them
_FAIR_CONTROLS = ("random", "centre_gaussian", "edges")  # the oracle knows the truth


def caveats(
    folder: Folder, summary: pd.DataFrame, verdicts: list[Verdict], *, model: str
) -> list[str]:
    """Return the warnings about one model's results.

    Parameters
    ----------
    folder : the results
    summary : of `stats.summarise`, the rows of this model
    verdicts : of this model
    model : its name
    """
    texts = [engine_warning(folder, model), _small(verdicts), *_controls(verdicts, summary)]
    texts.append(placed(folder, model))
    left_out = missing(folder, model)
    texts.append(copies(folder, model))
    texts += [*_disagreement(verdicts), left_out and f"{left_out} The reasons stand below."]
    texts += [_uneven(verdicts, summary)]
    return [text for text in (*texts, *unable_metrics(folder)) if text]


def placed(folder: Folder, model: str) -> str:
    """Say which layers' maps are not laid on the images corner to corner, and what they see."""
    layers = folder.layers[folder.layers["model"] == model]
    if "geometry" not in layers:  # a folder of an earlier version
        return ""
    rows = layers[layers["geometry"] == "receptive_field"]
    if rows.empty:
        return ""
    named = [f"{row['path']} ({row['sees']})" for row in rows.head(_MOST_NAMED).to_dict("records")]
    more = len(rows) - len(named)
    return (
        f"The maps of {plural(len(rows), 'layer')} do not fit the images corner to corner and are "
        "placed where their layer's receptive field is: "
        + "; ".join(named + ([f"and {more} more"] if more else []))
        + "."
    )


def _small(verdicts: list[Verdict]) -> str:
    """Warn where n is small."""
    counts = {int(verdict.best["n"]) for verdict in verdicts}
    if not counts or min(counts) >= SMALL:
        return ""
    low, high = min(counts), max(counts)
    n = plural(low, "image") if low == high else f"{low} to {high} images"
    return (
        f"Only {n}: read the intervals as a hint. Below {SMALL} images "
        "bootstrap intervals are too narrow, and the best of many cells looks better than it is."
    )


def _controls(verdicts: list[Verdict], summary: pd.DataFrame) -> list[str]:
    """Warn of controls that look at no layer and yet rival the best cell, metric by metric."""
    texts = []
    for verdict in verdicts:
        rows = verdict.others
        rows = rows[(rows["kind"] == "control") & rows["method"].isin(_FAIR_CONTROLS)]
        ahead = rows["gain"] >= 0
        close = ~ahead & (rows["low"] <= 0) & (rows["high"] >= 0)
        for chosen, says in (
            (rows[ahead], "matched or beaten by"),
            (rows[close], "not clearly better than"),
        ):
            if len(chosen):
                names = "; ".join(
                    _control(row, verdict, summary) for row in chosen.to_dict("records")
                )
                texts.append(
                    f"By {verdict.label} the best cell is {says} a control that looks at "
                    f"no layer: {names}."
                )
    return texts


def _control(row: dict[Any, Any], verdict: Verdict, summary: pd.DataFrame) -> str:
    """Write a control's mean and its paired difference to the best cell."""
    mine = summary[(summary["method"] == row["method"]) & (summary["layer"] == "")]
    mine = mine[mine["metric"] == verdict.metric["name"]]
    mean = mine[mine["protocol"] == verdict.metric["protocol"]]["mean"].iloc[0]
    bounds = interval(row["low"], row["high"], sign=True)
    return f"{row['method']} {number(mean)} (difference {signed(row['difference'])} {bounds})"


def _disagreement(verdicts: list[Verdict]) -> list[str]:
    """Warn where two metrics part their best cells in opposite directions, both clearly."""
    texts = []
    for one, two in itertools.combinations(verdicts, 2):
        by_one, by_two = _clear_loss(one, two), _clear_loss(two, one)
        if by_one and by_two:
            texts.append(
                f"The metrics disagree. By {one.label} {one.name} beats {two.name} "
                f"({by_one}); by {two.label} it is the other way round ({by_two})."
            )
    return texts


def _clear_loss(judge: Verdict, other: Verdict) -> str:
    """Write how far `other`'s best cell is from `judge`'s best, by `judge`, if that is clear."""
    rows = judge.others
    rows = rows[(rows["layer"] == other.best["layer"]) & (rows["method"] == other.best["method"])]
    rows = rows[(rows["low"] > 0) | (rows["high"] < 0)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"{signed(-row['difference'])} {interval(-row['high'], -row['low'], sign=True)}"


def missing(folder: Folder, model: str) -> str:
    """Warn where images or values are missing."""
    images = folder.images[folder.images["model"] == model]
    status = folder.records[folder.records["model"] == model]["status"]
    counts = [
        (int((images["status"] != "ok").sum()), "failed image"),
        (int((status == "failed").sum()), "failed value"),
        (int((status == "undefined").sum()), "undefined value"),
    ]
    parts = [plural(count, noun) for count, noun in counts if count]
    if not parts:
        return ""
    return f"Left out: {', '.join(parts)}."


def copies(folder: Folder, model: str) -> str:
    """Warn where several images show the model the same pixels; "" where none do.

    The intervals take images for drawn one by one. Pictures that are alike and not the same
    (another size, another compression, the next frame of a film) are not found.
    """
    images = folder.images[folder.images["model"] == model]
    if "pixels" not in images:  # a folder of an earlier version
        return ""
    known = images[(images["status"] == "ok") & (images["pixels"] != "")]
    groups = [each["sample"].tolist() for _, each in known.groupby("pixels", sort=False)]
    groups = [names for names in groups if len(names) > 1]
    if not groups:
        return ""
    shown = "; ".join(_some(names, " = ") for names in groups[:_MOST_NAMED])
    more = f"; and {len(groups) - _MOST_NAMED} more" if len(groups) > _MOST_NAMED else ""
    return (
        f"Of {plural(len(known), 'image')} only {len(known) - sum(map(len, groups)) + len(groups)} "
        f"differ: {shown}{more}. Each copy counts as an image of its own, so intervals are too "
        "narrow: leave copies out."
    )


def _some(names: list[str], separator: str) -> str:
    more = len(names) - _MOST_NAMED
    shown = [*map(isolated, names[:_MOST_NAMED]), *([f"{more} more"] if more > 0 else [])]
    return separator.join(shown)


def _uneven(verdicts: list[Verdict], summary: pd.DataFrame) -> str:
    """Warn where the best cell's mean is over fewer images than other cells'."""
    for verdict in verdicts:
        rows = summary[summary["metric"] == verdict.metric["name"]]
        rows = rows[(rows["protocol"] == verdict.metric["protocol"]) & (rows["kind"] != "control")]
        if verdict.best["n"] < rows["n"].max():
            return (
                f"The best cell by {verdict.label} has a value on {verdict.best['n']} "
                f"images, other cells on up to {rows['n'].max()}: their values are not over the "
                "same images."
            )
    return ""
