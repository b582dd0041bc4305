"""Write `report.html`: one self-contained page from a results folder, without a model or a GPU."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from gradcam_eval.files import write_text
from gradcam_eval.report import text
from gradcam_eval.report.answer import Answer, Winners, answer
from gradcam_eval.report.engine_check import engine_line, map_line
from gradcam_eval.report.folder import Folder, read_folder
from gradcam_eval.report.pictures import Album, charts, overlays
from gradcam_eval.report.ranking_text import (
    by_item,
    headings,
    model_entries,
    ranking_sentences,
)
from gradcam_eval.report.rankings import comparisons
from gradcam_eval.report.rows import of_metric, shows_ties, summary_of
from gradcam_eval.report.split import Split, split_tables
from gradcam_eval.stats import REFERENCE
from gradcam_eval.texts import isolated

_HOME = Path(__file__).parent
_SHADES = 8


def write_report(folder: str | Path, *, splits: Sequence[Split] = ()) -> Path:
    """Write `report.html` and its pictures into a results folder, and return the page's path.

    Parameters
    ----------
    folder : `results/<study>/` as `gradcam-eval study` leaves it
    splits : of this folder (`split.split_by`); the summary is shown split by each as well

    Returns
    -------
    Path of the page: one file that asks for nothing outside itself. The pictures are saved as PNG
    below `overlays/`, `curves/` and `figures/` as well.

    Raises
    ------
    InputError
        The folder is not a results folder, or one of its files cannot be read.

    Notes
    -----
    Names and reasons come from files that anyone may have made: Jinja escapes all of them, and a
    content security policy lets the page run its own script and nothing else.
    """
    results = read_folder(folder)
    summary = summary_of(results)
    album = Album(results.path)
    models = [
        _model(album, results, summary, name) | {"splits": _splits(results, splits, summary, name)}
        for name in results.models
    ]
    page = _render(
        study=results.study,
        explained=_explained(results),
        models=models,
        metrics=_metrics(results.study["metrics"], summary),
        analysis=results.analysis,
        sure=text.confidence(results.analysis.level),
        compared=_compared(results),
        environment=list(_flat(results.environment)),
        provenance=list(_flat(_without(results.study, "metrics", "question"))),
        album=album,
        reference=REFERENCE,
        splits=splits,
    )
    path = results.path / "report.html"
    write_text(path, page)
    album.remove_others()
    return path


def _compared(folder: Folder) -> dict[str, Any]:
    """Return how the study's models and protocols rank alike, empty where there is one ranking."""
    found = comparisons(folder)
    if not found:
        return {}
    return {
        "headings": headings(found[0]),
        "models": [model_entries(row) for row in found[0].models.to_dict("records")],
        "labels": list(found[0].models["ranking"]),
        "ranks": [
            {"by": each.by, "sentences": ranking_sentences(each), "items": by_item(each)}
            for each in found
            if len(each.table)
        ],
    }


def _explained(folder: Folder) -> str:
    """Say which number of the models' outputs the heatmaps explain."""
    target, score = folder.study.get("target"), folder.study.get("score")
    of_class = "every label of each image" if target == "every label" else f"the {target} class"
    by_class = f"{of_class} by its {score}"
    values = [folder.output_kind(model) == "regression" for model in folder.models]
    if not any(values):
        return by_class
    value = "the value" if target == "predicted" else f"the value {target}"
    return value if all(values) else f"{by_class}, or {value} of a regression"


def _render(**context: Any) -> str:
    """Fill the template; the script and the style are known to the page's policy by their hash."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HOME),
        autoescape=True,
        finalize=_isolated,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = (
        "number",
        "signed",
        "interval",
        "arrow",
        "milliseconds",
        "ratio",
        "count_of",
        "statistic",
        "shift",
        "spread",
        "percent",
    )
    environment.filters |= {name: getattr(text, name) for name in names}
    environment.filters |= {"breakable": _breakable, "isolated": isolated}
    script, style = ((_HOME / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    context |= {"script": script, "style": style}
    context |= {"script_hash": _digest(script), "style_hash": _digest(style)}
    return environment.get_template("template.html").render(context)


def _isolated(value: Any) -> Any:
    """Keep the direction of a text to itself; what is markup already has been through here."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return isolated(value) if is_text else value


