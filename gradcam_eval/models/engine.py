"""The compiled forward pass of a model: class probabilities of a batch, on a chosen engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.models.frozen import FrozenFunction
from gradcam_eval.models.inputs import check_image_shape, model_inputs
from gradcam_eval.models.layout import output_layout
from gradcam_eval.models.live import LiveFunction
from gradcam_eval.models.memory import collect
from gradcam_eval.models.openvino_graph import check_openvino
from gradcam_eval.models.openvino_network import ROWS
from gradcam_eval.models.output import Output, OutputKind, check_output_kind
from gradcam_eval.models.process import check_process
from gradcam_eval.models.target import Score, class_scores, table_of

Engine: TypeAlias = Literal["auto", "tensorflow", "frozen", "openvino", "openvino_bf16"]
ENGINES: tuple[str, ...] = get_args(Engine)

LARGEST_DIFFERENCE = 1e-5  # of a probability, beyond which an engine makes no reference numbers
EXPLORING: tuple[Engine, ...] = ("openvino_bf16",)  # none are expected of it: it may be far off


class Predictor:
    """A Keras classifier as a black box: float32 (N, H, W, C), 0..255 → (N, K) probabilities.

    One sigmoid p becomes two columns, (1 − p, p): the negative class and the positive. A regression
    gives its values in place of probabilities.

    The model stays as it is, and the answer is never stale after its weights changed. A call of the
    predictor itself always runs in TensorFlow; what it compiles for metrics runs on the engine.

    Parameters
    ----------
    model : keras.Model with one output (N, K), probabilities or logits
    score : what is read off it instead of probabilities: "logit" or "log_odds"; of a regression
        "logit" is the value, and "log_odds" an error
    engine : of the many forward passes of metrics: "auto" or "frozen", TensorFlow with the weights
        folded in; "tensorflow", which reads them at each call; "openvino" (float32); or
        "openvino_bf16", for exploring: its probabilities differ by percents on processors that
        have bfloat16, and `difference` says by how much
    output : the kind of the output, where it is not the one that `decide_output` finds

    Attributes
    ----------
    output : the kind of the output, known once the model was traced; None before

    Raises
    ------
    InputError : no such engine or kind of output, or OpenVINO is not installed
    """

    def __init__(
        self,
        model: keras.Model,
        score: Score = "probability",
        engine: Engine = "auto",
        *,
        output: OutputKind | None = None,
    ) -> None:
        check_output_kind(output)
        if engine not in ENGINES:
            raise unknown_name("engine", engine, ENGINES)
        if engine.startswith("openvino"):
            check_openvino()
        self.model = model
        self.score = score
        self.engine = engine
        self.declared = output
        self.output: Output | None = None
        self._readings: dict[Score, Predictor] = {score: self}
        self._compiled: dict[Any, Any] = {}

    def reading(self, score: Score) -> Predictor:
        """Return the same model with another score in place of probabilities, made once."""
        if score not in self._readings:
            self._readings[score] = Predictor(self.model, score, self.engine, output=self.declared)
        return self._readings[score]

    def on(self, engine: Engine) -> Predictor:
        """Return the same on another engine, which shares the compiled pass in TensorFlow."""
        made = Predictor(self.model, self.score, engine, output=self.declared)
        made.output = self.output
        made._compiled |= {
            key: run for key, run in self._compiled.items() if isinstance(key, tuple)
        }
        return made

    def release(self) -> None:
        """Let go of all that was compiled; the next call compiles again."""
        for each in self._readings.values():
            each._compiled.clear()
        collect()

    def difference(self, images: NDArray[np.float32]) -> float:
        """Return the largest difference of a probability between the engine and TensorFlow.

        max |p_engine − p_tensorflow| over images and classes, in 0..1; 0 where they are one. Of a
        regression's value v it is taken relative to max(1, |v|).
        """
        if self.engine == "tensorflow":
            return 0.0
        reference = self.reading("probability")
        found, expected = reference.on_engine(images), reference(images)
        return float((np.abs(found - expected) / reference._scale(expected)).max())

    def on_engine(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what a call of the predictor returns, computed by the engine."""
        forward = self.compiled(_plain(np.shape(images)[1:]), rows=1, first=len(images))
        found: NDArray[np.float32] = forward(images).numpy()
        return found

    def variation(self, images: NDArray[np.float32]) -> float:
        """Return the largest difference of a probability between two calls in TensorFlow, in 0..1.

        0 but for a model that stays random at inference, and for rounding on some devices.
        """
        reference = self.reading("probability")
        first, second = reference(images), reference(images)
        return float((np.abs(first - second) / reference._scale(first)).max())

    def _scale(self, expected: NDArray[np.float32]) -> NDArray[np.float32] | float:
        """Return what differences are taken relative to: 1 for probabilities, max(1, |v|) else."""
        is_value = self.output is not None and not self.output.has_probabilities
        return np.maximum(np.float32(1), np.abs(expected)) if is_value else 1.0

    def __call__(self, images: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Return the class probabilities of a batch, float32 (N, K), in 0..1, or the values."""
        return self._answer(images, LiveFunction.traced)

    def unwatched(self, images: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Return the same from the compiled forward pass alone: what timings compare with.

        It does not look whether variables of the model were replaced since the first call.
        """
        return self._answer(images, LiveFunction.unwatched)

    def _answer(
        self, images: NDArray[np.float32], run_of: Callable[[LiveFunction], Callable[..., Any]]
    ) -> NDArray[np.float32]:
        check_process()
        images = np.asarray(images, np.float32)
        if images.ndim != 4:
            raise InputError(f"images have shape {images.shape}: wanted (N, H, W, C)")
        shape = images.shape[1:]
        if shape not in self._compiled:
            check_image_shape(self.model, shape)
            spec = tf.TensorSpec((None, *shape), tf.float32)
            function = tf.function(self.forward, input_signature=[spec], autograph=False)
            self._compiled[shape] = LiveFunction(function, self.model)
        found: NDArray[np.float32] = run_of(self._compiled[shape])(
            tf.convert_to_tensor(images)
        ).numpy()
        return found

    def forward(self, images: Any) -> Any:
        """Map a float32 tensor (N, H, W, C) to scores (N, K); for use while tracing.

        A segmentation gives (N, h, w, K).

        Raises
        ------
        InputError : inputs beside the images, or an output that holds no classes
        NoScore : the model has no such score
        """
        inputs = model_inputs(self.model, (images.shape[1], images.shape[2]))
        if inputs.extras:
            raise InputError(
                f"this model takes {', '.join(map(repr, inputs.extras))} beside the images, and "
                "metrics change images alone: wrap it in a model that fixes the others"
            )
        outputs = inputs.answer(self.model, images)
        scores = class_scores(outputs, layout=output_layout(self.model), declared=self.declared)
        self.output = scores.output
        if self.score == "probability" and not scores.output.has_probabilities:
            return scores.predictions
        return table_of(scores, self.score)

    def _rows(self, images: Any) -> Any:
        """Return what `forward` returns, (N, K), for metrics; refuse a row for each pixel."""
        table = self.forward(images)
        if self.output is not None and (refusal := self.output.no_row):
            raise InputError(refusal.reason)
        return table

    def compiled(
        self,
        builder: Callable[[Callable[[Any], Any]], Callable[..., Any]],
        *,
        rows: int = 0,
        first: int = ROWS,
    ) -> Any:
        """Return `builder(forward)` compiled, made once per builder.

        A `tf.function` with an input signature runs on the engine (see `FrozenFunction`), which
        its many forward passes are worth; anything else becomes a plain `tf.function`. `rows`
        tells how many leading arguments have a row for each row of all outputs, `first` how many
        rows the next call will have.

        Warns
        -----
        UserWarning : OpenVINO was asked for and cannot compute this function, and why
        """
        if builder not in self._compiled:
            function = builder(self._rows)
            if getattr(function, "input_signature", None):
                function = self._on_engine(function, rows, first)
            else:
                if not hasattr(function, "get_concrete_function"):
                    function = tf.function(function, autograph=False)
                function = LiveFunction(function, self.model)
            self._compiled[builder] = function
        return self._compiled[builder]

    def _on_engine(self, function: Any, rows: int, first: int) -> Any:
        if self.engine == "tensorflow":
            return LiveFunction(function, self.model)
        wanted = "frozen" if self.engine == "auto" else self.engine
        found = FrozenFunction(function, self.model, engine=wanted, rows=rows)
        if self.engine.startswith("openvino"):
            found.prepare(first=first)
            if found.engine != self.engine:
                warnings.warn(
                    f"metrics run in TensorFlow, not in OpenVINO: {found.reason}", stacklevel=4
                )
        return found


@lru_cache
def _plain(image_shape: tuple[int, ...]) -> Callable[[Callable[[Any], Any]], Any]:
    """Return the builder of the forward pass alone: always the same object, for it is a key."""

    def build(forward: Callable[[Any], Any]) -> Any:
        spec = tf.TensorSpec((None, *image_shape), tf.float32)
        return tf.function(forward, input_signature=[spec], autograph=False)

    return build
