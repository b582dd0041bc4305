"""What one metric shows, in sentences: the best set, the references, how sure the choice is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.core import Undefined
from gradcam_eval.records import Cell
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.power_text import shown_against, shown_between
from gradcam_eval.report.text import (
    cell_name,
    confidence,
    direction,
    interval,
    number,
    percent,
    plural,
    signed,
)
from gradcam_eval.report.verdict import Verdict, references_of
from gradcam_eval.statistics.power import equivalence
from gradcam_eval.statistics.units import FEWEST

_MOST_NAMED = 3


@dataclass(frozen=True)
class Sentence:
    """A sentence of the answer; its `lead` stands out, its `points` follow one by one."""

    text: str
    lead: str = ""
    points: tuple[str, ...] = ()


def sentence_of(folder: Folder, verdict: Verdict) -> Sentence:
    """Say what one metric shows."""
    points = [_against(folder, verdict, reference) for reference in references_of(folder, verdict)]
    if not verdict.controls:
        points.append("There is no layer-free control to compare the cells with.")
    points += [
        _equivalent(folder, verdict),
        works(verdict),
        _chosen_again(verdict),
        shown_between(verdict),
    ]
    return Sentence(_winner(verdict), _best_set(verdict), tuple(filter(None, points)))


def _best_set(verdict: Verdict) -> str:
    """Name the best set, or say why there is none."""
    by = f"By {verdict.label}" + ("" if verdict.is_primary else " (exploratory)")
    count, members = len(verdict.table), verdict.members
    if count == 1:
        return f"By {verdict.label}, {verdict.name} is the only cell:"
    if not verdict.is_tested:
        few = plural(verdict.selection.units, "independent image")
        return f"{by}, {few} cannot tell cells apart (a claim needs {FEWEST}):"
    if len(members) == count:
        return f"{by}, the data cannot tell any of the {count} cells from the best one:"
    if len(members) == 1:
        return f"{by}, {cell_name(*members[0][1:])} is the best of {count} cells:"
    return f"{by}, {len(members)} of {count} cells are in the best set ({_names(members)}):"


def _names(cells: list[Cell]) -> str:
    names = [cell_name(*cell[1:]) for cell in cells[:_MOST_NAMED]]
    more = len(cells) - _MOST_NAMED
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _winner(verdict: Verdict) -> str:
    """Give the winner's own number, from images that did not choose it where there are enough."""
    cell, found, (mean, low, high) = verdict.winner
    name, metric = cell_name(*cell[1:]), verdict.metric
    how = f"({metric['protocol']}, {direction(metric['higher_is_better'])})"
    count = plural(int(found.images.sum()), "image")
    if len(verdict.table) == 1:
        return f"{number(mean)} {interval(low, high)} on {count} {how}.".replace("  ", " ")
    if found.is_split:
        return (
            f"one half of the images chooses {name}; on the other half its value is "
            f"{number(mean)} {interval(low, high)} on {count} {how}."
        ).replace("  ", " ")
    return (
        f"the best mean on {count} is {number(mean)}, of {name} {how}; it is optimistic, because "
        "the same images chose the cell."
    )


def _against(folder: Folder, verdict: Verdict, reference: Cell) -> str:
    """Say which cells are shown to be better than one reference."""
    label = reference_name(folder, reference)
    found = verdict.against(reference)
    if found.empty or not verdict.is_tested or found["p"].isna().all():
        return ""
    shown = found[found["is_shown"]]
    if shown.empty:
        text = f"No cell is shown to be better than {label} (all cells tested at once)."
        return f"{text} {shown_against(verdict, reference)}".strip()
    order = {cell[1:]: at for at, cell in enumerate(verdict.members)}
    keys = [order.get(key, len(order)) for key in zip(shown["layer"], shown["method"], strict=True)]
    row: dict[Any, Any] = shown.iloc[int(np.argmin(keys))].to_dict()
    name = cell_name(row["layer"], row["method"])
    count = f"{len(shown)} of {plural(len(found), 'cell')}"
    verb = "is" if len(shown) == 1 else "are"
    return (
        f"{count} {verb} shown to be better than {label}; {name} by {signed(row['difference'])}"
        f"{_bound(verdict, row)} (adjusted p {_p(row['p'])}; better on {percent(row['share'])} of "
        f"{plural(int(row['images']), 'image')})."
    )


def _bound(verdict: Verdict, row: dict[Any, Any]) -> str:
    """Write the simultaneous bound of a difference; images that all differ alike give none."""
    bound = row["low"] if pd.notna(row["low"]) else row["high"]
    if bound == row["difference"]:
        return ""
    sure = confidence(verdict.scores.design.level)
    return f", at least {signed(bound)} at {sure} for all cells at once"


def _equivalent(folder: Folder, verdict: Verdict) -> str:
    """Say which cells are equivalent to the usual one, where the study declares a margin."""
    margin = folder.analysis.smallest_difference
    if margin is None or not verdict.is_primary or verdict.usual is None:
        return ""
    gains, samples = verdict.scores.differences(verdict.values[2], verdict.usual)
    others = [at for at, cell in enumerate(verdict.values[2]) if cell != verdict.usual]
    units = verdict.scores.units(samples)
    p = equivalence(gains[:, others], margin, units=units, design=verdict.scores.design)
    if isinstance(p, Undefined) or not others:
        return ""
    count = int((p <= verdict.scores.design.level).sum())
    return (
        f"{count} of {plural(len(others), 'other cell')} {'is' if count == 1 else 'are'} shown to "
        f"differ by less than {number(margin)} from {reference_name(folder, verdict.usual)}."
    )


def reference_name(folder: Folder, reference: Cell) -> str:
    """Name a reference for a sentence."""
    model, layer, method = reference
    if layer and layer == folder.last_layer(model):
        return f"{method} at the last layer"
    return f"the control {method}" if not layer else cell_name(layer, method)


def works(verdict: Verdict) -> str:
    """Say whether the metric works on these images: it must tell the drawn truth from noise."""
    if verdict.failure:
        return f"The metric fails here: {verdict.failure}. Do not choose by it."
    if verdict.works:
        return "The metric works here: the drawn truth is shown to be better than random."
    names = {cell[2] for cell in verdict.scores.controls}
    if not verdict.is_tested or verdict.oracle is None or "random" not in names:
        return ""
    known = int(verdict.scores.parts[verdict.oracle].notna().sum())
    if not known:
        return "Whether the metric works here cannot be tested: no image has a drawn truth."
    count = plural(known, "image")
    with_truth = "" if known == verdict.images else " with a drawn truth"
    return f"Whether the metric works here is undetermined at {count}{with_truth}."


def _chosen_again(verdict: Verdict) -> str:
    """Say how often halves of the images choose the same cell, beside what equal cells give."""
    if len(verdict.table) < 2 or not verdict.is_tested:
        return ""
    rate, equal = verdict.reselection
    return (
        f"Two random halves of the images choose the same cell in {percent(rate)} of splits; equal "
        f"cells would in {percent(equal)}."
    )


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"= {value:.3f}".replace("0.", ".")
