"""The kind of a model's output, decided once: all that reads the output goes by this description.

It is made from how the output ends (`models/ending.py`) and from what the user declares. TensorFlow
is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from gradcam_eval.core import InputError, Undefined, unknown_name

OutputKind: TypeAlias = Literal["classes", "multi_label", "binary", "regression", "segmentation"]
OUTPUT_KINDS: tuple[str, ...] = get_args(OutputKind)

NO_PROBABILITIES = Undefined("the model is a regression: its output is a value, no probability")
SATURATED = 1e-6  # of 0 or 1: within it a float32 probability hardly moves, nor has it a gradient
_PAIRS = {"binary": ("negative", "positive"), "segmentation": ("background", "foreground")}
_READ_BY = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}


@dataclass(frozen=True)
class Output:
    """What a model returns for an image.

    Attributes
    ----------
    kind : "classes" (one of them is right), "multi_label" (each is right or not), "binary" (two
        classes by one number), "regression" (values) or "segmentation" (classes of each pixel)
    outputs : how many numbers there are for an image, or for a pixel; None where unknown
    activation : "Softmax", "LogSoftmax" or "Sigmoid", which makes them; "" where none does
    is_map : whether there is one such row for each pixel, (N, h, w, outputs)
    is_declared : whether the user said the kind
    """

    kind: OutputKind
    outputs: int | None
    activation: str = ""
    is_map: bool = False
    is_declared: bool = False

    @property
    def is_pair(self) -> bool:
        """Whether one number stands for two classes, with probabilities (1 − p, p)."""
        return self.kind in _PAIRS and self.outputs == 1

    @property
    def count(self) -> int | None:
        """How many targets there are, 0 to count − 1: classes, labels or a regression's values."""
        return 2 if self.is_pair else self.outputs

    @property
    def has_probabilities(self) -> bool:
        """Whether the model gives probabilities; a regression gives none."""
        return self.kind != "regression"

    @property
    def no_row(self) -> Undefined | None:
        """Why an image has no row of scores, which metrics need; None where it has one."""
        if not self.is_map:
            return None
        return Undefined(
            f"this model's output is a map: {self}; metrics read one score for each image and "
            "class: wrap the model in one that takes the mean over a region"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names that targets have by themselves: of two classes by one number."""
        return _PAIRS[self.kind] if self.is_pair else ()

    def name_of(self, target: int, given: Sequence[str] = ()) -> str:
        """Return a target's name: the one given, the kind's own, or its number.

        Examples
        --------
        >>> Output("binary", 1).name_of(1), Output("classes", 10).name_of(7, ["cat"])
        ('positive', 'class 7')
        """
        known = given or self.names
        if target < len(known):
            return known[target]
        if self.kind == "regression":
            return "value" if self.outputs == 1 else f"value {target}"
        return f"class {target}"

    def __str__(self) -> str:
        """Say it in a few words, as in "2 classes by one sigmoid, negative and positive (binary)".

        Examples
        --------
        >>> print(Output("multi_label", 14, "Sigmoid"))
        14 labels, each by a sigmoid (multi_label)
        """
        said = f"({self.kind}, declared)" if self.is_declared else f"({self.kind})"
        end = _READ_BY.get(self.activation)
        if self.kind == "regression":
            values = "one value" if self.outputs == 1 else f"{self.outputs} values"
            return f"{values}{' for each pixel' if self.is_map else ''} {said}"
        if self.is_pair:
            return f"2 classes by one {end or 'logit'}, {' and '.join(self.names)} {said}"
        if self.kind == "multi_label":
            count = "1 label," if self.outputs == 1 else f"{self.outputs} labels, each"
            return f"{count} by a {end or 'logit'} {said}"
        count = "1 class" if self.outputs == 1 else f"{self.outputs} classes"
        pixels = " for each pixel" if self.is_map else ""
        return f"{count}{pixels} by {f'a {end}' if end else 'logits'} {said}"


def check_output_kind(declared: str | None) -> None:
    """Raise InputError unless a declared kind is one of `OUTPUT_KINDS`, or None."""
    if declared is not None and declared not in OUTPUT_KINDS:
        raise unknown_name("output", declared, OUTPUT_KINDS)


def decide_output(
    activation: str, *, rank: int, outputs: int | None, declared: str | None = None
) -> Output:
    """Decide the kind of an output (N, K) or (N, h, w, K).

    What is not declared is decided so: four axes are a segmentation; several softmaxed or linear
    numbers are classes, several sigmoids labels, one sigmoid is binary. One number that no sigmoid
    makes is a regression, for each pixel too.

    Parameters
    ----------
    activation : that of `Ending`
    rank : 2, or 4 for a row of numbers for each pixel
    outputs : K
    declared : a kind that is said instead

    Raises
    ------
    InputError : no such kind, or one that this output cannot be
    """
    check_output_kind(declared)
    is_map = rank == 4
    kind = declared or _undeclared(activation, is_map, outputs)
    if is_map and kind == "binary":
        kind = "segmentation" if outputs == 1 else kind
    reason = _unfit(kind, activation, is_map, outputs)
    if reason is not None:
        raise InputError(
            f"output={declared!r} {reason}; this model returns {_said(outputs, is_map)}: leave the "
            f"declaration out, or declare another of {', '.join(OUTPUT_KINDS)}"
        )
    return Output(kind, outputs, activation, is_map, declared is not None)  # type: ignore[arg-type]


def _undeclared(activation: str, is_map: bool, outputs: int | None) -> str:
    if outputs == 1 and not activation:
        return "regression"
    if is_map:
        return "segmentation"
    if activation == "Sigmoid":
        return "binary" if outputs == 1 else "multi_label"
    return "classes"


def _unfit(kind: str, activation: str, is_map: bool, outputs: int | None) -> str | None:
    """Say why an output cannot be of a kind; None where it can."""
    is_softmax = activation in ("Softmax", "LogSoftmax")
    if kind == "regression":
        return None
    if is_map != (kind == "segmentation"):
        row = "one row of numbers for each image" if is_map else "a row of numbers for each pixel"
        return f"is for outputs with {row}"
    if kind == "binary" and outputs != 1:
        return "is for one number, from which both classes follow"
    if kind in ("binary", "multi_label") and is_softmax:
        return "is for sigmoids or logits, and this output is a softmax"
    if kind == "classes" and outputs == 1 and not is_softmax:
        return "is for two or more numbers; one logit is output='binary'"
    return None


def _said(outputs: int | None, is_map: bool) -> str:
    count = "one number" if outputs == 1 else f"{outputs} numbers"
    return f"{count} for each pixel" if is_map else count
