"""Named, versioned sets of parameters: what a metric's number depends on, in readable tables.

Numbers of different protocols are not comparable, so a protocol's name stands beside each number.
A protocol never changes once published: a correction gets a new name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from gradcam_eval.core import unknown_name
from gradcam_eval.protocols.faithfulness import FAITHFULNESS
from gradcam_eval.protocols.fills import IMAGENET_MEAN, Fill
from gradcam_eval.protocols.kinds import (
    Calls,
    DropProtocol,
    FaithfulnessProtocol,
    InfidelityProtocol,
    RegionProtocol,
    RoadProtocol,
    SubsetProtocol,
)
from gradcam_eval.protocols.localization import LOCALIZATION
from gradcam_eval.protocols.localization_kinds import (
    BoxProtocol,
    GridProtocol,
    InstanceProtocol,
    IouProtocol,
    MaxBoxProtocol,
    OverlapProtocol,
    PixelPrecisionProtocol,
    PointingProtocol,
)
from gradcam_eval.protocols.robustness import (
    ROBUSTNESS,
    ComplexityProtocol,
    SensitivityProtocol,
    StabilityProtocol,
)
from gradcam_eval.protocols.sanity import SANITY, SanityProtocol

__all__ = [
    "BUILT_IN",
    "IMAGENET_MEAN",
    "PROTOCOLS",
    "AnyProtocol",
    "BoxProtocol",
    "Calls",
    "ComplexityProtocol",
    "DropProtocol",
    "FaithfulnessProtocol",
    "Fill",
    "GridProtocol",
    "InfidelityProtocol",
    "InstanceProtocol",
    "IouProtocol",
    "MaxBoxProtocol",
    "OverlapProtocol",
    "OwnProtocol",
    "PixelPrecisionProtocol",
    "PointingProtocol",
    "RegionProtocol",
    "RoadProtocol",
    "SanityProtocol",
    "SensitivityProtocol",
    "StabilityProtocol",
    "SubsetProtocol",
    "describe",
    "family_of",
    "protocol",
    "rows",
]


@dataclass(frozen=True)
class OwnProtocol:
    """The protocol of a metric that brings no published one: its function says it all."""

    name: str
    metrics: tuple[str, ...]
    source: str


AnyProtocol: TypeAlias = (
    FaithfulnessProtocol
    | RegionProtocol
    | RoadProtocol
    | DropProtocol
    | SubsetProtocol
    | InfidelityProtocol
    | PointingProtocol
    | OverlapProtocol
    | IouProtocol
    | BoxProtocol
    | MaxBoxProtocol
    | PixelPrecisionProtocol
    | InstanceProtocol
    | GridProtocol
    | SensitivityProtocol
    | StabilityProtocol
    | ComplexityProtocol
    | SanityProtocol
    | OwnProtocol
)

_OWN = OwnProtocol(name="own", metrics=(), source="the metric's own function; nothing published")

_ALL: tuple[AnyProtocol, ...] = (
    *FAITHFULNESS,
    *ROBUSTNESS,
    *SANITY,
    *LOCALIZATION,
    _OWN,
)
_FAMILIES: dict[str, tuple[AnyProtocol, ...]] = {
    "faithfulness": FAITHFULNESS,
    "robustness": ROBUSTNESS,
    "sanity": SANITY,
    "localization": LOCALIZATION,
}
PROTOCOLS: dict[str, AnyProtocol] = {entry.name: entry for entry in _ALL}
BUILT_IN = frozenset(PROTOCOLS)  # `register_protocol` adds others
_FAMILY_OF = {type(entry): family for family, each in _FAMILIES.items() for entry in each}


def protocol(name: str, metric: str) -> AnyProtocol:
    """Return the protocol called `name`, which must define `metric`.

    Raises
    ------
    InputError : no such protocol for this metric; the sentence lists those there are

    Examples
    --------
    >>> protocol("rise2018", "deletion").step_pixels
    224
    """
    valid = [entry.name for entry in PROTOCOLS.values() if metric in entry.metrics]
    if name not in valid:
        raise unknown_name(f"protocol of the metric {metric!r}", name, valid)
    return PROTOCOLS[name]


def describe(name: str) -> dict[str, Any]:
    """Return every parameter of a protocol, to be stored beside the numbers that it made."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return asdict(PROTOCOLS[name])


def family_of(name: str) -> str:
    """Return what kind of question a protocol answers.

    Returns
    -------
    "faithfulness", "localization", "robustness", "complexity", "sanity", or "own" for a metric
    that brings no published protocol

    Examples
    --------
    >>> family_of("rise2018")
    'faithfulness'
    """
    if isinstance(PROTOCOLS[name], ComplexityProtocol):  # it stands among those of robustness
        return "complexity"
    return _FAMILY_OF.get(type(PROTOCOLS[name]), "own")


_SAID_APART = ("name", "metrics", "source", "departures", "seed")  # a study has its own seed


def rows() -> dict[str, dict[str, str]]:
    """Return what a reader needs of each protocol, as text: metrics, fixed, source, departures."""
    return {
        name: {
            "metrics": ", ".join(entry.metrics),
            "fixed": "; ".join(_parameters(describe(name))),
            "source": entry.source,
            "departures": getattr(entry, "departures", ""),
        }
        for name, entry in PROTOCOLS.items()
    }


def _parameters(values: dict[str, Any], parent: str = "") -> Iterator[str]:
    """Write each parameter that a protocol has; those that are None do not belong to it."""
    for name, value in values.items():
        if value is None or value == () or (not parent and name in _SAID_APART):
            continue
        full = f"{parent} {name}".strip()
        if isinstance(value, dict):
            yield from _parameters(value, full)
        else:
            shown = ", ".join(map(_shown, value)) if isinstance(value, tuple) else _shown(value)
            yield f"{full.replace('_', ' ')} = {shown}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) and value < 1 else str(value)
