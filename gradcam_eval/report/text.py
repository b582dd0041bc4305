"""How numbers and cells are written, the same in the page, the pictures and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from gradcam_eval.aggregates import MEAN, TITLES

DASH = "–"
_TINY, _TINIEST = 0.0005, 1e-7  # three decimals of what is smaller are 0; float32 has no more


def number(value: Any) -> str:
    """Write a number to three decimals, or to three digits where it is large or tiny."""
    if value is None or pd.isna(value):
        return DASH
    value = float(value)
    if value == 0 or _TINY <= abs(value) < 100:
        text = f"{value:.3f}"
    else:
        text = f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.2e}"
    text = text.lstrip("-") if float(text) == 0 else text
    return text.replace("-", "−")


def signed(value: Any) -> str:
    """Write a difference, with its sign."""
    text = number(value)
    return text if text == DASH or text.startswith("−") or not value else f"+{text}"


def shift(value: Any) -> str:
    """Write a small change, with its sign, to three decimals: what is smaller is none."""
    return DASH if pd.isna(value) else signed(round(float(value), 3))


def spread(value: Any) -> str:
    """Write a standard deviation behind its sign, to three decimals; unknown is nothing."""
    return "" if pd.isna(value) else f"± {number(round(float(value), 3))}"


def interval(low: Any, high: Any, *, sign: bool = False) -> str:
    """Write an interval in brackets, or nothing where it is undefined.

    An end much nearer to 0 than the other gets one digit, as in [-0.197, +0.0004]: it says on which
    side of 0 the end lies, and 3.93e-04 would be read as large.
    """
    if pd.isna(low) or pd.isna(high):
        return ""
    scale = max(abs(float(low)), abs(float(high)))
    return f"[{', '.join(_end(float(end), scale, sign) for end in (low, high))}]"


def _end(value: float, scale: float, sign: bool) -> str:
    """Write one end of an interval whose larger end is `scale`."""
    if not _TINIEST <= abs(value) < _TINY <= scale:
        return signed(value) if sign else number(value)
    text = f"{value:.{math.ceil(-math.log10(abs(value)))}f}".replace("-", "−")
    return text if value < 0 or not sign else f"+{text}"


def milliseconds(value: Any) -> str:
    """Write a time in ms to three digits."""
    if pd.isna(value):
        return DASH
    value = float(value)
    digits = 0 if value >= 100 or value == 0 else max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{min(digits, 4)}f}".replace(",", "\u202f")


def ratio(value: Any) -> str:
    """Write how many times the floor something costs."""
    return DASH if pd.isna(value) else f"{float(value):.2f}"


def percent(share: float) -> str:
    """Write a share of 1 in whole per cent; what is nearly none or all is not written as that."""
    if 0 < share < 0.005:
        return "under 1\u00a0%"
    return "over 99\u00a0%" if 0.995 <= share < 1 else f"{100 * share:.0f}\u00a0%"


def confidence(level: float) -> str:
    """Write how sure an interval or a bound is whose error rate is `level`."""
    return f"{100 * (1 - level):.6g}\u00a0%"


def count_of(value: Any) -> str:
    """Write a count that a CSV may hold as a float, or not at all."""
    return DASH if pd.isna(value) else f"{float(value):g}"


def cell_name(layer: str, method: str) -> str:
    """Name a cell: its layer and method, or the control alone."""
    return f"{layer} · {method}" if layer else method


def arrow(higher_is_better: bool) -> str:
    """Return the arrow of the direction that is better."""
    return "↑" if higher_is_better else "↓"


def direction(higher_is_better: bool) -> str:
    """Say which direction is better."""
    return "higher is better" if higher_is_better else "lower is better"


def statistic(metric: dict[str, Any]) -> str:
    """Say how a metric's values became one: "mean", unless they are put together otherwise."""
    return TITLES.get(metric.get("aggregate", MEAN), MEAN)


def plural(n: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def is_yes(value: Any) -> bool:
    """Read a yes/no of a CSV."""
    return str(value).strip().lower() in {"true", "1", "1.0", "yes"}


def metric_label(name: str, protocol: str, metrics: Sequence[dict[str, Any]]) -> str:
    """Name a metric, and its protocol where the study has the metric under several."""
    several = sum(metric["name"] == name for metric in metrics) > 1
    return f"{name} ({protocol})" if several else name
