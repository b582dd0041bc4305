"""Records of one metric as a table of scores: images × cells, larger = better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.aggregates import contributions
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.intervals import Values
from gradcam_eval.records import Cell, checked_records, estimator_of
from gradcam_eval.statistics.design import DESIGN, Design
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
    """

    parts: pd.DataFrame
    kinds: dict[Cell, str]
    sign: int
    aggregate: str
    is_hits: bool
    clusters: Mapping[str, str]
    design: Design = DESIGN
    tolerance: float = 0.0

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
        found = np.full((len(known), len(cells)), np.nan)
        for at, cell in enumerate(cells):
            both = known[cell].notna().to_numpy()
            if both.any():
                ours = self._contributions(pd.Series(known.loc[both, cell]))
                theirs = self._contributions(pd.Series(known.loc[both, reference]))
                apart = self.sign * (ours - theirs)
                slack = ROUNDING * np.maximum(np.abs(ours), np.abs(theirs))
                found[both, at] = np.where(np.abs(apart) <= slack, 0.0, apart)
        return found, [str(name) for name in known.index]

    def units(self, samples: Sequence[str]) -> NDArray[np.intp]:
        """Return the unit of each image."""
        return unit_codes(samples, self.clusters)

    @property
    def range(self) -> float:
        """The largest minus the smallest value of one image, over all cells."""
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
        no claim within twice that
    metric : its name; the records have one protocol of it
    higher_is_better : its direction
    design : its clusters and its seed

    Raises
    ------
    InputError : a column is missing, no such metric, several protocols of it, two rows for one
        image and cell, or a value that is not finite
    """
    records = checked_records(_completed(records))
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
        sign=1 if higher_is_better else -1,
        aggregate=rule.aggregate,
        is_hits=rule.is_hits,
        clusters=_clusters(chosen, design.cluster),
        design=replace(design, tolerance=max(design.tolerance, 2 * rule.tolerance)),
        tolerance=rule.tolerance,
    )


def _cell(names: Any) -> Cell:
    model, layer, method = map(str, names)
    return model, layer, method


def _completed(records: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that may be left out."""
    missing = {"layer", "sample", "value"} - set(records)
    if missing:
        return records  # `checked_records` says so
    added: dict[str, Any] = {}
    if "kind" not in records:
        added["kind"] = np.where(records["layer"] == "", "control", "cam")
    if "protocol" not in records:
        added["protocol"] = ""
    if "status" not in records:
        added["status"] = np.where(records["value"].isna(), "undefined", "value")
    return records.assign(**added)


def _clusters(records: pd.DataFrame, cluster: str | Mapping[str, str] | None) -> Mapping[str, str]:
    if cluster is None:
        return {}
    if not isinstance(cluster, str):
        return cluster
    if cluster not in records:
        raise unknown_name("column of clusters", cluster, records.columns)
    return dict(zip(records["sample"], records[cluster].astype(str), strict=True))
