"""The forward part of a graph in OpenVINO, in float32; the rest stays in TensorFlow.

OpenVINO computes a convolutional trunk on CPUs in a fraction of TensorFlow's time, and has no
gradients. A heatmap at a late layer needs gradients in the head alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.models.cut import cut
from gradcam_eval.models.frozen_graph import FrozenGraph, Unsuitable

_SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


def check_openvino() -> None:
    """Raise InputError unless OpenVINO is installed."""
    if importlib.util.find_spec("openvino") is None:
        raise InputError(
            "engine 'openvino' needs the package openvino, which is not installed: "
            "pip install 'gradcam-eval[fast]', or choose engine='frozen'"
        )


def through_openvino(frozen: FrozenGraph) -> Callable[..., Any]:
    """Return what computes a graph with its trunk in OpenVINO: its arguments → its outputs.

    Parameters
    ----------
    frozen : its first argument is images, float32 (N, H, W, C)

    Raises
    ------
    Unsuitable : the graph cannot be cut, or OpenVINO cannot convert the trunk
    InputError : OpenVINO is not installed
    """
    check_openvino()
    parts = cut(frozen)
    trunk, head, signature = _Trunk(parts.trunk), parts.head, frozen.signature

    def run(*args: Any) -> Any:
        tensors = signature.tensors(args)
        value = tf.convert_to_tensor(trunk(np.asarray(tensors[0])))
        return signature.packed(head(value, *tensors))

    return run


class _Trunk:
    """A concrete function images → [value] in OpenVINO; threads do not wait for each other."""

    def __init__(self, concrete: Any) -> None:
        openvino: Any = importlib.import_module("openvino")
        try:
            model = openvino.convert_model(concrete.graph)
            self._compiled = openvino.Core().compile_model(model, "CPU", _SETTINGS)
        except Exception as problem:  # whatever it cannot do, TensorFlow can
            first_line = str(problem).strip().split("\n")[0]
            raise Unsuitable(f"OpenVINO cannot convert the model: {first_line}") from problem
        self._requests = threading.local()

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        # A copy, since TensorFlow may go on with the array that it is given.
        return self._requests.own.infer([images], share_inputs=True)[0]
