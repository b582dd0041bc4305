"""All metrics on one model and one data set: what `gradcam-eval check-metrics` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gradcam_eval.core import InputError
from gradcam_eval.files import write_table, write_text
from gradcam_eval.meta_evaluation.agreement import Concordance, concordances
from gradcam_eval.meta_evaluation.judging import chosen_metrics, judge_known
from gradcam_eval.meta_evaluation.verdict import RULE, pair_table, whole_orders
from gradcam_eval.metrics import METRICS
from gradcam_eval.study.config import DataEntry, ModelEntry

FORMAT = 1
_UNABLE = {
    "cannot tell": "cannot tell",
    "reversed": "prefers",
    "undecided": "has too few values for",
}


@dataclass(frozen=True)
class Asked:
    """What is checked: every metric under its default protocol where nothing else is said.

    Attributes
    ----------
    model, data : as a study names them; the data's `count` and `seed` choose the images
    metrics : names; empty: all
    protocols : metric → protocol
    """

    model: ModelEntry
    data: DataEntry
    metrics: tuple[str, ...] = ()
    protocols: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class MetricCheck:
    """What came of it.

    Attributes
    ----------
    pairs : of `pair_table`
    orders : of `whole_orders`
    agreement : of `concordances`
    records : every value
    images : how many were judged
    left_out, not_judged : (image, reason), (metric, reason)
    about : model, data and seed
    """

    pairs: pd.DataFrame
    orders: pd.DataFrame
    agreement: list[Concordance]
    records: pd.DataFrame
    images: int
    left_out: tuple[tuple[str, str], ...]
    not_judged: tuple[tuple[str, str], ...]
    about: dict[str, Any]

    def unable(self) -> list[dict[str, str]]:
        """Name every metric that fails on a pair, with how it fails; empty where all tell."""
        failed = self.pairs[self.pairs["verdict"].isin(_UNABLE)]
        return [
            {
                "metric": str(metric),
                "protocol": str(protocol),
                "fault": "; ".join(map(_fault, rows.to_dict("records"))),
            }
            for (metric, protocol), rows in failed.groupby(["metric", "protocol"], sort=False)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return all but the single values, for JSON: what does not exist is null."""
        return {
            "format": FORMAT,
            **self.about,
            "images": self.images,
            "rule": RULE,
            "unable": self.unable(),
            "pairs": _rows(self.pairs),
            "whole_order": _rows(self.orders),
            "agreement": [each.as_dict() for each in self.agreement],
            "left_out": [{"image": name, "reason": why} for name, why in self.left_out],
            "not_judged": [{"metric": name, "reason": why} for name, why in self.not_judged],
        }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=12))
    return rows


def _fault(row: Mapping[Any, Any]) -> str:
    if row["verdict"] == "reversed":
        return f"prefers {row['worse']} to {row['better']}"
    joined = "and" if row["verdict"] == "undecided" else "from"
    return f"{_UNABLE[row['verdict']]} {row['better']} {joined} {row['worse']}"


def check_metrics(
    asked: Asked,
    *,
    seed: int = 0,
    stage: Callable[[str, int], None] = lambda name, steps: None,
    step: Callable[[], None] = lambda: None,
) -> MetricCheck:
    """Let every metric judge heatmaps of known quality, and say which metrics can tell them apart.

    Parameters
    ----------
    asked : model, data and metrics
    seed : of the heatmaps' noise, the metrics' draws, the bootstrap and the subsets
    stage, step : where progress is told

    Raises
    ------
    InputError : an unknown name, no metric that can be judged, or no image that can
    """
    measures, refused = chosen_metrics(asked.metrics, asked.protocols)
    if not measures:
        raise InputError(f"no metric is left to judge: {_listed(refused)}.")
    from gradcam_eval.models.engine import Predictor
    from gradcam_eval.study.subject import load

    source = asked.data.open()
    loaded = load(asked.model, asked.data.within)
    if not loaded.output.has_probabilities:
        raise InputError(f"check-metrics needs classes, and {loaded.label} returns {loaded.output}")
    stage("metrics judged", len(source.names))
    reading = asked.data.reading(loaded.classes, loaded.size, source, loaded.channels)
    samples = source.samples(reading)
    predictor = Predictor(loaded.model, output=loaded.declared)
    judged = judge_known(samples, predictor, measures, seed=seed, step=step)
    if not judged.images:
        raise InputError(
            f"none of the {len(judged.left_out)} images can be judged: {_listed(judged.left_out)}."
        )
    records = judged.records.assign(needs=judged.records["metric"].map(_needs))
    return MetricCheck(
        pairs=pair_table(records, seed=seed),
        orders=whole_orders(records),
        agreement=concordances(records, seed=seed),
        records=records.drop(columns=["model", "layer", "kind", "parts"]),
        images=judged.images,
        left_out=judged.left_out,
        not_judged=refused,
        about={"model": loaded.label, "data": asked.data.path, "seed": seed},
    )


def _needs(metric: str) -> str:
    return METRICS[metric].needs


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{name}: {reason}" for name, reason in pairs[:3])
    return shown + ("; …" if len(pairs) > 3 else "")


def write_check(found: MetricCheck, folder: str | Path) -> list[Path]:
    """Write check_metrics.csv, check_metrics_values.csv and check_metrics.json; return the paths.

    Raises
    ------
    InputError : the folder cannot be written to
    """
    folder = Path(folder)
    paths = [folder / f"check_metrics{end}" for end in (".csv", "_values.csv", ".json")]
    text = json.dumps(found.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_table(paths[0], found.pairs)
        write_table(paths[1], found.records.rename(columns={"method": "heatmap"}))
        write_text(paths[2], text + "\n")
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
    return paths
