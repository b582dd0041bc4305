"""Models of another range of values than 0 to 255, and their images, as metrics take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Predict
from gradcam_eval.metrics.black_box import BlackBox
from gradcam_eval.metrics.inputs import as_predict
from gradcam_eval.values import Values, as_values, check_values, slope, to_levels

Build = Callable[[Callable[[Any], Any]], Callable[..., Any]]


def in_levels(
    predict: Predict | Any, images: NDArray[Any], values: Sequence[float]
) -> tuple[Predict, NDArray[np.float32]]:
    """Return a model and its images in levels, 0..255, so that any metric can be computed.

    ``level = 255 · (x - low) / (high - low)``. Fills, noise and windows of a protocol then are
    parts of the model's own range: black is `low`, and noise of 2.55 levels a hundredth of it.

    Parameters
    ----------
    predict : keras.Model, `Predictor`, or a function of images in `values`: class probabilities for
        most metrics, heatmaps for those that explain again
    images : numbers (N, H, W, C) or (H, W, C), in `values`
    values : [low, high] of the images that the model takes, as [0, 1], or [-1000, 400] Hounsfield
        units

    Returns
    -------
    (predict, images) for metrics: the model takes levels and maps them back; float32 images, 0..255

    Raises
    ------
    InputError : images that leave `values` or were scaled to another range, or a model that is
        known to take 0..255

    Examples
    --------
    >>> call, levels = in_levels(lambda x: x.sum(axis=(1, 2, 3)), np.ones((1, 2, 2, 1)), (0, 2))
    >>> levels[0, 0, 0, 0], call(levels)
    (np.float32(127.5), array([4.], dtype=float32))
    """
    from gradcam_eval.models.zoo import known_values

    within = as_values(values)
    known_values(predict, within)
    given = np.asarray(images)
    check_values(given, within)
    found: Any = as_predict(predict)
    if callable(getattr(found, "compiled", None)):
        return _Traceable(found, within), to_levels(given, within)
    declared = None if found.output is None else found.output.kind
    return BlackBox(_FromLevels(found.function, within), declared), to_levels(given, within)


class _FromLevels:
    """Maps images in levels to a model's own range, and calls it."""

    def __init__(self, inner: Any, values: Values) -> None:
        self._inner, self._values = inner, values

    def mapped(self, levels: Any) -> Any:
        """Return images of the model's range: low + level · (high - low) / 255."""
        return levels * np.float32(slope(self._values)) + np.float32(self._values[0])

    def __call__(self, images: NDArray[np.float32], /) -> Any:
        return self._inner(self.mapped(np.asarray(images, np.float32)))


class _Traceable(_FromLevels):
    """The same of a `Predictor`: the mapping is part of what is compiled."""

    def __init__(self, inner: Any, values: Values) -> None:
        super().__init__(inner, values)
        self._readings: dict[str, _Traceable] = {}
        self._builders: dict[Build, Build] = {}  # the same object for the same one: it is a key

    @property
    def output(self) -> Any:
        """The kind of the model's output; None before it is known."""
        return getattr(self._inner, "output", None)

    def reading(self, score: str) -> _Traceable:
        """Return the same model with another score in place of probabilities, made once."""
        if score not in self._readings:
            self._readings[score] = _Traceable(self._inner.reading(score), self._values)
        return self._readings[score]

    def compiled(self, builder: Build, *, rows: int = 0) -> Any:
        """Return `builder(forward)` compiled, where `forward` takes levels."""
        if builder not in self._builders:
            self._builders[builder] = lambda forward: builder(lambda x: forward(self.mapped(x)))
        return self._inner.compiled(self._builders[builder], rows=rows)
