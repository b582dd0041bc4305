"""Draw the README's picture from a finished study: heatmaps of one photograph without its pixels.

    python docs/heatmaps_picture.py results/quickstart docs/heatmaps.png

The photograph itself is not ours to keep in this repository: the outline drawn for it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gradcam_eval.report.grid import Maps, read_maps
from gradcam_eval.report.overlay import positive_map
from gradcam_eval.store import map_path

MODEL, SAMPLE = "efficientnet_lite0", "coffee"
METHODS = ("grad_cam", "hires_cam", "layer_cam", "eigen_cam")


def main(folder: Path, out: Path) -> None:
    """Draw layers × methods, each map with the object's outline and its two areas."""
    maps = read_maps(map_path(folder, MODEL, SAMPLE))
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    records = records[(records["model"] == MODEL) & (records["sample"] == SAMPLE)]
    figure = Figure(figsize=(8.4, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(maps.layers), len(METHODS))
    for row, layer in zip(axes, maps.layers, strict=True):
        for place, method in zip(row, METHODS, strict=True):
            _draw(place, maps, (layer, method))
            areas = [_area(records, layer, method, m) for m in ("deletion", "insertion")]
            place.set_xlabel(f"deletion {areas[0]:.2f}, insertion {areas[1]:.2f}", fontsize=8)
        height, width = maps.maps[layer, METHODS[0]].shape
        row[0].set_ylabel(f"{layer}\n{height}×{width}", fontsize=8)
    for place, method in zip(axes[0], METHODS, strict=True):
        place.set_title(method, fontsize=10, fontweight="bold")
    figure.savefig(out, dpi=110, metadata={"Software": None})


def _draw(place: object, maps: Maps, key: tuple[str, str]) -> None:
    size = (maps.image.shape[0], maps.image.shape[1])
    place.imshow(positive_map(maps.maps[key], size), cmap="inferno")  # type: ignore[attr-defined]
    place.contour(maps.mask, [0.5], colors="white", linewidths=1.2)  # type: ignore[attr-defined]
    place.set_xticks([])  # type: ignore[attr-defined]
    place.set_yticks([])  # type: ignore[attr-defined]


def _area(records: pd.DataFrame, layer: str, method: str, metric: str) -> float:
    cell = (records["layer"] == layer) & (records["method"] == method)
    return float(records[cell & (records["metric"] == metric)]["value"].iloc[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
