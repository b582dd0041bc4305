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
from gradcam_eval.models.cut import Cut, cut
from gradcam_eval.models.frozen_graph import FrozenGraph, Unsuitable

_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


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
    trunk, head, signature = _Trunk(parts), parts.head, frozen.signature

    def run(*args: Any) -> Any:
        tensors = signature.tensors(args)
        value = tf.convert_to_tensor(trunk(np.asarray(tensors[0])))
        return signature.packed(head(value, *tensors))

    return run


class _Trunk:
    """The trunk of a cut in OpenVINO; threads do not wait for each other.

    All cores share one image. Of several images, each core takes one after the other: what a layer
    makes of one image then stays in the core's cache, which a whole batch would overflow.
    """

    def __init__(self, parts: Cut) -> None:
        openvino: Any = importlib.import_module("openvino")
        try:
            self._model = openvino.convert_model(parts.trunk.graph)
            self._core = openvino.Core()
            self._for_one = self._compiled("LATENCY")
        except Exception as problem:  # whatever it cannot do, TensorFlow can
            first_line = str(problem).strip().split("\n")[0]
            raise Unsuitable(f"OpenVINO cannot convert the model: {first_line}") from problem
        # Values of single images can be joined where the images are the value's first axis.
        self._is_by_image = parts.shape[0] is None and None not in parts.shape[1:]
        self._for_many: Any = None
        self._lock = threading.Lock()
        self._own = threading.local()

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(images) == 1 or not self._is_by_image:
            if not hasattr(self._own, "request"):
                self._own.request = self._for_one.create_infer_request()
            # A copy, since TensorFlow may go on with the array that it is given.
            return self._own.request.infer([images], share_inputs=True)[0]
        return self._one_by_one(images)

    def _one_by_one(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        requests = self._requests()
        values: list[NDArray[np.float32]] = []
        for i in range(len(images) + len(requests)):
            request = requests[i % len(requests)]
            if i >= len(requests):
                request.wait()
                values.append(request.get_output_tensor(0).data.copy())
            if i < len(images):
                request.start_async([images[i : i + 1]], share_inputs=True)
        return np.concatenate(values)

    def _requests(self) -> list[Any]:
        """Return this thread's requests, as many as compute side by side."""
        if not hasattr(self._own, "requests"):
            with self._lock:
                if self._for_many is None:
                    self._for_many = self._compiled("THROUGHPUT")
            count = self._for_many.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            self._own.requests = [self._for_many.create_infer_request() for _ in range(count)]
        return self._own.requests

    def _compiled(self, hint: str) -> Any:
        return self._core.compile_model(self._model, "CPU", {"PERFORMANCE_HINT": hint, **_FLOAT32})