def _breakable(name: str) -> Markup:
    """Escape a name and let it break after its separators, as a narrow screen needs."""
    escaped = str(escape(isolated(name)))
    return Markup(escaped.replace("_", "_<wbr>").replace("/", "/<wbr>"))


def _digest(source: str) -> str:
    """Return the hash by which a content security policy names an inline element."""
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _model(album: Album, folder: Folder, summary: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return everything that the page says about one model."""
    rows = summary[summary["model"] == name]
    said = answer(folder, summary, name)
    return {
        "name": name,
        "answer": said,
        "table": _table(folder, rows, said.winners),
        "heats": [_heat(rows, metric, said) for metric in folder.study["metrics"]],
        "cost": _cost(folder, name),
        "engine": " ".join(filter(None, (engine_line(folder, name), map_line(folder, name)))),
        "images": _images(folder, name),
        "troubles": _troubles(folder, name),
        "layers": folder.layers[folder.layers["model"] == name].to_dict("records"),
        **charts(album, folder, summary, said),
        "overlays": overlays(album, folder, name, said.best),
    }


def _splits(
    folder: Folder, splits: Sequence[Split], summary: pd.DataFrame, model: str
) -> list[list[dict[str, Any]]]:
    """Return of each split its tables of one model."""
    rows = summary[summary["model"] == model]
    return [split_tables(split, rows, folder.study["metrics"]) for split in splits]


def _table(folder: Folder, summary: pd.DataFrame, best: Winners) -> dict[str, Any]:
    """Return the summary table: a row per cell, the metrics side by side, controls apart."""
    metrics = folder.study["metrics"]
    groups: dict[str, list[dict[str, Any]]] = {"cam": [], "control": []}
    for (layer, method), rows in summary.groupby(["layer", "method"], sort=False):
        entries = []
        for metric in metrics:
            chosen = of_metric(rows, metric)
            entry = chosen.iloc[0].to_dict() if len(chosen) else None
            is_best = (layer, method) == best.get((metric["name"], metric["protocol"]))
            entries.append({"value": entry, "is_best": is_best})
        kind = "control" if rows["kind"].iloc[0] == "control" else "cam"
        groups[kind].append({"layer": layer, "method": method, "entries": entries})
    return groups


def _heat(summary: pd.DataFrame, metric: dict[str, Any], said: Answer) -> dict[str, Any]:
    """Return the layer × method matrix of one metric, each mean with a shade: darker is better."""
    cells = of_metric(summary[summary["kind"] != "control"], metric)
    means = cells["mean"].astype(float)
    low, span = means.min(), means.max() - means.min()
    share = (means - low) / span if span > 0 else means * 0
    share = share if metric["higher_is_better"] else 1 - share
    shades = (share * (_SHADES - 1)).round().fillna(-1).astype(int)
    found = {
        (row["layer"], row["method"]): row | {"shade": shade}
        for row, shade in zip(cells.to_dict("records"), shades, strict=True)
    }
    layers, methods = list(cells["layer"].unique()), list(cells["method"].unique())
    rows = [(layer, [found.get((layer, method)) for method in methods]) for layer in layers]
    counts = sorted(set(cells["n"])) or [0]
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return {
        "metric": metric,
        "methods": methods,
        "rows": rows,
        "n": n,
        "best": said.best_set(metric),
    }


def _cost(folder: Folder, model: str) -> dict[str, Any]:
    """Return the cost table: a row per cell, the batch sizes side by side."""
    cost = folder.cost[folder.cost["model"] == model]
    batches = sorted(cost["batch_size"].dropna().astype(int).unique())
    rows = []
    for (layer, method), group in cost.groupby(["layer", "method"], sort=False):
        by_batch = {row["batch_size"]: row for row in group.to_dict("records")}
        first = group.iloc[0]
        rows.append(
            {"layer": layer, "method": method, "is_floor": method == "forward" and not layer}
            | {"forwards": first["forwards"], "backwards": first["backwards"]}
            | {"batches": [by_batch.get(batch) for batch in batches]}
        )
    return {"batches": [(batch, _rounds(cost, batch)) for batch in batches], "rows": rows}


def _rounds(cost: pd.DataFrame, batch: int) -> str:
    """Write how many rounds were timed at a batch size."""
    is_timed = (cost["batch_size"] == batch) & (cost["method"] != "forward")
    rounds = cost[is_timed if is_timed.any() else cost["batch_size"] == batch]["rounds"]
    low, high = text.count_of(rounds.min()), text.count_of(rounds.max())
    return low if low == high else f"{low} to {high}"


def _images(folder: Folder, model: str) -> list[dict[Any, Any]]:
    """Return what the model saw, the top five as pairs."""
    rows = folder.images[folder.images["model"] == model].to_dict("records")
    return [
        row
        | {
            "top": _top(row["top5"]),
            "hit": ""
            if row["hit_top1"] == ""
            else "hit"
            if text.is_yes(row["hit_top1"])
            else "miss",
            "hit5": "" if row["hit_top5"] == "" else text.is_yes(row["hit_top5"]),
        }
        for row in rows
    ]


def _top(source: str) -> list[tuple[str, float]]:
    """Return the names and probabilities of a JSON list, empty where it is not one."""
    try:
        return [(str(name), float(share)) for name, share in json.loads(source or "[]")]
    except (ValueError, TypeError):
        return []


def _troubles(folder: Folder, model: str) -> list[dict[str, Any]]:
    """Return the failed images, then the failed and undefined values, grouped by reason."""
    images = folder.images[(folder.images["model"] == model) & (folder.images["status"] != "ok")]
    rows = [
        {"status": "failed", "what": "the image", "reason": row["reason"], "count": 1}
        | {"cells": ["all"], "samples": [row["sample"]]}
        for row in images.to_dict("records")
    ]
    records = folder.records[(folder.records["model"] == model)]
    records = records[records["status"] != "value"]
    keys = ["status", "metric", "protocol", "reason"]
    for (status, metric, protocol, reason), group in records.groupby(keys, sort=False):
        cells = group[["layer", "method"]].drop_duplicates().itertuples(index=False, name=None)
        rows.append(
            {"status": status, "reason": reason, "count": len(group)}
            | {"what": text.metric_label(str(metric), str(protocol), folder.study["metrics"])}
            | {"cells": [text.cell_name(*cell) for cell in cells]}
            | {"samples": list(group["sample"].unique())}
        )
    return rows


def _metrics(metrics: list[dict[str, Any]], summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each metric with its parameters as a flat list and its columns in the summary.

    They begin at the column `at` and are `width` many: one more where `ties` are shown.
    """
    found, at = [], 2  # behind the layer and the method
    for metric in metrics:
        settings = list(_flat(metric.get("parameters") or {}))
        ties = shows_ties(of_metric(summary, metric))
        found.append(metric | {"settings": settings, "ties": ties, "at": at, "width": 3 + ties})
        at += 3 + ties
    return found


def _without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return a dict without some of its keys."""
    return {key: value for key, value in content.items() if key not in keys}


def _flat(content: Any, name: str = "") -> list[tuple[str, str]]:
    """Return a nested structure as (dotted name, text) pairs."""
    if isinstance(content, dict) and content:
        return [pair for k, v in content.items() for pair in _flat(v, f"{name}.{k}".lstrip("."))]
    if isinstance(content, list):
        plain = all(not isinstance(item, dict | list) for item in content)
        shown = ", ".join(map(str, content)) if plain else json.dumps(content, ensure_ascii=False)
        return [(name, shown or text.DASH)]
    return [(name, text.DASH if content in (None, "", {}) else str(content))]
