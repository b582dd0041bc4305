"""How claims are tested: declared before the scores are seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Literal, TypeAlias

from gradcam_eval.core import InputError, unknown_name

Alternative: TypeAlias = Literal["better", "worse", "two-sided"]
ALTERNATIVES = ("better", "worse", "two-sided")


@dataclass(frozen=True)
class Design:
    """The settings that all tests of an analysis share.

    Attributes
    ----------
    level : error rate of a whole family of tests, 0 to 1
    alternative : "better" (than the reference), "worse", or "two-sided"
    cluster : a column of the records, or sample → cluster: images that are not independent of each
        other (class, group, scene, film), which are flipped and resampled together
    seed : of random flips, resamples and splits
    tolerance : by how much the metric's own computation may be off in a difference of two cells, in
        its unit, 0 or more: curves at adaptive points have twice their protocol's tolerance. A
        smaller difference is no claim, and every interval is wider by it
    """

    level: float = 0.05
    alternative: Alternative = "better"
    cluster: str | Mapping[str, str] | None = None
    seed: int = 0
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Check what a user may have misspelt."""
        if not (isinstance(self.level, Real) and 0 < self.level < 1):
            raise InputError(f"level = {self.level!r}: expected a number between 0 and 1")
        if not (isinstance(self.seed, Integral) and self.seed >= 0):
            raise InputError(f"seed = {self.seed!r}: expected a whole number, 0 or more")
        if self.alternative not in ALTERNATIVES:
            raise unknown_name("alternative", self.alternative, ALTERNATIVES)
        if not (isinstance(self.tolerance, Real) and 0 <= self.tolerance < math.inf):
            raise InputError(
                f"tolerance = {self.tolerance!r}: expected a number in the metric's unit, 0 or more"
            )

    def towards(self, alternative: Alternative) -> Design:
        """Return the same design with another alternative."""
        return replace(self, alternative=alternative)


DESIGN = Design()
