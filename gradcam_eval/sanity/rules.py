"""The protocol of a sanity check by its name."""

from __future__ import annotations

from typing import cast

from gradcam_eval.protocols import SanityProtocol, protocol


def find_rules(name: str) -> SanityProtocol:
    """Return the sanity checks' protocol of that name; raises InputError that lists the valid ones.

    Examples
    --------
    >>> find_rules("sanity2018").steps
    16
    """
    found = protocol(name, "sanity")
    return cast(SanityProtocol, found)
