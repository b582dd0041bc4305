"""What n images can show, and how many images could show a given difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values
from gradcam_eval.statistics.design import DESIGN, Design
from gradcam_eval.statistics.families import Family, simultaneous
from gradcam_eval.statistics.units import FEWEST

POWER = 0.8
_Z_POWER = 0.8416212335729143  # the normal quantile of 80 % power
GAPS = (0.01, 0.02, 0.05)


def smallest_difference(error: float, quantile: float, *, tolerance: float = 0.0) -> float:
    """Return the smallest true difference that is shown in 80 % of studies: (q + z_.8) · se + τ.

    Parameters
    ----------
    error : standard error of the mean paired difference, in the metric's unit
    quantile : of the family that it is tested in
    tolerance : τ, of the design
    """
    return (quantile + _Z_POWER) * error + tolerance


def images_for(gap: float, family: Family) -> NDArray[np.int64] | Undefined:
    """Return how many images would show a true difference of `gap` in 80 % of studies.

    n' = ⌈n ((q + z_.8) se / (gap − τ))²⌉, at least 6, for each comparison, with the same spread,
    clusters and family, and the design's tolerance τ. Undefined where the gap is not larger than τ:
    no number of images shows it.
    """
    if gap <= family.tolerance:
        return Undefined(f"{gap:g} is within the tolerance of the metric ({family.tolerance:g})")
    share = smallest_difference(1.0, family.quantile) * family.error / (gap - family.tolerance)
    return np.maximum(np.ceil(family.images * share**2), FEWEST).astype(np.int64)


def equivalence(
    differences: Values,
    margin: float,
    *,
    units: NDArray[np.intp] | None = None,
    design: Design = DESIGN,
) -> Values | Undefined:
    """Return p-values of "the true difference is smaller than `margin`" (TOST), family-wise.

    Two one-sided tests, d > −margin and d < margin, each simultaneous over the K comparisons; the
    larger p counts. No adjustment over the two: both must reject.

    Parameters
    ----------
    differences : float (n, K), paired
    margin : above 0, in the metric's unit; declared before the data were seen
    units, design : as for `simultaneous`

    References
    ----------
    Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680.
    """
    sides: Sequence[Family | Undefined] = [
        simultaneous(shifted, units=units, design=design.towards("better"))
        for shifted in (margin + differences, margin - differences)
    ]
    found = []
    for side in sides:
        if isinstance(side, Undefined):
            return side
        found.append(side.p)
    return np.maximum(*found)


def round_up(images: float) -> int:
    """Return a number of images to two digits, rounded up: more digits would say too much."""
    if images < 100:
        return math.ceil(images)
    scale = 10 ** (math.floor(math.log10(images)) - 1)
    return math.ceil(images / scale) * scale
