"""One heatmap at the sizes that metrics ask for, each made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gradcam_eval.core import Heatmap, Undefined
from gradcam_eval.metrics.inputs import in_frame
from gradcam_eval.metrics.score_map import score_map

Size = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Resized:
    """A heatmap that several metrics judge, and what they have asked for of it so far.

    It lives as long as one heatmap is judged, so that memory stays bounded and a heatmap that its
    owner changes in place is resized anew.

    Attributes
    ----------
    heatmap : float (h, w)
    """

    heatmap: Heatmap
    _made: dict[tuple[object, Size], Heatmap | Undefined] = field(
        default_factory=dict, init=False, repr=False
    )

    def bilinear(self, size: Size) -> Heatmap | Undefined:
        """Return the heatmap in the frame (H, W), or why it cannot rank pixels."""
        return self._once(in_frame, size)

    def scores(self, size: Size) -> Heatmap | Undefined:
        """Return the score map of Choe et al. in the frame (H, W), or why there is none."""
        return self._once(score_map, size)

    def _once(
        self, make: Callable[[Heatmap, Size], Heatmap | Undefined], size: Size
    ) -> Heatmap | Undefined:
        key = make, tuple(size)
        if key not in self._made:
            self._made[key] = make(self.heatmap, size)
        return self._made[key]
