"""The measures of similarity as the code of Adebayo et al. (2018) computes them.

The repository is adebayoj/sanity_checks_saliency. Its notebook
notebooks/inceptionv3_cascading_randomization.ipynb names the functions and their arguments, and its
requirements.txt the versions, scikit-image 0.15.0 and saliency 0.0.4, whose defaults complete them.
There a heatmap has three channels, which Grad-CAM fills alike; here it has one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Heatmap, Undefined
from gradcam_eval.metrics.measure import Measure, pearson, ranks

_PERCENTILE = 99
_WINDOW = 11  # pixels that a Gaussian of 1.5 pixels has within 3.5 of its widths
_RANGE = 2.0  # of scikit-image's floats, -1..1, which it takes where it is told none
_CELL, _BLOCK = 16, 3  # pixels a side, cells a side


def clipped_rank_correlation(one: Heatmap, other: Heatmap) -> float | Undefined:
    """Spearman's rank correlation of the heatmaps as they are drawn with signs.

    Of ``min(max(h, −3 s), s)``, with ``s = |P₉₉(h)|`` the heatmap's 99th percentile.

    Parameters
    ----------
    one, other : float (H, W), the same size; larger is more relevant

    Returns
    -------
    float in -1..1, 1 for the same order; Undefined where a heatmap is constant, not finite, or so
    once it is clipped

    Notes
    -----
    The code ranks what saliency's `VisualizeImageDiverging` returns, ``(h + s) / 2s`` clipped to
    -1..1: the largest hundredth of the pixels share one rank. Where s is 0 it divides by 0.

    Examples
    --------
    >>> a = np.arange(100.0).reshape(10, 10)
    >>> clipped_rank_correlation(a, a**3)
    1.0
    """
    return AS_IN_THE_CODE["clipped_rank_correlation"].of(one, other)


def clipped_absolute_rank_correlation(one: Heatmap, other: Heatmap) -> float | Undefined:
    """Spearman's rank correlation of the heatmaps as they are drawn without signs.

    Of ``min(|h|, P₉₉(|h|))``; the rest is as of `clipped_rank_correlation`.

    Notes
    -----
    The code ranks what saliency's `VisualizeImageGrayscale` returns, which also takes the least
    value off and divides by what is left: that changes no rank.
    """
    return AS_IN_THE_CODE["clipped_absolute_rank_correlation"].of(one, other)


def gaussian_ssim(one: Heatmap, other: Heatmap) -> float | Undefined:
    """SSIM in Gaussian windows of two heatmaps, each scaled linearly to 0..1.

    As `structural_similarity`, with windows of 11 × 11 pixels weighted by a Gaussian of 1.5 pixels
    and a range R = 2: c₁ = (0.01 R)² and c₂ = (0.03 R)². Variances and the covariance are
    multiplied by 121/120.

    Parameters
    ----------
    one, other : float (H, W), the same size, 11 pixels or more a side

    Returns
    -------
    float in -1..1, 1 for equal maps; Undefined where a heatmap is constant, not finite or smaller

    Notes
    -----
    The code states no range for maps of 0..1, and scikit-image 0.15.0 takes that of its floats,
    from -1 to 1. A range of 1, which today's has to be told, makes the constants a quarter as
    large, and the similarity of flat regions smaller.
    """
    return AS_IN_THE_CODE["gaussian_ssim"].of(one, other)


def ranked_hog(one: Heatmap, other: Heatmap) -> float | Undefined:
    """Spearman's rank correlation of the heatmaps' histograms of oriented gradients.

    Each heatmap is scaled linearly to 0..1. Nine orientations; cells of 16 × 16 pixels whatever the
    image's size (299 × 299 there); blocks of 3 × 3 cells, L2-Hys.

    Parameters
    ----------
    one, other : float (H, W), the same size, 48 pixels or more a side

    Returns
    -------
    float in -1..1, 1 for the same edges; Undefined where a heatmap is constant, not finite,
    smaller, or has the same histogram in every cell
    """
    return AS_IN_THE_CODE["ranked_hog"].of(one, other)


def _signed(heatmap: Heatmap) -> NDArray[np.float64] | Undefined:
    span = abs(np.percentile(heatmap, _PERCENTILE))
    return _ranked(np.clip(heatmap, -3 * span, span))


def _absolute(heatmap: Heatmap) -> NDArray[np.float64] | Undefined:
    size = np.abs(heatmap)
    return _ranked(np.minimum(size, np.percentile(size, _PERCENTILE)))


def _ranked(clipped: Heatmap) -> NDArray[np.float64] | Undefined:
    if not np.ptp(clipped):
        return Undefined(f"clipped at its {_PERCENTILE}th percentile, the heatmap is constant")
    return ranks(clipped)


def _scaled(heatmap: Heatmap) -> NDArray[np.float64] | Undefined:
    if min(heatmap.shape) < _WINDOW:
        return Undefined(f"the heatmap is smaller than SSIM's window of {_WINDOW} pixels")
    return arrays.min_max(heatmap).astype(np.float64)  # 0.15.0 computes in float64


def _ssim(one: NDArray[Any], other: NDArray[Any]) -> float:
    from skimage.metrics import structural_similarity as ssim

    return float(ssim(one, other, data_range=_RANGE, gaussian_weights=True))


def _hog(heatmap: Heatmap) -> NDArray[np.float64] | Undefined:
    from skimage.feature import hog

    if min(heatmap.shape) < _CELL * _BLOCK:
        return Undefined(f"the heatmap is smaller than HOG's block of {_CELL * _BLOCK} pixels")
    found = hog(
        arrays.min_max(heatmap),
        pixels_per_cell=(_CELL, _CELL),
        cells_per_block=(_BLOCK, _BLOCK),
    )
    if not np.ptp(found):
        return Undefined("the heatmap has the same gradients everywhere")
    return ranks(found)


AS_IN_THE_CODE: dict[str, Measure] = {
    "clipped_rank_correlation": Measure(_signed, pearson),
    "clipped_absolute_rank_correlation": Measure(_absolute, pearson),
    "gaussian_ssim": Measure(_scaled, _ssim),
    "ranked_hog": Measure(_hog, pearson),
}
