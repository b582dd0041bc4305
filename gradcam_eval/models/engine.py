"""The compiled forward pass of a model: class probabilities of a batch, with one trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.models.frozen import FrozenFunction
from gradcam_eval.models.inputs import check_image_shape, model_inputs
from gradcam_eval.models.target import Score, class_scores, table_of


class Predictor:
    """A Keras classifier as a black box: float32 (N, H, W, C), 0..255 → (N, K) probabilities.

    The model stays as it is. Its variables are read at each call, so the answer is never stale
    after the weights changed.

    Parameters
    ----------
    model : keras.Model with one output (N, K), probabilities or logits
    score : what is read off it instead of probabilities: "logit" or "log_odds"
    """

    def __init__(self, model: keras.Model, score: Score = "probability") -> None:
        self.model = model
        self.score = score
        self._readings: dict[Score, Predictor] = {score: self}
        self._compiled: dict[Any, Any] = {}

    def reading(self, score: Score) -> Predictor:
        """Return the same model with another score in place of probabilities, made once."""
        if score not in self._readings:
            self._readings[score] = Predictor(self.model, score)
        return self._readings[score]

    def __call__(self, images: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Return the class probabilities of a batch, float32 (N, K), each row in 0..1."""
        images = np.asarray(images, np.float32)
        if images.ndim != 4:
            raise InputError(f"images have shape {images.shape}: wanted (N, H, W, C)")
        shape = images.shape[1:]
        if shape not in self._compiled:
            check_image_shape(self.model, shape)
            spec = tf.TensorSpec((None, *shape), tf.float32)
            self._compiled[shape] = tf.function(
                self.forward, input_signature=[spec], autograph=False
            ).get_concrete_function()
        return self._compiled[shape](tf.convert_to_tensor(images)).numpy()

    def forward(self, images: Any) -> Any:
        """Map a float32 tensor (N, H, W, C) to probabilities (N, K); for use while tracing."""
        inputs = model_inputs(self.model, (images.shape[1], images.shape[2]))
        if inputs.extras:
            raise InputError(
                f"this model takes {', '.join(map(repr, inputs.extras))} beside the images, and "
                "metrics change images alone: wrap it in a model that fixes the others"
            )
        scores = class_scores(self.model(inputs.join(images), training=False))
        return table_of(scores, self.score)

    def compiled(self, builder: Callable[[Callable[[Any], Any]], Callable[..., Any]]) -> Any:
        """Return `builder(self.forward)` compiled, made once per builder.

        A `tf.function` with an input signature runs on a frozen graph (see `FrozenFunction`), which
        its many forward passes are worth; anything else becomes a plain `tf.function`.
        """
        if builder not in self._compiled:
            function = builder(self.forward)
            if getattr(function, "input_signature", None):
                function = FrozenFunction(function, self.model)
            elif not hasattr(function, "get_concrete_function"):
                function = tf.function(function, autograph=False)
            self._compiled[builder] = function
        return self._compiled[builder]
