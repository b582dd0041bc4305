"""What every sanity check returns: similarities by image, their curves, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.intervals import bootstrap_interval
from gradcam_eval.protocols.sanity import DEFAULT, SanityProtocol
from gradcam_eval.sanity.rules import find_rules

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_IMAGES = 3


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """Similarities of a model's heatmaps and those that should differ from them.

    Attributes
    ----------
    name : which check
    frame : a row for each layer, method, step, image and measure: status ("value" or "undefined"),
        value, reason
    floors : the same for the trained model's heatmap and the random control, with `draw` for
        `step`: how alike unrelated maps are by chance
    steps : what was changed: step, changed (its name), layers (how many), weights_changed,
        images_changed (of how many images the model's answer changed)
    pairs : as `floors`, of the heatmaps of two models randomised independently of each other: what
        the architecture alone makes alike; empty where a check has none
    seed : of the draws and of the bootstrap
    protocol : the name of the one by which it was measured
    targets : the class that is explained of the model as it is, by image
    """

    name: str
    frame: pd.DataFrame
    floors: pd.DataFrame
    steps: pd.DataFrame
    pairs: pd.DataFrame
    seed: int = 0
    protocol: str = DEFAULT
    targets: tuple[int, ...] = ()

    @property
    def rules(self) -> SanityProtocol:
        """The protocol by which it was measured."""
        return find_rules(self.protocol)

    def curves(self, measure: str | None = None) -> pd.DataFrame:
        """Return mean, 95 % bootstrap interval and n over images, by layer, method and step.

        `measure` is one of the protocol's; by default its first.
        """
        rows = self.frame[self.frame["measure"] == self.rules.measure(measure)]
        grouped = rows.groupby(["layer", "method", "step"], sort=False)
        found = [
            {
                **dict(zip(("layer", "method", "step"), key, strict=True)),
                "undefined": int((each["status"] == "undefined").sum()),
                **self._mean(each.loc[each["status"] == "value", "value"].to_numpy(float)),
            }
            for key, each in grouped
        ]
        return pd.DataFrame(found)

    def verdict(self, measure: str | None = None, *, limit: float | None = None) -> pd.DataFrame:
        """Say of each layer and method whether its heatmaps depend on what was changed.

        By image, ``share = (s − floor) / (1 − floor)``: s is the similarity after the last step,
        the floor that of the same heatmap to random controls; 0 is no more alike than chance, 1 is
        the same heatmap. A method passes where the upper end of the 95 % bootstrap interval of the
        mean share lies below the limit, and fails where the lower end lies above it; it is
        undecided otherwise, or with fewer than 3 images.

        Parameters
        ----------
        measure : of similarity, one of the protocol's; by default its first
        limit : of the share; by default the protocol's, 0.5: halfway between chance and sameness

        Returns
        -------
        DataFrame with a row for each layer and method: verdict, n, undefined, similarity, floor,
        pair (similarity of two independently randomised models' heatmaps), share, low, high;
        numbers that do not exist are NaN

        Notes
        -----
        A high `pair` says that a fixed pattern comes from the architecture (a border, say), and a
        pair of 1 that the method does not look at the weights. The paper gives curves and no rule:
        the rule is ours.
        """
        chosen = self.rules.measure(measure)
        bound = self.rules.limit if limit is None else limit
        if not 0 < bound < 1:
            raise InputError(f"limit is {bound}: wanted between 0 and 1")
        if self.frame.empty:
            return pd.DataFrame()
        last = self.frame[self.frame["step"] == self.frame["step"].max()]
        last = last[last["measure"] == chosen]
        return pd.DataFrame(
            [
                {"layer": key[0], "method": key[1], **self._judged(key, each, chosen, bound)}
                for key, each in last.groupby(["layer", "method"], sort=False)
            ]
        )

    def figure(self, measure: str | None = None) -> Figure:
        """Draw the curves; see `report.sanity_plot`."""
        from gradcam_eval.report.sanity_plot import similarity_figure

        chosen = self.rules.measure(measure)
        floors = self.floors[self.floors["measure"] == chosen]
        title = f"{self.name}, protocol {self.protocol}"
        return similarity_figure(
            self.curves(chosen), self.steps, chosen, title, floor=floors["value"].mean()
        )

    def _judged(self, key: Any, rows: pd.DataFrame, measure: str, limit: float) -> dict[str, Any]:
        values = rows[rows["status"] == "value"].set_index("image")["value"].astype(float)
        floors = _by_image(self.floors, key, measure)
        both = values.index.intersection(floors.index)
        found = self._mean(((values[both] - floors[both]) / (1 - floors[both])).to_numpy(float))
        return {
            "verdict": _word(found, limit),
            "n": found["n"],
            "undefined": len(rows) - len(values),
            "similarity": values[both].mean(),
            "floor": floors[both].mean(),
            "pair": _by_image(self.pairs, key, measure).mean(),
            "share": found["mean"],
            "low": found["low"],
            "high": found["high"],
        }

    def _mean(self, values: NDArray[np.float64]) -> dict[str, Any]:
        if not len(values):
            return {"n": 0, "mean": np.nan, "low": np.nan, "high": np.nan}
        low, high = bootstrap_interval(values[:, None], seed=self.seed)[:, 0]
        return {"n": len(values), "mean": values.mean(), "low": low, "high": high}


def _word(found: dict[str, Any], limit: float) -> str:
    if found["n"] < FEWEST_IMAGES:
        return "undecided"
    if found["high"] < limit:
        return "passes"
    return "fails" if found["low"] > limit else "undecided"


def _by_image(frame: pd.DataFrame, key: Any, measure: str) -> pd.Series:
    """Return each image's mean of a cell's values."""
    if frame.empty:
        return pd.Series(dtype=float)
    is_wanted = (frame["layer"] == key[0]) & (frame["method"] == key[1])
    rows = frame[is_wanted & (frame["measure"] == measure) & (frame["status"] == "value")]
    return rows.groupby("image")["value"].mean()
