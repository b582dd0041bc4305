"""The chart of a sanity check: how alike heatmaps are, step by step."""

from __future__ import annotations

from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradcam_eval.report.plots import FAINT, GREY, chart, legend_below, title_left

_MARKERS = "osD^vPX*<>hp"
_DASHES = ("--", ":", "-.")


def similarity_figure(curves: pd.DataFrame, steps: pd.DataFrame, measure: str, name: str) -> Figure:
    """Draw each cell's mean similarity to the trained model's heatmaps over the steps.

    Parameters
    ----------
    curves : layer, method, step, n, mean, low, high; as of `SanityCheck.curves`
    steps : step, changed; what each step changed
    measure : its name
    name : of the check; controls, cells of layer "", are grey dashed lines
    """
    figure, axes = chart(9.5, 6.2)
    is_control = curves["layer"] == ""
    cells = list(curves[~is_control].groupby(["layer", "method"], sort=False))
    colours = matplotlib.colormaps["tab10" if len(cells) <= 10 else "viridis"]
    has_layers = curves.loc[~is_control, "layer"].nunique() > 1
    for i, ((layer, method), rows) in enumerate(cells):
        colour = colours(i if len(cells) <= 10 else i / max(len(cells) - 1, 1))
        label = f"{method} at {layer}" if has_layers else str(method)
        _draw(axes, rows, color=colour, marker=_MARKERS[i % len(_MARKERS)], label=label)
        axes.fill_between(rows["step"], rows["low"], rows["high"], color=colour, alpha=0.08)
    controls = curves[is_control].groupby(["layer", "method"], sort=False)
    for i, ((_, method), rows) in enumerate(controls):
        style = _DASHES[i % len(_DASHES)]
        _draw(axes, rows, color=GREY, linestyle=style, label=f"control: {method}")
    axes.axhline(1, color=FAINT, linewidth=0.8)
    axes.set_xticks(
        [0, *steps["step"]],
        ["trained", *map(_short, steps["changed"])],
        rotation=60,
        ha="right",
        fontsize=7,
        parse_math=False,
    )
    axes.set_ylabel(f"{measure.replace('_', ' ')} with the trained model's heatmap")
    axes.set_xlabel("changed so far" if "independent" not in name else "changed, alone")
    n = int(curves["n"].max()) if len(curves) else 0
    title_left(axes, f"{name}\nmean of up to n = {n} images, band: 95 % interval")
    legend_below(figure, *axes.get_legend_handles_labels(), columns=3)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, **style: Any) -> None:
    """Draw one line, from the trained model's own heatmap on."""
    axes.plot([0, *rows["step"]], [1.0, *rows["mean"]], markersize=4, linewidth=1.4, **style)


def _short(label: str) -> str:
    """Keep a step's name readable on an axis: the last layer of the group."""
    last = label.split(" … ")[-1]
    return last if len(last) <= 28 else f"…{last[-27:]}"
