"""Frozen graphs in OpenVINO, in float32: whole where it knows all operations, else up to a cut.

OpenVINO computes a convolutional network on CPUs in a fraction of TensorFlow's time. It knows few
gradients, so the part of a graph behind the explained layer may have to stay in TensorFlow.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.models.cut import cut
from gradcam_eval.models.frozen_graph import FrozenGraph, Unsuitable
from gradcam_eval.models.openvino_network import ROWS, Network, Precision

# Loops gain nothing by it, and its random numbers are others than TensorFlow's.
_NOT_WHOLE = ("While", "If", "Case", "Call", "Random", "Multinomial")


def check_openvino() -> None:
    """Raise InputError unless OpenVINO is installed."""
    if importlib.util.find_spec("openvino") is None:
        raise InputError(
            "engine 'openvino' needs the package openvino, which is not installed: "
            "pip install 'gradcam-eval[fast]', or choose engine='frozen'"
        )


def through_openvino(
    frozen: FrozenGraph, *, rows: int = 0, first: int = ROWS, precision: Precision = "f32"
) -> Callable[..., Any]:
    """Return what computes a graph with as much of it in OpenVINO as can be.

    Parameters
    ----------
    frozen : where it has to be cut, its first argument is images, float32 (N, H, W, C)
    rows, first, precision : see `Network`

    Returns
    -------
    The function: the graph's arguments → its outputs

    Raises
    ------
    Unsuitable : the graph cannot be cut, or OpenVINO cannot convert the trunk
    InputError : OpenVINO is not installed
    """
    check_openvino()
    try:
        return _whole(frozen, partial(Network, rows=rows, first=first, precision=precision))
    except Unsuitable as whole:
        try:
            network = partial(Network, rows=min(rows, 1), first=first, precision=precision)
            return _trunk_and_head(frozen, network)
        except Unsuitable as problem:
            both = dict.fromkeys((str(whole), str(problem)))
            raise Unsuitable("; and ".join(both)) from problem


def _whole(frozen: FrozenGraph, made: Callable[[Any], Network]) -> Callable[..., Any]:
    if frozen.signature.captures:
        raise Unsuitable("the graph reads tables that stay live")
    hidden = {node.op for node in frozen.definition.node if any(op in node.op for op in _NOT_WHOLE)}
    if hidden:
        raise Unsuitable(f"the graph has operations that stay in TensorFlow: {sorted(hidden)}")
    signature = frozen.signature
    network = made(frozen.between(frozen.inputs, frozen.outputs))

    def run(*args: Any) -> Any:
        given = zip(args, signature.specs, strict=True)
        arrays = [np.asarray(each, spec.dtype.as_numpy_dtype) for each, spec in given]
        return signature.packed([tf.convert_to_tensor(each) for each in network(arrays)])

    return run


def _trunk_and_head(frozen: FrozenGraph, made: Callable[[Any], Network]) -> Callable[..., Any]:
    parts = cut(frozen)
    head, signature = parts.head, frozen.signature
    trunk = made(parts.trunk)

    def run(*args: Any) -> Any:
        tensors = signature.tensors(args)
        value = tf.convert_to_tensor(trunk([np.asarray(tensors[0])])[0])
        return signature.packed(head(value, *tensors))

    return run
