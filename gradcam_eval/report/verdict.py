"""What the data show about the cells of one model by one metric: tests first, then sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.aggregates import MEAN
from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values
from gradcam_eval.records import Cell
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import cell_name, metric_label
from gradcam_eval.statistics.design import Alternative, Design
from gradcam_eval.statistics.families import Family, simultaneous
from gradcam_eval.statistics.frames import Scores, scores_of
from gradcam_eval.statistics.selection import Selection
from gradcam_eval.statistics.tables import compare_scores, selection_table
from gradcam_eval.statistics.units import FEWEST, clustered_interval
from gradcam_eval.statistics.winner import Winner, choose_winner, reselection

KNOWS_TRUTH = "oracle"  # a control that no heatmap need beat


@dataclass(frozen=True, eq=False)
class Verdict:
    """The tests of one model by one metric.

    Attributes
    ----------
    metric : of the study: name, protocol, higher_is_better
    label : the metric's name, with its protocol where the study has several of it
    is_primary : whether its claims are the study's; those of others are exploratory
    scores : of all cells and controls
    selection, table : the best set; a row for each competing cell, the best mean first
    usual : Grad-CAM at the last layer
    """

    metric: dict[str, Any]
    label: str
    is_primary: bool
    scores: Scores
    selection: Selection
    table: pd.DataFrame
    usual: Cell | None = None
    choose: str = "auto"
    _families: dict[Any, Any] = field(default_factory=dict)

    @property
    def best(self) -> Cell:
        """The cell with the best mean on the images that all share."""
        return self.cell_of(self.table.iloc[0])

    @property
    def name(self) -> str:
        """The best cell's name."""
        return cell_name(*self.best[1:])

    @property
    def images(self) -> int:
        """How many images all competing cells share."""
        return int(self.table["images"].iloc[0])

    @property
    def members(self) -> list[Cell]:
        """The cells in the best set, the best mean first."""
        return [self.cell_of(row) for _, row in self.table[self.table["is_in"]].iterrows()]

    @property
    def is_tested(self) -> bool:
        """Whether there are enough independent images for any claim."""
        return self.selection.units >= FEWEST

    @property
    def has_winner(self) -> bool:
        """Whether one cell is shown to be the best of several."""
        return self.is_tested and len(self.table) > 1 and len(self.members) == 1

    @property
    def widest(self) -> float:
        """The largest difference that the metric can have; infinite where that is not declared."""
        return self.scores.estimator.widest

    @property
    def controls(self) -> list[Cell]:
        """The controls that look at no layer and know no truth."""
        return [cell for cell in self.scores.controls if cell[2] != KNOWS_TRUTH]

    def against(self, reference: Cell, alternative: Alternative = "better") -> pd.DataFrame:
        """Compare all competing cells with a reference, in a family of their own."""
        key = reference, alternative
        if key not in self._families:
            scores = replace(self.scores, design=self.scores.design.towards(alternative))
            cells = [self.cell_of(row) for _, row in self.table.iterrows()]
            self._families[key] = compare_scores(scores, [reference], cells=cells)
        table: pd.DataFrame = self._families[key]
        return table

    def shown(self, reference: Cell, alternative: Alternative = "better") -> set[Cell]:
        """Return the cells that are shown to be better (or worse) than a reference."""
        found = self.against(reference, alternative)
        return {self.cell_of(row) for _, row in found[found["is_shown"]].iterrows()}

    def beat_all(self, references: Iterable[Cell]) -> set[Cell]:
        """Return the cells that are shown to be better than each reference."""
        sets = [self.shown(reference) for reference in references]
        return set.intersection(*sets) if sets else set()

    def on(self, samples: set[str]) -> Verdict | None:
        """Return the same metric's tests on some of the images, None where none has values."""
        parts = self.scores.parts
        scores = replace(self.scores, parts=parts[parts.index.isin(samples)])
        if not scores.competing():
            return None
        selection, table = selection_table(scores)
        found = replace(self, scores=scores, selection=selection, table=table, _families={})
        return found if found.images else None

    @cached_property
    def values(self) -> tuple[Values, list[str], list[Cell]]:
        """The shared scores of the competing cells, larger = better, the images, the cells."""
        cells = [self.cell_of(row) for _, row in self.table.iterrows()]
        return (*self.scores.shared(cells), cells)

    @cached_property
    def winner(self) -> tuple[Cell, Winner, tuple[float, float, float]]:
        """The best cell, how it was chosen, and its own value with its interval."""
        values, samples, cells = self.values
        units = self.scores.units(samples)
        found = choose_winner(
            values,
            units=units,
            choose=self.choose,  # type: ignore[arg-type]
            seed=self.scores.design.seed,
        )
        own = self.scores.sign * values[found.images, found.cell]
        rule = replace(self.scores.estimator, aggregate=MEAN)  # the shares are computed already
        mean, low, high = rule.single([own])[0].tolist()
        if self.scores.clusters:
            ends = clustered_interval(
                own, units[found.images], is_hits=rule.is_hits, level=rule.level
            )
            ((low, high),) = rule.within(np.array([mean]), np.array([ends])).tolist()
        return cells[found.cell], found, (mean, low, high)

    @cached_property
    def reselection(self) -> tuple[float, float]:
        """How often two halves choose the same cell, and how often if all were equal."""
        values, samples, _ = self.values
        units = self.scores.units(samples)
        return reselection(values, units=units, seed=self.scores.design.seed)

    def family_against(self, reference: Cell) -> Family | Undefined:
        """Return the family of `against` with its errors and quantile, for power."""
        key = reference, "family"
        if key not in self._families:
            gains, samples = self.scores.differences(self.values[2], reference)
            units, hits = self.scores.units(samples), self.scores.is_hits
            self._families[key] = simultaneous(
                gains, units=units, is_hits=hits, design=self.scores.design
            )
        family: Family | Undefined = self._families[key]
        return family

    @cached_property
    def failure(self) -> str:
        """Say what shows that the metric does not work on these images; "" where nothing does.

        A layer-free control is significantly better than every cell, or than the drawn truth.
        """
        if not self.is_tested:
            return ""
        for control in self.controls:
            if len(self.shown(control, "worse")) == len(self.table):
                return f"the control {control[2]} is shown to be better than every cell"
        if self.oracle is None:
            return ""
        found = self._beside(self.controls, self.oracle)
        names = found[found["is_shown"]]["method"].tolist()
        than = "is shown to be better than the drawn truth"
        return f"the control {names[0]} {than}" if names else ""

    @cached_property
    def works(self) -> bool:
        """Whether the drawn truth is shown to be better than random."""
        random = [cell for cell in self.controls if cell[2] == "random"]
        if self.failure or self.oracle is None or not random or not self.is_tested:
            return False
        return bool(self._beside([self.oracle], random[0])["is_shown"].all())

    @property
    def oracle(self) -> Cell | None:
        """The control that knows the drawn truth."""
        return next((each for each in self.scores.controls if each[2] == KNOWS_TRUTH), None)

    def _beside(self, cells: list[Cell], reference: Cell) -> pd.DataFrame:
        """Test controls against another one, as a family."""
        scores = replace(self.scores, design=self.scores.design.towards("better"))
        return compare_scores(scores, [reference], cells=cells)

    @staticmethod
    def cell_of(row: Any) -> Cell:
        """Return the cell of a row."""
        return str(row["model"]), str(row["layer"]), str(row["method"])


