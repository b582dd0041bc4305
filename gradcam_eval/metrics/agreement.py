"""Agreement: how alike are the heatmaps of different methods, or of different layers?

That methods agree does not make them right; where they disagree, at most one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Heatmap, InputError, Undefined
from gradcam_eval.metrics.inputs import Heatmaps, checked_heatmaps
from gradcam_eval.metrics.measure import Measure
from gradcam_eval.metrics.similarity import find_measure, framed

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
    heatmaps: Mapping[Any, Heatmaps],
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
    measure : "rank_correlation", "absolute_rank_correlation", "ssim", "hog", "top_overlap", or one
        of metrics/similarity_adebayo.py
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

    similar = find_measure(measure)
    cells, maps = list(heatmaps), [checked_heatmaps(each) for each in heatmaps.values()]
    largest = _frame(cells, maps)
    total = np.zeros((len(cells), len(cells)))
    n = np.zeros(total.shape, int)
    for of_image in zip(*maps, strict=True):
        values = _matrix(similar, [framed(each, size or largest) for each in of_image])
        total += np.nan_to_num(values)
        n += ~np.isnan(values)
    mean = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
    labels = pd.Index(cells, tupleize_cols=False)
    return Agreement(
        measure,
        pd.DataFrame(mean, index=labels, columns=labels),
        pd.DataFrame(n, index=labels, columns=labels),
    )


def _matrix(similar: Measure, maps: Sequence[Heatmap]) -> NDArray[np.float64]:
    """Compare each two heatmaps of one image; NaN where they cannot be compared."""
    prepared = [similar.prepare(each) for each in maps]
    values = np.full((len(maps), len(maps)), np.nan)
    for i, j in combinations_with_replacement(range(len(maps)), 2):
        value = similar.between(prepared[i], prepared[j])
        if not isinstance(value, Undefined):
            values[i, j] = values[j, i] = value
    return values


def _frame(cells: list[Any], maps: list[list[Heatmap]]) -> tuple[int, int]:
    """Return the largest height and width; refuse cells of different numbers of images."""
    counts = {len(each) for each in maps}
    if len(counts) != 1 or counts == {0}:
        numbers = ", ".join(f"{c}: {len(each)}" for c, each in zip(cells, maps, strict=True))
        raise InputError(
            f"heatmaps of different numbers of images ({numbers or 'none'}): give each cell's of "
            "the same images, in the same order"
        )
    shapes = [each.shape for of_cell in maps for each in of_cell]
    return max(h for h, _ in shapes), max(w for _, w in shapes)
