"""What the simulated studies of `test_calibration*.py` share: their number, and how rates are told.

CALIBRATION_STUDIES : how many studies each line simulates, 200 by default
CALIBRATION_RECORD : a file that gets a line of JSON for each rate
A rate passes within three standard errors of its target. ``python benchmarks/calibration.py FILE``
lays a record out as the table of docs/claims.md.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcam_eval import intervals
from gradcam_eval.statistics import flips, pairs

STUDIES = int(os.environ.get("CALIBRATION_STUDIES", "200"))
LEVEL = 0.05


def at_most(name: str, rate: float, target: float, studies: int) -> None:
    """Report a rate and check that it may be its target or less."""
    report(name, rate, f"≤ {target}", studies)
    assert rate <= target + _errors(target, studies)


def at_least(name: str, rate: float, target: float, studies: int) -> None:
    """Report a rate and check that it may be its target or more."""
    report(name, rate, f"≥ {target}", studies)
    assert rate >= target - _errors(target, studies)


def _errors(rate: float, studies: int) -> float:
    return 3 * float(np.sqrt(rate * (1 - rate) / studies))


def report(name: str, rate: float, target: str, studies: int) -> None:
    """Print one line of the table, and add it to the record."""
    print(f"\n{name:<72} {rate:6.3f}   target {target}", end="")
    if file := os.environ.get("CALIBRATION_RECORD"):
        row = {"name": name, "rate": round(float(rate), 4), "target": target, "studies": studies}
        row["date"] = f"{datetime.now(UTC):%Y-%m-%d}"
        with Path(file).open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(row, ensure_ascii=False) + "\n")


@pytest.fixture(autouse=True)
def _same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep flips and resamples: each study of n units has the same ones, as in the package."""
    flipped = _kept(flips.flips_of)
    resampled = _kept(intervals.resamples_of)
    for module in (flips, pairs):
        monkeypatch.setattr(module, "flips_of", flipped)
    for module in (flips, intervals, pairs):
        monkeypatch.setattr(module, "resamples_of", resampled)


def _kept(draw: Callable[..., Iterator[Any]]) -> Callable[..., tuple[Any, ...]]:
    @lru_cache(maxsize=4)
    def kept(*sizes: int, **options: int) -> tuple[Any, ...]:
        return tuple(draw(*sizes, **options))

    return kept


_SIZE = re.compile(r",? ?n = (\d+)")
_SHAPE = re.compile(r"(cells), (normal|skewed|heavy|hits|zeros)")


def table_of(rows: list[dict[str, Any]]) -> str:
    """Return the rates of a record as a table: a line for each property, a column for each n.

    Equal cells of several shapes share a line: the mean of their rates, and the largest.
    """
    cells: dict[str, dict[int, list[float]]] = {}
    targets: dict[str, dict[str, None]] = {}
    for row in rows:
        size = _SIZE.search(row["name"])
        name = _SHAPE.sub(r"\1", _SIZE.sub("", row["name"])).strip(" ,:")
        line = cells.setdefault(name, {})
        line.setdefault(int(size[1]) if size else 0, []).append(row["rate"])
        targets.setdefault(name, {})[row["target"]] = None
    sizes = sorted({n for line in cells.values() for n in line if n})
    lines = ["| simulated | " + " | ".join(f"n = {n}" for n in sizes) + " | target |"]
    lines.append("|---" * (len(sizes) + 2) + "|")
    for name, line in cells.items():
        told = " | ".join(_told(line.get(n, [])) for n in sizes)
        target = ", ".join(filter(None, targets[name])).replace("0.", ".")
        lines.append(f"| {name} | {told} | {target} |")
    return "\n".join(lines)


def _told(rates: list[float]) -> str:
    if not rates:
        return ""
    short = [f"{rate:.3f}".lstrip("0") for rate in (float(np.mean(rates)), max(rates))]
    return short[0] if len(rates) == 1 else f"{short[0]} ({short[1]})"


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.stdout.write(table_of([json.loads(line) for line in text.splitlines()]) + "\n")
