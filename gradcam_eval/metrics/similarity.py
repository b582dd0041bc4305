"""How alike two heatmaps of one image are: the measures that sanity checks and agreement share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Heatmap, InputError, Undefined, unknown_name
from gradcam_eval.metrics.measure import Measure, pearson, ranks
from gradcam_eval.metrics.similarity_adebayo import AS_IN_THE_CODE

TOP_FRACTION = 0.1
_SSIM_WINDOW = 7  # pixels, scikit-image's default
_HOG_CELLS = 14  # along the shorter side: 16 pixels each in a 224-pixel image


def rank_correlation(one: Heatmap, other: Heatmap) -> float | Undefined:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank.

    Parameters
    ----------
    one, other : float (H, W), the same size; larger is more relevant

    Returns
    -------
    float in -1..1, 1 for the same order; Undefined where a heatmap is constant or not finite

    References
    ----------
    Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS 2018,
    arXiv:1810.03292.

    Examples
    --------
    >>> a = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> rank_correlation(a, a**3), rank_correlation(a, -a)
    (1.0, -1.0)
    """
    return MEASURES["rank_correlation"].of(one, other)


def absolute_rank_correlation(one: Heatmap, other: Heatmap) -> float | Undefined:
    """Spearman's rank correlation of the absolute values; see `rank_correlation`."""
    return MEASURES["absolute_rank_correlation"].of(one, other)


def structural_similarity(one: Heatmap, other: Heatmap) -> float | Undefined:
    """SSIM of the two heatmaps, each scaled linearly to 0..1.

    Mean over 7×7 windows of ``(2 m₁m₂ + c₁)(2 s₁₂ + c₂) / ((m₁² + m₂² + c₁)(s₁² + s₂² + c₂))`` with
    c₁ = 0.01², c₂ = 0.03²; m, s² and s₁₂ are the windows' means, variances and covariance.

    Parameters
    ----------
    one, other : float (H, W), the same size, 7 pixels or more a side

    Returns
    -------
    float in -1..1, 1 for equal maps; Undefined where a heatmap is constant, not finite or smaller

    Notes
    -----
    Windows are uniform, as scikit-image has them by default; Wang et al. weight them by a Gaussian,
    and so does the code of Adebayo et al.: see `gaussian_ssim` (metrics/similarity_adebayo.py).

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli: Image Quality Assessment: From Error Visibility to Structural
    Similarity, IEEE TIP 2004.
    """
    return MEASURES["ssim"].of(one, other)


def hog_similarity(one: Heatmap, other: Heatmap) -> float | Undefined:
    """Pearson's correlation of the heatmaps' histograms of oriented gradients.

    Each heatmap is scaled linearly to 0..1. Nine orientations; square cells of a fourteenth of the
    shorter side (16 pixels of 224, one pixel at least); blocks of 3×3 cells, L2-Hys.

    Parameters
    ----------
    one, other : float (H, W), the same size, 3 pixels or more a side

    Returns
    -------
    float in -1..1, 1 for the same edges; Undefined where a heatmap is constant, not finite,
    smaller, or has the same histogram in every cell

    References
    ----------
    Dalal, Triggs: Histograms of Oriented Gradients for Human Detection, CVPR 2005. As a similarity
    of heatmaps: Adebayo et al. 2018, which names no cells; for those of its code, which also ranks
    the histograms' values first, see `ranked_hog` (metrics/similarity_adebayo.py).
    """
    return MEASURES["hog"].of(one, other)


def top_overlap(one: Heatmap, other: Heatmap, fraction: float = TOP_FRACTION) -> float | Undefined:
    """Share of the most relevant pixels that both heatmaps name: ``|T₁ ∩ T₂| / k``.

    T holds the ``k = max(1, round(fraction · H · W))`` most relevant pixels.

    Parameters
    ----------
    one, other : float (H, W), the same size
    fraction : above 0, up to 1

    Returns
    -------
    float in 0..1; unrelated maps share about `fraction`. Undefined where a heatmap is constant or
    not finite

    Notes
    -----
    Ties are broken in row-major order: a map with fewer positive values than k shares with another
    such map the zeros of the upper rows.

    Examples
    --------
    >>> a = np.array([[4.0, 3.0], [2.0, 1.0]])
    >>> top_overlap(a, a.T, fraction=0.5)
    0.5
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is {fraction}: wanted above 0, up to 1")
    return _overlap(fraction).of(one, other)


def framed(heatmap: Heatmap, size: tuple[int, int]) -> Heatmap:
    """Resize a heatmap bilinearly; one that cannot rank pixels stays so.

    Interpolation would give a constant map differences of rounding, which ranks then blow up.
    """
    if arrays.degenerate_reason(heatmap) is None:
        return arrays.resize(heatmap, size)
    is_finite = bool(np.isfinite(heatmap).all())
    return np.full(size, heatmap.flat[0] if is_finite else np.nan, np.float32)


def find_measure(name: str) -> Measure:
    """Return the measure of that name; raises InputError that lists the valid ones."""
    if name not in MEASURES:
        raise unknown_name("measure of similarity", name, MEASURES)
    return MEASURES[name]


def _scaled(heatmap: Heatmap) -> NDArray[Any] | Undefined:
    if min(heatmap.shape) < _SSIM_WINDOW:
        return Undefined(f"the heatmap is smaller than SSIM's window of {_SSIM_WINDOW} pixels")
    return arrays.min_max(heatmap)


def _ssim(one: NDArray[Any], other: NDArray[Any]) -> float:
    from skimage.metrics import structural_similarity as ssim

    return float(ssim(one, other, data_range=1.0, win_size=_SSIM_WINDOW))


def _hog(heatmap: Heatmap) -> NDArray[np.float64] | Undefined:
    from skimage.feature import hog

    if min(heatmap.shape) < 3:
        return Undefined("the heatmap is smaller than 3 pixels a side")
    side = max(1, min(heatmap.shape) // _HOG_CELLS)
    found = np.asarray(hog(arrays.min_max(heatmap), pixels_per_cell=(side, side)), np.float64)
    return found if np.ptp(found) else Undefined("the heatmap has the same gradients everywhere")


def _overlap(fraction: float) -> Measure:
    def top(heatmap: Heatmap) -> NDArray[np.bool_]:
        return arrays.rank_pixels(heatmap) < max(1, round(fraction * heatmap.size))

    return Measure(top, lambda one, other: float((one & other).sum() / one.sum()))


MEASURES: dict[str, Measure] = {
    "rank_correlation": Measure(ranks, pearson),
    "absolute_rank_correlation": Measure(lambda heatmap: ranks(np.abs(heatmap)), pearson),
    "ssim": Measure(_scaled, _ssim),
    "hog": Measure(_hog, pearson),
    "top_overlap": _overlap(TOP_FRACTION),
    **AS_IN_THE_CODE,
}
