"""Agreement of a study's cells: their maps from its folder, and the chart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradcam_eval.core import Heatmap, InputError, unknown_name
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.grid import read_maps
from gradcam_eval.report.plots import INK, chart, title_left
from gradcam_eval.report.text import cell_name

_ABSENT = np.full((1, 1), np.nan, np.float32)  # what `agreement` leaves out


def cell_maps(found: Folder, model: str | None, controls: bool) -> dict[str, list[Heatmap]]:
    """Return the heatmaps of each cell, by its name, over the images that have any.

    Parameters
    ----------
    found : a study's folder
    model : whose; may be None where the study has one
    controls : whether the controls are cells too
    """
    if model is None and len(found.models) != 1:
        raise InputError(f"the study has {len(found.models)} models: name one as model")
    label = found.models[0] if model is None else model
    if label not in found.models:
        raise unknown_name("model", label, found.models)
    samples = found.images.loc[found.images["model"] == label, "sample"]
    files = [path for sample in samples if (path := found.maps(label, sample))]
    images = [read_maps(path).maps for path in files]
    keys = dict.fromkeys(key for maps in images for key in maps if key[0] or controls)
    if not keys:
        raise InputError(f"{found.path} holds no heatmaps of {label!r}: run the study again")
    return {cell_name(*key): [maps.get(key, _ABSENT) for maps in images] for key in keys}


def agreement_figure(mean: pd.DataFrame, n: pd.DataFrame, measure: str) -> Figure:
    """Draw the matrix of `Agreement`, a number in each cell; purple is alike, orange is opposed."""
    names = [" · ".join(key) if isinstance(key, tuple) else str(key) for key in mean]
    side = 2.6 + 0.62 * len(names)
    figure, axes = chart(side, side)
    axes.grid(False)
    values = mean.to_numpy(float)
    axes.imshow(values, cmap="PuOr", vmin=-1, vmax=1)
    for i, j in np.ndindex(values.shape):
        is_dark = abs(values[i, j]) > 0.7
        rounded = round(float(values[i, j]), 2) + 0.0  # no −0.00
        text = "–" if np.isnan(rounded) else f"{rounded:.2f}".replace("-", "−")
        axes.text(j, i, text, ha="center", va="center", size=8, color="white" if is_dark else INK)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=60, ha="right", fontsize=8, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=8, parse_math=False)
    low, high = int(n.to_numpy().min()), int(n.to_numpy().max())
    images = f"n = {low}" if low == high else f"n = {low} to {high}"
    title_left(axes, f"agreement: {measure.replace('_', ' ')}\nmean over {images} images")
    return figure
