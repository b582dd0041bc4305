"""Which layers a model has, which of them can carry a heatmap, and what each sees of the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.models.calls import Traced, trace_calls
from gradcam_eval.models.candidates import (
    find_candidates,
    finished_maps,
    has_weights,
    token_grids,
)
from gradcam_eval.models.described import say_outputs
from gradcam_eval.models.inputs import Key, ModelInputs, model_inputs
from gradcam_eval.models.layout import TokenGrid, token_grid
from gradcam_eval.models.receptive_field import NOWHERE, FieldAxis, ReceptiveField
from gradcam_eval.models.tap import LayerCall
from gradcam_eval.models.zoo import loaded_spec

if TYPE_CHECKING:
    import pandas as pd

ROLES = ("last", "stages", "all")


@dataclass(frozen=True, eq=False)
class ModelLayers:
    """Every call of every layer of a model, in the order in which the calls finish.

    Attributes
    ----------
    calls : all calls that return one tensor
    candidates : those that can carry a heatmap, as `find_candidates` says
    input_size : (H, W) for which shapes and receptive fields hold
    doubts : path → why a map is no candidate, though it may be asked for by name
    fields : path → the map's receptive field, or why there is none
    undeclared : path → the grid to declare: calls that return rows of tokens
    finished : the candidates but those that only pass through a normalisation or activation
    """

    calls: tuple[LayerCall, ...]
    candidates: tuple[LayerCall, ...]
    input_size: tuple[int, int]
    doubts: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, ReceptiveField | Undefined] = field(default_factory=dict)
    undeclared: Mapping[str, TokenGrid] = field(default_factory=dict)
    finished: tuple[LayerCall, ...] = ()

    def roles_of(self, call: LayerCall) -> list[str]:
        """Return the roles ("last", "stages", "all") under which a call is chosen."""
        return [role for role, calls in self._by_role.items() if call in calls]

    def role(self, role: str) -> list[LayerCall]:
        """Return the calls of a role: "last", "stages" (the last of each resolution) or "all".

        "all" has one map for each convolution: behind its normalisation and activation. None has a
        role where the model goes on in tokens behind its last map.
        """
        if self.missing_grid is not None:
            return []
        if role == "all":
            return list(self.finished)
        if role == "stages":
            last_of = {call.map_shape[:2]: call for call in self.candidates}
            return sorted(last_of.values(), key=self.candidates.index)
        return list(self.candidates[-1:])

    @cached_property
    def _by_role(self) -> dict[str, set[LayerCall]]:
        return {role: set(self.role(role)) for role in ROLES}

    @property
    def missing_grid(self) -> TokenGrid | None:
        """The grid of the tokens that the model makes of its last map; None where it makes none."""
        begin = self.calls.index(self.candidates[-1]) if self.candidates else 0
        tokens = [
            self.undeclared[call.path]
            for call in self.calls[begin:]
            if call.path in self.undeclared and has_weights(call.layer)
        ]
        return tokens[-1] if tokens else None


def find_layers(
    model: keras.Model,
    input_size: tuple[int, int] | None = None,
    *,
    inputs: ModelInputs | None = None,
    tokens: TokenGrid | str | None = None,
    explained: Callable[[Any], Any] = tf.nest.flatten,
) -> ModelLayers:
    """Trace the model once and list the calls of its layers.

    Parameters
    ----------
    model : keras.Model
    input_size : (H, W), needed where the model does not fix it
    inputs : how the model takes its images, where that is known already
    tokens : how the tokens of a transformer lie on the image, as in "14x14+1": layers that return
        so many of them can then carry a heatmap. None: as the zoo says of its models
    explained : what of the model's outputs is explained (`Objective.read`), all by default: a layer
        that does not influence it is no candidate

    Raises
    ------
    InputError : no input is an image, its size is neither fixed nor given, or no layer returns
        the declared tokens
    """
    inputs = inputs or model_inputs(model, input_size)
    spec = loaded_spec(model)
    tokens = spec.tokens if tokens is None and spec else tokens
    traced = trace_calls(model, inputs, token_grid(tokens), explained)
    candidates, doubts = find_candidates(traced)
    grids = token_grids(traced)
    if tokens is not None:
        _check_grid(token_grid(tokens), traced, grids)
    return ModelLayers(
        traced.calls,
        candidates,
        inputs.shape[:2],
        doubts,
        {call.path: each for call, each in zip(traced.calls, traced.fields, strict=True)},
        {} if tokens else grids,
        finished_maps(traced, candidates),
    )


def list_layers(
    model: keras.Model,
    input_size: tuple[int, int] | None = None,
    *,
    tokens: TokenGrid | str | None = None,
    image_input: Key | None = None,
) -> pd.DataFrame:
    """List a model's layers, nested ones too, in the order of execution.

    Parameters
    ----------
    model : keras.Model
    input_size : (H, W), needed where the model does not fix it
    tokens : how a transformer's tokens lie on the image, as in "14x14+1"
    image_input : which input holds the images, where several could

    Returns
    -------
    DataFrame with a row for each call of a layer:
    path, type, shape (of the output without the batch axis), stride (pixels of the image's height
    from one row of the map to the next), receptive_field (most pixels of the height that a
    position depends on; beyond the image's border if paths are local), params (own weights'
    values), is_candidate, roles, note (why a map is no candidate, or what its receptive field
    needs said). Stride and receptive_field are missing where they do not exist. What the model
    returns stands in `attrs["output"]`, in words.
    """
    import pandas as pd

    inputs = model_inputs(model, input_size, image_input=image_input)
    found = find_layers(model, inputs=inputs, tokens=tokens)
    frame = pd.DataFrame([describe_call(found, call) for call in found.calls])
    frame.attrs["output"] = say_outputs(model, inputs)
    return frame


def describe_call(found: ModelLayers, call: LayerCall) -> dict[str, Any]:
    """Return a call's row of `list_layers`."""
    seen = found.fields.get(call.path)
    rows = seen.rows if isinstance(seen, ReceptiveField) else None
    is_map = len(call.map_shape) == 3 and bool(call.map_shape[0]) and seen not in NOWHERE
    ratio = found.input_size[0] / (call.map_shape[0] or 1) if is_map else None
    return {
        "path": call.path,
        "type": type(call.layer).__name__,
        "shape": call.shape,
        "stride": rows.stride if rows is not None and rows.stride else ratio,
        "receptive_field": _field_size(rows),
        "params": sum(math.prod(weight.shape) for weight in getattr(call.layer, "weights", [])),
        "is_candidate": call in found.candidates,
        "roles": ",".join(found.roles_of(call)),
        "note": _note(found, call),
    }


