"""TensorFlow functions between the layers of a Keras 2 model, as the operations of Keras 3.

Keras 2 keeps `x / 255` as a layer of class TFOpLambda. Here those with one meaning become what
Keras 3 itself keeps of the same expression; any other is left alone.
"""

from __future__ import annotations

from typing import Any

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
    "math.tanh": "numpy.Tanh",
    "nn.tanh": "numpy.Tanh",
    "nn.relu": "nn.Relu",
    "nn.relu6": "nn.Relu6",
    "math.sigmoid": "nn.Sigmoid",
    "nn.sigmoid": "nn.Sigmoid",
}
_REDUCTIONS = {
    "math.reduce_mean": "Mean",
    "math.reduce_max": "Max",
    "math.reduce_sum": "Sum",
}
_CONSTANT = "_CONSTANT_VALUE"  # what Keras 2 writes in place of a layer's name, before a number


def mend_operation(entry: dict[str, Any]) -> None:
    """Make an operation of Keras 3 of a layer TFOpLambda, in place, where it is one of the above.

    Parameters
    ----------
    entry : a layer of a functional model's configuration, with its one call in `inbound_nodes`:
        ``[[source, node, tensor, {"y": …, …}]]``, where `source` may be a number as well
    """
    config, calls = entry["config"], entry.get("inbound_nodes")
    if not (isinstance(calls, list) and len(calls) == 1 and _is_call(calls[0])):
        return
    function, name = config.get("function"), config.get("name")
    first, given = _argument(calls[0][:3]), {k: v for k, v in calls[0][3].items() if v is not None}
    given.pop("name", None)
    target, args, settings = "", [first], {}
    if function in _PAIRS and set(given) == {"y"}:
        target, args = f"numpy.{_PAIRS[function]}", [first, _argument(given["y"])]
    elif function in _SINGLES and not given:
        target = _SINGLES[function]
    elif function == "clip_by_value" and set(given) == {"clip_value_min", "clip_value_max"}:
        target = "numpy.Clip"
        settings = {"x_min": given["clip_value_min"], "x_max": given["clip_value_max"]}
    elif function in _REDUCTIONS and set(given) <= {"axis", "keepdims"}:
        target, settings = f"numpy.{_REDUCTIONS[function]}", given
    if not target or None in args or not any(isinstance(each, dict) for each in args):
        return
    module, class_name = target.split(".")
    entry.clear()
    entry.update(
        module=f"keras.src.ops.{module}",  # as Keras 3 writes it
        class_name=class_name,
        config={"name": name, **settings},
        registered_name=class_name,
        name=name,
        inbound_nodes=[{"args": args, "kwargs": {}}],
    )


def _is_call(call: Any) -> bool:
    return isinstance(call, list) and len(call) == 4 and isinstance(call[3], dict)


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
