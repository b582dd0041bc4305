"""Warnings of images that are not independent: copies, and near-duplicates."""

from __future__ import annotations

from collections import defaultdict

import pandas as pd

from gradcam_eval.report.clusters import alike_images
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import plural
from gradcam_eval.statistics.units import plural_units, unit_codes
from gradcam_eval.study.analysis import NEAR_DUPLICATES
from gradcam_eval.texts import isolated

_MOST_NAMED = 4  # of copies, and of groups of them
_DECLARE = f'declare cluster = "{NEAR_DUPLICATES}" in [analysis]'


def copies(folder: Folder, model: str) -> str:
    """Warn where several images show the model the same pixels; "" where none do.

    Silent where the study's clusters hold near-duplicates together.
    """
    images = folder.images[folder.images["model"] == model]
    if folder.has_every_label:
        return _several_labels(folder, images[images["status"] == "ok"])
    if "pixels" not in images or _are_clustered(folder):  # or a folder of an earlier version
        return ""
    known = images[(images["status"] == "ok") & (images["pixels"] != "")]
    groups = [each["sample"].tolist() for _, each in known.groupby("pixels", sort=False)]
    groups = [names for names in groups if len(names) > 1]
    if not groups:
        return ""
    shown = _groups(groups, " = ")
    return (
        f"Of {plural(len(known), 'image')} only {len(known) - sum(map(len, groups)) + len(groups)} "
        f"differ: {shown}. Each copy counts as an image of its own, so intervals are too "
        f"narrow: leave copies out, or {_DECLARE}."
    )


def _several_labels(folder: Folder, records: pd.DataFrame) -> str:
    images = records["id"].nunique()
    if images == len(records):
        return ""
    text = (
        f"{plural(len(records), 'record')} are of {plural(images, 'image')}, one for each label; "
        'counts of "images" beside values are of records. The records of an image are not '
        "independent: tests and intervals take them together"
    )
    if not folder.analysis.cluster:
        return f"{text}."
    units = len(set(unit_codes(list(records["sample"]), folder.clusters).tolist()))
    remain = "remains" if units == 1 else "remain"
    return f'{text}, and with cluster = "{folder.analysis.cluster}" {plural_units(units)} {remain}.'


def alike(folder: Folder, model: str) -> str:
    """Say which images are near-duplicates, and whether tests and intervals respect it.

    Near-duplicates with the same pixels are those of `copies`; those within one declared cluster
    are respected already.
    """
    images = folder.images[folder.images["model"] == model]
    if "perceptual_hash" not in images:  # a folder of an earlier version
        return ""
    known = images[images["status"] == "ok"]
    pixels = dict(zip(known["sample"], known["pixels"], strict=True))
    clusters: dict[str, list[str]] = defaultdict(list)
    for sample, name in alike_images(folder.images).items():
        if sample in pixels:
            clusters[name].append(sample)
    groups = [names for names in clusters.values() if len(names) > 1]
    if not _are_clustered(folder):
        declared = folder.clusters
        groups = [
            names
            for names in groups
            if len({pixels[name] for name in names}) > 1
            and (len({declared.get(name) for name in names}) > 1 or names[0] not in declared)
        ]
    if not groups:
        return ""
    count = plural(sum(map(len, groups)), "near-duplicate")
    text = f"{count} among {plural(len(known), 'image')}: {_groups(groups, ' ≈ ')}."
    if _are_clustered(folder):
        return f"{text} Each group counts as one image in tests and intervals, as declared."
    return (
        f"{text} Each counts as an image of its own, so intervals are too narrow: leave them out, "
        f"or {_DECLARE}."
    )


def _are_clustered(folder: Folder) -> bool:
    analysis = folder.study.get("analysis", {})
    return isinstance(analysis, dict) and analysis.get("cluster") == NEAR_DUPLICATES


def _groups(groups: list[list[str]], separator: str) -> str:
    shown = "; ".join(some(names, separator) for names in groups[:_MOST_NAMED])
    more = len(groups) - _MOST_NAMED
    return shown + (f"; and {more} more" if more > 0 else "")


def some(names: list[str], separator: str) -> str:
    """Name the first few, and count the others."""
    more = len(names) - _MOST_NAMED
    shown = [*map(isolated, names[:_MOST_NAMED]), *([f"{more} more"] if more > 0 else [])]
    return separator.join(shown)
