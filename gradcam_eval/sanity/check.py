"""What every sanity check returns: similarities by image, their curves, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.core import Heatmap, InputError, Truth, Undefined
from gradcam_eval.intervals import bootstrap_interval
from gradcam_eval.methods.controls import ControlInput, random
from gradcam_eval.metrics.similarity import MEASURES, find_measure, framed
from gradcam_eval.protocols import SanityProtocol, protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gradcam_eval.methods.heatmaps import Heatmaps

Stacks: TypeAlias = Mapping[tuple[str, str], Heatmap]  # (layer, method) → (N, h, w)

FEWEST_IMAGES = 3


def rules() -> SanityProtocol:
    """Return the protocol by which all checks measure and judge."""
    found = protocol("sanity2018", "sanity")
    assert isinstance(found, SanityProtocol)
    return found


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
    """

    name: str
    frame: pd.DataFrame
    floors: pd.DataFrame
    steps: pd.DataFrame
    pairs: pd.DataFrame
    seed: int = 0

    def curves(self, measure: str = "rank_correlation") -> pd.DataFrame:
        """Return mean, 95 % bootstrap interval and n over images, by layer, method and step."""
        find_measure(measure)
        rows = self.frame[self.frame["measure"] == measure]
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

    def verdict(
        self, measure: str = "rank_correlation", *, limit: float | None = None
    ) -> pd.DataFrame:
        """Say of each layer and method whether its heatmaps depend on what was changed.

        By image, ``share = (s − floor) / (1 − floor)``: s is the similarity after the last step,
        the floor that of the same heatmap to random controls; 0 is no more alike than chance, 1 is
        the same heatmap. A method passes where the upper end of the 95 % bootstrap interval of the
        mean share lies below the limit, and fails where the lower end lies above it; it is
        undecided otherwise, or with fewer than 3 images.

        Parameters
        ----------
        measure : of similarity
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
        find_measure(measure)
        bound = rules().limit if limit is None else limit
        if not 0 < bound < 1:
            raise InputError(f"limit is {bound}: wanted between 0 and 1")
        if self.frame.empty:
            return pd.DataFrame()
        last = self.frame[self.frame["step"] == self.frame["step"].max()]
        last = last[last["measure"] == measure]
        return pd.DataFrame(
            [
                {"layer": key[0], "method": key[1], **self._judged(key, each, measure, bound)}
                for key, each in last.groupby(["layer", "method"], sort=False)
            ]
        )

    def figure(self, measure: str = "rank_correlation") -> Figure:
        """Draw the curves; see `report.sanity_plot`."""
        from gradcam_eval.report.sanity_plot import similarity_figure

        floors = self.floors[self.floors["measure"] == measure]
        return similarity_figure(
            self.curves(measure), self.steps, measure, self.name, floor=floors["value"].mean()
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


def stacks_of(heatmaps: Heatmaps) -> dict[tuple[str, str], Heatmap]:
    """Return every cell's heatmaps at the images' size; one that is constant stays so."""
    size = heatmaps.image_size
    return {key: np.stack([framed(each, size) for each in maps]) for key, maps in heatmaps.items()}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Heatmaps of each cell and image, ready for comparison by each measure of the protocol."""

    features: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, maps: Stacks) -> Prepared:
        """Prepare every heatmap once."""
        return cls(
            {
                key: [{m: MEASURES[m].prepare(each) for m in rules().measures} for each in stack]
                for key, stack in maps.items()
            }
        )


def similarity_rows(
    ones: Prepared, others: Prepared, *, step: int, unchanged: Mapping[int, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Compare two heatmaps of each cell and image by every measure.

    `unchanged` says of images, by index, why there is nothing to compare.
    """
    for (layer, method), images in ones.features.items():
        for image, one in enumerate(images):
            other = others.features[layer, method][image]
            for measure in rules().measures:
                reason = (unchanged or {}).get(image)
                value = (
                    Undefined(reason)
                    if reason
                    else MEASURES[measure].between(one[measure], other[measure])
                )
                is_value = not isinstance(value, Undefined)
                yield {
                    "layer": layer,
                    "method": method,
                    "step": step,
                    "image": image,
                    "measure": measure,
                    "status": "value" if is_value else "undefined",
                    "value": np.nan if isinstance(value, Undefined) else value,
                    "reason": value.reason if isinstance(value, Undefined) else "",
                }


def floor_frame(maps: Prepared, images: NDArray[np.float32], seed: int) -> pd.DataFrame:
    """Compare every heatmap with random controls of its image: the similarity by chance."""
    rows: list[dict[str, Any]] = []
    for draw in range(rules().floor_draws):
        controls = np.stack(
            [
                random(ControlInput(x, Truth(x.shape[:2]), np.random.default_rng([seed, draw, n])))
                for n, x in enumerate(images)
            ]
        )
        ready = Prepared.of({("", "random"): controls}).features["", "random"]
        others = Prepared(dict.fromkeys(maps.features, ready))
        rows += similarity_rows(maps, others, step=draw)
    return pd.DataFrame(rows)
