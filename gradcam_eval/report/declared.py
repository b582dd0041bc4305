"""What a metric's declaration says about its values: their range, and how far they may be off."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gradcam_eval.intervals import ANY, Interval

_ENDS = re.compile(r"(-?[\d.]+)\.\.(-?[\d.]+|ln\(pixels\))(?: for probabilities)?")
_LOW, _HIGH = re.compile(r"(-?[\d.]+) or more"), re.compile(r"at most (-?[\d.]+)")
_TWO_CURVES = "abpc"  # the area between two curves


def range_of(metric: dict[str, Any]) -> Interval:
    """Return the smallest and the largest value of a metric, infinite where it declares none.

    Parameters
    ----------
    metric : of `study.json`, with its range in words ("0..1", "-1..1 for probabilities", "0 or
        more", "at most 1"), its unit and its protocol's parameters. A range is that of
        probabilities: a regression's values and log-odds have none
    """
    said = str(metric.get("range", ""))
    parameters = metric.get("parameters")
    score = parameters.get("score") if isinstance(parameters, dict) else None
    if "value" in str(metric.get("unit")) or score not in (None, "probability"):
        return ANY
    if found := _ENDS.fullmatch(said):
        high = np.inf if "ln" in found[2] else float(found[2])
        return float(found[1]), high
    least, most = _LOW.fullmatch(said), _HIGH.fullmatch(said)
    return float(least[1]) if least else ANY[0], float(most[1]) if most else ANY[1]


def tolerance_of(metric: dict[str, Any]) -> float:
    """Return by how much one value may be off because its curve has few points; 0 for most metrics.

    The area of an adaptive curve is within its protocol's `tolerance` of that of all points, and an
    area between two curves within twice that. A `tolerance` of a protocol without `area`, as in
    pixels, is none of the value.
    """
    parameters = metric.get("parameters")
    if not isinstance(parameters, dict) or "area" not in parameters:
        return 0.0
    tolerance = parameters.get("tolerance")
    if not isinstance(tolerance, int | float):
        return 0.0
    return tolerance * (2.0 if metric["name"] == _TWO_CURVES else 1.0)
