"""Mend an architecture of Keras 2 where Keras 3 would refuse it or compute another number.

Everything here works on the parsed JSON of a file: no file is written, and no code of it is run.
What is not known to be harmless stays as it is, and Keras refuses it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from gradcam_eval.models.keras2_graph import mend_model

# Settings that some layers of Keras 3 do not have, with the values that mean nothing there.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "groups": (1,),
    "ragged": (False, None),
    "virtual_batch_size": (None,),
    "adjustment": (None,),
    "time_major": (False,),
    "dilation_rate": (1, [1], [1, 1], [1, 1, 1]),
    "output_padding": (None,),
    "softmax_robust_masking": (False,),
    "noise_shape": (None,),
    "keepdims": (False,),
    "data_format": (None, "channels_last"),
}
# Those that only say how to compute or how training begins: no value of theirs means anything.
WITHOUT_EFFECT = (
    "fused",
    "implementation",
    "force_generator",
    "rng_type",
    "seed",
    "kernel_initializer",
    "kernel_regularizer",
    "kernel_constraint",
    "query_shape",
    "key_shape",
    "value_shape",
    "trainable",  # of layers without weights
)
POLICIES = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")
# Classes by their names in Keras 2, and where Keras 3 has them under a module of its own.
_RENAMED = dict.fromkeys(("BatchNormalizationV1", "BatchNormalizationV2"), "BatchNormalization")
_MODULES = {
    "Functional": "keras.src.models.functional",
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
}
_PUBLIC = ("layers", "initializers", "regularizers", "constraints", "models")
_ACTIVATIONS = ("activation", "recurrent_activation")


@keras.saving.register_keras_serializable("gradcam_eval", "hard_sigmoid_of_keras2")
def hard_sigmoid(x: Any) -> Any:
    """Return Keras 2's hard sigmoid, clip(0.2 x + 0.5, 0, 1); Keras 3 has relu6(x + 3) / 6."""
    return ops.clip(0.2 * x + 0.5, 0, 1)


_HARD_SIGMOID = {
    "module": "builtins",
    "class_name": "function",
    "config": "gradcam_eval>hard_sigmoid_of_keras2",
    "registered_name": "function",
}


def application_layers() -> dict[str, type]:
    """Return the layers of keras.applications that Keras does not find by their names."""
    from keras.src.applications import convnext  # Keras exports them nowhere

    return {name: getattr(convnext, name) for name in ("LayerScale", "StochasticDepth")}


def is_of_keras2(version: str | None) -> bool:
    """Whether a file was written by Keras 2 or 1, by the version in it."""
    return version is not None and version.split(".")[0] in ("1", "2")


def mend(config: Any) -> None:
    """Mend a model's configuration in place, with all that is inside it.

    Parameters
    ----------
    config : parsed JSON, as Keras 2 wrote it in `model_config` of an `.h5` or `config.json` of a
        `.keras` file

    Notes
    -----
    A name's slashes become underscores, and two names stay two. `groups: 1` and settings like it
    are left out of layers that have no such setting. A dtype policy becomes its name.
    `hard_sigmoid` becomes Keras 2's.
    """
    for item in list(_objects(config)):
        _mend_class(item)
        settings = item["config"]
        if item["class_name"] == "Sequential" and isinstance(settings, list):
            item["config"] = settings = {"name": "sequential", "layers": settings}
        if not isinstance(settings, dict):
            continue
        _mend_settings(item, settings)
        layers = settings.get("layers")
        if isinstance(layers, list) and all(isinstance(each, dict) for each in layers):
            mend_model(item["class_name"], settings)
        elif isinstance(settings.get("name"), str) and "inbound_nodes" not in item:
            settings["name"] = settings["name"].replace("/", "_")


def keep_settings(config: Any) -> bool:
    """Make Keras keep the settings of layers that it loses, in place; return whether there are any.

    Where a layer is described without its `module`, as in every `.h5` file, whichever Keras wrote
    it, and in `.keras` files of Keras 2.12 and 2.13, Keras 3 drops an `axis` that is no single
    number, so that the layer works along its default one without a word; and it takes a text such
    as "dot" for the function of that name.
    """
    is_any = False
    for item in _objects(config):
        settings = item["config"]
        is_own = inspect.isclass(getattr(keras.layers, item["class_name"], None))
        if is_own and "module" not in item and isinstance(settings, dict) and _is_lost(settings):
            item.update(module="keras.layers", registered_name=None)
            is_any = True
    return is_any


def _is_lost(settings: dict[str, Any]) -> bool:
    axis = settings.get("axis", -1)
    return (
        axis is None
        or (isinstance(axis, list) and len(axis) > 1)
        or any(
            isinstance(value, str) and inspect.isfunction(getattr(keras.layers, value, None))
            for key, value in settings.items()
            if key != "name"
        )
    )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield each {"class_name": …, "config": …}, outer ones last, without recursion."""
    found, left = [], [config]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if isinstance(item.get("class_name"), str) and "config" in item:
                found.append(item)
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return reversed(found)


def _mend_class(item: dict[str, Any]) -> None:
    item["class_name"] = name = _RENAMED.get(item["class_name"], item["class_name"])
    module = item.get("module")
    if not isinstance(module, str) or module.split(".")[0] not in ("keras", "tf_keras"):
        return
    homes = [f"keras.{part}" for part in _PUBLIC if hasattr(getattr(keras, part), name)]
    if name in _MODULES:
        item.update(module=_MODULES[name], registered_name=name)
    elif homes and module not in homes:
        item.update(module=homes[0], registered_name=None)


def _mend_settings(item: dict[str, Any], settings: dict[str, Any]) -> None:
    """Mend the settings of one layer, initializer or the like."""
    policy = settings.get("dtype")
    if isinstance(policy, dict) and str(policy.get("class_name")).startswith("Policy"):
        inner = policy.get("config")
        if isinstance(inner, dict) and inner.get("name") in POLICIES:
            settings["dtype"] = inner["name"]
    for key in _ACTIVATIONS:
        given = settings.get(key)
        name = given.get("config") if isinstance(given, dict) else given
        if name == "hard_sigmoid":
            settings[key] = dict(_HARD_SIGMOID)
    if item["class_name"] == "ThresholdedReLU" and "theta" in settings:
        item["class_name"] = "ReLU"  # x where x > theta, else 0, in both
        settings["threshold"] = settings.pop("theta")
    kind = getattr(keras.layers, item["class_name"], None)
    if inspect.isclass(kind):
        item.pop("build_config", None)  # its shapes have other names; the model's own build it
        _mend_layer(kind, settings)


def _mend_layer(kind: type, settings: dict[str, Any]) -> None:
    """Mend the settings of a layer of Keras' own."""
    axis = settings.get("axis")
    if kind is keras.layers.BatchNormalization and isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
    if kind is keras.layers.LeakyReLU and isinstance(settings.get("alpha"), int | float):
        settings["negative_slope"] = settings.pop("alpha")
    for key in set(settings) - _settings_of(kind):
        if key in WITHOUT_EFFECT or settings[key] in HARMLESS.get(key, ()):
            del settings[key]


def _settings_of(kind: type) -> set[str]:
    """Return the names of all settings that a class of layers takes, and hands on to its bases."""
    taken: set[str] = set()
    for each in kind.__mro__:
        if "__init__" in vars(each):
            parameters = inspect.signature(each.__init__).parameters  # type: ignore[misc]
            taken |= set(parameters)
            if all(one.kind is not one.VAR_KEYWORD for one in parameters.values()):
                break
    return taken
