"""What a heatmap method is to the toolkit: a function, what it is given, and what it costs."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from gradcam_eval.core import InputError, unknown_name

Kind: TypeAlias = Literal["cam", "layer", "input", "fusion"]
KINDS: tuple[str, ...] = get_args(Kind)
Options: TypeAlias = Mapping[str, Any]
INPUT = "input"  # stands for the layer of methods that look at none


@dataclass(frozen=True)
class Sizes:
    """What the number of a method's model calls may depend on."""

    image: tuple[int, int]  # (H, W)
    channels: int  # of the layer; 0 for a method of kind "input"


@dataclass(frozen=True)
class Passes:
    """Forward and backward passes of one image, beyond the forward pass that all methods share."""

    forwards: int = 0
    backwards: int = 0


@dataclass(frozen=True)
class Method:
    """A heatmap method.

    Attributes
    ----------
    formula : by kind
        "cam": (A, G) → heatmaps, float32 tensors (N, h, w, K), (N, h, w, K) → (N, h, w);
        "layer": Probe → heatmaps, at a layer, for methods that call the model again;
        "input": Probe → heatmaps (N, H, W), for methods that look at no layer;
        "fusion": heatmaps of several layers, float32 arrays (N, hₗ, wₗ) → (N, h, w).
        Its keyword-only arguments with their defaults are the method's options.
    needs_gradient : False where G is not used, so that no backward pass is run for it
    passes : (Sizes, options) → the passes of one image; None where the shared ones are all
    refuses : (what the layer returned, score, layout) → why the method cannot explain this layer,
        or None; the first two are symbolic tensors of the traced pass, the layout says which axes
        of the first are positions, see `models.layout`
    check : (name, options) → nothing; raises InputError where an option has a value that the
        method cannot take
    options : those chosen that are not the defaults
    in_pixels : whether a method of kind "layer" returns maps of the image's pixels
    """

    name: str
    formula: Callable[..., Any]
    kind: Kind = "cam"
    needs_gradient: bool = True
    passes: Callable[[Sizes, Options], Passes] | None = None
    refuses: Callable[[Any, Any, Any], str | None] | None = None
    check: Callable[[str, Options], None] | None = None
    options: Options = field(default_factory=dict)
    in_pixels: bool = False

    @property
    def label(self) -> str:
        """The name with the chosen options, as in "rise(masks=500)": what results are kept by."""
        chosen = ", ".join(f"{key}={_written(value)}" for key, value in self.options.items())
        return f"{self.name}({chosen})" if chosen else self.name

    @property
    def summary(self) -> str:
        """The first line of the formula's docstring."""
        return (self.formula.__doc__ or "").strip().split("\n")[0]

    @property
    def defaults(self) -> dict[str, Any]:
        """The options with their defaults."""
        return {
            name: parameter.default
            for name, parameter in signature_of(self.formula).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Every option with the value that holds."""
        return {**self.defaults, **self.options}

    def count(self, sizes: Sizes) -> Passes:
        """Return the passes of one image, beyond the forward pass that all methods share."""
        shared = Passes(0, int(self.kind in ("cam", "layer", "fusion") and self.needs_gradient))
        if self.passes is None:
            return shared
        own = self.passes(sizes, self.settings)
        return Passes(own.forwards, own.backwards + shared.backwards)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return what a function takes; of a partial with the defaults that it sets.

    One that `functools.update_wrapper` gave a name would otherwise be read as what it wraps.
    """
    return inspect.signature(function, follow_wrapped=not isinstance(function, partial))


def with_options(method: Method, options: Options) -> Method:
    """Return the method with these options, each of which it must have, and of the right type.

    Options that are the default are left out and a whole number for a float becomes one, so that
    one setting has one label.

    Raises
    ------
    InputError : an option that the method does not have, a value that is not like its default, or
        one that the method's `check` refuses
    """
    defaults = method.defaults
    for name in options:
        if name not in defaults:
            if not defaults:
                raise InputError(f"the method {method.name!r} has no options: {name} was given")
            raise unknown_name(f"option of the method {method.name!r}", name, defaults)
    values = {
        name: _like(options[name], default, f"the option {name} of the method {method.name!r}")
        for name, default in defaults.items()
        if name in options
    }
    chosen = {name: value for name, value in values.items() if value != defaults[name]}
    found = replace(method, options=chosen)
    if found.check is not None:
        found.check(found.name, found.settings)
    return found


def _like(value: Any, default: Any, what: str) -> Any:
    """Return a value in its default's type; where the default is None, a whole number or None.

    Raises
    ------
    InputError : it is of another type, or a number that is not finite
    """
    if value is default:
        return value
    kind = _kind(default)
    allowed: Any = (int, float) if kind is float else kind
    is_bool = isinstance(value, bool)
    if not isinstance(value, allowed) or is_bool != (kind is bool):
        wanted = "a whole number" if default is None else f"a value like its default, {default!r}"
        raise InputError(f"{what} is {value!r}: wanted {wanted}")
    if kind is not float:
        return value
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{what} is not finite: wanted a number like its default, {default!r}")
    return number


def _kind(default: Any) -> type:
    if default is None:
        return int
    return next(kind for kind in (bool, int, float, str) if isinstance(default, kind))


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """Read "name" or "name(option=value, …)" with plain numbers, texts, True, False and None.

    A text needs no quotes where it is a name, with options or without, as in
    "fusion_max(of=layer_cam)".

    Examples
    --------
    >>> parse_method("rise(masks=500, p=0.5)")
    ('rise', {'masks': 500, 'p': 0.5})
    >>> parse_method("fusion_max(of=score_cam(channels=16))")
    ('fusion_max', {'of': 'score_cam(channels=16)'})
    """
    if "(" not in text:
        return text, {}
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        options = {str(word.arg): _plain(word.value) for word in call.keywords if word.arg}
        if len(options) != len(call.keywords):
            raise ValueError
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(
            f"the method {text!r} cannot be read: wanted a name, or a name with options as in "
            "'rise(masks=500)'"
        ) from None
    return call.func.id, options


def _plain(node: ast.expr) -> Any:
    is_method = isinstance(node, ast.Name | ast.Call)
    return ast.unparse(node) if is_method else ast.literal_eval(node)


def _written(value: Any) -> str:
    """Return a value as `parse_method` reads it: a text in quotes only where it needs them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))  # as most people write it: 2, not 2.0
    if not isinstance(value, str):
        return repr(value)
    try:
        reads_as_itself = _plain(ast.parse(value, mode="eval").body) == value
    except (SyntaxError, ValueError):
        reads_as_itself = False
    return value if reads_as_itself else repr(value)
