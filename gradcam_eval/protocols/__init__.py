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
    "Calls",
    "ComplexityProtocol",
    "DropProtocol",
    "FaithfulnessProtocol",
    "Fill",
    "InfidelityProtocol",
    "OwnProtocol",
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
class PointingProtocol:
    """When a heatmap's highest point counts as a hit.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    tolerance_pixels : largest distance from the highest point to the object that is still a hit
    frame : in which pixels the tolerance is counted: "original" is the image file's own size
    source : the paper that the parameters come from
    """

    name: str
    metrics: tuple[str, ...]
    tolerance_pixels: float
    frame: str
    source: str


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
    | SensitivityProtocol
    | StabilityProtocol
    | ComplexityProtocol
    | SanityProtocol
    | OwnProtocol
)

_POINTING_2018 = PointingProtocol(
    name="pointing2018",
    metrics=("pointing_game",),
    tolerance_pixels=15.0,
    frame="original",
    source=(
        "Zhang, Bargal, Lin, Brandt, Shen, Sclaroff: Top-down Neural Attention by Excitation "
        "Backprop, IJCV 2018 (arXiv:1608.00507): a margin of 15 pixels round the object"
    ),
)
_OWN = OwnProtocol(name="own", metrics=(), source="the metric's own function; nothing published")

_ALL: tuple[AnyProtocol, ...] = (
    *FAITHFULNESS,
    *ROBUSTNESS,
    SANITY_2018,
    _POINTING_2018,
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
