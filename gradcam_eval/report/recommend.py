"""What to use: the first sentence of a report, and whether there is anything to recommend."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradcam_eval.core import Undefined
from gradcam_eval.records import Cell
from gradcam_eval.report.folder import Folder, Latency
from gradcam_eval.report.text import cell_name, milliseconds, number, plural
from gradcam_eval.report.verdict import Verdict, verdicts_of
from gradcam_eval.statistics.power import images_for, round_up

_FALLBACK = "use Grad-CAM at the last layer"
_MARGIN = (
    0.25  # of the least cost: two runs of the quickstart differ by 9 to 31 % at its last layer
)


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
    cheapest. First by latency at the smallest batch size: cells tie with the fastest whose time
    beside the forward pass is at most 25 % longer, or whose quartiles overlap. Then (and without a
    cost stage) by the fewest model calls, forward and backward passes; then the best mean by the
    primary metric, which is the same whenever a report is made of the same records. Nothing is
    chosen by a metric that fails on these images, and such a metric excludes nothing.
    """
    verdicts = verdicts_of(folder, model) if verdicts is None else verdicts
    primary = next((each for each in verdicts if each.is_primary), None)
    if primary is None:
        return _none(model, "the primary metric has no value")
    if why := _unusable(primary):
        return _none(model, why)
    beaten = primary.beat_all(primary.controls)
    able = [cell for cell in primary.members if cell in beaten]
    if not able:
        return _missing(model, primary, beaten)
    kept = [cell for cell in able if not any(_excludes(each, cell) for each in verdicts)]
    if not kept:
        return _none(
            model,
            f"each cell of the best set that is shown to beat the controls by {primary.label} is "
            "shown to be worse than the best by another metric",
        )
    cell, why = _cheapest(folder, kept)
    by = f"by {primary.label} ({plural(primary.images, 'image')})"
    which = f"{len(kept)} cells are" if len(kept) > 1 else "it is"
    text = (
        f"Use {cell_name(*cell[1:])}: {by} {which} in the best set and shown to be better than "
        f"every layer-free control{why}."
    )
    return Recommendation(model, cell, text)


def _unusable(verdict: Verdict) -> str:
    """Say why nothing can be chosen by a metric, "" where something can."""
    if not verdict.is_tested:
        few = plural(verdict.selection.units, "independent image")
        return f"{few} cannot support a claim"
    if not verdict.controls:
        return "the study has no layer-free control to beat"
    return f"{verdict.label} fails here, since {verdict.failure}" if verdict.failure else ""


def _excludes(verdict: Verdict, cell: Cell) -> bool:
    """Whether another metric that does not fail here shows a cell to be worse than its best."""
    if verdict.is_primary or verdict.failure:
        return False
    return cell in verdict.values[2] and cell not in verdict.members


def _cheapest(folder: Folder, cells: list[Cell]) -> tuple[Cell, str]:
    """Return the cheapest of cells, the best mean first, and how that is said."""
    if len(cells) == 1:
        return cells[0], ""
    told = ""
    times = {cell: each for cell, each in folder.latencies(cells[0][0]).items() if cell in cells}
    if times:
        cells, fastest = _fastest(cells, times)
        took = f"({milliseconds(fastest)} ms an image)"
        if len(cells) == 1:
            return cells[0], f"; it is the cheapest of them {took}"
        told = f"; {len(cells)} of them take as long as the fastest {took}, as far as was measured"
    calls = {cell: folder.model_calls[cell] for cell in cells if cell in folder.model_calls}
    if calls:
        fewest = min(map(sum, calls.values()))
        cells = [cell for cell in cells if cell in calls and sum(calls[cell]) == fewest]
        passes = "forward passes: {}, backward passes: {}".format(*calls[cells[0]])
        told += f"; it needs the fewest model calls of {'these' if told else 'them'} ({passes}"
        tie = f"; of the {len(cells)} that need so few it has the best mean"
        return cells[0], f"{told}{tie if len(cells) > 1 else ''})"
    if told:
        return cells[0], f"{told}; of these it has the best mean"
    return cells[0], "; it has the best mean of them (what they cost is unknown)"


def _fastest(cells: list[Cell], times: dict[Cell, Latency]) -> tuple[list[Cell], float]:
    """Return the cells that are not measurably slower than the fastest, and its ms an image.

    Times of one cell vary with what else the machine does, from one cell to the next and from run
    to run. So the fastest cell has the least ratio to the forward pass that was timed in turns with
    it (the least time where one cell has no ratio), and a cell is slower only if that is larger by
    more than `_MARGIN` and the quartiles of its times lie above those of the fastest.
    """
    has_ratio = not any(math.isnan(each.ratio) for each in times.values())
    cost = {cell: each.ratio if has_ratio else each.median for cell, each in times.items()}
    first = min(cost, key=cost.__getitem__)
    near, latest = (1 + _MARGIN) * cost[first], times[first].high
    tied = [
        cell for cell in cells if cell in cost and (cost[cell] <= near or times[cell].low <= latest)
    ]
    return tied, times[first].median


def _missing(model: str, verdict: Verdict, beaten: set[Cell]) -> Recommendation:
    """Say that no cell beats every control, and how many images could show the gap there is."""
    if beaten:
        are = f"the cells that are shown to beat every layer-free control by {verdict.label} are"
        return _none(model, f"{are} not in its best set")
    size, gap, most, to = verdict.images, 0.0, 0, ""
    for control in verdict.controls:
        family = verdict.family_against(control)
        if isinstance(family, Undefined) or verdict.best in verdict.shown(control):
            continue
        at = verdict.values[2].index(verdict.best)
        seen = float(family.difference[at])
        if seen <= 0:
            return _none(model, f"by {verdict.label} {control[2]} has as good a mean as any cell")
        needed = images_for(seen, family)
        if isinstance(needed, Undefined):
            near = f"the best mean is nearer to that of {control[2]} than the curves' tolerance"
            return _none(model, f"by {verdict.label} {near}")
        if needed[at] > most:
            most, gap, to = int(needed[at]), seen, control[2]
    reason = f"no cell is shown to beat every layer-free control by {verdict.label}"
    if most <= size:
        return _none(model, reason)
    more = round_up(most - size)
    text = f"About {more} more images could show a difference of {number(gap)} to {to}."
    return _none(model, reason, text, more)


def _none(model: str, why: str, more: str = "", images: int | None = None) -> Recommendation:
    sentence = f"No recommendation: {why}; {_FALLBACK}. {more}".strip()
    return Recommendation(model, None, sentence, images)
