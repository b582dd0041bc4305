"""A concrete function as an OpenVINO network: for one image on all cores, for a batch on each."""

from __future__ import annotations

import importlib
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.models.frozen_graph import Unsuitable

Precision: TypeAlias = Literal["f32", "bf16"]

_TOGETHER = {"PERFORMANCE_HINT": "LATENCY"}  # one request at a time, on all cores
_SIDE_BY_SIDE = {"PERFORMANCE_HINT": "THROUGHPUT"}  # a request for each core or few cores

ROWS = 2  # of a request, at most: the activations of so few images stay in a core's caches


class Network:
    """Arrays → arrays, computed by OpenVINO on the CPU; threads do not wait for each other.

    Parameters
    ----------
    concrete : concrete function of tensors → list of tensors
    rows : how many leading inputs have a row for each row of every output, which depends on no
        other row of them; a batch of them is then computed `ROWS` at a time, side by side. Each
        number of rows at a time is a network with weights of its own, made when it is first needed:
        where OpenVINO knows all sizes it is a tenth faster
    first : how many rows the first call has: the network for as many is made now
    precision : of the arithmetic; with "bf16" a processor that has it loses 16 of 24 bits

    Raises
    ------
    Unsuitable : OpenVINO cannot convert the function; the message says why
    """

    def __init__(
        self, concrete: Any, *, rows: int = 0, first: int = ROWS, precision: Precision = "f32"
    ) -> None:
        self._openvino = load_openvino()
        self._inputs = [tensor.name for tensor in concrete.inputs]
        self._outputs = [tensor.name for tensor in concrete.outputs]
        self._types = [tensor.dtype.as_numpy_dtype for tensor in concrete.outputs]
        self._rows = rows
        self._precision = precision
        self._lock = threading.Lock()
        self._own = threading.local()
        self._networks: dict[int, Any] = {}  # by rows of a request side by side; 0: alone
        try:
            self._model = self._openvino.convert_model(concrete.graph)
            _check_gathers(self._model)
            if rows:
                _with_rows(self._model, self._inputs[:rows], ROWS)  # as many as in a batch
            self._made = [self._place(name) for name in self._outputs]
            self._of_rows(ROWS if rows and first > 1 else 0)
        except Unsuitable:
            raise
        except Exception as problem:  # whatever it cannot do, TensorFlow can
            raise Unsuitable(f"OpenVINO cannot convert the model: {_said(problem)}") from problem

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the function's outputs, in memory of their own."""
        if self._rows and (len(arrays[0]) > 1 or 0 not in self._networks):
            return self._shared(arrays)
        request = self._request()
        request.infer(self._named(arrays), share_inputs=True)
        return self._read(request)

    def _shared(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the rows of a batch, a few in each request, the requests side by side.

        The last request repeats its last row where rows are missing, whose answer is left out: a
        network of another number of rows would take seconds to make.
        """
        rows = len(arrays[0])
        size = min(ROWS, -(-rows // len(self._requests(ROWS))))
        missing = -rows % size
        if missing:
            repeated = [
                np.concatenate([a, a[-1:].repeat(missing, 0)]) for a in arrays[: self._rows]
            ]
            arrays = [*repeated, *arrays[self._rows :]]
        free = deque(self._requests(size))
        running: deque[Any] = deque()
        parts: list[list[NDArray[Any]]] = []

        def finish_first() -> None:
            request = running.popleft()
            request.wait()
            parts.append(self._read(request))
            free.append(request)

        for start in range(0, rows, size):
            if not free:
                finish_first()
            request = free.popleft()
            part = [each[start : start + size] for each in arrays[: self._rows]]
            request.start_async(self._named([*part, *arrays[self._rows :]]), share_inputs=True)
            running.append(request)
        while running:
            finish_first()
        return [np.concatenate(each)[:rows] for each in zip(*parts, strict=True)]

    def _named(self, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(self._inputs, arrays, strict=True))

    def _place(self, output: str) -> int:
        names = [port.get_names() for port in self._model.outputs]
        return next(n for n, each in enumerate(names) if output in each)

    def _read(self, request: Any) -> list[NDArray[Any]]:
        """Copy what a request made: its next run writes into the same memory."""
        found = zip(self._made, self._types, strict=True)
        return [np.array(request.get_output_tensor(n).data, dtype) for n, dtype in found]

    def _request(self) -> Any:
        """Return this thread's request."""
        if not hasattr(self._own, "request"):
            self._own.request = self._of_rows(0).create_infer_request()
        return self._own.request

    def _requests(self, rows: int) -> list[Any]:
        """Return this thread's requests of so many rows, as many as run side by side."""
        if not hasattr(self._own, "requests"):
            self._own.requests = {}
        if rows not in self._own.requests:
            network = self._of_rows(rows)
            count = network.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            self._own.requests[rows] = [network.create_infer_request() for _ in range(count)]
        return list(self._own.requests[rows])

    def _of_rows(self, rows: int) -> Any:
        """Return the network of requests of so many rows, or with 0 that of one on all cores."""
        with self._lock:
            if rows not in self._networks:
                settings = _SIDE_BY_SIDE if rows else _TOGETHER
                self._networks[rows] = self._compile(settings, max(rows, 1))
            return self._networks[rows]

    def _compile(self, settings: dict[str, str], rows: int) -> Any:
        precision = {"INFERENCE_PRECISION_HINT": self._precision}
        shared = self._inputs[: self._rows]
        model = _with_rows(self._model, shared, rows) if shared else self._model
        return self._openvino.Core().compile_model(model, "CPU", {**precision, **settings})


def load_openvino() -> Any:
    """Import OpenVINO without its telemetry, where it is not imported yet.

    It sends its makers an event when it is imported and some thirty for each model, by HTTP and
    each from a process of its own: seconds of a core. Without the package `openvino_telemetry` it
    sends none; this import is told that there is no such package.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    name = "openvino_telemetry"
    known = {name: sys.modules[name]} if name in sys.modules else {}
    sys.modules[name] = None  # type: ignore[assignment]  # its import fails, by Python's own rule
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[name]
        sys.modules.update(known)


def _check_gathers(model: Any) -> None:
    """Refuse gathers row by row (`batch_dims`), which OpenVINO computes wrongly on AVX-512.

    It reads up to fifteen indices beyond the last one (measured with 2026.4): a segmentation fault
    now and then, where no memory of the process lies there.
    """
    for each in model.get_ops():
        if each.get_type_name() == "Gather" and each.get_attributes().get("batch_dims"):
            raise Unsuitable(
                "the graph gathers row by row (tf.gather with batch_dims), and OpenVINO then reads "
                f"beyond its indices: {each.get_friendly_name()}"
            )


def _with_rows(model: Any, inputs: Sequence[str], rows: int) -> Any:
    """Return a model that takes so many rows of these inputs, and makes as many of each output.

    Raises
    ------
    Unsuitable : an operation wants another number of rows, or makes one
    """
    fixed = model.clone()
    shapes = {}
    for name in inputs:
        port = fixed.input(name)
        shape = port.get_partial_shape()
        shape[0] = rows
        shapes[port] = shape
    try:
        fixed.reshape(shapes)
    except RuntimeError as problem:
        raise Unsuitable(f"the graph does not take {rows} images at a time") from problem
    for output in fixed.outputs:
        shape = output.get_partial_shape()
        if shape.rank.is_static and shape.rank.get_length() and shape[0].is_static:
            made = shape[0].get_length()
            if made != rows:
                raise Unsuitable(f"the graph makes {made} rows of {rows} images")
    return fixed


def _said(problem: Exception) -> str:
    """Return the line of OpenVINO's message that says what the matter is."""
    lines = [line.strip() for line in str(problem).strip().split("\n")]
    return next(
        (line for line in lines if "operations:" in line or "failed for:" in line), lines[0]
    )
