"""TensorFlow functions between the layers of a Keras 2 model, as the operations of Keras 3.

Keras 2 keeps `x / 255` as a layer of class TFOpLambda, and `x[:, 0]` as a SlicingOpLambda. Here
those with one meaning become what Keras 3 itself keeps of the same expression; any other is left
alone.
"""

from __future__ import annotations

from typing import Any

from gradcam_eval.models.keras2_settings import OF_ONE, Made, matmul

# Functions of two numbers or tensors, of one tensor, and of one with settings: Keras 3's name of it
# and of each setting. A setting that is left out has the same default in both.
_PAIRS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.pow": "Power",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
}
_SINGLES = {
    "math.negative": "numpy.Negative",
    "math.square": "numpy.Square",
    "math.sqrt": "numpy.Sqrt",
    "math.exp": "numpy.Exp",
    "math.log": "numpy.Log",
    "math.abs": "numpy.Absolute",
    "math.tanh": "numpy.Tanh",
    "nn.tanh": "numpy.Tanh",
    "nn.relu": "nn.Relu",
    "nn.relu6": "nn.Relu6",
    "nn.silu": "nn.Silu",
    "math.rsqrt": "math.Rsqrt",
    "math.sigmoid": "nn.Sigmoid",
    "math.softplus": "nn.Softplus",
    "nn.elu": "nn.Elu",
    "nn.selu": "nn.Selu",
    "nn.sigmoid": "nn.Sigmoid",
}
_AXIS = {"axis": "axis"}
_WITH_SETTINGS = {
    "cast": ("core.Cast", {"dtype": "dtype"}),
    "clip_by_value": ("numpy.Clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "compat.v1.squeeze": ("numpy.Squeeze", _AXIS),
    "compat.v1.transpose": ("numpy.Transpose", {"perm": "axes"}),
    "expand_dims": ("numpy.ExpandDims", _AXIS),
    "math.reduce_max": ("numpy.Max", _AXIS | {"keepdims": "keepdims"}),
    "math.reduce_mean": ("numpy.Mean", _AXIS | {"keepdims": "keepdims"}),
    "math.reduce_sum": ("numpy.Sum", _AXIS | {"keepdims": "keepdims"}),
    "nn.softmax": ("nn.Softmax", _AXIS),
    "reshape": ("numpy.Reshape", {"shape": "newshape"}),
}
_LISTS = {"concat": ("numpy.Concatenate", _AXIS), "stack": ("numpy.Stack", _AXIS)}
_HARMLESS = {"conjugate": False}
FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")  # the classes of their layers
_CONSTANT = "_CONSTANT_VALUE"  # what Keras 2 writes in place of a layer's name, before a number


def mend_operation(entry: dict[str, Any]) -> None:
    """Make an operation of Keras 3 of a function's layer, in place, where it is one of the above.

    Parameters
    ----------
    entry : a layer of a functional model's configuration, with its one call in `inbound_nodes`:
        ``[[source, node, tensor, {"y": …, …}]]``, where `source` may be a number as well; of a
        function of several tensors ``[[[source, …], [source, …]]]``
    """
    config, calls = entry["config"], entry.get("inbound_nodes")
    if not (isinstance(calls, list) and len(calls) == 1 and isinstance(calls[0], list)):
        return
    function, call = config.get("function"), calls[0]
    if entry["class_name"] == "SlicingOpLambda":
        made = _sliced(call) if function == "__operators__.getitem" else None
    elif function in _LISTS:
        made = _of_list(*_LISTS[function], call)
    else:
        made = _of_one(function, call)
    if made is None:
        return
    target, args, settings = made
    module, class_name = target.split(".")
    name = config.get("name")
    entry.clear()
    entry.update(
        module=f"keras.src.ops.{module}",  # as Keras 3 writes it
        class_name=class_name,
        config={"name": name, **settings},
        registered_name=class_name,
        name=name,
        inbound_nodes=[{"args": args, "kwargs": {}}],
    )


def mend_keywords(entry: dict[str, Any]) -> None:
    """Write a layer's calls as Keras 3 does, in place, where a tensor is given by its keyword.

    `MultiHeadAttention` is called so. A layer whose calls are not all understood stays as it is.
    """
    calls = entry.get("inbound_nodes")
    if not isinstance(calls, list) or not any(_has_keyword(call) for call in calls):
        return
    made = [_as_arguments(call) for call in calls]
    if None not in made:
        entry["inbound_nodes"] = made


def _has_keyword(call: Any) -> bool:
    parts = call if isinstance(call, list) else []
    return any(
        _is_call(part) and any(_is_tensor(value) for value in part[3].values()) for part in parts
    )


def _as_arguments(call: Any) -> dict[str, Any] | None:
    if not (isinstance(call, list) and len(call) == 1 and _is_call(call[0])):
        return None
    first, given = _argument(call[0][:3]), call[0][3]
    kwargs = {k: _argument(v) if _is_tensor(v) else v for k, v in given.items()}
    is_known = all(_is_plain(v) or _is_tensor(given[k]) for k, v in kwargs.items())
    return {"args": [first], "kwargs": kwargs} if isinstance(first, dict) and is_known else None


def _of_one(function: Any, call: Any) -> Made:
    """Return Keras 3's name of a function of one or two, its arguments and its settings."""
    if not _is_call(call):
        return None
    first, given = _argument(call[:3]), _given(call)
    if function in _PAIRS and set(given) == {"y"}:
        args = [first, _argument(given["y"])]
        is_any = any(isinstance(each, dict) for each in args) and None not in args
        return (f"numpy.{_PAIRS[function]}", args, {}) if is_any else None
    if not isinstance(first, dict):
        return None
    if function in _SINGLES and not given:
        return _SINGLES[function], [first], {}
    if function in _WITH_SETTINGS:
        return _named(*_WITH_SETTINGS[function], [first], given)
    if function in OF_ONE:
        return OF_ONE[function](first, given)
    second = _argument(given.get("b")) if function == "linalg.matmul" else None
    return matmul(first, second, given) if isinstance(second, dict) else None


def _of_list(target: str, names: dict[str, str], call: Any) -> Made:
    """Return the same of a function of a list of tensors; Keras 2 repeats the settings for each."""
    if not all(_is_call(part) for part in call) or not call:
        return None
    tensors = [_argument(part[:3]) for part in call]
    if not all(isinstance(each, dict) for each in tensors):
        return None
    return _named(target, names, [tensors], _given(call[0]))


def _named(target: str, names: dict[str, str], args: list[Any], given: dict[str, Any]) -> Made:
    if not set(given) <= set(names) or not all(_is_plain(value) for value in given.values()):
        return None
    return target, args, {names[key]: value for key, value in given.items()}


def _sliced(call: Any) -> Made:
    """Return what `tensor[…]` is; an index that is a tensor is not understood."""
    if not _is_call(call) or set(call[3]) != {"slice_spec"}:
        return None
    first, spec = _argument(call[:3]), call[3]["slice_spec"]
    parts = spec if isinstance(spec, list) else [spec]
    key = [_index(part) for part in parts]
    if not isinstance(first, dict) or _UNKNOWN in key:
        return None
    return "numpy.GetItem", [first, key], {}


_UNKNOWN = "unknown"


def _index(part: Any) -> Any:
    """Return one part of an index as Keras 3 writes it, or `_UNKNOWN`."""
    if part is None or _is_whole(part):
        return part
    if not isinstance(part, dict):
        return _UNKNOWN
    if part.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    is_slice = set(part) == {"start", "stop", "step"}
    if is_slice and all(each is None or _is_whole(each) for each in part.values()):
        return {"class_name": "__slice__", "config": dict(part)}
    return _UNKNOWN


def _given(call: Any) -> dict[str, Any]:
    """Return the settings of a call that mean something."""
    return {
        key: value
        for key, value in call[3].items()
        if value is not None and key != "name" and _HARMLESS.get(key, _CONSTANT) != value
    }


def _is_call(call: Any) -> bool:
    return isinstance(call, list) and len(call) == 4 and isinstance(call[3], dict)


def _is_tensor(value: Any) -> bool:
    is_three = isinstance(value, list) and len(value) == 3
    return is_three and isinstance(value[0], str) and all(map(_is_whole, value[1:]))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    """Whether a value is no tensor and contains none."""
    items = value if isinstance(value, list) else [value]
    return not _is_tensor(value) and all(
        each is None or isinstance(each, int | float | str) for each in items
    )


def _argument(value: Any) -> Any:
    """Return a number, the tensor that ``[source, node, tensor]`` names, or None for anything else.

    The shape and dtype of a tensor are looked up by Keras where it was made; these are none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, list) or len(value) != 3:
        return None
    if value[:2] == [_CONSTANT, -1]:
        return _argument(value[2]) if not isinstance(value[2], list) else None
    if not isinstance(value[0], str):
        return None
    config = {"shape": [None], "dtype": "float32", "keras_history": value}
    return {"class_name": "__keras_tensor__", "config": config}
