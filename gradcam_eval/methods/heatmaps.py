"""What an explanation returns: heatmaps by layer and method, and what the model said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import resize
from gradcam_eval.core import Heatmap

Key = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Heatmaps(Mapping[Key, Heatmap]):
    """Heatmaps by (layer path, method name), each float32 (N, h, w) on its method's own scale.

    Attributes
    ----------
    targets : int64 (N,), the class that was explained; None for a score function without classes
    scores : float32 (N,), the explained score (logit or probability) of that class
    probabilities : float32 (N, K), what the model said of each image in the same pass
    image_size : (H, W) of the images
    """

    maps: Mapping[Key, Heatmap]
    targets: NDArray[np.int64]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    image_size: tuple[int, int]

    def __getitem__(self, key: Key) -> Heatmap:
        """Return the maps of one (layer, method)."""
        if key not in self.maps:
            known = ", ".join(f"{layer} / {method}" for layer, method in self.maps)
            raise KeyError(f"no heatmap {key!r}: there are {known}")
        return self.maps[key]

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the (layer, method) keys, layers first, in the order asked."""
        return iter(self.maps)

    def __len__(self) -> int:
        """Return the number of (layer, method) pairs."""
        return len(self.maps)

    def resized(self, size: tuple[int, int] | None = None) -> Heatmaps:
        """Return the same heatmaps at (H, W), bilinearly; by default at the images' size."""
        wanted = size or self.image_size
        return replace(self, maps={key: resize(maps, wanted) for key, maps in self.items()})
