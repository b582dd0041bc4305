"""What a metric's declaration says about differences of its values: how large they can be, and
how far its own computation may be off.
"""

from __future__ import annotations

import re
from typing import Any

_RANGE = re.compile(r"(-?[\d.]+)\.\.(-?[\d.]+)(?: for probabilities)?")
_TWO_CURVES = "abpc"  # the area between two curves


def widest_difference(metric: dict[str, Any], *, is_hits: bool) -> float | None:
    """Return the largest difference that two values of a metric can have, None where not declared.

    Parameters
    ----------
    metric : of `study.json`, with its range in words ("0..1", "-1..1 for probabilities"), its unit
        and its protocol's parameters. A range is that of probabilities: a regression's values and
        log-odds have none
    is_hits : whether all values are 0 or 1
    """
    if is_hits:
        return 1.0
    found = _RANGE.fullmatch(str(metric.get("range", "")))
    parameters = metric.get("parameters")
    score = parameters.get("score") if isinstance(parameters, dict) else None
    is_other = "value" in str(metric.get("unit")) or score not in (None, "probability")
    if found is None or is_other:
        return None
    return float(found[2]) - float(found[1])


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
