"""A concrete function as an OpenVINO network: for one image on all cores, for a batch on each."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.models.frozen_graph import Unsuitable

Precision: TypeAlias = Literal["f32", "bf16"]

_TOGETHER = {"PERFORMANCE_HINT": "LATENCY"}  # one request at a time, on all cores
_SIDE_BY_SIDE = {"PERFORMANCE_HINT": "THROUGHPUT"}  # a request for each core or few cores

# Of a request, at most: the activations of so few images stay in a core's caches. The number stays
# open: with it fixed OpenVINO was a tenth faster, and ended now and then in a segmentation fault
# (2026.4, bfloat16).
ROWS = 2


class Network:
    """Arrays → arrays, computed by OpenVINO on the CPU; threads do not wait for each other.

    Parameters
    ----------
    concrete : concrete function of tensors → list of tensors
    rows : how many leading inputs have a row for each row of every output, which depends on no
        other row of them; a batch of them is then computed `ROWS` at a time, side by side, by a
        second network with weights of its own, which is made when the first batch comes
    precision : of the arithmetic; with "bf16" a processor that has it loses 16 of 24 bits

    Raises
    ------
    Unsuitable : OpenVINO cannot convert the function; the message says why
    """

    def __init__(self, concrete: Any, *, rows: int = 0, precision: Precision = "f32") -> None:
        self._openvino: Any = importlib.import_module("openvino")
        self._inputs = [tensor.name for tensor in concrete.inputs]
        self._outputs = [tensor.name for tensor in concrete.outputs]
        self._types = [tensor.dtype.as_numpy_dtype for tensor in concrete.outputs]
        self._rows = rows
        self._precision = precision
        self._lock = threading.Lock()
        self._own = threading.local()
        try:
            self._model = self._openvino.convert_model(concrete.graph)
            self._together = self._compile(_TOGETHER)
            self._made = [self._place(name) for name in self._outputs]
        except Exception as problem:  # whatever it cannot do, TensorFlow can
            raise Unsuitable(f"OpenVINO cannot convert the model: {_said(problem)}") from problem
        self._side_by_side: Any = None

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the function's outputs, in memory of their own."""
        if self._rows and len(arrays[0]) > 1:
            return self._shared(arrays)
        request = self._request()
        request.infer(self._named(arrays), share_inputs=True)
        return self._read(request)

    def _shared(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the rows of a batch, a few in each request, the requests side by side."""
        requests = self._requests()
        rows = len(arrays[0])
        size = min(ROWS, -(-rows // len(requests)))
        parts: list[list[NDArray[Any]]] = []
        starts = range(0, rows, size)
        for n, start in enumerate(starts):
            request = requests[n % len(requests)]
            if n >= len(requests):
                request.wait()
                parts.append(self._read(request))
            part = [each[start : start + size] for each in arrays[: self._rows]]
            request.start_async(self._named([*part, *arrays[self._rows :]]), share_inputs=True)
        for n in range(len(parts), len(starts)):
            requests[n % len(requests)].wait()
            parts.append(self._read(requests[n % len(requests)]))
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _named(self, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(self._inputs, arrays, strict=True))

    def _place(self, output: str) -> int:
        names = [port.get_names() for port in self._together.outputs]
        return next(n for n, each in enumerate(names) if output in each)

    def _read(self, request: Any) -> list[NDArray[Any]]:
        """Copy what a request made: its next run writes into the same memory."""
        found = zip(self._made, self._types, strict=True)
        return [np.array(request.get_output_tensor(n).data, dtype) for n, dtype in found]

    def _request(self) -> Any:
        """Return this thread's request."""
        if not hasattr(self._own, "request"):
            self._own.request = self._together.create_infer_request()
        return self._own.request

    def _requests(self) -> list[Any]:
        """Return this thread's requests, as many as run side by side."""
        if not hasattr(self._own, "requests"):
            with self._lock:
                if self._side_by_side is None:
                    self._side_by_side = self._compile(_SIDE_BY_SIDE)
            network = self._side_by_side
            count = network.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            self._own.requests = [network.create_infer_request() for _ in range(count)]
        return self._own.requests

    def _compile(self, settings: dict[str, str]) -> Any:
        precision = {"INFERENCE_PRECISION_HINT": self._precision}
        return self._openvino.Core().compile_model(self._model, "CPU", {**precision, **settings})


def _said(problem: Exception) -> str:
    """Return the line of OpenVINO's message that says what the matter is."""
    lines = [line.strip() for line in str(problem).strip().split("\n")]
    return next(
        (line for line in lines if "operations:" in line or "failed for:" in line), lines[0]
    )
