"""Which heatmaps some layers and methods give, in order, and what each costs in passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_eval.methods import member_of
from gradcam_eval.methods.registry import INPUT, Method, Passes, Sizes
from gradcam_eval.models.tap import LayerCall


@dataclass(frozen=True, eq=False)
class HeatmapCell:
    """One heatmap of each image: a method at a layer, at several (a fusion) or at none.

    Attributes
    ----------
    layer : the path; of a fusion the paths joined by "+", or the first, the last and their number;
        "input" of a method at no layer
    method : with its options
    calls : of the layers that the method looks at
    """

    layer: str
    method: Method
    calls: tuple[LayerCall, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Return what the heatmap is kept under."""
        return self.layer, self.method.label

    @property
    def members(self) -> list[tuple[str, str]]:
        """Return the keys of the maps that it is made from: of a fusion one for each layer."""
        if self.method.kind != "fusion":
            return [self.key]
        return [(call.path, member_of(self.method).label) for call in self.calls]

    def passes(self, image_size: tuple[int, int]) -> Passes:
        """Return the passes of one image, beyond the forward pass that all methods share."""
        method = member_of(self.method) if self.method.kind == "fusion" else self.method
        channels = sum(call.map_shape[-1] or 0 for call in self.calls)
        return method.count(Sizes(image_size, channels))


def cells_of(calls: Sequence[LayerCall], methods: Sequence[Method]) -> list[HeatmapCell]:
    """Return the cells in the order in which heatmaps are kept: layer by layer, fusions, input."""
    at_layers = [
        HeatmapCell(call.path, method, (call,))
        for call in calls
        for method in methods
        if method.kind in ("cam", "layer")
    ]
    fused = [HeatmapCell(_joined(calls), m, tuple(calls)) for m in methods if m.kind == "fusion"]
    return [*at_layers, *fused, *(HeatmapCell(INPUT, m, ()) for m in methods if m.kind == "input")]


def _joined(calls: Sequence[LayerCall]) -> str:
    """Name several layers: all of up to three, else the first and the last with their number."""
    paths = [call.path for call in calls]
    if len(paths) <= 3:
        return "+".join(paths)
    return f"{paths[0]}+…+{paths[-1]} ({len(paths)} layers)"