def _field_size(rows: FieldAxis | None) -> float | None:
    if rows is None:
        return None
    if rows.is_global or rows.size is None:
        return float((rows.pixels[:, 1] - rows.pixels[:, 0]).max())
    return rows.size


def _note(found: ModelLayers, call: LayerCall) -> str:
    if call.path in found.doubts:
        return found.doubts[call.path]
    if call.path in found.undeclared:
        return f"tokens: declare tokens='{found.undeclared[call.path]}' to explain it"
    seen = found.fields.get(call.path)
    if len(call.map_shape) != 3 or seen is None or seen in NOWHERE:
        return ""
    if isinstance(seen, Undefined):
        return f"receptive field: {seen.reason}"
    if not seen.rows.is_global:
        return ""
    local = f"; {seen.rows.size:g} px by local paths" if seen.rows.size else ""
    return f"a global operation lets every position see all{local}"


def _check_grid(declared: TokenGrid | None, traced: Traced, grids: Mapping[str, TokenGrid]) -> None:
    if declared is None or any(call.layout == declared for call in traced.calls):
        fitting = set(grids.values())
        if declared is None or not fitting or declared in fitting:
            return
    known = ", ".join(dict.fromkeys(f"tokens='{grid}'" for grid in grids.values()))
    raise InputError(
        f"tokens='{declared}' do not fit this model: "
        + (f"its layers return rows of tokens that fit {known}" if known else "it has no such rows")
    )
