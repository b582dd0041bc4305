"""`Explainer`: heatmaps of any layers by any methods from one compiled pass."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.methods import Method, find_methods
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.models.classes import resolve_class
from gradcam_eval.models.layers import check_image_shape, find_layers
from gradcam_eval.models.selection import resolve_layers
from gradcam_eval.models.tap import LayerCall, record
from gradcam_eval.models.target import ClassScores, Score, check_score
from gradcam_eval.models.zoo import loaded_spec

_PREDICTED = -1  # inside the compiled pass only: the class is chosen there

Layers = str | Sequence[str | LayerCall]
Targets = int | str | Sequence[int | str] | NDArray[np.integer[Any]] | None


class Explainer:
    """Heatmaps of a model at some layers by some methods, compiled once and called often.

    One forward and one backward pass serve all layers and methods; the formulas run inside the
    same compiled function, so only the small maps leave it. The model is not changed, and its
    weights are read at each call.

    Parameters
    ----------
    model : keras.Model with one image input and one output (N, K)
    layers : role ("last", "stages", "all"), path, unique end of a path, glob, or several of them;
        or calls that `resolve_layers` gave, which saves listing the model's layers again
    methods : a name from METHODS, or several
    score : "logit" or "probability" of the target class: what is differentiated
    batch_size : most images in one compiled call; more are taken in turn

    Raises
    ------
    InputError : unknown layer, method or score, or a model that these cannot be made from
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Layers = "last",
        methods: str | Sequence[str] = "grad_cam",
        *,
        score: Score = "logit",
        batch_size: int = 16,
    ) -> None:
        check_score(score)
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: wanted 1 or more")
        self.model = model
        self.methods = find_methods(methods)
        self.score = score
        self.batch_size = batch_size
        self._wanted = [layers] if isinstance(layers, str) else list(layers)
        self._calls: list[LayerCall] | None = None
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    def calls(self, image_size: tuple[int, int] | None = None) -> list[LayerCall]:
        """Return the layer calls that the wanted layers stand for (one trace, the first time)."""
        if self._calls is None:
            given = [call for call in self._wanted if isinstance(call, LayerCall)]
            names = [name for name in self._wanted if isinstance(name, str)]
            named = resolve_layers(find_layers(self.model, image_size), names) if names else []
            self._calls = [*given, *named]
        return self._calls

    def __call__(self, images: Any, targets: Targets = None) -> Heatmaps:
        """Explain images.

        Parameters
        ----------
        images : float32 (N, H, W, C) or (H, W, C), 0..255
        targets : class for all, one for each image, or None for each image's predicted class;
            a class is an index or, for a model that `load_model` built by name, a class name

        Returns
        -------
        Heatmaps, keyed by (layer path, method name)

        Raises
        ------
        InputError : images of another shape or not finite, targets out of range or miscounted
        """
        batch = _as_batch(images)
        compiled = self._compile(batch.shape[1:])
        classes = compiled.structured_outputs["probabilities"].shape[-1]
        wanted = _as_targets(_named(self.model, targets, classes), len(batch), classes)
        parts = [
            compiled(
                tf.convert_to_tensor(batch[i : i + self.batch_size]),
                tf.convert_to_tensor(wanted[i : i + self.batch_size]),
            )
            for i in range(0, len(batch), self.batch_size)
        ]
        joined = {
            name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]
        }
        keys = [(call.path, method.name) for call in self.calls() for method in self.methods]
        return Heatmaps(
            maps={key: joined[f"map_{i}"] for i, key in enumerate(keys)},
            targets=joined["targets"],
            scores=joined["scores"],
            probabilities=joined["probabilities"],
            image_size=(batch.shape[1], batch.shape[2]),
        )

    def _compile(self, shape: tuple[int, ...]) -> Any:
        with self._lock:
            if shape not in self._compiled:
                check_image_shape(self.model, shape)
                calls = self.calls((shape[0], shape[1]))
                specs = [
                    tf.TensorSpec((None, *shape), tf.float32),
                    tf.TensorSpec((None,), tf.int64),
                ]
                traced = tf.function(self._traced(calls), input_signature=specs, autograph=False)
                self._compiled[shape] = traced.get_concrete_function()
            return self._compiled[shape]

    def _traced(self, calls: list[LayerCall]) -> Any:
        def explain(images: Any, targets: Any) -> dict[str, Any]:
            chosen: dict[str, Any] = {}

            def target_score(scores: ClassScores) -> Any:
                predicted = tf.argmax(scores.logits, axis=-1)
                chosen["targets"] = tf.where(targets == _PREDICTED, predicted, targets)
                of_class = scores.logits if self.score == "logit" else scores.probabilities
                chosen["scores"] = tf.gather(of_class, chosen["targets"], batch_dims=1)
                return chosen["scores"]

            needs_gradient = any(method.needs_gradient for method in self.methods)
            seen = record(self.model, images, calls, target_score, needs_gradient=needs_gradient)
            maps = [
                _heatmap(method, call, activation, gradient)
                for call, activation, gradient in zip(
                    calls, seen.activations, seen.gradients, strict=True
                )
                for method in self.methods
            ]
            named = {f"map_{i}": heatmap for i, heatmap in enumerate(maps)}
            return {**named, **chosen, "probabilities": seen.scores.probabilities}

        return explain


