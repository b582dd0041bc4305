"""Whether a function can be a method: what it takes, what its options are, what it returns."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter
from keyword import iskeyword
from typing import Any

from gradcam_eval.core import InputError
from gradcam_eval.methods.registry import Kind, signature_of

_GIVEN = {
    "cam": ("activations", "gradients"),
    "layer": ("probe",),
    "input": ("probe",),
    "fusion": ("maps",),
}
_PLAIN = (bool, int, float, str, type(None))


def check_formula(function: Callable[..., Any], kind: Kind) -> None:
    """Check a function before it is registered: not as late as inside a compiled pass.

    Raises
    ------
    InputError
        It has no name of its own, takes other arguments than its kind is given, has an option
        without a plain default, or is a fusion that does not say of which method's maps.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier() or iskeyword(name) or not callable(function):
        raise InputError(
            f"a method has its function's name, and {function!r} has none that can be written in "
            "front of options: write it with def"
        )
    try:
        parameters = signature_of(function).parameters.values()
    except ValueError:  # some that are written in C
        raise InputError(f"{name} does not say what it takes: write it with def") from None
    options = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    given = [each for each in parameters if each.kind is not each.KEYWORD_ONLY]
    _check_given(name, given, _GIVEN[kind])
    for option, default in options.items():
        if not isinstance(default, _PLAIN):
            raise InputError(
                f"the option {option} of {name} has no plain default: wanted a number of Python's "
                "own, a text, True, False or None"
            )
    if kind == "fusion" and not isinstance(options.get("of"), str):
        raise InputError(
            f"the fusion {name} does not say of which method's maps: give it the option "
            "of='layer_cam', or another method"
        )


def check_map(label: str, returned: Any) -> None:
    """Check what a formula returned, a tensor or an array, before anything is made of it.

    Raises
    ------
    InputError : it is not one map (h, w) for each image
    """
    shape = getattr(returned, "shape", None)
    if shape is None:
        raise InputError(f"{label} returned {type(returned).__name__}: wanted maps (N, h, w)")
    if (len(shape) if isinstance(shape, tuple) else shape.rank) not in (3, None):
        raise InputError(f"{label} returned maps of shape {tuple(shape)}: wanted (N, h, w)")


def _check_given(name: str, given: list[Parameter], wanted: tuple[str, ...]) -> None:
    has_others = any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in given)
    if has_others or len(given) != len(wanted):
        takes = ", ".join(str(each) for each in given) or "nothing"
        raise InputError(
            f"{name} takes {takes}: a method of its kind is given ({', '.join(wanted)}), and its "
            "options stand behind a *, each with a default"
        )
