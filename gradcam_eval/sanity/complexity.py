"""How complex a heatmap is, and how much more so once the model has lost what it learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.arrays import degenerate_reason
from gradcam_eval.core import Heatmap, Undefined
from gradcam_eval.sanity.compare import Stacks

BINS = 100
TRAINED, RANDOMISED = "trained", "randomised"


def discrete_entropy(heatmap: Heatmap) -> float | Undefined:
    """Entropy of the histogram of a heatmap's values: ``ξ = − Σ_b p_b ln p_b``.

    p_b is the share of the pixels in bin b of 100 equal ones from the least value to the largest.

    Parameters
    ----------
    heatmap : float (H, W)

    Returns
    -------
    float, nat, in 0..ln 100: a heatmap whose values are spread evenly is complex, one with few
    large values on a plateau is simple. Undefined where the heatmap is constant or not finite.

    References
    ----------
    Hedström, Weber, Lapuschkin, Höhne: Sanity Checks Revisited: An Exploration to Repair the Model
    Parameter Randomisation Test, XAI in Action at NeurIPS 2023, arXiv:2401.06465.

    Examples
    --------
    >>> round(discrete_entropy(np.array([[0.0, 0.0], [1.0, 1.0]])), 3)  # ln 2
    0.693

    Notes
    -----
    The paper names the entropy and the histogram; the 100 bins are ours.
    """
    reason = degenerate_reason(heatmap)
    if reason:
        return Undefined(reason)
    counts = np.histogram(np.asarray(heatmap, np.float64), BINS)[0]
    shares = counts[counts > 0] / heatmap.size
    return float(-(shares @ np.log(shares)) + 0.0)


def entropy_rows(maps: Stacks, model: str, draw: int = 0) -> Iterator[dict[str, Any]]:
    """Return a row for each cell and image: layer, method, image, model, draw, entropy, reason."""
    for (layer, method), stack in maps.items():
        for image, heatmap in enumerate(stack):
            found = discrete_entropy(heatmap)
            is_known = not isinstance(found, Undefined)
            yield {
                "layer": layer,
                "method": method,
                "image": image,
                "model": model,
                "draw": draw,
                "entropy": found if is_known else np.nan,
                "reason": found.reason if isinstance(found, Undefined) else "",
            }


def relative_rises(entropies: pd.DataFrame) -> pd.DataFrame:
    """Return by layer, method and image: trained, randomised, rise ``(ξ_r − ξ_t) / ξ_t``.

    ξ_t is the entropy of the trained model's heatmap, ξ_r the mean over the randomised models'.
    Images without both are left out.
    """
    keys = ["layer", "method", "image"]
    means = entropies.groupby([*keys, "model"], sort=False)["entropy"].mean()
    sides = means.unstack("model").dropna()
    sides = sides[sides[TRAINED] > 0]
    return sides.assign(rise=sides[RANDOMISED] / sides[TRAINED] - 1).reset_index()
