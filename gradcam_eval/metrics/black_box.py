"""A function of yours in the place of a model: its first answer tells whether it can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError, is_tf_keras

if TYPE_CHECKING:
    from gradcam_eval.models.output import Output

_SLACK = 1e-3  # beyond 0 and 1: half precision rounds probabilities
_PERCENT = 0.5  # from 100, which a row of percentages may miss by rounding


class BlackBox:
    """Any classifier or regression as what metrics read: images → (n, K), checked.

    Parameters
    ----------
    function : float32 (n, H, W, C), 0..255 → (n, K): probabilities, or a regression's values
    output : None for probabilities of two or more classes; "binary" for one column p, which becomes
        (1 − p, p), the negative class and the positive; "regression" for values

    Raises
    ------
    InputError : no function, or another kind of output; when it is called, numbers that are no
        probabilities
    """

    def __init__(
        self, function: Callable[[NDArray[np.float32]], Any], output: str | None = None
    ) -> None:
        from gradcam_eval.models.output import Output

        kinds = {
            None: None,
            "binary": Output("binary", 1),
            "regression": Output("regression", None),
        }
        if not callable(function):
            raise InputError(
                f"predict is {type(function).__name__}: give a Keras model or a function that maps "
                "images (n, H, W, C) to probabilities (n, K)."
            )
        if output not in kinds:
            raise InputError(
                f"output is {output!r}: of a function it is 'binary', 'regression' or None"
            )
        self.function = function
        self.output: Output | None = kinds[output]

    def __call__(self, images: NDArray[np.float32], /) -> NDArray[Any]:
        """Return the probabilities or values of a batch, (n, K)."""
        found = np.asarray(self.function(images))
        if found.ndim != 2 or (self.output is not None and not self.output.has_probabilities):
            return found
        self._check(found)
        return found if self.output is None else np.concatenate([1 - found, found], axis=1)

    def _check(self, found: NDArray[Any]) -> None:
        """Raise InputError for numbers that are no probabilities; not finite ones are undefined."""
        if (found.shape[1] == 1) != (self.output is not None):
            columns = "1 column" if found.shape[1] == 1 else f"{found.shape[1]} columns"
            raise InputError(
                f"{self._name()} returned {columns}: the probability of the positive class of two "
                "is declared by ge.BlackBox(predict, output='binary'), one value or more by "
                "output='regression', and without a declaration there is a column for each class."
            )
        known = found[np.isfinite(found)]
        if not known.size or (known.min() >= -_SLACK and known.max() <= 1 + _SLACK):
            return
        raise InputError(
            f"{self._name()} returned numbers from {known.min():.4g} to {known.max():.4g}, and "
            f"metrics read probabilities, 0 to 1: {_remedy(found)}; the values of a regression are "
            "declared by ge.BlackBox(predict, output='regression')."
        )

    def _name(self) -> str:
        return "the tf_keras model" if is_tf_keras(self.function) else "predict"


def _remedy(found: NDArray[Any]) -> str:
    """Say what makes probabilities of numbers that are none."""
    sums = found.sum(axis=1)
    if found.min() >= 0 and np.all(np.abs(sums - 100) < _PERCENT):
        return "these are percentages, so divide them by 100"
    if found.max() <= 0 and np.allclose(np.exp(found).sum(axis=1), 1, atol=_SLACK):
        return "these are logarithms of probabilities, so take their exponential"
    if found.shape[1] == 1:  # declared binary
        return "of one logit take the sigmoid, 1 / (1 + exp(-z))"
    return "of logits take the softmax over the last axis (scipy.special.softmax(z, axis=-1))"
