"""What every sanity check returns: similarities by image, their curves, and a conclusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradcam_eval.protocols.sanity import DEFAULT, SanityProtocol
from gradcam_eval.sanity.complexity import relative_rises
from gradcam_eval.sanity.conclusion import (
    FAILS,
    FEWEST_IMAGES,
    NOT_CALIBRATED,
    PASSES,
    UNDECIDED,
    Similarities,
    conclude,
    estimate,
)
from gradcam_eval.sanity.rules import find_rules

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = ["layer", "method"]
_NO_LIMITS = "no limits were calibrated for this check: no pass or fail is given"


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """Similarities of a model's heatmaps and those that should differ from them.

    The controls are cells of layer "": `noise`, which the model's score seeds, `edges` of the image
    and the `image` itself.

    Attributes
    ----------
    name : which check
    frame : a row for each layer, method, step, image and measure: status ("value" or "undefined"),
        value, reason
    chance : as `frame`, of heatmaps that have nothing to do with each other: those of differently
        randomised models, `step` being the pair; in checks without such, of the heatmap and noise
    repeats : as `frame`, of the model's heatmap and its own with a little noise on the image
    steps : what was changed: step, changed (its name), layers (how many), weights_changed,
        images_changed (of how many images the model's answer changed)
    output_step : the step that replaced the output layer alone; None where there is none
    needs_output : whether a method passes only where there is such a step
    is_calibrated : whether the protocol's limits were calibrated for this check; without that its
        numbers stand, and the conclusion is "not calibrated"
    entropies : layer, method, image, model ("trained" or "randomised"), draw, entropy, reason;
        empty where a check has no randomised models
    seed : of the draws and of the bootstrap
    protocol : the name of the one by which it was measured
    targets : the class that is explained of the model as it is, by image
    """

    name: str
    frame: pd.DataFrame
    chance: pd.DataFrame
    repeats: pd.DataFrame
    steps: pd.DataFrame
    output_step: int | None = None
    needs_output: bool = False
    is_calibrated: bool = True
    entropies: pd.DataFrame = field(default_factory=pd.DataFrame)
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
        return pd.DataFrame(self._curve_rows(rows))

    def conclusions(self, measure: str | None = None) -> pd.DataFrame:
        """Say of each layer and method whether its heatmaps depend on what was changed.

        The rule is that of `conclude` (sanity/conclusion.py). A method that passes has shown what
        every explanation must show, and no more: passing is necessary, not sufficient.

        Parameters
        ----------
        measure : of similarity, one of the protocol's; by default its first

        Returns
        -------
        DataFrame with a row for each layer, method and control: conclusion ("passes", "fails",
        "undecided" or "not calibrated"), reason, n, and mean, low and high of repeatability, room,
        after_output and over_steps; chance; last (mean similarity after the last step), and what
        each measure of the protocol concludes, by its name; numbers that do not exist are NaN
        """
        chosen = self.rules.measure(measure)
        if self.frame.empty:
            return pd.DataFrame()
        said = {name: each["conclusion"] for name, each in self._by_measure.items()}
        return self._by_measure[chosen].assign(**said)

    def disagreements(self) -> pd.DataFrame:
        """Return the rows of `conclusions` where one measure passes and another one fails."""
        table = self.conclusions()
        if table.empty:
            return table
        said = table[list(self.rules.measures)]
        return table[(said == PASSES).any(axis=1) & (said == FAILS).any(axis=1)]

    def complexity_rises(self) -> pd.DataFrame:
        """Say whether heatmaps are more complex once the model has lost all that it learned.

        By image, ``rise = (ξ_r − ξ_t) / ξ_t``: ξ_t is the discrete entropy of the trained model's
        heatmap, ξ_r that of the models without anything learned. A method passes where the interval
        of the mean rise lies above 0, and fails where it lies below.

        Returns
        -------
        DataFrame: layer, method, conclusion, n, trained, randomised, and mean, low and high of
        rise; empty where the check has no randomised models

        References
        ----------
        Hedström, Weber, Lapuschkin, Höhne 2023, arXiv:2401.06465: the efficient MPRT. Its score is
        the mean rise; the interval, the conclusion and the mean over several models are ours.
        """
        if self.entropies.empty:
            return pd.DataFrame()
        rises = relative_rises(self.entropies).groupby(_CELL, sort=False)
        rows = []
        for key, _ in self.entropies.groupby(_CELL, sort=False):
            each = rises.get_group(key) if key in rises.groups else pd.DataFrame()
            cell: dict[str, Any] = dict(zip(_CELL, key, strict=True))
            rows.append({**cell, **self._risen(each)})
        return pd.DataFrame(rows)

    def figure(self, measure: str | None = None) -> Figure:
        """Draw the curves; see `report.sanity_plot`."""
        from gradcam_eval.report.sanity_plot import similarity_figure

        chosen = self.rules.measure(measure)
        title = f"{self.name}, protocol {self.protocol}"
        return similarity_figure(self.curves(chosen), self.steps, chosen, title)

    @cached_property
    def _by_measure(self) -> dict[str, pd.DataFrame]:
        return {measure: self._concluded(measure) for measure in self.rules.measures}

    def _curve_rows(self, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
        for key, each in rows.groupby([*_CELL, "step"], sort=False):
            values = each.loc[each["status"] == "value", "value"].to_numpy(float)
            found = estimate(values, self.seed)
            yield {
                **dict(zip((*_CELL, "step"), key, strict=True)),
                "undefined": int((each["status"] == "undefined").sum()),
                "n": len(values),
                "mean": found.mean,
                "low": found.low,
                "high": found.high,
            }

    def _concluded(self, measure: str) -> pd.DataFrame:
        tables = [self.frame, self.chance, self.repeats]
        cells, chance, repeats = (
            each[each["measure"] == measure].groupby(_CELL, sort=False) for each in tables
        )
        rows = []
        for key, steps in cells:
            found, last = self._similarities(steps, chance.get_group(key), repeats.get_group(key))
            row = conclude(found, self.rules, needs_output=self.needs_output, seed=self.seed)
            if not (self.is_calibrated and self.rules.is_calibrated):
                row |= {"conclusion": NOT_CALIBRATED, "reason": _NO_LIMITS}
            rows.append({**dict(zip(_CELL, key, strict=True)), **row, "last": last})
        return pd.DataFrame(rows)

    def _similarities(
        self, steps: pd.DataFrame, chance: pd.DataFrame, repeats: pd.DataFrame
    ) -> tuple[Similarities, float]:
        """Return a cell's similarities by image, and the mean one after the last step."""
        by_step = steps.pivot(index="image", columns="step", values="value")
        unrelated = chance.groupby("image")["value"].mean()
        table = pd.DataFrame(
            {
                "over_steps": by_step.mean(axis=1),
                "after_output": by_step.get(self.output_step, by_step.mean(axis=1)),
                "chance": unrelated.fillna(unrelated.mean()),
                "repeated": repeats.groupby("image")["value"].mean(),
            }
        ).dropna()
        similarities = Similarities(
            over_steps=table["over_steps"].to_numpy(float),
            after_output=None
            if self.output_step is None
            else table["after_output"].to_numpy(float),
            chance=table["chance"].to_numpy(float),
            repeated=table["repeated"].to_numpy(float),
        )
        return similarities, float(by_step[by_step.columns.max()].mean())

    def _risen(self, rows: pd.DataFrame) -> dict[str, Any]:
        n = len(rows)
        rise = estimate(rows["rise"].to_numpy(float) if n else np.empty(0), self.seed)
        conclusion = UNDECIDED
        if n >= FEWEST_IMAGES and (rise.low > 0 or rise.high < 0):
            conclusion = PASSES if rise.low > 0 else FAILS
        return {
            "conclusion": conclusion,
            "n": n,
            "trained": rows["trained"].mean() if n else np.nan,
            "randomised": rows["randomised"].mean() if n else np.nan,
            **rise.named("rise"),
        }
