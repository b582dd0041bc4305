"""Records of one metric as a table of scores: images × cells, larger = better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.aggregates import MEAN, contributions
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.intervals import ANY, Estimator, Interval, Values
from gradcam_eval.records import Cell, checked_records, estimator_of
from gradcam_eval.statistics.design import DESIGN, Design
from gradcam_eval.statistics.inputs import clusters_of, completed, is_higher
from gradcam_eval.statistics.selection import ROUNDING
from gradcam_eval.statistics.units import unit_codes

LEAST_SHARE = 0.5  # of the images: a cell with values on fewer does not compete


@dataclass(frozen=True, eq=False)
class Scores:
    """One metric's values.

    Attributes
    ----------
    parts : samples × cells (model, layer, method): a number, or an array that an aggregate takes;
        NaN where there is no value
    kinds : cell → the kind of its method, or "control"
    sign : 1 where higher is better, else −1
    aggregate : how images become one value; a key of `AGGREGATES`
    is_hits : whether all values are 0 or 1
    clusters : sample → cluster
    design : how claims are tested
    tolerance : by how much one value may be off
    bounds : the metric's range
    """

    parts: pd.DataFrame
    kinds: dict[Cell, str]
    sign: int
    aggregate: str
    is_hits: bool
    clusters: Mapping[str, str]
    design: Design = DESIGN
    tolerance: float = 0.0
    bounds: Interval = ANY

    @property
    def estimator(self) -> Estimator:
        """How the intervals of one cell are computed."""
        return Estimator(
            self.aggregate,
            self.is_hits,
            self.design.seed,
            tolerance=self.tolerance,
            level=self.design.level,
            bounds=self.bounds,
        )

    @property
    def cells(self) -> list[Cell]:
        """The cells that are no controls, in the order of the records."""
        return [cell for cell, kind in self.kinds.items() if kind != "control"]

    @property
    def controls(self) -> list[Cell]:
        """The controls."""
        return [cell for cell, kind in self.kinds.items() if kind == "control"]

    def competing(self) -> list[Cell]:
        """Return the cells that compete: those with values on half of the images or more.

        The images are those on which any cell has a value. All that compete do so on the images
        that they share.
        """
        counts = {cell: int(self.parts[cell].notna().sum()) for cell in self.cells}
        most = max(counts.values(), default=0)
        return [cell for cell, n in counts.items() if n and n >= LEAST_SHARE * most]

    def shared(self, cells: Sequence[Cell]) -> tuple[Values, list[str]]:
        """Return the scores (n, K) of cells on the images that all of them have, and the images."""
        table = self.parts[list(cells)].dropna()
        if table.empty or not len(cells):
            return np.empty((0, len(cells))), []
        columns = [self._contributions(pd.Series(table[cell])) for cell in cells]
        return self.sign * np.stack(columns, axis=1), [str(name) for name in table.index]

    def differences(self, cells: Sequence[Cell], reference: Cell) -> tuple[Values, list[str]]:
        """Return each cell minus the reference (n, K), NaN where one of both has no value.

        Differences of what float32 rounds, `ROUNDING` of the larger value, are 0.
        """
        known = self.parts[self.parts[reference].notna()]
        samples = [str(name) for name in known.index]
        if self.aggregate == MEAN:
            table = known[[*cells, reference]].to_numpy(float)
            return self._gains(table[:, :-1], table[:, -1:]), samples
        found = np.full((len(known), len(cells)), np.nan)
        for at, cell in enumerate(cells):
            both = known[cell].notna().to_numpy()
            if both.any():
                ours = self._contributions(pd.Series(known.loc[both, cell]))
                theirs = self._contributions(pd.Series(known.loc[both, reference]))
                found[both, at] = self._gains(ours, theirs)
        return found, samples

    def _gains(self, ours: Values, theirs: Values) -> Values:
        apart = self.sign * (ours - theirs)
        slack = ROUNDING * np.maximum(np.abs(ours), np.abs(theirs))
        return np.where(np.abs(apart) <= slack, 0.0, apart)

    def units(self, samples: Sequence[str]) -> NDArray[np.intp]:
        """Return the unit of each image."""
        return unit_codes(samples, self.clusters)

    @property
    def range(self) -> float:
        """The largest minus the smallest value of one image, over all cells."""
        if self.aggregate == MEAN:
            table = self.parts.to_numpy(float)
            values = table[~np.isnan(table)]
        else:
            columns = [self._contributions(self._column(cell).dropna()) for cell in self.kinds]
            values = np.concatenate(columns) if columns else np.empty(0)
        return float(np.ptp(values)) if len(values) else 0.0

    def column(self, cell: Cell) -> pd.Series:
        """Return what each image of a cell adds to its value, by sample, in the metric's unit."""
        known = self._column(cell).dropna()
        return pd.Series(self._contributions(known), index=known.index, dtype=float)

    def _column(self, cell: Cell) -> pd.Series:
        return pd.Series(self.parts[cell])

    def _contributions(self, values: pd.Series) -> Values:
        parts = np.stack(list(values)) if len(values) else np.empty(0)
        return contributions(parts.astype(float), self.aggregate, seed=self.design.seed)


def scores_of(
    records: pd.DataFrame,
    *,
    metric: str,
    higher_is_better: bool,
    design: Design = DESIGN,
) -> Scores:
    """Lay out the records of one metric.

    Parameters
    ----------
    records : columns model, layer, method, sample, metric, value; kind ("cam", or "control", by
        default where the layer is ""), protocol and status ("value" by default where there is a
        value) may be left out. `tolerance` says by how much a value may be off (0): a difference is
        no claim within twice that. `lowest` and `highest` are the metric's range, which no interval
        leaves
    metric : its name; the records have one protocol of it
    higher_is_better : its direction
    design : its clusters and its seed

    Raises
    ------
    InputError : as `inputs.completed` and `inputs.clusters_of`; no such metric, several protocols
        of it, two rows for one image and cell, a value that is not finite, or settings that are
        no `Design`
    """
    if not isinstance(design, Design):
        raise InputError(f"design = {design!r}: expected a Design, as Design(level=0.05)")
    direction = is_higher(higher_is_better)
    records = checked_records(completed(records))
    chosen = records[records["metric"] == metric]
    if chosen.empty:
        raise unknown_name("metric", metric, records["metric"].unique())
    if (names := list(chosen["protocol"].unique()))[1:]:
        raise InputError(
            f"metric {metric!r} has {len(names)} protocols in the records ({', '.join(names)}): "
            "keep the records of one of them."
        )
    rule = estimator_of(chosen)
    column = "value" if rule.aggregate == "mean" else "parts"
    keys = ["model", "layer", "method"]
    kinds = chosen.drop_duplicates(keys).set_index(keys)["kind"]
    table = chosen.pivot(index="sample", columns=keys, values=column)
    return Scores(
        parts=table[list(kinds.index)],
        kinds=dict(zip(map(_cell, kinds.index), kinds.astype(str), strict=True)),
        sign=1 if direction else -1,
        aggregate=rule.aggregate,
        is_hits=rule.is_hits,
        clusters=clusters_of(chosen, design.cluster),
        design=replace(design, tolerance=max(design.tolerance, 2 * rule.tolerance)),
        tolerance=rule.tolerance,
        bounds=rule.bounds,
    )


def _cell(names: Any) -> Cell:
    model, layer, method = map(str, names)
    return model, layer, method
