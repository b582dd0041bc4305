"""What a study's images can show, in sentences: no difference is larger than a metric can have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradcam_eval.core import Undefined
from gradcam_eval.records import Cell
from gradcam_eval.report.text import number, plural
from gradcam_eval.report.verdict import Verdict
from gradcam_eval.statistics.families import Family
from gradcam_eval.statistics.power import GAPS, images_for, round_up, smallest_difference


def shown_against(verdict: Verdict, reference: Cell) -> str:
    """Say which difference to a reference the images could show, for the cells' median error."""
    family = verdict.family_against(reference)
    if isinstance(family, Undefined) or not (family.error > 0).any():
        return ""
    size = smallest_in_range(verdict, family, middle(family))
    if size is None:
        text = _none_in_range(verdict)
        return text[:1].upper() + text[1:]
    return f"A true difference of {number(size)} would be shown in 80 % of such studies."


def smallest_in_range(verdict: Verdict, family: Family, at: int) -> float | None:
    """Return the smallest difference that is shown in 80 % of studies, of one cell of a family.

    None where it is larger than any difference that the metric can have.
    """
    error = float(family.error[at])
    size = smallest_difference(error, family.quantile, tolerance=family.tolerance)
    return size if size <= verdict.widest else None


def _none_in_range(verdict: Verdict) -> str:
    count = plural(verdict.images, "image")
    return (
        f"no difference within the metric's range could be shown with {count} in 80 % of such "
        "studies."
    )


def middle(family: Family) -> int:
    """Return the place of the upper median of the standard errors above 0."""
    order = np.argsort(np.where(family.error > 0, family.error, np.inf))
    return int(order[int((family.error > 0).sum()) // 2])


def shown_between(verdict: Verdict) -> str:
    """Say what the images can show between cells, and how many would show less."""
    if len(verdict.table) < 2 or not verdict.is_tested:
        return ""
    family = verdict.family_against(verdict.best)
    if isinstance(family, Undefined) or not (family.error > 0).any():
        return ""
    family = replace(family, quantile=verdict.selection.quantile)
    at = middle(family)
    size = smallest_in_range(verdict, family, at)
    if size is None:
        shown = f"Between two of the cells, {_none_in_range(verdict)}"
    else:
        shown = (
            f"Between two of the cells, {plural(verdict.images, 'image')} can show a difference of "
            f"{number(size)} (in 80 % of such studies)."
        )
    return f"{shown} {_images_needed(verdict, family, at)}".strip()


def _images_needed(verdict: Verdict, family: Family, at: int) -> str:
    """Say how many images would show some differences, and which no number of images shows."""
    parts = []
    for gap in (gap for gap in GAPS if gap < verdict.widest):
        counts = images_for(gap, family)
        if isinstance(counts, Undefined):
            parts.append(f"{number(gap)} cannot be shown: it is within the curves' tolerance")
        else:
            parts.append(f"{number(gap)} needs about {round_up(float(counts[at]))} images")
    separator = "; " if any("cannot" in part for part in parts) else ", "
    return f"A difference of {separator.join(parts)}." if parts else ""
