"""Heatmap methods: a registry that one can read, and `register_method` to add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.methods import ablation_cam as ablation
from gradcam_eval.methods import (
    cam,
    eigen,
    fusion,
    gradient,
    guided,
    occlusion,
    rise,
    score_cam,
    smooth,
)
from gradcam_eval.methods.controls import CONTROLS
from gradcam_eval.methods.formula import check_formula
from gradcam_eval.methods.head import pooled_head_reason
from gradcam_eval.methods.registry import (
    KINDS,
    Kind,
    Method,
    Options,
    Passes,
    Sizes,
    parse_method,
    with_options,
)

Formula = Callable[..., Any]

_ALL = (
    # one pass for all of them
    Method("grad_cam", cam.grad_cam),
    Method("grad_cam_pp", cam.grad_cam_pp),
    Method("hires_cam", cam.hires_cam),
    Method("layer_cam", cam.layer_cam),
    Method("xgrad_cam", cam.xgrad_cam),
    Method("grad_cam_elementwise", cam.grad_cam_elementwise),
    Method("eigen_cam", eigen.eigen_cam, needs_gradient=False),
    Method("eigen_grad_cam", eigen.eigen_grad_cam),
    Method("cam", cam.cam, refuses=pooled_head_reason),
    # at a layer, asking the model again
    Method(
        "smooth_grad_cam_pp",
        smooth.smooth_grad_cam_pp,
        "layer",
        needs_gradient=False,
        passes=smooth.smooth_passes,
        check=smooth.check_smooth,
    ),
    Method(
        "score_cam",
        score_cam.score_cam,
        "layer",
        needs_gradient=False,
        passes=score_cam.score_cam_passes,
        check=score_cam.check_score_cam,
    ),
    Method(
        "ablation_cam",
        ablation.ablation_cam,
        "layer",
        needs_gradient=False,
        passes=ablation.ablation_cam_passes,
        check=ablation.check_ablation_cam,
    ),
    Method(
        "guided_grad_cam",
        guided.guided_grad_cam,
        "layer",
        passes=guided.guided_passes,
        in_pixels=True,
    ),
    # at no layer
    Method("gradient", gradient.gradient, "input", passes=gradient.gradient_passes),
    Method("gradient_x_input", gradient.gradient_x_input, "input", passes=gradient.gradient_passes),
    Method(
        "smooth_grad",
        smooth.smooth_grad,
        "input",
        passes=smooth.smooth_passes,
        check=smooth.check_smooth,
    ),
    Method(
        "integrated_gradients",
        gradient.integrated_gradients,
        "input",
        passes=gradient.integrated_gradients_passes,
        check=gradient.check_integrated_gradients,
    ),
    Method("guided_backprop", guided.guided_backprop, "input", passes=guided.guided_passes),
    Method(
        "occlusion",
        occlusion.occlusion,
        "input",
        passes=occlusion.occlusion_passes,
        check=occlusion.check_occlusion,
    ),
    Method("rise", rise.rise, "input", passes=rise.rise_passes, check=rise.check_rise),
    # of several layers
    Method("fusion_mean", fusion.fusion_mean, "fusion"),
    Method("fusion_max", fusion.fusion_max, "fusion", check=fusion.check_fusion_max),
    Method("fusion_product", fusion.fusion_product, "fusion"),
)
METHODS: dict[str, Method] = {method.name: method for method in _ALL}


@overload
def register_method(formula: Formula) -> Formula: ...
@overload
def register_method(
    *,
    kind: Kind = "cam",
    needs_gradient: bool = True,
    passes: Callable[[Sizes, Options], Passes] | None = None,
    refuses: Callable[[Any, Any, Any], str | None] | None = None,
) -> Callable[[Formula], Formula]: ...
def register_method(
    formula: Formula | None = None,
    *,
    kind: Kind = "cam",
    needs_gradient: bool = True,
    passes: Callable[[Sizes, Options], Passes] | None = None,
    refuses: Callable[[Any, Any, Any], str | None] | None = None,
) -> Any:
    """Add a method under its function's name: one function of (A, G) is all that it needs.

    Parameters
    ----------
    formula : the function, where this is used as a bare decorator
    kind : what the function is given, see `Method`
    needs_gradient : False where it looks at no gradient, so that no backward pass is run for it
    passes : how often a function of kind "layer" or "input" calls the model, for the cost
    refuses : why it cannot explain a layer, see `Method`

    Raises
    ------
    InputError : the name is taken by another function, or is that of a control; no such kind; a
        function that does not take what its kind is given, or an option without a plain default

    Notes
    -----
    A function of the same module and name takes the earlier one's place, as happens when a notebook
    cell is run again or a module is reloaded. An `Explainer` keeps the one it was made with.

    Examples
    --------
    >>> import tensorflow as tf
    >>> @register_method(needs_gradient=False)
    ... def mean_activation(activations, gradients):
    ...     return tf.reduce_mean(activations, axis=-1)
    >>> METHODS.pop("mean_activation").name
    'mean_activation'
    """
    if kind not in KINDS:
        raise unknown_name("kind of method", kind, KINDS)

    def register(function: Formula) -> Formula:
        check_formula(function, kind)
        name = function.__name__
        known = METHODS.get(name)
        if name in CONTROLS or (known and _origin(known.formula) != _origin(function)):
            raise InputError(f"the method name {name!r} is taken: give the function another name")
        METHODS[name] = Method(name, function, kind, needs_gradient, passes, refuses)
        return function

    return register if formula is None else register(formula)


def _origin(function: Formula) -> tuple[str, str]:
    """Return module and name, by which a function that was defined again is known."""
    name = getattr(function, "__qualname__", function.__name__)
    return getattr(function, "__module__", ""), name


def find_methods(names: str | Sequence[str]) -> list[Method]:
    """Return the methods of these names, in order, once each; an unknown name is an InputError.

    A name may carry options, as in "rise(masks=500)".
    """
    is_one = isinstance(names, str) or not isinstance(names, Iterable)
    wanted: list[Any] = [names] if is_one else list(names)
    if not wanted:
        raise InputError(f"no method was named. Valid: {', '.join(METHODS)}.")
    found = [_find_method(name) for name in wanted]
    return list({method.label: method for method in found}.values())


def _find_method(text: str) -> Method:
    if not isinstance(text, str):
        raise InputError(
            f"the method is {text!r}: wanted a name, as in 'grad_cam'; a function of your own has "
            "one once it is registered with register_method"
        )
    name, options = parse_method(text)
    if name in CONTROLS:
        raise InputError(
            f"{name!r} is a control, which looks at no layer: name it under a study's controls"
        )
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    method = with_options(METHODS[name], options)
    if method.kind == "fusion":  # its member has one label too
        return with_options(method, {**method.options, "of": member_of(method).label})
    return method


def member_of(fusion: Method) -> Method:
    """Return the method that makes each layer's map for a fusion: its option `of`."""
    (member,) = find_methods(fusion.settings["of"])
    if member.kind not in ("cam", "layer"):
        raise InputError(
            f"{fusion.name} fuses one method's maps of several layers, and {member.name!r} has no "
            "map of each: name a method that explains at one layer with of=…"
        )
    return member
