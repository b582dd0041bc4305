"""Compiled functions on a snapshot of the model's weights: faster, and never stale.

During each call a `Watch` tells whether the weights are still those of the snapshot.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeAlias

import keras

from gradcam_eval.models.frozen_graph import Unsuitable, freeze
from gradcam_eval.models.live import LiveFunction
from gradcam_eval.models.memory import trim, trimmed
from gradcam_eval.models.onednn import channels_first_advice
from gradcam_eval.models.openvino_graph import through_openvino
from gradcam_eval.models.openvino_network import ROWS, Precision
from gradcam_eval.models.watch import Watch

log = logging.getLogger(__name__)

Engine: TypeAlias = Literal["tensorflow", "frozen", "openvino", "openvino_bf16"]
Wanted: TypeAlias = Literal["frozen", "openvino", "openvino_bf16"]

PATIENCE = 4

_checks: ThreadPoolExecutor


def _start_checks() -> None:
    global _checks
    _checks = ThreadPoolExecutor(1, thread_name_prefix="weights")


_start_checks()
os.register_at_fork(after_in_child=_start_checks)  # threads do not outlive a fork


class FrozenFunction:
    """A `tf.function` of tensors that runs on a frozen graph for as long as the weights stay.

    The weights are looked at during each call, in about a millisecond. After they changed, the
    next calls run live, and a graph is frozen again when the new weights have stayed: while a model
    trains, freezing would cost more than it gains. A graph that cannot be frozen, or whose weights
    lie on another device than the CPU, runs live. Calls from several threads compute side by side.

    Parameters
    ----------
    function : made by `tf.function` with an input signature
    model : whose weights the function reads
    engine : "frozen"; or "openvino", which runs the graph in OpenVINO, or what stands before a cut
        through it, and otherwise as "frozen" does; or "openvino_bf16", the same in bfloat16
    rows : how many leading arguments have a row for each row of all outputs, which depends on no
        other row of them; OpenVINO then shares the rows among the cores
    patience : calls after a change of the weights that run live

    Attributes
    ----------
    engine : how the last call ran: "tensorflow" is live
    reason : why it was not how it was wanted, or ""

    Notes
    -----
    What a model does apart from its weights (an activation, a rate) is fixed when it is traced, as
    it is in Keras' own `predict`.
    """

    def __init__(
        self,
        function: Any,
        model: keras.Model,
        *,
        engine: Wanted = "frozen",
        rows: int = 0,
        patience: int = PATIENCE,
    ) -> None:
        self.engine: Engine = "tensorflow"
        self.reason = ""
        self._function = function
        self._model = model
        self._wanted = engine
        self._rows = rows
        self._patience = patience
        self._live_calls_left = 0
        self._watch: Watch | None = None
        self._run: Callable[..., Any] | None = None
        self._live = LiveFunction(function, model)
        self._lock = threading.Lock()

    @property
    def shares_rows(self) -> bool:
        """Whether a call computes its rows a few at a time, so that many take no more memory."""
        return self._rows > 0 and self.engine.startswith("openvino")

    def __call__(self, *args: Any) -> Any:
        """Call the function with the model's weights of this moment."""
        with self._lock:
            run, watch = self._run, self._watch
        if run is not None and watch is not None:
            if self.engine.startswith("openvino"):  # it waits for the slowest of all cores
                if watch.is_current():
                    return run(*args)
            else:
                # The weights are looked at while the answer is computed, which is thrown away
                # where they are not those of the graph.
                check = _checks.submit(watch.is_current)
                found = run(*args)
                if check.result():
                    return found
        with self._lock:
            run = self._ready(len(args[0]) if self._rows else 0)
        return run(*args)

    def prepare(self, *, first: int = ROWS) -> None:
        """Trace the function now, so that a call is quick and what tracing finds out is known.

        `first` is how many rows the next call will have.
        """
        with self._lock:
            self._ready(first)

    def _ready(self, first: int) -> Callable[..., Any]:
        if self._watch is None:
            if not _is_built(self._model):
                self._live.traced()
            self._watch = Watch(self._model)
        elif not self._watch.is_current():
            self._watch, self._run = Watch(self._model), None
            self._live_calls_left = self._patience
        if self._run is None and not self._live_calls_left:
            self._run = trimmed(channels_first_advice()(self._made(self._watch, first)))
            trim()
        if self._run is not None:
            return self._run
        self.engine = "tensorflow"
        self.reason = "the weights changed a moment ago"
        self._live_calls_left -= 1
        return self._live.traced()

    def _made(self, watch: Watch, first: int) -> Callable[..., Any]:
        """Make what computes, the fastest way first, and note which it is and why."""
        self.reason = ""
        try:
            graph = freeze(self._function, watch)
        except Unsuitable as problem:
            self.engine, self.reason = "tensorflow", str(problem)
            log.debug("the graph runs live: %s", problem)
            watch.let_go()  # else a call that writes weights would be thought stale, and run twice
            return self._live.traced()
        if self._wanted != "frozen":
            precision: Precision = "bf16" if self._wanted == "openvino_bf16" else "f32"
            try:
                run = through_openvino(graph, rows=self._rows, first=first, precision=precision)
                self.engine = self._wanted
                return run
            except Unsuitable as problem:
                self.reason = str(problem)
                log.debug("the graph runs without OpenVINO: %s", problem)
        self.engine = "frozen"
        return graph.compiled()


def _is_built(model: keras.Model) -> bool:
    """Whether no layer waits for its first call to make its weights."""
    return all(layer.built for layer in model._flatten_layers())
