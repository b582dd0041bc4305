"""The compiled passes of an explanation: layers grouped by memory, batches run in turn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.methods.fused import FUSED, fused_maps
from gradcam_eval.methods.heatmaps import Key
from gradcam_eval.methods.traced import Plan, map_name, pair_names, traced
from gradcam_eval.models.frozen import FrozenFunction
from gradcam_eval.models.live import LiveFunction
from gradcam_eval.models.tap import LayerCall

Engine: TypeAlias = Literal["auto", "tensorflow", "frozen", "openvino"]
ENGINES: tuple[str, ...] = get_args(Engine)

_MANY_LAYERS = 8


class CompiledPass:
    """A plan, compiled: arrays of N rows → dict of arrays, see `traced`.

    Parameters
    ----------
    plan : what is computed
    engine : "tensorflow" reads the weights at each call; "frozen" runs on a graph with the weights
        folded in for as long as they stay, see `FrozenFunction`; "openvino" does, and runs what
        stands before the explained layers in OpenVINO; "auto" is "frozen"

    Attributes
    ----------
    output : what the targets are taken from; None where the score knows no classes

    Warns
    -----
    UserWarning : OpenVINO was asked for and cannot compute this pass, and why
    """

    def __init__(self, plan: Plan, engine: Engine = "auto") -> None:
        plan = replace(plan, fuses=engine != "openvino" and _gains_by_fusing(plan))
        self.plan = plan
        function = traced(plan)
        if engine == "tensorflow":
            self._run: Any = LiveFunction(function, plan.model)
            self._run.traced()
        else:
            self._run = FrozenFunction(
                function,
                plan.model,
                engine="openvino" if engine == "openvino" else "frozen",
                rows=len(plan.signature),
            )
            self._run.prepare(first=1)
            if engine == "openvino" and self._run.engine != "openvino":
                warnings.warn(
                    f"this pass runs in TensorFlow, not in OpenVINO: {self._run.reason}",
                    stacklevel=5,
                )
        self.output = plan.found.output

    def __call__(
        self, arrays: Sequence[NDArray[Any]], *, batch_size: int
    ) -> dict[str, NDArray[Any]]:
        """Run all rows, `batch_size` at a time."""
        parts = []
        for start in range(0, len(arrays[0]), batch_size):
            rows = [each[start : start + batch_size] for each in arrays]
            parts.append(_finished(self._run(*rows), self.plan.found.left))
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _gains_by_fusing(plan: Plan) -> bool:
    """Whether several formulas read A and G of many layers from the CPU's memory.

    To fetch them takes longer than to compute with them. For few layers that is not worth Numba,
    which is 100 MB and some seconds when it is first imported.
    """
    several = sum(method.formula in FUSED for method in plan.methods) > 1
    many = len(plan.calls) >= _MANY_LAYERS
    return several and many and not tf.config.list_logical_devices("GPU")


def _finished(
    answer: dict[str, Any], left: Mapping[Key, Callable[..., Any]]
) -> dict[str, NDArray[Any]]:
    """Return what a pass returned, with the maps that it left in place of their layers' A and G.

    These are not copied: a tensor's memory is read where it is.
    """
    layers = list(dict.fromkeys(layer for layer, _ in left))
    names = (pair_names(layer) for layer in layers)
    pairs = [(np.asarray(answer.pop(a)), np.asarray(answer.pop(g))) for a, g in names]
    maps = dict(zip(layers, fused_maps(pairs), strict=True))
    found = {name: each.numpy() for name, each in answer.items()}
    for (layer, label), formula in left.items():
        found[map_name(layer, label)] = maps[layer][FUSED.index(formula)]
    return found


def group_by_memory(
    calls: Sequence[LayerCall], *, batch_size: int, memory: int
) -> list[list[LayerCall]]:
    """Return the layer calls pass by pass: as many in each as `memory` bytes hold, at least one.

    A layer counts with its activation and its gradient, 4 bytes a value. There is always a pass.
    """
    groups: list[list[LayerCall]] = [[]]
    used = 0
    for call in calls:
        size = 8 * batch_size * math.prod(side or 1 for side in call.map_shape)
        if groups[-1] and used + size > memory:
            groups.append([])
            used = 0
        groups[-1].append(call)
        used += size
    return groups
