"""Further heatmaps for metrics of need "explain": one pass of the explainer serves all cells."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Explain

if TYPE_CHECKING:
    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.methods.heatmaps import Heatmaps, Key

_KEPT = 4  # passes: those that the metrics of one image ask for in turn


class SharedExplainer:
    """What explains changed images for one class; the last few answers are kept.

    All cells of an image meet the same changed images, so the first cell that asks pays for all.

    Parameters
    ----------
    explainer : of the study's layers and methods
    target : the class of the unchanged image, which stays what is explained
    """

    def __init__(self, explainer: Explainer, target: int) -> None:
        self._explainer = explainer
        self._target = target
        self._known: OrderedDict[tuple[tuple[int, ...], bytes], Heatmaps] = OrderedDict()

    def of(self, key: Key) -> Explain:
        """Return what explains images by one (layer path, method name)."""
        return partial(self._maps, key)

    def _maps(self, key: Key, images: NDArray[np.float32], /) -> NDArray[np.float32]:
        content = np.ascontiguousarray(images)
        asked = content.shape, hashlib.blake2b(content.data).digest()
        if asked not in self._known:
            self._known[asked] = self._explainer(content, self._target)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[asked][key]
