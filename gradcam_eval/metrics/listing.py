"""The table of metrics in words, for someone who chooses among them."""

from __future__ import annotations

from gradcam_eval.metrics.registry import METRICS, Metric
from gradcam_eval.protocols import PROTOCOLS, family_of
from gradcam_eval.protocols.localization_kinds import (
    BoxProtocol,
    InstanceProtocol,
    MaxBoxProtocol,
    PixelPrecisionProtocol,
)

_NEEDS = {
    "heatmap": "nothing",
    "predict": "the model",
    "explain": "the model and the method",
}


def rows() -> dict[str, dict[str, str]]:
    """Return what a reader needs of each registered metric, as text, family by family.

    Returns
    -------
    by name: family, better ("higher" or "lower"), unit, range ("" where it was not said), needs
    (beside the heatmap), protocol (the default one), protocols (all), summary
    """
    found = {
        metric.name: {
            "family": family_of(metric.default_protocol),
            "better": "higher" if metric.higher_is_better else "lower",
            "unit": metric.unit,
            "range": metric.bounds,
            "needs": needs_of(metric),
            "protocol": metric.default_protocol,
            "protocols": ", ".join(metric.protocols),
            "summary": metric.description,
        }
        for metric in METRICS.values()
    }
    places = {name: place for place, name in enumerate(_families())}
    return dict(sorted(found.items(), key=lambda each: places[each[1]["family"]]))


def _families() -> list[str]:
    """Return the families in the order in which the protocols stand; own metrics come last."""
    return list(dict.fromkeys(map(family_of, PROTOCOLS)))


def needs_of(metric: Metric) -> str:
    """Say what a metric asks for beside the heatmap, by its default protocol.

    Examples
    --------
    >>> needs_of(METRICS["relevance_mass_accuracy"])
    'masks, else boxes'
    """
    if metric.needs not in ("truth", "labels"):
        return _NEEDS[metric.needs]
    drawn = _annotation(metric.default_protocol)
    return f"{drawn}, and classes" if metric.needs == "labels" else drawn


def _annotation(protocol: str) -> str:
    rules = PROTOCOLS[protocol]
    if isinstance(rules, BoxProtocol | MaxBoxProtocol):
        return "boxes"
    if isinstance(rules, PixelPrecisionProtocol):
        return "masks"
    if isinstance(rules, InstanceProtocol):
        return "masks, else boxes, of two objects or more"
    return (
        "boxes, else masks" if getattr(rules, "drawn", "mask") == "boxes" else "masks, else boxes"
    )
