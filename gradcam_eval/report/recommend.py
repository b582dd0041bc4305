"""What to use: the first sentence of a report, and whether there is anything to recommend."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from gradcam_eval.core import Undefined
from gradcam_eval.records import Cell
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import cell_name, milliseconds, number, plural
from gradcam_eval.report.verdict import Verdict, verdicts_of
from gradcam_eval.statistics.power import images_for, round_up

_FALLBACK = "use Grad-CAM at the last layer"


@dataclass(frozen=True)
class Recommendation:
    """What a study recommends for one model.

    Attributes
    ----------
    model : its name
    cell : (model, layer, method), or None
    sentence : the recommendation in words, with its reason
    more_images : about how many more could show what is missing, where that can be said
    """

    model: str
    cell: Cell | None
    sentence: str
    more_images: int | None = None


def recommend(folder: Folder, model: str, verdicts: list[Verdict] | None = None) -> Recommendation:
    """Recommend a cell that the primary metric shows to beat every layer-free control, or none.

    Of the best set's cells that do, and that no other metric excludes from its own best set, the
    cheapest by measured latency at the smallest batch; without a cost stage the best mean.
    """
    verdicts = verdicts_of(folder, model) if verdicts is None else verdicts
    primary = next((each for each in verdicts if each.is_primary), None)
    if primary is None:
        return _none(model, "the primary metric has no value")
    if not primary.is_tested:
        few = plural(primary.selection.units, "independent image")
        return _none(model, f"{few} cannot support a claim")
    if not primary.controls:
        return _none(model, "the study has no layer-free control to beat")
    beaten = primary.beat_all(primary.controls)
    able = [cell for cell in primary.members if cell in beaten]
    if not able:
        return _missing(model, primary)
    kept = [cell for cell in able if not any(_excludes(each, cell) for each in verdicts)]
    if not kept:
        return _none(model, "another metric shows each cell that beats the controls to be worse")
    cell, why = _cheapest(folder, kept)
    among = f"{plural(len(kept), 'cell')} that" if len(kept) > 1 else "it"
    verb = "are" if len(kept) > 1 else "is"
    text = (
        f"Use {cell_name(*cell[1:])}: {why}{among} {verb} in the best set and better than every "
        f"layer-free control by {primary.label} ({plural(primary.images, 'image')})."
    )
    return Recommendation(model, cell, text)


def _excludes(verdict: Verdict, cell: Cell) -> bool:
    """Whether another metric shows a cell to be worse than its best."""
    return not verdict.is_primary and cell in verdict.values[2] and cell not in verdict.members


def _cheapest(folder: Folder, cells: list[Cell]) -> tuple[Cell, str]:
    """Return the cheapest cell and how its cost is said, or the best where cost is unknown."""
    if len(cells) == 1:
        return cells[0], ""
    cost = folder.cost[folder.cost["model"] == cells[0][0]]
    cost = cost[cost["batch_size"] == cost["batch_size"].min()]
    times = {
        (row["model"], row["layer"], row["method"]): row["median_ms_per_image"]
        for row in cost.to_dict("records")
        if not pd.isna(row["median_ms_per_image"])
    }
    known = [cell for cell in cells if cell in times]
    if not known:
        return cells[0], "the best mean (cost was not measured) of "
    cell = min(known, key=lambda each: times[each])
    return cell, f"the cheapest ({milliseconds(times[cell])} ms an image) of "


def _missing(model: str, verdict: Verdict) -> Recommendation:
    """Say that no cell beats every control, and how many images could show the gap there is."""
    size, gap = verdict.images, 0.0
    most = 0
    for control in verdict.controls:
        family = verdict.family_against(control)
        if isinstance(family, Undefined) or verdict.best in verdict.shown(control):
            continue
        at = verdict.values[2].index(verdict.best)
        seen = float(family.difference[at])
        if seen <= 0:
            return _none(model, f"by {verdict.label} {control[2]} is as good as the best cell")
        counts = images_for(seen, family)
        if isinstance(counts, Undefined):
            near = f"the best cell and {control[2]} differ by less than the curves' tolerance"
            return _none(model, f"by {verdict.label} {near}")
        needed = int(counts[at])
        if needed > most:
            most, gap = needed, seen
    reason = f"no cell is shown to beat every layer-free control by {verdict.label}"
    if most <= size:
        return _none(model, reason)
    more = round_up(most - size)
    text = f"About {more} more images could show a difference of {number(gap)}."
    return _none(model, reason, text, more)


def _none(model: str, why: str, more: str = "", images: int | None = None) -> Recommendation:
    sentence = f"No recommendation: {why}; {_FALLBACK}. {more}".strip()
    return Recommendation(model, None, sentence, images)
