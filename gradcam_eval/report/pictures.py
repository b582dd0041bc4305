"""Make the report's pictures: PNG files in the results folder, small copies for the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as PillowImage

from gradcam_eval.core import InputError
from gradcam_eval.files import replacing
from gradcam_eval.report.answer import Answer
from gradcam_eval.report.critical import critical_figure
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.grid import Key, overlay_grid, read_maps, thumbnail
from gradcam_eval.report.plots import cost_figure, curve_figure, heat_table
from gradcam_eval.report.text import cell_name, is_yes, metric_label, number
from gradcam_eval.store import file_name
from gradcam_eval.texts import isolated

BUDGET = 8_000_000  # bytes of pictures in the page, before base64 adds a third
_CHART_DPI = 160


@dataclass
class Album:
    """Saves each picture as a file and hands out what the page embeds, while the budget lasts."""

    home: Path
    spent: int = 0
    errors: list[str] = field(default_factory=list)
    saved: set[Path] = field(default_factory=set)

    def chart(self, figure: Figure, name: str, alt: str) -> dict[str, Any]:
        """Save a chart and return it for the page, crisp."""
        self._save(figure, name, dpi=_CHART_DPI)
        with PillowImage.open(self.home / name) as picture:
            return self._embed(picture.convert("RGB"), name, alt, lossless=True)

    def photo(self, figure: Figure, name: str, alt: str) -> dict[str, Any]:
        """Save a picture of photographs and return it for the page, compressed."""
        self._save(figure, name, dpi=figure.dpi)
        with PillowImage.open(self.home / name) as picture:
            return self._embed(picture.convert("RGB"), name, alt, lossless=False)

    def small(self, pixels: NDArray[np.uint8], alt: str) -> dict[str, Any]:
        """Return a thumbnail for the page."""
        return self._embed(PillowImage.fromarray(pixels), "", alt, lossless=False)

    def remove_others(self) -> None:
        """Remove charts that an earlier report saved and this one did not."""
        for kind in ("curves", "figures"):
            for file in (self.home / kind).glob("*/*.png"):
                if file.resolve() not in self.saved:
                    file.unlink(missing_ok=True)

    def _save(self, figure: Figure, name: str, *, dpi: float) -> None:
        """Write a figure as PNG below the results folder, never outside it."""
        file = (self.home / name).resolve()
        if not file.is_relative_to(self.home.resolve()):
            raise InputError(f"{name!r} leads out of the results folder: rename the image.")
        file.parent.mkdir(parents=True, exist_ok=True)
        self.saved.add(file)
        options = {"compress_level": 4}  # half the time of the default for 5 % more bytes
        with replacing(file) as unfinished:
            figure.savefig(unfinished, dpi=dpi, metadata={"Software": None}, pil_kwargs=options)

    def _embed(
        self, picture: PillowImage.Image, name: str, alt: str, *, lossless: bool
    ) -> dict[str, Any]:
        """Return the picture as a data URI, or without one where the budget is spent."""
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", lossless=lossless, quality=80, method=4)
        data = buffer.getvalue()
        width, height = picture.size
        shown = {"alt": alt, "width": width, "height": height, "file": name, "uri": ""}
        if self.spent + len(data) <= BUDGET:
            self.spent += len(data)
            shown["uri"] = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
        return shown


def charts(
    album: Album, folder: Folder, summary: pd.DataFrame, said: Answer
) -> dict[str, list[Any]]:
    """Draw a model's charts.

    Returns
    -------
    dict with "curves", "costs" and "ranks", lists of pictures for the page (the heat tables are
    only saved: the page has them as HTML)
    """
    drawn: dict[str, list[Any]] = {"curves": [], "costs": [], "ranks": []}
    model = said.model
    place = file_name(model)  # as the folder of its maps is named
    cost = folder.cost[folder.cost["model"] == model]
    cost = cost[cost["batch_size"] == cost["batch_size"].min()]
    for metric in folder.study["metrics"]:
        rows = summary[(summary["model"] == model) & (summary["metric"] == metric["name"])]
        rows = rows[rows["protocol"] == metric["protocol"]]
        if not rows["mean"].notna().any():
            continue
        name = f"{metric['name']}_{metric['protocol']}"
        best_set = said.best_set(metric)
        heat = heat_table(rows, metric, best_set)
        album._save(heat, f"figures/{place}/{name}_table.png", dpi=_CHART_DPI)
        curves = folder.curves[folder.curves["model"] == model]
        curves = curves[curves["metric"] == metric["name"]]
        curves = curves[curves["protocol"] == metric["protocol"]]
        if len(curves):
            figure = curve_figure(
                curves,
                rows,
                metric,
                last_layer=folder.last_layer(model),
                clusters=folder.clusters,
            )
            what = metric_label(metric["name"], metric["protocol"], folder.study["metrics"])
            alt = f"Mean {what} curves of {model}; the areas stand in the summary table"
            drawn["curves"].append(album.chart(figure, f"curves/{place}/{name}.png", alt))
        if (cost["layer"] != "").any():
            figure = cost_figure(cost, rows, metric, best_set)
            alt = f"{metric['name']} against ms per image of {model}; numbers in the cost table"
            drawn["costs"].append(album.chart(figure, f"figures/{place}/{name}_cost.png", alt))
    for verdict in said.verdicts:
        if ranks := critical_figure(verdict):
            name = f"{verdict.metric['name']}_{verdict.metric['protocol']}_ranks"
            alt = f"Mean ranks of the cells of {model} by {verdict.label}"
            drawn["ranks"].append(album.chart(ranks, f"figures/{place}/{name}.png", alt))
    return drawn


def overlays(album: Album, folder: Folder, model: str, best: Key | None) -> list[dict[str, Any]]:
    """Draw an image's grid of overlays for every image of a model that has maps.

    Parameters
    ----------
    best : layer and method of the map that the thumbnail shows beside the image
    """
    shown = []
    for row in folder.images[folder.images["model"] == model].to_dict("records"):
        path = folder.maps(model, row["sample"])
        if path is None or row["status"] != "ok":
            continue
        try:
            maps = read_maps(path)
        except InputError as error:
            album.errors.append(str(error))
            continue
        facts = _facts({str(key): value for key, value in row.items()})
        title = row["title"] or row["sample"]
        name = Path("overlays") / path.relative_to(folder.path / "maps").with_suffix(".png")
        figure = overlay_grid(maps, caption=[title, *facts, *_credit(row)])
        called = isolated(title)
        alt = f"{called}: heatmaps of {len(maps.layers)} layers by {len(maps.methods)} methods"
        alt += f", and the controls {', '.join(maps.controls)}" if maps.controls else ""
        grid = album.photo(figure, str(name), alt)
        by = f" by {cell_name(*best)}" if best else ""
        small = album.small(thumbnail(maps, best), f"{called}, and its heatmap{by}")
        shown.append({"title": title, "facts": facts, "grid": grid, "thumbnail": small})
    return shown


def _facts(row: dict[str, Any]) -> list[str]:
    """Return what is said of an image beside it: its target, its label, hit or miss."""
    lines = []
    if row["target_name"] or row["target"]:
        known = not pd.isna(row["probability"])  # a regression gives none
        said = f", probability {number(row['probability'])}" if known else ""
        lines.append(f"target: {row['target_name'] or row['target']}{said}")
    if row["labels"]:
        hit = "" if row["hit_top1"] == "" else "hit" if is_yes(row["hit_top1"]) else "miss"
        lines.append(f"label: {row['labels']}" + (f" (first answer: {hit})" if hit else ""))
    return lines


def _credit(row: dict[Any, Any]) -> list[str]:
    """Return the line that says whose the picture is, if that is known."""
    credit = ", ".join(part for part in (row["credit"], row["licence"]) if part)
    return [f"picture: {credit}"] if credit else []
