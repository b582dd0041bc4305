"""Whether heatmaps depend on what was changed: the rule of the sanity checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.intervals import bootstrap_interval
from gradcam_eval.protocols.sanity import SanityProtocol

FEWEST_IMAGES = 6  # as for every claim of a study
PASSES, FAILS, UNDECIDED = "passes", "fails", "undecided"
NOT_CALIBRATED = "not calibrated"

_REASONS = {
    "repeatability": "the same model's heatmaps of hardly different images are not alike",
    "room": "heatmaps that have nothing learned in common are as alike as repetitions",
    "over_steps": "too alike over the steps",
    "after_output": "too alike after the output layer lost its weights",
}

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarities:
    """How alike the heatmaps of one cell are, by image: float64 (n,), none undefined.

    Attributes
    ----------
    over_steps : mean similarity to the trained model's heatmap over all steps
    after_output : that after the output layer alone lost its weights; None where no step is that
    chance : similarity of heatmaps that have nothing to do with each other
    repeated : similarity of the trained model's heatmap to its own under a little noise
    """

    over_steps: Values
    after_output: Values | None
    chance: Values
    repeated: Values


@dataclass(frozen=True)
class Estimate:
    """A mean over images and its 95 % interval; NaN where there is none."""

    mean: float = np.nan
    low: float = np.nan
    high: float = np.nan

    def named(self, name: str) -> dict[str, float]:
        """Return the three numbers by column."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


def conclude(
    found: Similarities, rules: SanityProtocol, *, needs_output: bool = False, seed: int = 0
) -> dict[str, Any]:
    """Say whether a cell's heatmaps depend on what was changed.

    With r the similarity of a heatmap to its own repetition and c that by chance,
    ``share = mean(s − c) / mean(r − c)``: 0 is no more alike than chance, 1 as alike as the same
    model's heatmaps of hardly different images. Without a clear r − c there is no share. Each
    number has a 95 % interval over images, and:

    1. *fails*, where r lies below `repeatability_limit`: the heatmap does not repeat;
    2. *fails*, where r − c lies below `room_limit`: heatmaps that should have nothing in common are
       as alike as repetitions;
    3. *fails*, where a share lies above its limit: `after_output_limit` for the step that replaces
       the output layer alone, `over_steps_limit` for the mean over the steps;
    4. *passes*, where r and r − c lie above their limits and each share below its own;
    5. *undecided* otherwise; below 6 images; and where a check needs the step that replaces the
       output layer alone and has none.

    "Lies below" and "above" mean the whole interval.

    Returns
    -------
    dict with conclusion, reason, n, and mean, low and high of after_output, over_steps,
    repeatability and room; chance, a mean

    Notes
    -----
    Passing is necessary, not sufficient: heatmaps that change with the weights need not be right.
    The limits are the protocol's, and ours: Adebayo et al. (2018) show curves and give no rule.
    docs/sanity.md says how they were calibrated. The share's interval is that of the mean of
    ``share + ((s − c) − share · (r − c)) / mean(r − c)``, to which a ratio of means is linear.
    """
    n = len(found.chance)
    room = found.repeated - found.chance
    numbers = {"repeatability": estimate(found.repeated, seed), "room": estimate(room, seed)}
    for name in ("after_output", "over_steps"):
        similar = getattr(found, name)
        is_scaled = similar is not None and numbers["room"].low > 0
        numbers[name] = _share(similar - found.chance, room, seed) if is_scaled else Estimate()
    limits = {"over_steps": rules.over_steps_limit}
    if found.after_output is not None:
        limits["after_output"] = rules.after_output_limit
    conclusion, reason = _concluded(numbers, n, rules, limits)
    if conclusion == PASSES and needs_output and found.after_output is None:
        conclusion, reason = UNDECIDED, "no step replaced the output layer alone"
    columns = {
        key: value for name, each in numbers.items() for key, value in each.named(name).items()
    }
    chance = float(found.chance.mean()) if n else np.nan
    return {"conclusion": conclusion, "reason": reason, "n": n, **columns, "chance": chance}


def estimate(values: Values, seed: int) -> Estimate:
    """Return the mean and its bootstrap interval."""
    if not len(values):
        return Estimate()
    low, high = bootstrap_interval(values[:, None], seed=seed)[:, 0]
    return Estimate(float(values.mean()), float(low), float(high))


def _share(gained: Values, room: Values, seed: int) -> Estimate:
    share = gained.mean() / room.mean()
    return estimate(share + (gained - share * room) / room.mean(), seed)


def _concluded(
    numbers: Mapping[str, Estimate], n: int, rules: SanityProtocol, limits: Mapping[str, float]
) -> tuple[str, str]:
    if n < FEWEST_IMAGES:
        return UNDECIDED, f"{n} images have every number: {FEWEST_IMAGES} or more are needed"
    least = {"repeatability": rules.repeatability_limit, "room": rules.room_limit}
    for name, limit in least.items():
        if numbers[name].high < limit:
            return FAILS, _REASONS[name]
    above = [_REASONS[name] for name, limit in limits.items() if numbers[name].low > limit]
    if above:
        return FAILS, " and ".join(above)
    unsure = [name for name, limit in limits.items() if not numbers[name].high < limit]
    unsure += [name for name, limit in least.items() if not numbers[name].low > limit]
    if unsure:
        return UNDECIDED, f"the interval of {' and '.join(unsure)} contains the limit"
    return PASSES, ""
