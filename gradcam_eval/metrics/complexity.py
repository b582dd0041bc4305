"""Complexity: on how few pixels does a heatmap put its relevance?

Each heatmap is resized bilinearly to the image, since all three numbers depend on how many values
there are; absolute values count. A blurred blob is more complex than a dot whatever the model does:
none of these says that a heatmap is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradcam_eval import arrays
from gradcam_eval.core import Case, Heatmap, Predict, Undefined
from gradcam_eval.metrics.cases import chosen
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.metrics.similarity import framed
from gradcam_eval.protocols import ComplexityProtocol


def gini_sparseness(heatmap: Heatmap) -> float | Undefined:
    """Gini index of a heatmap's absolute values: how unevenly relevance is spread.

    ``G = 1 − 2 Σₖ (v₍ₖ₎ / ‖v‖₁) (d − k + ½) / d`` with v₍₁₎ ≤ … ≤ v₍d₎ the sorted |values|.

    Parameters
    ----------
    heatmap : float (H, W)

    Returns
    -------
    float in 0..1 − 1/d, larger is sparser: 0 for equal values, 1 − 1/d for a single pixel.
    Undefined where the heatmap is constant or not finite.

    References
    ----------
    Chalasani, Chen, Chowdhury, Jha, Wu: Concise Explanations of Neural Networks using Adversarial
    Training, ICML 2020, arXiv:1810.06583; the index as in Hurley, Rickard: Comparing Measures of
    Sparsity, 2009.

    Examples
    --------
    >>> gini_sparseness(np.array([[0.0, 0.0], [0.0, 5.0]]))
    0.75
    """
    reason = arrays.degenerate_reason(heatmap)
    if reason:
        return Undefined(reason)
    values = np.sort(np.abs(heatmap).astype(np.float64), axis=None)
    d = values.size
    weights = (d - np.arange(1, d + 1) + 0.5) / d
    return float(1 - 2 * (values @ weights) / values.sum())


def entropy_complexity(heatmap: Heatmap) -> float | Undefined:
    """Entropy of a heatmap's absolute values as shares of their sum.

    ``H = − Σᵢ pᵢ ln pᵢ`` with ``pᵢ = |vᵢ| / Σⱼ |vⱼ|`` and 0 ln 0 = 0.

    Parameters
    ----------
    heatmap : float (H, W)

    Returns
    -------
    float, nat, in 0..ln(HW), lower is simpler: 0 for a single pixel. Undefined where the heatmap is
    constant or not finite.

    References
    ----------
    Bhatt, Weller, Moura: Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020,
    arXiv:2005.00631.
    """
    reason = arrays.degenerate_reason(heatmap)
    if reason:
        return Undefined(reason)
    values = np.abs(heatmap).astype(np.float64).ravel()
    shares = values[values > 0] / values.sum()
    return float(-(shares @ np.log(shares)) + 0.0)  # no −0


def effective_complexity(heatmap: Heatmap, threshold: float = 1e-5) -> float | Undefined:
    """Share of the pixels whose relevance is not negligible.

    ``|{i : |vᵢ| > threshold · maxⱼ |vⱼ|}| / (H W)``.

    Parameters
    ----------
    heatmap : float (H, W)
    threshold : share of the largest absolute value

    Returns
    -------
    float in 0..1, lower is simpler. Undefined where the heatmap is constant or not finite.

    Notes
    -----
    Nguyen and Martínez define the least number k of most relevant features that, held fixed while
    the others vary, keep the model's expected loss below a tolerance; that needs a model of the
    data which images do not have. This is the relaxation in common use: features that count at
    all. We divide by their number, so that image sizes compare.

    References
    ----------
    Nguyen, Martínez: On quantitative aspects of model interpretability, arXiv:2007.07584, 2020.
    """
    reason = arrays.degenerate_reason(heatmap)
    if reason:
        return Undefined(reason)
    values = np.abs(heatmap)
    return float((values > threshold * values.max()).mean())


def _of_each(
    cases: Sequence[Case], measure: Callable[[Heatmap], float | Undefined]
) -> list[float | Undefined]:
    """Measure each case's heatmap in its image's frame."""
    return [
        measure(framed(case.heatmap, (case.image.shape[0], case.image.shape[1]))) for case in cases
    ]


@register_metric(
    "gini_sparseness",
    needs="heatmap",
    unit="Gini index",
    bounds="0..1",
    higher_is_better=True,
    protocols=("chalasani2020",),
)
def _gini(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """How unevenly a heatmap spreads its relevance over the image's pixels."""
    return _of_each(cases, gini_sparseness)


@register_metric(
    "entropy_complexity",
    needs="heatmap",
    unit="nat",
    bounds="0..ln(pixels)",
    higher_is_better=False,
    protocols=("bhatt2020",),
)
def _entropy(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Entropy of a heatmap's relevance over the image's pixels."""
    return _of_each(cases, entropy_complexity)


@register_metric(
    "effective_complexity",
    needs="heatmap",
    unit="share of pixels",
    bounds="0..1",
    higher_is_better=False,
    protocols=("effective2020",),
)
def _effective(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[float | Undefined]:
    """Share of the image's pixels with more than a negligible relevance."""
    rules = chosen(name, "effective_complexity", ComplexityProtocol)
    return _of_each(cases, lambda heatmap: effective_complexity(heatmap, rules.threshold))
