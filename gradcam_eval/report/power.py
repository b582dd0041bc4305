"""What a study's images can show, and whether its models rank the cells alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from gradcam_eval.core import Undefined, unknown_name
from gradcam_eval.intervals import Values
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.power_text import middle, smallest_in_range
from gradcam_eval.report.sentences import reference_name
from gradcam_eval.report.verdict import Verdict, primary_metric, references_of, verdicts_of
from gradcam_eval.statistics.power import GAPS, images_for
from gradcam_eval.statistics.ranks import Concordance, concordance


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


def rank_agreement(
    folder: Folder, metric: str | None, *, by: str = "method"
) -> Concordance | Undefined:
    """Return Kendall's W over a study's models, of methods, relative depths or both.

    Raises
    ------
    InputError : an unknown `by`
    """
    if by not in ("method", "depth", "cell"):
        raise unknown_name("by", by, ("method", "depth", "cell"))
    name = primary_metric(folder)["name"] if metric is None else metric
    tables = []
    for model in folder.models:
        found = [each for each in verdicts_of(folder, model) if each.metric["name"] == name]
        if found:
            tables.append(_items(folder, found[0], by))
    shared = sorted(set.intersection(*(set(map(str, table)) for table in tables))) if tables else []
    return concordance([table[shared].to_numpy(float) for table in tables], seed=folder.seed)


def _items(folder: Folder, verdict: Verdict, by: str) -> pd.DataFrame:
    """Return the mean score of each item on each image, larger = better."""
    values, samples, cells = verdict.values
    layers = folder.layers[folder.layers["model"] == verdict.best[0]]["path"].tolist()
    depth = {layer: at for at, layer in enumerate(layers)}
    keys = {
        "method": [cell[2] for cell in cells],
        "depth": [str(depth.get(cell[1], cell[1])) for cell in cells],
        "cell": [f"{depth.get(cell[1], cell[1])} {cell[2]}" for cell in cells],
    }[by]
    found: dict[str, Values] = {
        key: values[:, [at for at, each in enumerate(keys) if each == key]].mean(1)
        for key in dict.fromkeys(keys)
    }
    return pd.DataFrame(found, index=samples)
