"""The charts of the report: curves, layer × method tables, cost against score.

Only matplotlib's object interface: no pyplot, no global state, so that threads and notebooks are
left alone. Every function takes the rows of one model and one metric.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gradcam_eval.intervals import bootstrap_interval
from gradcam_eval.report.grid import Key
from gradcam_eval.report.rows import level_of
from gradcam_eval.report.text import (
    arrow,
    cell_name,
    confidence,
    direction,
    interval,
    number,
    plural,
    statistic,
)
from gradcam_eval.statistics.units import clustered_interval, unit_codes
from gradcam_eval.stats import best_cells

# Okabe and Ito's colours, which readers with any colour vision can tell apart.
BLUE, ORANGE, GREEN, PURPLE, SKY, INK = (
    "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#1a1a1a"
)  # fmt: skip
GREY, FAINT = "#595959", "#c4c8cc"
_CONTROL_STYLE: dict[str, tuple[str, Any]] = {
    "random": (INK, (0, (5, 2))),
    "centre_gaussian": (PURPLE, (0, (3, 1, 1, 1))),
    "edges": (SKY, (0, (2, 1))),
    "oracle": (GREEN, (0, (1, 1))),
}
_MARKERS = "osD^vPX*<>hp"
_HEAT = LinearSegmentedColormap.from_list("paper to blue", ["#f5f8fa", "#6fb1d6"])

_CHANGED = {
    "deletion": "removed, most relevant first",
    "insertion": "added back, most relevant first",
    "morf": "removed, most relevant first",
    "lerf": "removed, least relevant first",
    "road_morf": "removed, most relevant first",
    "road_lerf": "removed, least relevant first",
    "sensitivity_n": "removed at random",
}


def curve_figure(
    curves: pd.DataFrame,
    summary: pd.DataFrame,
    metric: dict[str, Any],
    *,
    last_layer: str | None = None,
    clusters: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the mean score over the share of changed pixels, a line per cell.

    The cell with the best mean, Grad-CAM at the last layer and the controls stand out; the other
    cells are thin grey lines. The bands are intervals of the mean over images, point
    by point. Each line is a mean over the images that it has a curve of, and the legend says how
    many.

    Parameters
    ----------
    curves : columns layer, method, sample, fraction, score
    summary : rows of `stats.summarise`, for the areas in the legend
    metric : name, protocol, higher_is_better, unit
    last_layer : path of the layer whose Grad-CAM stands out
    clusters : sample → cluster of images that are not independent

    Notes
    -----
    Where images have different fractions, each curve is read at 101 even ones, linearly.
    """
    figure, axes = chart(6.2, 5.6)
    lines = {key: _matrix(group) for key, group in curves.groupby(["layer", "method"], sort=False)}
    shown = _highlights(summary, metric, last_layer)
    others = [key for key in lines if key not in shown]
    counts = [len(lines[key][1]) for key in others]
    for i, key in enumerate(others):
        label = f"the other {plural(len(others), 'cell')}, {_n(counts)}" if i == 0 else None
        grid, scores = lines[key]
        axes.plot(grid, scores.mean(axis=0), color=FAINT, linewidth=0.8, label=label, zorder=1)
    for key, (label, colour, style) in shown.items():
        if key not in lines:
            continue
        grid, scores = lines[key]
        text = f"{label}: {_rule(metric)} {_estimate(summary, key)}, n = {len(scores)}"
        axes.plot(grid, scores.mean(axis=0), color=colour, linestyle=style, linewidth=2, label=text)
        if len(scores) > 1 and label.startswith(("best mean", "random")):
            mine = curves[(curves["layer"] == key[0]) & (curves["method"] == key[1])]
            units = unit_codes(list(mine["sample"].unique()), clusters) if clusters else None
            low, high = _band(scores, units, level_of(summary))
            axes.fill_between(grid, low, high, color=colour, alpha=0.15, linewidth=0)
    changed = _CHANGED.get(metric["name"], "changed, most relevant first")
    axes.set(xlabel=f"share of pixels {changed}", xlim=(0, 1))
    words = ("probability or value", "probability", "value")
    unit = next((word for word in words if word in str(metric.get("unit"))), "score")
    axes.set_ylabel(f"{unit} of the target")
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    title_left(axes, f"{_heading(metric)}\nmean over each line's n images, band: {_sure(summary)}")
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i].startswith("the other"))
    legend_below(figure, [handles[i] for i in order], [labels[i] for i in order])
    return figure


