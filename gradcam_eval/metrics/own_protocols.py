"""Protocols of one's own: a record is checked, and then known by its name like any other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.metrics.registry import METRICS
from gradcam_eval.protocols import BUILT_IN, PROTOCOLS, AnyProtocol

Record = TypeVar("Record", bound=AnyProtocol)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ABOVE_ZERO = math.ulp(0.0)
_LIMITS = {  # of the fields that a wrong value would make meaningless: the least, the largest
    **dict.fromkeys(("draws", "step_pixels", "size", "steps", "repeats", "k"), (1, math.inf)),
    **dict.fromkeys(("subset_pixels", "tie_orders", "kernel", "ranks"), (1, math.inf)),
    **dict.fromkeys(("segments", "thresholds"), (2, math.inf)),
    **dict.fromkeys(("seed", "tolerance", "tolerance_pixels", "noise", "sigma"), (0, math.inf)),
    **dict.fromkeys(("radius", "compactness", "edge_weight"), (_ABOVE_ZERO, math.inf)),
    **dict.fromkeys(("diagonal_weight",), (0, math.inf)),
    **dict.fromkeys(("step_fraction", "largest_square", "iou", "ious"), (_ABOVE_ZERO, 1)),
    **dict.fromkeys(("fractions", "subset_fractions", "shift_fraction"), (_ABOVE_ZERO, 1)),
    **dict.fromkeys(("level", "tolerance_fraction", "threshold"), (0, 1)),
    **dict.fromkeys(("jpeg_quality",), (1, 95)),
    **dict.fromkeys(("colour",), (0, 255)),
}


def register_protocol(record: Record) -> Record:
    """Add a protocol of one's own, so that studies and the command line know it by its name.

    Parameters
    ----------
    record : a protocol's record, most simply another one's with some fields replaced
        Its `name` is new, its `metrics` are registered ones that take this kind of record, and its
        `source` says where its parameters come from.

    Returns
    -------
    the record

    Raises
    ------
    InputError
        No record of a protocol; a name that is taken by another record or cannot be written in a
        study; a metric that is unknown or takes other records; a field of the wrong type or out of
        range; no source.

    Notes
    -----
    A protocol never changes: its name stands beside its numbers. To register the same record again
    does nothing, as when a notebook's cell is run twice; other values need another name. A study
    keeps every parameter of it in `study.json`, and does not resume under other ones.

    Examples
    --------
    >>> from dataclasses import replace
    >>> mine = replace(PROTOCOLS["rise2018"], name="mine", step_pixels=512, source="ours")
    >>> register_protocol(mine).name in METRICS["deletion"].protocols
    True
    """
    if not isinstance(record, get_args(AnyProtocol)):
        raise InputError(
            f"the protocol is {record!r}: expected a record, such as "
            "dataclasses.replace(PROTOCOLS['rise2018'], name='mine', step_pixels=512)"
        )
    if PROTOCOLS.get(str(record.name)) == record and record.name not in BUILT_IN:
        return record
    _check_fields(record, f"the protocol {record.name!r}")
    _check_name(record)
    _check_metrics(record)
    PROTOCOLS[record.name] = record
    for name in record.metrics:
        metric = METRICS[name]
        METRICS[name] = replace(metric, protocols=(*metric.protocols, record.name))
    return record


def _check_name(record: AnyProtocol) -> None:
    name = record.name
    if not _NAME.fullmatch(name):
        raise InputError(
            f"the protocol's name is {name!r}: expected at most 100 letters, digits, '-', '_' and "
            "'.', beginning with a letter or a digit"
        )
    if name in PROTOCOLS:
        raise InputError(
            f"a protocol {name!r} exists already with other values: results are kept by a "
            "protocol's name, so give this one another name"
        )
    if not record.source.strip():
        raise InputError(f"the protocol {name!r} has no source: say where its parameters come from")


def _check_metrics(record: AnyProtocol) -> None:
    if not record.metrics:
        raise InputError(f"the protocol {record.name!r} names no metric: give metrics=(…,)")
    for name in record.metrics:
        if name not in METRICS:
            raise unknown_name(f"metric of the protocol {record.name!r}", name, METRICS)
        kinds = {type(PROTOCOLS[each]) for each in METRICS[name].protocols}
        if not isinstance(record, tuple(kinds)):
            expected = " or ".join(sorted(kind.__name__ for kind in kinds))
            raise InputError(
                f"the protocol {record.name!r} is a {type(record).__name__}, and the metric "
                f"{name!r} takes {expected}"
            )


def _check_fields(record: Any, what: str) -> None:
    """Raise InputError for the first field of the wrong type or out of range, of fills too."""
    hints = get_type_hints(type(record))
    for field in fields(record):
        value, place = getattr(record, field.name), f"{what}, {field.name}"
        hint = hints[field.name]
        config = None if is_dataclass(hint) else ConfigDict(strict=True)  # it has its own
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(hint, config=config)
            adapter.validate_python(value)
            json.dumps(value, default=asdict, allow_nan=False)
        except (ValidationError, ValueError, TypeError) as error:
            raise InputError(f"{place} = {value!r}: {_reason(error)}") from error
        if is_dataclass(value):
            _check_fields(value, place)
        _check_limits(place, field.name, value)
    if getattr(record, "step_pixels", 1) is None and record.step_fraction is None:
        raise InputError(f"{what} has neither step_pixels nor step_fraction: give one of the two")


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]["msg"]
        return first[0].lower() + first[1:]
    return "expected plain values: numbers, text, tuples of them"


def _check_limits(place: str, name: str, value: Any) -> None:
    low, high = _LIMITS.get(name, (-math.inf, math.inf))
    for number in _numbers(value):
        if not low <= number <= high:
            least = "above 0" if low == _ABOVE_ZERO else f"{low:g} or more"
            most = "" if high == math.inf else f", at most {high:g}"
            raise InputError(f"{place} = {value!r}: expected {least}{most}")
    if name in ("fractions", "subset_fractions") and list(value) != sorted(set(value)):
        raise InputError(f"{place} = {value!r}: expected ascending numbers, each once")


def _numbers(value: Any) -> Iterator[float]:
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, int | float) and not isinstance(each, bool):
            yield each
