"""Simulated studies whose truth is known: margins of several shapes, correlated as real ones are.

Cells share what an image does (half of the variance) and what a layer does on it (a quarter).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.report.folder import Folder

SHAPES = ("normal", "skewed", "heavy", "hits", "zeros")
CONTROLS = ("random", "centre_gaussian", "edges")
METHODS = 4  # cells are layers × methods
MEANS = {"normal": 0.0, "skewed": 0.0, "heavy": 0.0, "hits": 0.5, "zeros": 0.3 * 0.5}


def margins(
    generator: np.random.Generator, n: int, cells: int, *, shape: str = "normal", clusters: int = 0
) -> NDArray[np.float64]:
    """Return exchangeable scores (n, cells), larger = better; their mean is `MEANS[shape]`.

    shape : "normal", "skewed" (log-normal), "heavy" (t with 4 degrees of freedom), "hits" (0 or 1)
        or "zeros" (70 % zeros, else 0 to 1)
    clusters : images come in so many groups, with an intra-class correlation of .3 of what they
        share and of each layer's and cell's part
    """
    layers = -(-cells // METHODS)
    shared = _grouped(generator, n, 1, clusters)
    by_layer = np.repeat(_grouped(generator, n, layers, clusters), METHODS, axis=1)[:, :cells]
    own = _grouped(generator, n, cells, clusters)
    z = np.sqrt(0.5) * shared + 0.5 * by_layer + 0.5 * own
    return shaped(z, shape)


def _grouped(generator: np.random.Generator, n: int, k: int, clusters: int) -> NDArray[np.float64]:
    own = generator.normal(size=(n, k))
    if not clusters:
        return own
    group = generator.normal(size=(clusters, k))[np.arange(n) % clusters]
    return np.sqrt(0.3) * group + np.sqrt(0.7) * own


def shaped(z: NDArray[np.float64], shape: str) -> NDArray[np.float64]:
    """Return standard normal numbers in another shape."""
    from scipy.stats import norm, t

    if shape == "normal":
        return z
    if shape == "skewed":  # skewness 3.7 at a standard deviation of 1
        return np.asarray((np.exp(0.8 * z) - np.exp(0.32)) / np.sqrt(np.expm1(0.64) * np.exp(0.64)))
    share = norm.cdf(z)
    if shape == "heavy":
        return np.asarray(t.ppf(share, 4) / np.sqrt(2))
    if shape == "hits":
        return np.asarray(share > 0.5, float)
    return np.asarray(np.maximum(share - 0.7, 0) / 0.3)


def folder_of(
    scores: NDArray[np.float64], controls: NDArray[np.float64], *, clusters: int = 0
) -> Folder:
    """Return a results folder in memory with one metric, `insertion`, of cells and controls."""
    n, cells = scores.shape
    layers = [f"layer_{at}" for at in range(-(-cells // METHODS))]
    methods = ["grad_cam", "layer_cam", "eigen_cam", "xgrad_cam"]
    names = [(layer, method) for layer in layers for method in methods][:cells]
    names += [("", control) for control in CONTROLS[: controls.shape[1]]]
    values = np.concatenate([scores, controls], axis=1)
    samples = [f"image_{at:05}" for at in range(n)]
    records = pd.DataFrame(
        {
            "model": "net",
            "layer": np.repeat([layer for layer, _ in names], n),
            "method": np.repeat([method for _, method in names], n),
            "kind": np.repeat(["cam" if layer else "control" for layer, _ in names], n),
            "sample": np.tile(samples, len(names)),
            "metric": "insertion",
            "protocol": "simulated",
            "status": "value",
            "value": values.T.ravel(),
            "reason": "",
        }
    )
    metric = {"name": "insertion", "protocol": "simulated", "higher_is_better": True}
    study = {"models": ["net"], "metrics": [metric], "seed": 0}
    if clusters:
        study["analysis"] = {"cluster": "class"}
    images = pd.DataFrame({"model": "net", "sample": samples, "status": "ok"}).assign(
        **{"class": [f"c{at % clusters}" if clusters else "" for at in range(n)]},
        hit_top1="",
        probability=0.5,
        pixels="",
    )
    paths = pd.DataFrame({"model": "net", "path": layers, "roles": ""})
    paths.loc[len(paths) - 1, "roles"] = "last"
    times = ["median_ms_per_image", "low_ms_per_image", "high_ms_per_image", "ratio_to_forward"]
    cost = pd.DataFrame(columns=["model", "layer", "method", "batch_size", *times])
    empty = pd.DataFrame()
    return Folder(Path("."), study, {}, images, paths, records, empty, cost)