def heat_table(
    summary: pd.DataFrame, metric: dict[str, Any], best_set: Collection[Key] = ()
) -> Figure:
    """Draw the layer × method matrix of means: darker is better, bold are cells of the best set."""
    cells = summary[summary["kind"] != "control"]
    layers, methods = list(cells["layer"].unique()), list(cells["method"].unique())
    figure, axes = chart(3.2 + 1.35 * max(len(methods), 1), 1.7 + 0.62 * max(len(layers), 1))
    means = cells.pivot(index="layer", columns="method", values="mean")
    grid = means.reindex(index=layers, columns=methods).to_numpy(float, na_value=np.nan)
    worth = grid if metric["higher_is_better"] else -grid
    if np.isfinite(worth).any():
        axes.imshow(worth, cmap=_HEAT, aspect="auto")
    has_own_n = cells["n"].nunique() > 1
    for row in cells.to_dict("records"):
        at = methods.index(row["method"]), layers.index(row["layer"])
        weight = "bold" if (row["layer"], row["method"]) in best_set else "normal"
        axes.text(
            *at, number(row["mean"]), ha="center", va="bottom", color=INK, size=10, weight=weight
        )
        known = interval(row["low"], row["high"])
        text = f"{known}\nn = {row['n']}" if known and has_own_n else known or f"n = {row['n']}"
        axes.text(*at, text, ha="center", va="top", color=INK, size=7)
    axes.set_xticks(range(len(methods)), methods)
    axes.set_yticks(range(len(layers)), [_break(layer) for layer in layers])
    axes.set(xlim=(-0.5, len(methods) - 0.5), ylim=(len(layers) - 0.5, -0.5))
    axes.tick_params(
        length=0, labelsize=8, top=True, labeltop=True, bottom=False, labelbottom=False
    )
    axes.spines[:].set_visible(False)
    axes.grid(False)
    bold = "; bold: the best set" if best_set else ""
    title = f"{_heading(metric)}, {_n(cells['n'])}\n{_unit(metric)}{statistic(metric)}"
    title_left(axes, f"{title} [{_sure(summary)}]{bold}", pad=24)
    return figure


def cost_figure(
    cost: pd.DataFrame,
    summary: pd.DataFrame,
    metric: dict[str, Any],
    best_set: Collection[Key] = (),
) -> Figure:
    """Draw the time per image against the mean score, a point per cell.

    Bars are the quartiles of the times and the interval of the score; the dashed line is the
    compiled forward pass. Colour is the layer's depth, shape the method; every cell of the best set
    (layer, method) is ringed. `cost` has the rows of one batch size.
    """
    figure, axes = chart(6.2, 5.6)
    known = summary[summary["kind"] != "control"]
    cells = cost.merge(known, on=["layer", "method"])
    cells = cells[cells["mean"].notna() & cells["median_ms_per_image"].notna()]
    methods, layers = list(cells["method"].unique()), list(summary["layer"].unique())
    layers = [layer for layer in layers if layer in set(cells["layer"])]
    for row in cells.to_dict("records"):
        axes.errorbar(
            row["median_ms_per_image"],
            row["mean"],
            xerr=_bars(row, "median_ms_per_image", "low_ms_per_image", "high_ms_per_image"),
            yerr=_bars(row, "mean", "low", "high"),
            fmt=_MARKERS[methods.index(row["method"]) % len(_MARKERS)],
            color=_depth(layers.index(row["layer"]), len(layers)),
            markersize=7, markeredgecolor="white", elinewidth=0.8, ecolor="#9aa5b199",
        )  # fmt: skip
        if known["n"].nunique() > 1:
            at = row["median_ms_per_image"], row["mean"]
            axes.annotate(f"n = {row['n']}", at, (6, 4), textcoords="offset points", size=6)
    ringed = cells[[key in best_set for key in zip(cells["layer"], cells["method"], strict=True)]]
    if len(ringed):
        axes.plot(
            ringed["median_ms_per_image"], ringed["mean"].astype(float), "o", markersize=15,
            color=INK, fillstyle="none", label=f"the best set: {len(ringed)} of {len(cells)} cells",
        )  # fmt: skip
    floor = cost[cost["method"] == "forward"]["median_ms_per_image"]
    if len(floor):
        axes.axvline(floor.iloc[0], color=GREY, linestyle="--", label="compiled forward pass")
    for i, layer in enumerate(layers):
        axes.plot([], [], "s", color=_depth(i, len(layers)), label=layer)
    for i, method in enumerate(methods):
        axes.plot([], [], _MARKERS[i % len(_MARKERS)], color=GREY, label=method)
    batch = int(cost["batch_size"].iloc[0])
    axes.set_xlabel(f"ms per image at batch size {batch} (median, bars: quartiles)")
    axes.set_ylabel(
        textwrap.fill(f"{metric['name']} ({_unit(metric)}{_sure(summary)})", 36), size=9
    )
    title_left(axes, f"{_heading(metric)}\nagainst cost, {_n(known['n'])}")
    legend_below(figure, *axes.get_legend_handles_labels(), columns=2)
    return figure


