"""Input invariance: a shift of the input that the model takes back must change no heatmap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry, degenerate_reason
from gradcam_eval.core import InputError
from gradcam_eval.methods.batch import as_images
from gradcam_eval.methods.explainer import Layers
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.models.inputs import model_inputs
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.output import OutputKind
from gradcam_eval.models.scratch import scratch_model
from gradcam_eval.models.target import Score
from gradcam_eval.models.zoo import known_values
from gradcam_eval.sanity.explaining import explaining

SHIFT = 16.0  # grey levels
TOLERANCE = 1e-3  # of the largest value: float32 sums in another order differ by less


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

    ``f₂(y) = f(y − c)``, so ``f₂(x + c) = f(x)`` for all x. The twin does the same to the same
    pictures, so a heatmap that differs depends on how the input is coded.

    Parameters
    ----------
    model : keras.Model with one input, of any layers; it is not changed (see Notes)
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
        A shift of 0, a model with several inputs, or one whose own precision loses the shift.

    Notes
    -----
    The paper writes ``b − W c`` into the first layer's bias. Few networks can take it there: most
    first convolutions have no bias, and one that pads with zeros sees the shift at the border.
    Here a constant is taken off the image before the first layer. Both twins are the same function
    of the image wherever both exist. f is evaluated at (x + c) − c, so the two models compute with
    the same numbers bit by bit. The twin is a copy (`models/scratch.py`); a model that cannot be
    copied lends itself, its weights are not written, and the constant is gone afterwards.

    References
    ----------
    Kindermans, Hooker, Adebayo, Alber, Schütt, Dähne, Erhan, Kim: The (Un)reliability of Saliency
    Methods, 2017, arXiv:1711.00867.
    """
    if not np.isfinite(shift) or shift == 0:
        raise InputError(f"shift is {shift}: wanted a number of grey levels other than 0")
    shifted = as_images(images, known_values(model)) + np.float32(shift)
    plain = shifted - np.float32(shift)
    inputs = model_inputs(model, given=plain)
    if inputs.extras:
        raise InputError("this model has several inputs: wrap it in one that fixes the others")
    explain = explaining(
        *(layers, methods),
        score=score,
        output=output,
        head=head,
        tokens=tokens,
        geometry=geometry,
        seed=seed,
    )
    amount = keras.Variable(0.0, trainable=False)
    with scratch_model(model, inputs.join(plain[:1])) as twin, _shifted_call(twin, amount):
        explainer = explain(twin)
        first = explainer(plain)
        amount.assign(shift)
        second = explainer(shifted, first.targets)
    _check_twin(first, second)
    return pd.DataFrame(
        [
            {"layer": key[0], "method": key[1], "image": n, **_compared(one, other)}
            for key, maps in first.items()
            for n, (one, other) in enumerate(zip(maps, second[key], strict=True))
        ]
    )


@contextmanager
def _shifted_call(twin: keras.Model, amount: keras.Variable) -> Iterator[None]:
    """Let a model take `amount` off its images before all else, while the block lasts."""
    original = twin.call

    def call(given: Any, *rest: Any, **more: Any) -> Any:
        unshifted = keras.tree.map_structure(
            lambda image: image - keras.ops.cast(amount, image.dtype), given
        )
        return original(unshifted, *rest, **more)

    vars(twin)["call"] = call
    try:
        yield
    finally:
        del vars(twin)["call"]


def _check_twin(first: Heatmaps, second: Heatmaps) -> None:
    if not np.allclose(first.scores, second.scores, rtol=1e-3, atol=1e-4):
        raise InputError(
            "input invariance cannot be tested on this model: with the shift taken off again its "
            f"scores differ by up to {np.abs(first.scores - second.scores).max():.2g}. Give images "
            "in the precision that the model computes in, or a smaller shift"
        )


def _compared(one: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, Any]:
    reason = degenerate_reason(one)
    if reason:
        return {"difference": np.nan, "is_invariant": None, "reason": reason}
    difference = float(np.abs(one - other).max() / np.abs(one).max())
    return {"difference": difference, "is_invariant": difference <= TOLERANCE, "reason": ""}
