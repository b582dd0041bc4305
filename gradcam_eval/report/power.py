"""What a study's images can show, and how many images would show more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from gradcam_eval.core import Undefined
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.power_text import middle, smallest_in_range
from gradcam_eval.report.sentences import reference_name
from gradcam_eval.report.verdict import Verdict, references_of
from gradcam_eval.statistics.power import GAPS, images_for


def power_table(folder: Folder, verdict: Verdict) -> pd.DataFrame:
    """Return the smallest difference that the images can show in each family; see `Results`."""
    rows = []
    families = [(reference, None) for reference in references_of(folder, verdict)]
    if len(verdict.table) > 1:
        families.append((verdict.best, verdict.selection.quantile))  # type: ignore[arg-type]
    for reference, quantile in families:
        family = verdict.family_against(reference) if verdict.is_tested else Undefined("too few")
        if isinstance(family, Undefined) or not (family.error > 0).any():
            continue
        family = family if quantile is None else replace(family, quantile=quantile)
        at = middle(family)
        row: dict[str, Any] = {"reference": "" if quantile else reference_name(folder, reference)}
        row |= {"images": int(family.images[at])}
        row["smallest_difference"] = smallest_in_range(verdict, family, at)
        needed = {gap: images_for(gap, family) for gap in GAPS}
        for gap, counts in needed.items():
            row[f"images_{gap}"] = None if isinstance(counts, Undefined) else int(counts[at])
        rows.append(row)
    counted = [f"images_{gap}" for gap in GAPS]
    frame = pd.DataFrame(rows, columns=["reference", "images", "smallest_difference", *counted])
    kinds = {"smallest_difference": "Float64"} | dict.fromkeys(["images", *counted], "Int64")
    return frame.astype(kinds)
