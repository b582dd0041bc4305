"""Input invariance: a shift of the input that the first bias takes back must change no heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry, degenerate_reason
from gradcam_eval.core import InputError
from gradcam_eval.methods.batch import as_images
from gradcam_eval.methods.explainer import Explainer, Layers
from gradcam_eval.models.inputs import ModelInputs, model_inputs
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.output import OutputKind
from gradcam_eval.models.reinitialise import learned_layers
from gradcam_eval.models.scratch import answers_of, scratch_model
from gradcam_eval.models.target import Score
from gradcam_eval.models.zoo import known_values
from gradcam_eval.sanity.randomisation import names_of

SHIFT = 16.0  # grey levels
TOLERANCE = 1e-3  # of the largest value: float32 sums in another order differ by less
_PLAIN = (keras.layers.Conv2D, keras.layers.Dense)


def input_invariance(  # noqa: PLR0913 - what is explained, and how it is shifted
    model: keras.Model,
    images: Any,
    *,
    layers: Layers = "last",
    methods: str | Sequence[str] = "grad_cam",
    score: Score = "logit",
    output: OutputKind | None = None,
    head: str | int | None = None,
    tokens: TokenGrid | str | None = None,
    geometry: Geometry = "auto",
    shift: float = SHIFT,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare heatmaps of the model with those of its twin that undoes a shift of the image.

    ``f₂(x + c) = f(x)`` for all x, since ``W (x + c) + (b − W c) = W x + b``. The twin does the
    same to the same pictures, so a heatmap that differs depends on how the input is coded.

    Parameters
    ----------
    model : keras.Model whose first layer with weights is a Conv2D or Dense layer with a bias; what
        comes before may only scale and shift (`Rescaling`). It is not changed.
    images : float32 (N, H, W, C) or (H, W, C), 0..255; shifted images may leave 0..255
    layers, methods, score, output, head, tokens, geometry : as of `Explainer`; the prediction is
        explained
    shift : c, grey levels, the same for all pixels and channels
    seed : of what is random in a method

    Returns
    -------
    DataFrame with a row for each layer, method and image: difference (the largest one, over the
    largest absolute value of the first heatmap; 0 or more), is_invariant (at most 0.001), reason
    (why there is none: the heatmap is degenerate)

    Raises
    ------
    InputError
        The model has no such first layer, or its twin does not answer alike: a convolution that
        pads its input with zeros sees the shift at the border.

    References
    ----------
    Kindermans, Hooker, Adebayo, Alber, Schütt, Dähne, Erhan, Kim: The (Un)reliability of Saliency
    Methods, 2017, arXiv:1711.00867.
    """
    if not np.isfinite(shift) or shift == 0:
        raise InputError(f"shift is {shift}: wanted a number of grey levels other than 0")
    batch = as_images(images, known_values(model))
    shifted = batch + np.float32(shift)
    inputs = model_inputs(model, given=batch)
    with scratch_model(model, inputs.join(batch[:1])) as twin:
        explainer = Explainer(
            twin,
            names_of(layers),
            methods,
            score=score,
            output=output,
            head=head,
            tokens=tokens,
            geometry=geometry,
            engine="tensorflow",
            seed=seed,
            skip_refused=True,
        )
        first = explainer(batch)
        before = answers_of(twin, inputs.join(batch[:1]))
        _absorb(twin, inputs, batch[:1], shifted[:1])
        _check_twin(before, answers_of(twin, inputs.join(shifted[:1])))
        second = explainer(shifted, first.targets)
        return pd.DataFrame(
            [
                {"layer": key[0], "method": key[1], "image": n, **_compared(one, other)}
                for key, maps in first.items()
                for n, (one, other) in enumerate(zip(maps, second[key], strict=True))
            ]
        )


def _absorb(twin: keras.Model, inputs: ModelInputs, one: Any, other: Any) -> None:
    """Write ``b − W c`` into the first bias, c being what reaches that layer of the shift."""
    learned = learned_layers(twin, inputs)
    first: Any = learned[0].layer if learned else None
    reason = _unsuitable(first)
    if reason:
        raise InputError(
            "input invariance needs a first layer that is a Conv2D or Dense with a bias, and this "
            f"model begins with {reason}"
        )
    reached = _input_of(twin, first, inputs.join(other)) - _input_of(twin, first, inputs.join(one))
    channels = 1 if getattr(first, "data_format", None) == "channels_first" else -1
    moved = np.moveaxis(reached, channels, -1).reshape(-1, reached.shape[channels])
    if np.ptp(moved, axis=0).max() > 1e-3 * np.abs(moved).max():
        raise InputError(
            "input invariance needs a shift that reaches the first layer as one number for each "
            "channel: what this model does before it is no scaling"
        )
    kernel = first.kernel.numpy().astype(np.float64)
    total = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0)  # over the window
    first.bias.assign(first.bias.numpy() - moved.mean(axis=0, dtype=np.float64) @ total)


def _unsuitable(first: Any) -> str | None:
    """Say what is wrong with a model's first layer with weights, or None where nothing is."""
    if first is None:
        return "none that has weights"
    if type(first) not in _PLAIN:
        return f"a {type(first).__name__}"
    if first.bias is None:
        return f"a {type(first).__name__} without one"
    return "a Conv2D in groups" if getattr(first, "groups", 1) != 1 else None


def _input_of(model: keras.Model, layer: Any, inputs: Any) -> NDArray[Any]:
    """Return what a layer of our own copy is called with."""
    seen: list[Any] = []
    original = layer.call

    def call(given: Any, *rest: Any, **more: Any) -> Any:
        seen.append(given)
        return original(given, *rest, **more)

    vars(layer)["call"] = call
    try:
        model(inputs, training=False)
    finally:
        del vars(layer)["call"]
    return np.asarray(seen[0])


def _check_twin(before: list[Any], after: list[Any]) -> None:
    for one, other in zip(before, after, strict=True):
        if not np.allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(one).max()):
            raise InputError(
                "the shifted model does not answer as this one does (a convolution that pads with "
                "zeros sees the shift at the border): input invariance cannot be tested on it"
            )


def _compared(one: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, Any]:
    reason = degenerate_reason(one)
    if reason:
        return {"difference": np.nan, "is_invariant": None, "reason": reason}
    difference = float(np.abs(one - other).max() / np.abs(one).max())
    return {"difference": difference, "is_invariant": difference <= TOLERANCE, "reason": ""}
