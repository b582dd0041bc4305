"""The study's answer in plain sentences, computed from the data, with the warnings it needs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradcam_eval.report.engine_check import engine_warning
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.metric_check import unable_metrics
from gradcam_eval.report.text import (
    cell_name,
    direction,
    interval,
    is_yes,
    metric_label,
    milliseconds,
    number,
    plural,
    signed,
)
from gradcam_eval.stats import best_cells, rivals

SMALL = 30  # below this a percentile bootstrap is visibly too narrow
_FAIR_CONTROLS = ("random", "centre_gaussian", "edges")  # the oracle knows the truth


@dataclass(frozen=True, eq=False)
class Verdict:
    """The best cell of one model by one metric, and how all others differ from it by image."""

    metric: dict[str, Any]
    label: str  # the metric's name, with its protocol where the study has several of it
    best: dict[str, Any]
    others: pd.DataFrame  # of stats.rivals, with `gain`: better than the best cell by how much

    @property
    def name(self) -> str:
        """The best cell's name."""
        return cell_name(self.best["layer"], self.best["method"])

    @property
    def open_cells(self) -> int:
        """How many other cells the data cannot tell from the best one."""
        cams = self.others[self.others["kind"] == "cam"]
        return int(((cams["low"] <= 0) & (cams["high"] >= 0)).sum())


@dataclass(frozen=True)
class Sentence:
    """A sentence of the answer; its `lead` stands out."""

    text: str
    lead: str = ""


@dataclass(frozen=True)
class Answer:
    """What a reader should take home about one model."""

    model: str
    sentences: list[Sentence]
    warnings: list[str]
    best: tuple[str, str] | None  # layer and method, by the study's first metric with values


def answer(folder: Folder, summary: pd.DataFrame, model: str) -> Answer:
    """Answer the study's question for one model.

    Parameters
    ----------
    folder : the results
    summary : of `stats.summarise`, all models
    model : its name
    """
    summary = summary[summary["model"] == model]
    verdicts = verdicts_of(folder, summary)
    sentences = [Sentence(_scope(folder, summary, model))]
    sentences += [_best(verdict) for verdict in verdicts]
    if not verdicts:
        sentences.append(Sentence("No metric has a value for any cell: there is no best one."))
    if cost := _cost(folder, verdicts, model):
        sentences.append(Sentence(cost))
    warnings = [_small(verdicts), *_controls(verdicts, summary), *_disagreement(verdicts)]
    warnings += [_missing(folder, model), _uneven(verdicts, summary), *unable_metrics(folder)]
    warnings.insert(0, engine_warning(folder, model))
    first = verdicts[0].best if verdicts else None
    best = (first["layer"], first["method"]) if first else None
    return Answer(model, sentences, [text for text in warnings if text], best)


def verdicts_of(folder: Folder, summary: pd.DataFrame) -> list[Verdict]:
    """Return a verdict for each metric that has values, for the rows of one model."""
    metrics = {(metric["name"], metric["protocol"]): metric for metric in folder.study["metrics"]}
    verdicts = []
    for row in best_cells(summary, folder.study["metrics"]).to_dict("records"):
        best = {str(key): value for key, value in row.items()}
        metric = metrics[best["metric"], best["protocol"]]
        cell = best["model"], best["layer"], best["method"]
        others = rivals(folder.records, cell, best["metric"], best["protocol"])
        sign = 1 if metric["higher_is_better"] else -1
        others = others.assign(gain=sign * others["difference"])
        label = metric_label(metric["name"], metric["protocol"], folder.study["metrics"])
        verdicts.append(Verdict(metric, label, best, others))
    return verdicts


def _scope(folder: Folder, summary: pd.DataFrame, model: str) -> str:
    """Say how much was judged, and how well the model does on it."""
    cams = summary[summary["kind"] == "cam"]
    cells = len(cams.drop_duplicates(["layer", "method"]))
    images = folder.images[(folder.images["model"] == model) & (folder.images["status"] == "ok")]
    count = len(images) or folder.records[folder.records["model"] == model]["sample"].nunique()
    layers = plural(cams["layer"].nunique(), "layer")
    methods = plural(cams["method"].nunique(), "method")
    is_product = cells == cams["layer"].nunique() * cams["method"].nunique()
    of = f"{layers} {'×' if is_product else 'and'} {methods}"  # some methods look at no layer
    text = f"{plural(count, 'image')}, {plural(cells, 'cell')} ({of})."
    known = images[images["hit_top1"] != ""]
    if len(known):
        hits = sum(is_yes(hit) for hit in known["hit_top1"])
        text += f" The model's first answer is right on {hits} of {len(known)} labelled images."
    return text


