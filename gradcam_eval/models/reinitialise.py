"""Give layers weights as if they had never been trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.models.calls import trace_calls
from gradcam_eval.models.inputs import ModelInputs


@dataclass(frozen=True, eq=False)
class Learned:
    """A layer and those of its variables that training writes, nested layers' not among them."""

    path: str
    layer: Any
    variables: tuple[Any, ...]


def learned_layers(
    model: keras.Model, inputs: ModelInputs, *, with_statistics: bool = True
) -> list[Learned]:
    """Return the layers that hold what was learned, in the order in which the model calls them.

    A variable counts if its layer declares it trainable (frozen or not), or names an initialiser
    for it, as batch normalisation does for its moving statistics; without statistics, the former
    alone. What `adapt` found in a preprocessing layer is no learned weight.
    """
    called = {id(call.layer): call for call in reversed(trace_calls(model, inputs, None).calls)}
    layers = list(model._flatten_layers())
    order = {key: n for n, key in enumerate(reversed(list(called)))}
    # An uncalled layer may hold what another one uses; it goes before all, where nothing comes out.
    layers.sort(key=lambda layer: order.get(id(layer), -1))
    owners = _owners(layers)
    found = []
    for layer in layers:
        written = _own(layer) if with_statistics else getattr(layer, "_trainable_variables", [])
        own = tuple(v for v in written if owners.get(id(v)) is layer)
        if own:
            call = called.get(id(layer))
            found.append(Learned(call.path if call else layer.name, layer, own))
    return found


def reinitialise(learned: Learned, generator: np.random.Generator) -> bool:
    """Write new values into a layer's variables; return whether any value changed.

    Each variable gets what the layer's own initialiser gives, newly seeded. A variable for which
    the layer names none (a weight of a custom layer, say) has its values permuted: they keep
    their distribution and lose their places.
    """
    is_changed = False
    for variable in learned.variables:
        before = variable.numpy().copy()
        value = _fresh(learned.layer, variable, before, generator)
        variable.assign(value)
        is_changed |= not np.array_equal(before, variable.numpy())
    return is_changed


def _fresh(layer: Any, variable: Any, before: NDArray[Any], generator: np.random.Generator) -> Any:
    initialiser = _initialiser(layer, variable)
    seed = int(generator.integers(2**31))
    if initialiser is None:
        return generator.permutation(before.ravel()).reshape(before.shape)
    if isinstance(initialiser, keras.initializers.Initializer):
        config = initialiser.get_config()
        if "seed" in config:
            initialiser = type(initialiser).from_config({**config, "seed": seed})
    return initialiser(before.shape, dtype=variable.dtype)


def _initialiser(layer: Any, variable: Any) -> Any:
    """Return the initialiser that a layer names for a variable, or None."""
    name = variable.name
    for stem in (name, name.removesuffix("_kernel")):  # depthwise_kernel: depthwise_initializer
        found = getattr(layer, f"{stem}_initializer", None)
        if callable(found):
            return found
    return None


def _own(layer: Any) -> list[Any]:
    return [
        *getattr(layer, "_trainable_variables", []),
        *(v for v in getattr(layer, "_non_trainable_variables", []) if _initialiser(layer, v)),
    ]


def _owners(layers: Sequence[Any]) -> dict[int, Any]:
    """Return by variable the layer that it is of: one that names its initialiser comes first."""
    owners: dict[int, Any] = {}
    for layer in layers:
        for variable in _own(layer):
            known = owners.get(id(variable))
            if known is None or (
                _initialiser(known, variable) is None and _initialiser(layer, variable)
            ):
                owners[id(variable)] = layer
    return owners
