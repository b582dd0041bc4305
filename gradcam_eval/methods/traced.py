"""The graph of an explanation: one pass for all layers, and what methods ask beyond it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from gradcam_eval.arrays import Placement, Placing
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.methods.formula import check_map
from gradcam_eval.methods.fused import FUSED
from gradcam_eval.methods.heatmaps import Key, refusal_of
from gradcam_eval.methods.probe import Probe
from gradcam_eval.methods.registry import INPUT, Method
from gradcam_eval.models.ending import random_operations
from gradcam_eval.models.inputs import ModelInputs
from gradcam_eval.models.layout import from_map
from gradcam_eval.models.objective import Asked, Objective, chosen, explained, predictions
from gradcam_eval.models.output import Output
from gradcam_eval.models.receptive_field import NO_ROW_EACH
from gradcam_eval.models.tap import LayerCall, record, substituted


@dataclass
class Found:
    """What tracing finds out.

    Attributes
    ----------
    output : the kind of the output; None for a score function, which may read any
    refused : why a method cannot explain a layer, or the model, by (layer, method)
    left : the formulas that the pass leaves to `fused_maps`, by (layer, method)
    random : names of the model's operations that draw random numbers
    """

    output: Output | None = None
    refused: dict[Key, str] = field(default_factory=dict)
    left: dict[Key, Callable[..., Any]] = field(default_factory=dict)
    random: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Plan:
    """What one compiled pass computes.

    Attributes
    ----------
    calls : the layers of the methods of kind "cam" and "layer"
    methods : of these two kinds and of kind "input"
    has_against, has_regions : whether the pass takes these as arguments
    has_ranks : whether targets may stand for a class of another rank than the first; a sort of all
        scores, which costs as much as many a layer, is left out otherwise
    seed : of whatever is random in the methods
    chunk : most images that a method puts into one forward pass
    skip_refused : leave out what a method refuses, and say it in `found`, instead of raising
    placings : where each layer's map lies on the image, by path; corner to corner where it is not
        named, and refused where that is not known
    fuses : leave the formulas that `fused_maps` knows to it, and return A and G of their layers
    found : filled while the plan is traced
    """

    model: keras.Model
    inputs: ModelInputs
    objective: Objective
    calls: Sequence[LayerCall]
    methods: Sequence[Method]
    has_against: bool = False
    has_regions: bool = False
    has_ranks: bool = False
    seed: int = 0
    chunk: int = 16
    skip_refused: bool = False
    placings: Mapping[str, Placing] = field(default_factory=dict)
    fuses: bool = False
    found: Found = field(default_factory=Found)

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """What the compiled pass takes: images, targets, then the optional ones and the extras."""
        classes = tf.TensorSpec((None,), tf.int64)
        return [
            tf.TensorSpec((None, *self.inputs.shape), tf.float32),
            classes,
            *([classes] if self.has_against else []),
            *([tf.TensorSpec((None, None, None), tf.float32)] if self.has_regions else []),
            *self.inputs.extra_specs,
        ]


def map_name(layer: str, method: str) -> str:
    """Return the name of a map among what a pass returns; `map_key` reads it."""
    return f"{layer}\t{method}"


def pair_names(layer: str) -> tuple[str, str]:
    """Return the names of A and G of a layer among what a pass returns; they are no map's."""
    return f"activations of {layer}", f"gradients of {layer}"


def map_key(name: str) -> Key | None:
    """Return (layer, method) of a name that `map_name` made, None of another."""
    layer, tab, method = name.partition("\t")
    return (layer, method) if tab else None


def traced(plan: Plan) -> Any:
    """Return the plan as a `tf.function`: tensors → dict of maps, by `map_name`, and the rest.

    The dict also holds "targets" (N,), "scores" (N,) and "predictions" (N, K), the first and
    last only where the score is that of a class or a value.
    """

    def explain(images: Any, targets: Any, *rest: Any) -> dict[str, Any]:
        left = list(rest)
        against = left.pop(0) if plan.has_against else None
        regions = left.pop(0) if plan.has_regions else None
        return _explain(plan, images, Asked(targets, against, regions), tuple(left))

    return tf.function(explain, input_signature=plan.signature, autograph=False)