def _best(verdict: Verdict) -> Sentence:
    """Name the best cell by one metric, its score, and what it gains over a random map."""
    metric, best = verdict.metric, verdict.best
    lead = f"By {verdict.label}, {verdict.name} is best:"
    score = f"{number(best['mean'])} {interval(best['low'], best['high'])}".strip()
    text = (
        f"{score} on {plural(int(best['n']), 'image')} ({metric['protocol']}, "
        f"{direction(metric['higher_is_better'])}). {_against_random(metric, best)}"
    )
    if best["tied"]:
        text += f" {plural(best['tied'], 'other cell')} reached the same value."
    total = int((verdict.others["kind"] == "cam").sum())
    if not total:
        return Sentence(text, lead)
    if verdict.open_cells:
        text += f" The data cannot tell it from {verdict.open_cells} of the {total} other cells."
    else:
        text += f" The data tell it from each of the {total} other cells."
    return Sentence(text, lead)


def _against_random(metric: dict[str, Any], best: dict[str, Any]) -> str:
    """Write the paired difference to the random map and whether its interval excludes 0."""
    if pd.isna(best["difference"]):
        return "There is no random map to compare it with."
    bounds = interval(best["difference_low"], best["difference_high"], sign=True)
    pairs = plural(int(best["pairs"]), "image")
    text = f"Minus the random map on the same {pairs}: {signed(best['difference'])}"
    if not bounds:
        return f"{text}; one image gives no interval."
    up = metric["higher_is_better"]
    if best["difference_low"] <= 0 <= best["difference_high"]:
        return f"{text} {bounds}; the interval includes 0, so it is not shown to beat random."
    word = "better" if (best["difference"] > 0) == up else "worse"
    return f"{text} {bounds}; the interval excludes 0: {word} than random."


def _cost(folder: Folder, verdicts: list[Verdict], model: str) -> str:
    """Say what the best cell and the whole range cost beside the forward pass."""
    cost = folder.cost[folder.cost["model"] == model]
    cost = cost[cost["batch_size"] == cost["batch_size"].min()]
    floor = cost[cost["method"] == "forward"]
    cells = cost[(cost["layer"] != "") & cost["median_ms_per_image"].notna()]
    if floor.empty or cells.empty:
        return ""
    ms = float(floor["median_ms_per_image"].iloc[0])
    low, high = (cells["median_ms_per_image"].agg(how) / ms for how in ("min", "max"))
    text = (
        f"At batch size {int(floor['batch_size'].iloc[0])} the compiled forward pass takes "
        f"{milliseconds(ms)} ms an image; a heatmap takes {low:.2f} to {high:.2f} times that"
    )
    for verdict in verdicts[:1]:
        mine = (cells["layer"] == verdict.best["layer"]) & (
            cells["method"] == verdict.best["method"]
        )
        if mine.any():
            time = float(cells[mine]["median_ms_per_image"].iloc[0])
            text += f", the best by {verdict.label} {time / ms:.2f} times ({milliseconds(time)} ms)"
    return f"{text}."


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


def _missing(folder: Folder, model: str) -> str:
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
    return f"Left out: {', '.join(parts)}. The reasons stand below."


def _uneven(verdicts: list[Verdict], summary: pd.DataFrame) -> str:
    """Warn where the best cell's mean is over fewer images than other cells'."""
    for verdict in verdicts:
        rows = summary[summary["metric"] == verdict.metric["name"]]
        rows = rows[(rows["protocol"] == verdict.metric["protocol"]) & (rows["kind"] == "cam")]
        if verdict.best["n"] < rows["n"].max():
            return (
                f"The best cell by {verdict.label} has a value on {verdict.best['n']} "
                f"images, other cells on up to {rows['n'].max()}: their values are not over the "
                "same images."
            )
    return ""
