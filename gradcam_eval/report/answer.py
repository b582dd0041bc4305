"""The study's answer in plain sentences, computed from the data, with the warnings it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from gradcam_eval.intervals import wilson_interval
from gradcam_eval.report.caveats import caveats
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.recommend import recommend
from gradcam_eval.report.sentences import Sentence, sentence_of
from gradcam_eval.report.text import interval, is_yes, milliseconds, number, plural, ratio
from gradcam_eval.report.verdict import Verdict, verdicts_of

Winners: TypeAlias = dict[tuple[str, str], tuple[str, str]]  # metric, protocol → layer, method


@dataclass(frozen=True)
class Answer:
    """What a reader should take home about one model."""

    model: str
    sentences: list[Sentence]
    warnings: list[str]
    best: tuple[str, str] | None  # layer and method with the best mean by the primary metric
    winners: Winners  # the cell that a metric shows to be the best of several
    verdicts: list[Verdict]  # of each metric with a value, the primary one first

    def best_set(self, metric: dict[str, Any]) -> list[tuple[str, str]]:
        """Return layer and method of a metric's best set; none where nothing was tested."""
        for each in self.verdicts:
            if each.metric is metric and each.is_tested and len(each.table) > 1:
                return [cell[1:] for cell in each.members]
        return []


def answer(folder: Folder, summary: pd.DataFrame, model: str) -> Answer:
    """Answer the study's question for one model.

    Parameters
    ----------
    folder : the results
    summary : of `stats.summarise`, all models
    model : its name
    """
    summary = summary[summary["model"] == model]
    verdicts = verdicts_of(folder, model)
    advice = recommend(folder, model, verdicts)
    sentences = [Sentence(advice.sentence), Sentence(_scope(folder, summary, model))]
    sentences += [sentence_of(folder, verdict) for verdict in verdicts]
    if not verdicts:
        sentences.append(Sentence("No metric has a value for any cell: there is no best one."))
    if cost := _cost(folder, verdicts, model):
        sentences.append(Sentence(cost))
    best = verdicts[0].best[1:] if verdicts else None
    warnings = caveats(folder, verdicts, model=model)
    winners = {
        (each.metric["name"], each.metric["protocol"]): each.members[0][1:]
        for each in verdicts
        if each.has_winner
    }
    return Answer(model, sentences, warnings, best, winners, verdicts)


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
    what = "record" if folder.has_every_label else "image"
    text = f"{plural(count, what)}, {plural(cells, 'cell')} ({of})."
    if output := folder.output(model):
        text += f" The model returns {output}."
    known = folder.labelled(model)
    if len(known):
        hits = sum(is_yes(hit) for hit in known["hit_top1"])
        ends = wilson_interval(hits, len(known), level=folder.analysis.level)
        share = f"{number(hits / len(known))} {interval(*ends)}"
        text += f" The model's first answer is right on {hits} of {len(known)} labelled images"
        text += f" ({share})."
    return text


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
        mine = (cells["layer"] == verdict.best[1]) & (cells["method"] == verdict.best[2])
        if mine.any():
            row = cells[mine].iloc[0]
            time = f"{milliseconds(row['median_ms_per_image'])} ms"
            times = ratio(row["ratio_to_forward"])
            text += f", the best mean by {verdict.label} {times} times ({time})"
    return f"{text}."
