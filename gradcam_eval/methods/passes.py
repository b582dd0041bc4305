"""What an `Explainer` compiles: one pass for each size of images and kind of question, kept."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry, Placing
from gradcam_eval.methods import member_of
from gradcam_eval.methods.batch import lay_regions
from gradcam_eval.methods.compiled import CompiledPass, Engine, group_by_memory
from gradcam_eval.methods.registry import Method
from gradcam_eval.methods.traced import Plan
from gradcam_eval.models.inputs import ModelInputs, model_inputs
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.memory import collect
from gradcam_eval.models.objective import Objective
from gradcam_eval.models.placement import find_placements, place_output
from gradcam_eval.models.selection import resolve_each
from gradcam_eval.models.tap import LayerCall


@dataclass(frozen=True)
class Compiling:
    """How a pass is compiled; see `Explainer`."""

    engine: Engine
    batch_size: int
    memory: int
    seed: int
    skip_refused: bool
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Passes:
    """The layers and compiled passes of one model, found and made when they are first asked for.

    Attributes
    ----------
    model, methods, objective : what is explained, how, and which number
    layers : names, indices and calls that the user wants
    tokens, image_input : see `Explainer`
    how : how a pass is compiled
    calls : what the layers stand for, by the size (H, W) of the images
    named : the paths that each name or index stands for, by that size
    placings : where the layers' maps lie, by the size of the images and the geometry
    output_placing : the output's (h, w) and where its positions lie, by the size of the images
    compiled : the passes, by the images' shape and by what is asked of them
    """

    model: keras.Model
    methods: Sequence[Method]
    objective: Objective
    layers: Sequence[str | int | LayerCall]
    tokens: TokenGrid | None
    image_input: str | int | None
    how: Compiling
    calls: dict[tuple[int, int], list[LayerCall]] = field(default_factory=dict)
    named: dict[tuple[int, int], dict[str | int, list[str]]] = field(default_factory=dict)
    placings: dict[Any, Mapping[str, Placing]] = field(default_factory=dict)
    output_placing: dict[tuple[int, int], Any] = field(default_factory=dict)
    compiled: dict[Any, list[CompiledPass]] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)

    def inputs_of(self, image_size: tuple[int, int] | None) -> ModelInputs:
        """Return how the model takes its images of this size (H, W)."""
        return model_inputs(self.model, image_size, image_input=self.image_input)

    @property
    def has_layers(self) -> bool:
        """Whether a method looks at a layer at all."""
        return any(method.kind != "input" for method in self.methods)

    def calls_on(self, inputs: ModelInputs) -> list[LayerCall]:
        """Return the calls that the wanted layers stand for (one trace for each size)."""
        if not self.has_layers:
            return []
        size = inputs.shape[:2]
        with self.lock:
            if size not in self.calls:
                self.calls[size] = self._find_calls(inputs)
            return self.calls[size]

    def placings_on(
        self, inputs: ModelInputs, geometry: Geometry | None = None
    ) -> Mapping[str, Placing]:
        """Return where the maps lie on images of a size, by path (computed once for each).

        `geometry` is that of the explainer by default.
        """
        key = inputs.shape[:2], geometry or self.how.geometry
        with self.lock:
            if key not in self.placings:
                calls = self.calls_on(inputs)
                self.placings[key] = find_placements(self.model, inputs, calls, key[1])
            return self.placings[key]

    def groups(self, calls: list[LayerCall]) -> list[list[LayerCall]]:
        """Return the calls in groups that one pass each explains, as `memory` holds them."""
        return group_by_memory(calls, batch_size=self.how.batch_size, memory=self.how.memory)

    def laid(self, regions: NDArray[np.float32], inputs: ModelInputs) -> NDArray[np.float32]:
        """Return regions (N, h, w) of the images on a segmentation's output, where it sees less.

        Regions of the output's own size, which is not the images', are of its positions already.
        """
        size = inputs.shape[:2]
        if self.how.geometry == "stretch":
            return regions
        if size not in self.output_placing:
            self.output_placing[size] = place_output(self.model, inputs, self.objective)
        shape, placing = self.output_placing[size]
        return regions if regions.shape[1:] == shape != size else lay_regions(regions, placing)

    def compile(
        self, inputs: ModelInputs, has_against: bool, has_regions: bool, has_ranks: bool = False
    ) -> list[CompiledPass]:
        """Return the passes of all layers for such images, compiled once.

        Parameters
        ----------
        inputs : how the model takes them
        has_against, has_regions, has_ranks : what is asked of them, see `Plan`
        """
        trace = (inputs.shape, has_against, has_regions, has_ranks)
        with self.lock:
            if trace not in self.compiled:
                groups = self.groups(self.calls_on(inputs))
                self.compiled[trace] = [
                    CompiledPass(
                        Plan(
                            self.model,
                            inputs,
                            self.objective,
                            group,
                            self._traced_methods(with_input=group is groups[0]),
                            has_against,
                            has_regions,
                            has_ranks,
                            seed=self.how.seed,
                            skip_refused=self.how.skip_refused,
                            placings=self.placings_on(inputs),
                        ),
                        self.how.engine,
                    )
                    for group in groups
                ]
            return self.compiled[trace]

    def release(self) -> None:
        """Let go of the compiled passes; the next call compiles again."""
        with self.lock:
            self.compiled.clear()
        collect()

    def _find_calls(self, inputs: ModelInputs) -> list[LayerCall]:
        given = [call for call in self.layers if isinstance(call, LayerCall)]
        names = [name for name in self.layers if not isinstance(name, LayerCall)]
        if not names:
            return given
        read = self.objective.read
        found = find_layers(self.model, inputs=inputs, tokens=self.tokens, explained=read)
        each = resolve_each(found, names)
        self.named[inputs.shape[:2]] = {
            name: [call.path for call in calls] for name, calls in each.items()
        }
        return [*given, *{c.path: c for calls in each.values() for c in calls}.values()]

    def _traced_methods(self, *, with_input: bool) -> list[Method]:
        """Return the methods of a pass; a fusion's own formula runs on what the pass returns."""
        fused = [member_of(m) for m in self.methods if m.kind == "fusion"]
        at_layers = [m for m in self.methods if m.kind in ("cam", "layer")]
        at_input = [m for m in self.methods if m.kind == "input" and with_input]
        return list({m.label: m for m in (*at_layers, *fused, *at_input)}.values())