def verdicts_of(folder: Folder, model: str, *, metric: str | None = None) -> list[Verdict]:
    """Return a verdict for each metric with values, the primary one first.

    Parameters
    ----------
    metric : the name of the only one wanted, under all its protocols
    """
    metrics = folder.study["metrics"]
    primary = primary_metric(folder)
    last = folder.last_layer(model)
    found = []
    for each in sorted(metrics, key=lambda each: each is not primary):
        if metric not in (None, each["name"]):
            continue
        scores = scores_by(folder, model, each)
        if scores is None or not scores.competing():
            continue
        selection, table = selection_table(scores)
        usual = (model, last or "", "grad_cam")
        verdict = Verdict(
            metric=each,
            label=metric_label(each["name"], each["protocol"], metrics),
            is_primary=each is primary,
            scores=scores,
            selection=selection,
            table=table,
            usual=usual if usual in scores.cells else None,
            choose=folder.analysis.choose,
        )
        if verdict.images:
            found.append(verdict)
    return found


def references_of(folder: Folder, verdict: Verdict) -> list[Cell]:
    """Return the references that the study declares and this metric has values for."""
    model = verdict.best[0]
    found: list[Cell | None] = []
    for name in folder.analysis.references:
        layer, _, method = name.rpartition(":")
        if name == "controls":
            found += verdict.controls
        elif layer == "last":
            found.append((model, folder.last_layer(model) or "", method))
        else:
            found.append((model, layer, method))
    return [cell for cell in dict.fromkeys(found) if cell in verdict.scores.kinds]


def primary_metric(folder: Folder) -> dict[str, Any]:
    """Return the metric by which the study makes its claims."""
    metrics = folder.study["metrics"]
    named = [each for each in metrics if each["name"] == folder.analysis.metric]
    chosen: dict[str, Any] = (named or metrics)[0]
    return chosen


def design_of(folder: Folder) -> Design:
    """Return how the study's claims are tested."""
    return Design(level=folder.analysis.level, cluster=folder.clusters, seed=folder.seed)


def scores_by(folder: Folder, model: str, metric: dict[str, Any]) -> Scores | None:
    """Return the scores of one model by one metric, or None where it has no record."""
    records = folder.records
    mine = (records["model"] == model) & (records["metric"] == metric["name"])
    records = records[mine & (records["protocol"] == metric["protocol"])]
    if records.empty:
        return None
    return scores_of(
        records,
        metric=metric["name"],
        higher_is_better=bool(metric["higher_is_better"]),
        design=design_of(folder),
    )
