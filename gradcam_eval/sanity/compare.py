"""Two sets of heatmaps compared by every measure of a protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gradcam_eval.core import Heatmap, InputError, Undefined
from gradcam_eval.metrics.similarity import MEASURES, framed
from gradcam_eval.protocols import SanityProtocol

if TYPE_CHECKING:
    from gradcam_eval.methods.heatmaps import Heatmaps

Stacks: TypeAlias = Mapping[tuple[str, str], Heatmap]  # (layer, method) → (N, h, w)


def stacks_of(heatmaps: Heatmaps) -> dict[tuple[str, str], Heatmap]:
    """Return every cell's heatmaps at the images' size; one that is constant stays so.

    Raises
    ------
    InputError : every cell is refused, with the reason of the first
    """
    if heatmaps.refused and not heatmaps:
        raise InputError(next(iter(heatmaps.refused.values())))
    size = heatmaps.image_size
    return {key: np.stack([framed(each, size) for each in maps]) for key, maps in heatmaps.items()}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Heatmaps of each cell and image, ready for comparison by each measure of a protocol."""

    features: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
    rules: SanityProtocol

    @classmethod
    def of(cls, maps: Stacks, rules: SanityProtocol) -> Prepared:
        """Prepare every heatmap once."""
        return cls(
            {
                key: [{m: MEASURES[m].prepare(each) for m in rules.measures} for each in stack]
                for key, stack in maps.items()
            },
            rules,
        )

    def __or__(self, other: Prepared) -> Prepared:
        """Return the cells of both."""
        return Prepared({**self.features, **other.features}, self.rules)


def similarity_rows(
    ones: Prepared, others: Prepared, *, step: int, unchanged: Mapping[int, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Compare two heatmaps of each cell and image by every measure.

    `unchanged` says of images, by index, why there is nothing to compare.
    """
    for (layer, method), images in ones.features.items():
        for image, one in enumerate(images):
            other = others.features[layer, method][image]
            for measure in ones.rules.measures:
                reason = (unchanged or {}).get(image)
                value = (
                    Undefined(reason)
                    if reason
                    else MEASURES[measure].between(one[measure], other[measure])
                )
                is_value = not isinstance(value, Undefined)
                yield {
                    "layer": layer,
                    "method": method,
                    "step": step,
                    "image": image,
                    "measure": measure,
                    "status": "value" if is_value else "undefined",
                    "value": np.nan if isinstance(value, Undefined) else value,
                    "reason": value.reason if isinstance(value, Undefined) else "",
                }
