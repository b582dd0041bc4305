"""A heatmap as the evaluation of Choe et al. wants it: cubic resize, then 0 to 1 exactly."""

from __future__ import annotations

import numpy as np

from gradcam_eval import arrays
from gradcam_eval.core import Heatmap, Undefined
from gradcam_eval.metrics.inputs import in_frame


def score_map(heatmap: Heatmap, size: tuple[int, ...]) -> Heatmap | Undefined:
    """Return ``(L - min L) / max(L - min L)`` of the resized map, or why there is none.

    The order of operations is that of clovaai/wsolevaluation, so that the maximum is exactly 1.
    There a constant map becomes all zeros and is judged; here it is undefined.

    Parameters
    ----------
    heatmap : float (h, w)
    size : (H, W)

    Returns
    -------
    float32 (H, W), 0..1, or Undefined
    """
    framed = in_frame(heatmap, size, arrays.resize_cubic)
    if isinstance(framed, Undefined):
        return framed
    above = framed - framed.min()
    return np.asarray(above / above.max(), np.float32)