def _explain(plan: Plan, images: Any, asked: Asked, extras: tuple[Any, ...]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    settled = [asked]

    def score(outputs: Any) -> Any:
        settled[0] = chosen(plan.objective, outputs, asked, has_ranks=plan.has_ranks)
        answer["scores"] = explained(plan.objective, outputs, settled[0])
        return answer["scores"]

    needs_gradient = any(_needs_gradient(method) for method in plan.methods)
    seen = record(
        lambda: plan.inputs.answer(plan.model, images, extras),
        plan.calls,
        score,
        needs_gradient=needs_gradient,
    )
    plan.found.random[:] = random_operations([answer["scores"]])
    if not callable(plan.objective.score):
        answer["targets"] = settled[0].targets
        answer["predictions"], plan.found.output = predictions(
            plan.objective, seen.outputs, settled[0]
        )
    asker = _Asker(plan, images, extras, settled[0])
    for i, call in enumerate(plan.calls):
        placing = plan.placings.get(call.path)
        if isinstance(placing, Undefined):
            is_whole = call.field is not NO_ROW_EACH
            _refuse(plan, call, refusal_of(call.path, placing, can_stretch=is_whole))
            continue
        at = _AtLayer(
            call, placing, seen.raw[i], *_floats(call, seen.activations[i], seen.gradients[i])
        )
        for method in plan.methods:
            if _is_left(plan, method, at):
                plan.found.left[call.path, method.label] = method.formula
                pair = (at.activation, at.gradient)
                answer |= zip(pair_names(call.path), pair, strict=True)
            elif method.kind != "input":
                draw = partial(_layer_map, method, at, asker, answer["scores"])
                answer |= _unless_refused(plan, (call.path, method.label), draw)
    for method in plan.methods:
        if method.kind == "input":
            draw = partial(method.formula, asker.probe(), **method.options)
            answer |= _unless_refused(plan, (INPUT, method.label), draw)
    return {**answer, "scores": tf.cast(answer["scores"], tf.float32)}


def _refuse(plan: Plan, call: LayerCall, reason: str) -> None:
    """Refuse a layer whose map's place is not known, for every method that looks at it."""

    def refuse() -> Any:
        raise InputError(reason)

    for method in plan.methods:
        if method.kind != "input":
            _unless_refused(plan, (call.path, method.label), refuse)


def _unless_refused(plan: Plan, key: Key, draw: Callable[[], Any]) -> dict[str, Any]:
    """Return the map by its name, or nothing where the method refuses and that is to be skipped."""
    try:
        drawn = draw()
    except InputError as error:
        if not plan.skip_refused:
            raise
        plan.found.refused[key] = str(error)
        return {}
    check_map(key[1], drawn)
    return {map_name(*key): tf.cast(drawn, tf.float32)}


@dataclass(frozen=True, eq=False)
class _AtLayer:
    """A layer call, what it returned, that as a map with its gradient, and where this lies."""

    call: LayerCall
    placing: Placement | None
    raw: Any
    activation: Any
    gradient: Any


@dataclass(frozen=True, eq=False)
class _Asker:
    """Asks the model again, inside the same graph; see `Probe` for what is asked."""

    plan: Plan
    images: Any
    extras: tuple[Any, ...]
    asked: Asked

    def probe(self, at: _AtLayer | None = None) -> Probe:
        """Return what a method may ask, at a layer or at none."""
        return Probe(
            images=self.images,
            activations=at.activation if at else None,
            gradients=at.gradient if at else None,
            score=self.score,
            at_layer=self._at(at) if at else None,
            score_from=self._from(at) if at else None,
            seed=self.plan.seed,
            chunk=self.plan.chunk,
            placing=at.placing if at else None,
        )

    def score(self, images: Any, owner: Any) -> Any:
        """Return the explained score of images (M, H, W, C)."""
        return self._explained(self._outputs(images, owner), owner)

    def _outputs(self, images: Any, owner: Any) -> Any:
        extras = tuple(tf.gather(each, owner) for each in self.extras)
        return self.plan.inputs.answer(self.plan.model, images, extras)

    def _explained(self, outputs: Any, owner: Any) -> Any:
        return explained(self.plan.objective, outputs, self.asked.of(owner))

    def _at(self, at: _AtLayer) -> Callable[[Any, Any], tuple[Any, Any]]:
        def at_layer(images: Any, owner: Any) -> tuple[Any, Any]:
            seen = record(
                lambda: self._outputs(images, owner),
                [at.call],
                lambda outputs: self._explained(outputs, owner),
            )
            return _floats(at.call, seen.activations[0], seen.gradients[0])

        return at_layer

    def _from(self, at: _AtLayer) -> Callable[[Any, Any], Any]:
        def score_from(maps: Any, owner: Any) -> Any:
            values = tf.cast(maps, at.raw.dtype)
            value = from_map(values, tf.gather(at.raw, owner), at.call.layout)
            with substituted(at.call, value):
                outputs = self._outputs(tf.gather(self.images, owner), owner)
            return self._explained(outputs, owner)

        return score_from


def _needs_gradient(method: Method) -> bool:
    return method.kind in ("cam", "layer") and method.needs_gradient


def _is_left(plan: Plan, method: Method, at: _AtLayer) -> bool:
    is_known = plan.fuses and method.formula in FUSED and at.gradient is not None
    return is_known and at.activation.dtype == tf.float32


def _layer_map(method: Method, at: _AtLayer, asker: _Asker, score: Any) -> Any:
    if at.gradient is None and method.needs_gradient:
        raise InputError(
            f"layer {at.call.path!r} does not influence what is explained, or by no gradient: "
            "choose another layer, head or score"
        )
    reason = method.refuses(at.raw, score, at.call.layout) if method.refuses else None
    if reason:
        raise InputError(f"{method.name} cannot explain layer {at.call.path!r}: {reason}")
    if method.kind == "layer":
        return method.formula(asker.probe(at), **method.options)
    gradient = tf.zeros_like(at.activation) if at.gradient is None else at.gradient
    return method.formula(at.activation, gradient, **method.options)


def _floats(call: LayerCall, activation: Any, gradient: Any) -> tuple[Any, Any]:
    """Return A and G in float32 or more: half precision would lose small gradients in the sums."""
    if not activation.dtype.is_floating:
        raise InputError(
            f"layer {call.path!r} returns {activation.dtype.name}, which has no gradient: "
            "choose a layer that returns floats"
        )
    precision = tf.float64 if activation.dtype == tf.float64 else tf.float32
    gradient = None if gradient is None else tf.cast(gradient, precision)
    return tf.cast(activation, precision), gradient