def _heatmap(method: Method, call: LayerCall, activation: Any, gradient: Any) -> Any:
    if gradient is None and method.needs_gradient:
        raise InputError(
            f"layer {call.path!r} does not influence the model's output: choose another layer"
        )
    # Half precision would lose the small gradients in the sums; double is kept.
    precision = tf.float64 if activation.dtype == tf.float64 else tf.float32
    activation = tf.cast(activation, precision)
    gradient = tf.zeros_like(activation) if gradient is None else tf.cast(gradient, precision)
    return tf.cast(method.formula(activation, gradient), tf.float32)


def _as_batch(images: Any) -> NDArray[np.float32]:
    batch = np.asarray(images, np.float32)
    if batch.ndim == 3:
        batch = batch[None]
    if batch.ndim != 4 or not batch.size:
        raise InputError(
            f"images have shape {np.shape(images)}: wanted (N, H, W, C) or (H, W, C), not empty"
        )
    if not np.isfinite(batch).all():
        raise InputError("images have values that are not finite: wanted 0..255")
    return batch


def _named(model: keras.Model, targets: Targets, classes: int) -> Any:
    """Replace class names among the targets by indices."""
    if isinstance(targets, str):
        spec = loaded_spec(model)
        names, synsets = (spec.class_names, spec.synsets) if spec else ((), ())
        return resolve_class(targets, names, synsets, n_classes=classes)
    if isinstance(targets, list | tuple):
        return [_named(model, target, classes) for target in targets]
    return targets


def _as_targets(targets: Any, count: int, classes: int) -> NDArray[np.int64]:
    if targets is None:
        return np.full(count, _PREDICTED, np.int64)
    wanted = np.asarray(targets)
    if wanted.dtype.kind not in "iu":
        raise InputError(f"targets are {wanted.dtype}: wanted class indices (whole numbers)")
    if wanted.ndim == 0:
        wanted = np.full(count, wanted)
    if wanted.shape != (count,):
        raise InputError(
            f"targets have shape {wanted.shape}: wanted one for each of {count} images"
        )
    if wanted.min() < 0 or wanted.max() >= classes:
        raise InputError(
            f"targets run from {wanted.min()} to {wanted.max()}: "
            f"this model's classes are 0 to {classes - 1}"
        )
    return wanted.astype(np.int64)


def explain(  # noqa: PLR0913 - the one call that says all
    model: keras.Model,
    images: Any,
    *,
    layers: str | Sequence[str] = "last",
    methods: str | Sequence[str] = "grad_cam",
    targets: Targets = None,
    score: Score = "logit",
) -> Heatmaps:
    """Explain images once: `Explainer(model, layers, methods, score=score)(images, targets)`.

    Keep an `Explainer` to explain more: making one compiles the model again.
    """
    return Explainer(model, layers, methods, score=score)(images, targets)