def chart(width: float, height: float) -> tuple[Figure, Any]:
    """Return an empty chart in the house's style."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.grid(color="#e9ecef", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def title_left(axes: Any, text: str, *, pad: float = 10) -> None:
    """Set the title flush left, as plain text: a `$` in a name is no mathematics."""
    axes.set_title(text, loc="left", fontsize=10, fontweight="bold", pad=pad, parse_math=False)


def legend_below(
    figure: Figure, handles: list[Any], labels: list[str], *, columns: int = 1
) -> None:
    """Put the legend below the chart, where it hides no line."""
    legend = figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=8)
    legend.set_frame_on(False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _matrix(curves: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return fractions (S,) and scores (n, S) of one cell, on one grid for all its images."""
    images = [
        rows.sort_values("fraction")[["fraction", "score"]].to_numpy(float).T
        for _, rows in curves.groupby("sample", sort=False)
    ]
    grid = images[0][0]
    if not all(x.shape == grid.shape and np.allclose(x, grid, atol=1e-9) for x, _ in images):
        grid = np.linspace(0, 1, 101)
    return grid, np.array([np.interp(grid, x, y) for x, y in images])


def _band(
    scores: NDArray[np.float64], units: NDArray[np.intp] | None, level: float
) -> NDArray[np.float64]:
    """Return the interval of the mean at each fraction, (2, S)."""
    if units is None:
        return bootstrap_interval(scores, resamples=1000, level=level)
    return np.array([clustered_interval(column, units, level=level) for column in scores.T]).T


def _sure(summary: pd.DataFrame) -> str:
    """Say how sure the intervals of a summary are."""
    return f"{confidence(level_of(summary))} interval"


def _highlights(
    summary: pd.DataFrame, metric: dict[str, Any], last_layer: str | None
) -> dict[tuple[str, str], tuple[str, str, Any]]:
    """Return the cells that stand out: label, colour and line style, the best mean first."""
    shown: dict[tuple[str, str], tuple[str, str, Any]] = {}
    for row in best_cells(summary, [metric]).to_dict("records"):
        key = row["layer"], row["method"]
        shown[key] = (f"best mean, {cell_name(*key)}", BLUE, "-")
    if last_layer and (last_layer, "grad_cam") not in shown:
        key = last_layer, "grad_cam"
        shown[key] = (f"last layer, {cell_name(*key)}", ORANGE, "-")
    for name, style in _CONTROL_STYLE.items():
        shown["", name] = (name, *style)
    return shown


def _estimate(summary: pd.DataFrame, key: tuple[str, str]) -> str:
    """Write a cell's mean and interval."""
    row = summary[(summary["layer"] == key[0]) & (summary["method"] == key[1])]
    if row.empty:
        return number(None)
    first = row.iloc[0]
    return f"{number(first['mean'])} {interval(first['low'], first['high'])}".strip()


def _bars(row: dict[Any, Any], middle: str, low: str, high: str) -> list[list[float]] | None:
    """Return the two lengths of an error bar, or None where an end is unknown."""
    if pd.isna(row[low]) or pd.isna(row[high]):
        return None
    return [[max(0.0, row[middle] - row[low])], [max(0.0, row[high] - row[middle])]]


def _depth(index: int, count: int) -> Any:
    """Return the colour of a layer: the deeper, the darker."""
    return matplotlib.colormaps["viridis"](0.9 - 0.9 * index / max(count - 1, 1))


def _heading(metric: dict[str, Any]) -> str:
    """Name a metric with its protocol and direction."""
    up = bool(metric["higher_is_better"])
    return f"{metric['name']} ({metric['protocol']}) {arrow(up)} {direction(up)}"


def _unit(metric: dict[str, Any]) -> str:
    """Return the unit, to stand before something else."""
    return f"{metric['unit']}, " if metric.get("unit") else ""


def _n(counts: Sequence[int] | pd.Series) -> str:
    """Write how many images stand behind each of several cells."""
    low, high = min(counts, default=0), max(counts, default=0)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def _rule(metric: dict[str, Any]) -> str:
    """Name what a curve's one number is, by the protocol's record."""
    said = str((metric.get("parameters") or {}).get("area") or "")
    return "mean" if said.startswith("mean") else "area"


def _break(name: str) -> str:
    """Break a long name in two lines at a separator near its middle."""
    if len(name) < 20:
        return name
    cuts = [i + 1 for i, letter in enumerate(name) if letter in "_/" and 0 < i < len(name) - 1]
    if not cuts:
        return name
    cut = min(cuts, key=lambda i: abs(i - len(name) / 2))
    return f"{name[:cut]}\n{name[cut:]}"
