"""Agreement: how alike are the heatmaps of different methods, or of different layers?

That methods agree does not make them right; where they disagree, at most one of them is.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from gradcam_eval.core import Heatmap, InputError, Undefined
from gradcam_eval.metrics.inputs import Heatmaps, checked_heatmaps
from gradcam_eval.metrics.similarity import Measure, find_measure, framed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Agreement:
    """Similarity of each two cells, as a mean over images.

    Attributes
    ----------
    measure : its name
    mean : DataFrame, symmetric, cells × cells; NaN where no image has a value
    n : DataFrame, symmetric: how many images each mean is of
    """

    measure: str
    mean: pd.DataFrame
    n: pd.DataFrame


def agreement(
    heatmaps: Mapping[Hashable, Heatmaps],
    *,
    measure: str = "rank_correlation",
    size: tuple[int, int] | None = None,
) -> Agreement:
    """Compare each two cells' heatmaps of the same images.

    ``A[a, b] = mean over images i of s(Φ_a(x_i), Φ_b(x_i))``, s the measure of similarity.

    Parameters
    ----------
    heatmaps : for each cell (a name, or any key) float (N, h, w), or N arrays (h, w), of the same
        N images in the same order; what `explain` returns can be given as it is
    measure : "rank_correlation", "absolute_rank_correlation", "ssim", "hog" or "top_overlap"
    size : (H, W) to which all are resized bilinearly; by default the largest height and width

    Returns
    -------
    Agreement, its cells in the order given. Images on which one of two heatmaps is constant or not
    finite are left out of that pair, and `n` says so. A cell agrees with itself by 1.

    Raises
    ------
    InputError
        An unknown measure, no heatmaps, or cells of different numbers of images.
    """
    import pandas as pd

    similarity = find_measure(measure)
    cells = list(heatmaps)
    stacks = _framed({cell: checked_heatmaps(maps) for cell, maps in heatmaps.items()}, size)
    mean = np.full((len(cells), len(cells)), np.nan)
    n = np.zeros(mean.shape, int)
    pairs = [(i, i) for i in range(len(cells))] + list(combinations(range(len(cells)), 2))
    for i, j in pairs:
        values = _values(similarity, stacks[i], stacks[j])
        n[i, j] = n[j, i] = len(values)
        if values:
            mean[i, j] = mean[j, i] = np.mean(values)
    labels = pd.Index(cells, tupleize_cols=False)
    return Agreement(
        measure,
        pd.DataFrame(mean, index=labels, columns=labels),
        pd.DataFrame(n, index=labels, columns=labels),
    )


def _values(similarity: Measure, ones: list[Heatmap], others: list[Heatmap]) -> list[float]:
    found = [similarity(one, other) for one, other in zip(ones, others, strict=True)]
    return [value for value in found if not isinstance(value, Undefined)]


def _framed(
    heatmaps: dict[Hashable, list[Heatmap]], size: tuple[int, int] | None
) -> list[list[Heatmap]]:
    """Return each cell's heatmaps at one size."""
    counts = {len(maps) for maps in heatmaps.values()}
    if len(counts) != 1 or counts == {0}:
        numbers = ", ".join(f"{cell}: {len(maps)}" for cell, maps in heatmaps.items()) or "none"
        raise InputError(
            f"heatmaps of different numbers of images ({numbers}): give each cell's of the same "
            "images, in the same order"
        )
    shapes = [each.shape for maps in heatmaps.values() for each in maps]
    height, width = size or (max(h for h, _ in shapes), max(w for _, w in shapes))
    return [[framed(each, (height, width)) for each in maps] for maps in heatmaps.values()]
