"""How the layers of a Keras 2 model are named and joined, as Keras 3 has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from gradcam_eval.core import InputError
from gradcam_eval.models.keras2_operations import FUNCTIONS, mend_keywords, mend_operation

_MOST_NAMED = 4  # functions in an error


def mend_model(class_name: str, settings: dict[str, Any]) -> None:
    """Mend what a model says of its layers, in place.

    Parameters
    ----------
    class_name : of the model
    settings : the `config` of the model, with a list of `layers`
    """
    layers = settings["layers"]
    if class_name == "Sequential":
        _mend_inputs(layers)
    _mend_names(settings, layers)
    for key in ("input_layers", "output_layers"):  # a list of one tensor is that tensor in Keras 3
        ends = settings.get(key)
        if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
            settings[key] = ends[0]
    for entry in layers:
        if entry.get("class_name") in FUNCTIONS and isinstance(entry.get("config"), dict):
            mend_operation(entry)
        elif class_name != "Sequential":
            mend_keywords(entry)


def _mend_names(settings: dict[str, Any], layers: list[dict[str, Any]]) -> None:
    """Give all layers names without slashes, and number the calls of models from 0."""
    names = _names(layers)
    for entry in layers:
        for place in (entry, entry.get("config")):
            if isinstance(place, dict) and isinstance(place.get("name"), str):
                place["name"] = names.get(place["name"], place["name"])
    calls = [tensor for entry in layers for tensor in _tensors(entry.get("inbound_nodes"))]
    outputs = list(_tensors(settings.get("output_layers")))
    for tensor in (*calls, *outputs, *_tensors(settings.get("input_layers"))):
        tensor[0] = names.get(tensor[0], tensor[0])
    for entry in layers:
        if isinstance(entry.get("config"), dict) and "layers" in entry["config"]:
            _count_calls_from_0(entry, calls, outputs)
    if isinstance(settings.get("name"), str):
        settings["name"] = settings["name"].replace("/", "_")


def _mend_inputs(layers: list[dict[str, Any]]) -> None:
    """Give a Sequential model an input of its own, and take the shape from all other layers."""
    shapes = [
        entry["config"].pop("batch_input_shape", None)
        for entry in layers
        if entry.get("class_name") != "InputLayer" and isinstance(entry.get("config"), dict)
    ]
    if shapes and shapes[0] and layers[0].get("class_name") != "InputLayer":
        config = {"batch_input_shape": shapes[0], "name": "input"}
        layers.insert(0, {"class_name": "InputLayer", "config": config})
        if "module" in layers[1]:
            layers[0].update(module="keras.layers", registered_name=None)


def _names(layers: list[dict[str, Any]]) -> dict[str, str]:
    """Return a name without slashes for each layer that has any; no two layers share one."""
    old = [entry["config"].get("name") for entry in layers if isinstance(entry.get("config"), dict)]
    taken, names = {name for name in old if isinstance(name, str)}, {}
    for name in old:
        if isinstance(name, str) and "/" in name:
            new = name.replace("/", "_")
            while new in taken:
                new += "_"
            taken.add(new)
            names[name] = new
    return names


def _tensors(structure: Any) -> Iterator[list[Any]]:
    """Yield each list that names a tensor, ``[layer, node, tensor, …]``, however deep it is."""
    left = [structure]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left.extend(item.values())
        elif isinstance(item, list):
            if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int):
                yield item
            left.extend(item)


def _count_calls_from_0(
    entry: dict[str, Any], calls: list[list[Any]], outputs: list[list[Any]]
) -> None:
    """Number the calls of a model inside another from 0, as Keras 3 does.

    Keras 2 numbers those of a model with an input of its own from 1; the last is then the number
    of calls. In `output_layers`, Keras 3 itself takes 1 from those of a functional model.
    """
    n_calls = len(entry.get("inbound_nodes") or ())
    name = entry["config"].get("name")
    mine, ends = ([each for each in group if each[0] == name] for group in (calls, outputs))
    if max((each[1] for each in (*mine, *ends)), default=0) != n_calls:
        return
    for each in (*mine, *ends) if entry["class_name"] == "Sequential" else mine:
        each[1] -= 1


def check_functions(config: Any) -> None:
    """Raise InputError where a mended configuration has functions that are no operation of Keras 3.

    The message names them, as TensorFlow does.
    """
    unknown: dict[str, None] = {}
    left = [config]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if item.get("class_name") in FUNCTIONS and isinstance(item.get("config"), dict):
                unknown[f"tf.{item['config'].get('function')}"] = None
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    if unknown:
        names = ", ".join(list(unknown)[::-1][:_MOST_NAMED])
        more = ", …" if len(unknown) > _MOST_NAMED else ""
        raise InputError(
            f"between its layers it calls {names}{more}, which is not, or not so, in Keras 3."
        )


Order = list[tuple[str, "Order"]]  # the names of a model's layers, each with those inside it


def order_of(config: dict[str, Any]) -> Order:
    """Return the order of the layers in a mended configuration, to be kept: loading empties it."""
    settings = config.get("config")
    entries = settings.get("layers", []) if isinstance(settings, dict) else []
    return [(entry["config"]["name"], order_of(entry)) for entry in entries]


def check_order(model: keras.Model, order: Order) -> None:
    """Raise InputError unless the layers with weights are in the order of the file.

    Keras finds a layer's weights by its place among the layers, so that another order of layers
    of one shape would give each the weights of another, in silence.
    """
    with_weights = {layer.name: layer for layer in model.layers if layer.weights}
    theirs = [(name, inside) for name, inside in order if name in with_weights]
    if [name for name, _ in theirs] != list(with_weights):
        raise InputError(
            f"the layers of '{model.name}' have another order in Keras 3 than in the file, by "
            "which Keras finds their weights."
        )
    for name, inside in theirs:
        if isinstance(with_weights[name], keras.Model):
            check_order(with_weights[name], inside)
