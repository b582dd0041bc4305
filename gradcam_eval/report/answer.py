"""The study's answer in plain sentences, computed from the data, with the warnings it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradcam_eval.core import Undefined
from gradcam_eval.report.caveats import caveats
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import (
    cell_name,
    direction,
    interval,
    is_yes,
    milliseconds,
    number,
    percent,
    plural,
    ratio,
    signed,
)
from gradcam_eval.report.verdict import Verdict, verdicts_of

USUAL_METHOD = "grad_cam"  # at the last layer it is what most people use


@dataclass(frozen=True)
class Sentence:
    """A sentence of the answer; its `lead` stands out, its `points` follow one by one."""

    text: str
    lead: str = ""
    points: tuple[str, ...] = ()


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
    usual = folder.last_layer(model), USUAL_METHOD
    sentences += [_best(verdict, usual) for verdict in verdicts]
    if not verdicts:
        sentences.append(Sentence("No metric has a value for any cell: there is no best one."))
    if cost := _cost(folder, verdicts, model):
        sentences.append(Sentence(cost))
    first = verdicts[0].best if verdicts else None
    best = (first["layer"], first["method"]) if first else None
    warnings = caveats(folder, summary, verdicts, model=model)
    return Answer(model, sentences, warnings, best)


def _scope(folder: Folder, summary: pd.DataFrame, model: str) -> str:
    """Say how much was judged, and how well the model does on it."""
    cams = summary[summary["kind"] != "control"]
    cells = len(cams.drop_duplicates(["layer", "method"]))
    images = folder.images[(folder.images["model"] == model) & (folder.images["status"] == "ok")]
    count = len(images) or folder.records[folder.records["model"] == model]["sample"].nunique()
    at = set(cams["layer"])
    layers = len(at & set(folder.layers["path"])) or len(at)  # neither "input" nor a fusion is one
    methods = cams["method"].nunique()
    sign = "×" if cells == layers * methods else "and"
    of = f"{plural(layers, 'layer')} {sign} {plural(methods, 'method')}"
    text = f"{plural(count, 'image')}, {plural(cells, 'cell')} ({of})."
    known = images[images["hit_top1"] != ""]
    if len(known):
        hits = sum(is_yes(hit) for hit in known["hit_top1"])
        text += f" The model's first answer is right on {hits} of {len(known)} labelled images."
    return text


def _best(verdict: Verdict, usual: tuple[str | None, str]) -> Sentence:
    """Name the best cell by one metric, its score, and its gain over random and the usual map."""
    metric, best = verdict.metric, verdict.best
    lead = f"By {verdict.label}, {verdict.name} is best:"
    score = f"{number(best['mean'])} {interval(best['low'], best['high'])}".strip()
    text = (
        f"{score} on {plural(int(best['n']), 'image')} ({metric['protocol']}, "
        f"{direction(metric['higher_is_better'])})."
    )
    if best["tied"]:
        text += f" {plural(best['tied'], 'other cell')} reached the same value."
    points = (
        _against_random(metric, best),
        _against_usual(verdict, usual),
        f"{_told_apart(verdict)} {_chosen_again(verdict)}".strip(),
    )
    return Sentence(text, lead, tuple(point for point in points if point))


def _told_apart(verdict: Verdict) -> str:
    """Say from how many other cells the data tell the best one, and whether one is ahead of it."""
    total = int((verdict.others["kind"] != "control").sum())
    if not total:
        return ""
    text = ""
    if ahead := verdict.cells_ahead:
        are = "is" if ahead == 1 else "are"
        text = f"{plural(ahead, 'other cell')} {are} better on the images that both have. "
    of = f"{verdict.open_cells} of the {plural(total, 'other cell')}"
    if verdict.open_cells:
        return f"{text}The data cannot tell it from {of}."
    return text.strip() if ahead else f"The data tell it from every other cell ({total})."


def _chosen_again(verdict: Verdict) -> str:
    """Say how often resamples of the images choose the same cell, and which they choose else."""
    if isinstance(verdict.shares, Undefined) or len(verdict.shares) < 2:
        return ""
    shares = verdict.shares.to_dict("records")
    mine = next(row for row in shares if verdict.is_best(row))
    rival = next(row for row in shares if not verdict.is_best(row))
    text = f"Resamples of these images choose it again in {percent(mine['share'])} of draws"
    if not rival["share"]:
        return f"{text}."
    name = cell_name(rival["layer"], rival["method"])
    return f"{text}, and {name} in {percent(rival['share'])}."


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


def _against_usual(verdict: Verdict, usual: tuple[str | None, str]) -> str:
    """Write what the best cell gains over Grad-CAM at the last layer, on the same images."""
    layer, method = usual
    row = verdict.other(layer, method) if layer else None
    if row is None or pd.isna(row["difference"]):
        return ""
    name = f"{method} at the last layer, the usual choice"
    known = [row[key] for key in ("difference", "low", "high") if not pd.isna(row[key])]
    if max(map(abs, known)) <= verdict.slack:
        return f"It equals {name}, on each image."
    text = f"Minus {name}: {signed(-row['difference'])}"
    if pd.isna(row["low"]):
        return f"{text}."
    text += f" {interval(-row['high'], -row['low'], sign=True)} on {plural(row['pairs'], 'image')}"
    return f"{text}; {verdict.change(row) or 'not shown to be better'} than that."


def _cost(folder: Folder, verdicts: list[Verdict], model: str) -> str:
    """Say what the best cell and the whole range cost beside the forward pass."""
    cost = folder.cost[folder.cost["model"] == model]
    cost = cost[cost["batch_size"] == cost["batch_size"].min()]
    floor = cost[cost["method"] == "forward"]
    cells = cost[(cost["layer"] != "") & cost["median_ms_per_image"].notna()]
    if floor.empty or cells.empty:
        return ""
    ms = float(floor["median_ms_per_image"].iloc[0])
    low, high = (ratio(cells["ratio_to_forward"].agg(how)) for how in ("min", "max"))
    text = (
        f"At batch size {int(floor['batch_size'].iloc[0])} the compiled forward pass takes "
        f"{milliseconds(ms)} ms an image; a heatmap takes {low} to {high} times that"
    )
    for verdict in verdicts[:1]:
        mine = (cells["layer"] == verdict.best["layer"]) & (
            cells["method"] == verdict.best["method"]
        )
        if mine.any():
            row = cells[mine].iloc[0]
            time = f"{milliseconds(row['median_ms_per_image'])} ms"
            text += f", the best by {verdict.label} {ratio(row['ratio_to_forward'])} times ({time})"
    return f"{text}."
