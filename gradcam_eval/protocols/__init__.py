"""Named, versioned sets of parameters: what a metric's number depends on, in readable tables.

Numbers of different protocols are not comparable, so a protocol's name stands beside each number.
A protocol never changes once published: a correction gets a new name.
"""

from __future__ import annotations

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
from gradcam_eval.protocols.sanity import SANITY_2018, SanityProtocol

__all__ = [
    "IMAGENET_MEAN",
    "PROTOCOLS",
    "AnyProtocol",
    "BoxProtocol",
    "Calls",
    "ComplexityProtocol",
    "DropProtocol",
    "FaithfulnessProtocol",
    "Fill",
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
    "protocol",
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
    SANITY_2018,
    *LOCALIZATION,
    _OWN,
)
PROTOCOLS: dict[str, AnyProtocol] = {entry.name: entry for entry in _ALL}


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
