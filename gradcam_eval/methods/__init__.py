"""Heatmap methods: a registry that one can read, and `register_method` to add to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.methods import cam
from gradcam_eval.methods.controls import CONTROLS

Formula = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Method:
    """A heatmap method on one layer.

    Attributes
    ----------
    formula : (A, G) → heatmaps: float32 tensors (N, h, w, K), (N, h, w, K) → (N, h, w)
    needs_gradient : False where the formula ignores G, so that no backward pass is run for it
    """

    name: str
    formula: Formula
    needs_gradient: bool = True

    @property
    def summary(self) -> str:
        """The first line of the formula's docstring."""
        return (self.formula.__doc__ or "").strip().split("\n")[0]


METHODS: dict[str, Method] = {
    "grad_cam": Method("grad_cam", cam.grad_cam),
    "grad_cam_pp": Method("grad_cam_pp", cam.grad_cam_pp),
    "hires_cam": Method("hires_cam", cam.hires_cam),
    "layer_cam": Method("layer_cam", cam.layer_cam),
    "xgrad_cam": Method("xgrad_cam", cam.xgrad_cam),
    "eigen_cam": Method("eigen_cam", cam.eigen_cam, needs_gradient=False),
}


def register_method(formula: Formula) -> Formula:
    """Add a method under its function's name: one function of (A, G) is all that it needs.

    Raises
    ------
    InputError : the name is taken, or is that of a control

    Examples
    --------
    >>> import tensorflow as tf
    >>> @register_method
    ... def mean_activation(activations, gradients):
    ...     return tf.reduce_mean(activations, axis=-1)
    >>> METHODS.pop("mean_activation").name
    'mean_activation'
    """
    name = formula.__name__
    if name in METHODS or name in CONTROLS:
        raise InputError(f"the method name {name!r} is taken: give the function another name")
    METHODS[name] = Method(name, formula)
    return formula


def find_methods(names: str | Sequence[str]) -> list[Method]:
    """Return the methods of these names, in order, once each; an unknown name is an InputError."""
    wanted = [names] if isinstance(names, str) else list(names)
    if not wanted:
        raise InputError(f"no method was named. Valid: {', '.join(METHODS)}.")
    for name in wanted:
        if name in CONTROLS:
            raise InputError(
                f"{name!r} is a control, which looks at no layer: name it under a study's controls"
            )
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
    return [METHODS[name] for name in dict.fromkeys(wanted)]
