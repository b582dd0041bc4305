"""What an explanation returns: heatmaps by layer and method, and what the model said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import resize
from gradcam_eval.core import Heatmap, InputError

Key = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Heatmaps(Mapping[Key, Heatmap]):
    """Heatmaps by (layer path, method name), each float32 (N, h, w) on its method's own scale.

    Attributes
    ----------
    scores : float32 (N,), the explained score of each image
    image_size : (H, W) of the images
    classes : the explained class of each image, int64 (N,), and the class probabilities, float32
        (N, K), of the same pass; None for a score function, which knows no classes
    refused : why a heatmap that was asked for is not there, by (layer path, method name); only
        where an `Explainer` was told to skip what a method refuses
    """

    maps: Mapping[Key, Heatmap]
    scores: NDArray[np.float32]
    image_size: tuple[int, int]
    classes: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
    refused: Mapping[Key, str] = field(default_factory=dict)

    @property
    def targets(self) -> NDArray[np.int64]:
        """The class that was explained, int64 (N,)."""
        return self._of_classes()[0]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """What the model said of each image in the same pass, float32 (N, K)."""
        return self._of_classes()[1]

    def _of_classes(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if self.classes is None:
            raise InputError("a score function was explained, and it knows no classes")
        return self.classes

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
