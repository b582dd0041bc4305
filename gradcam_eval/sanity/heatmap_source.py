"""The heatmaps that a sanity check compares: of one model, with the controls beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.core import Heatmap, check_whole
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.methods.targets import Targets
from gradcam_eval.metrics.similarity import framed
from gradcam_eval.protocols import SanityProtocol
from gradcam_eval.sanity.compare import Prepared, Stacks, similarity_rows, stacks_of
from gradcam_eval.sanity.controls import image_controls, score_noise, unrelated_noise

_REPEAT, _SMOOTH = 1, 2  # two streams of noise


@dataclass(frozen=True, eq=False)
class Explained:
    """Heatmaps of a model's images, and what the model answered.

    Attributes
    ----------
    heatmaps : of the images as they are
    prepared : the heatmaps that are compared, averaged where the protocol smooths, and the controls
    maps : the heatmaps that are compared, without the controls, by cell
    """

    heatmaps: Heatmaps
    prepared: Prepared
    maps: Stacks


@dataclass(frozen=True, eq=False)
class HeatmapSource:
    """Images, what explains them, and how their heatmaps are compared."""

    explainer: Explainer
    images: NDArray[np.float32]
    rules: SanityProtocol
    seed: int
    fixed: Prepared  # the controls that look at the images alone

    @classmethod
    def of(
        cls, explainer: Explainer, images: NDArray[np.float32], rules: SanityProtocol, seed: int
    ) -> HeatmapSource:
        """Return a source whose controls of the images are prepared once."""
        check_whole("seed", seed, 0)
        return cls(explainer, images, rules, seed, Prepared.of(image_controls(images), rules))

    def explained(self, targets: Targets) -> Explained:
        """Explain the images by the model as it is now."""
        found = self.explainer(self.images, targets)
        maps = self._smoothed(found) if self.rules.smooth_draws else stacks_of(found)
        noise = score_noise(self.images, found.scores, self.seed)
        return Explained(
            found,
            Prepared.of({**maps, **noise}, self.rules) | self.fixed,
            maps,
        )

    def repeats(self, trained: Explained, targets: Targets) -> pd.DataFrame:
        """Compare the heatmaps with those of the same model, a little noise being on the images."""
        rows: list[dict[str, Any]] = []
        levels = self.rules.noise * np.ptp(self.images)
        for draw in range(self.rules.repeats):
            noisy = self._noisy(levels, _REPEAT, draw)
            again = HeatmapSource.of(self.explainer, noisy, self.rules, self.seed)
            rows += similarity_rows(trained.prepared, again.explained(targets).prepared, step=draw)
        return pd.DataFrame(rows)

    def chance_by_noise(self, trained: Explained) -> pd.DataFrame:
        """Compare every heatmap with coarse noise: how alike unrelated maps are."""
        rows: list[dict[str, Any]] = []
        for draw in range(self.rules.noise_maps):
            noise = Prepared.of(unrelated_noise(self.images, self.seed, draw), self.rules)
            ready = next(iter(noise.features.values()))
            others = Prepared(dict.fromkeys(trained.prepared.features, ready), self.rules)
            rows += similarity_rows(trained.prepared, others, step=draw)
        return pd.DataFrame(rows)

    def _noisy(self, levels: Any, stream: int, draw: int) -> NDArray[np.float32]:
        generator = np.random.default_rng([self.seed, stream, draw])
        noise = generator.standard_normal(self.images.shape, np.float32)
        return (self.images + levels * noise).astype(np.float32)

    def _smoothed(self, found: Heatmaps) -> dict[tuple[str, str], Heatmap]:
        """Return the mean heatmaps of noisy copies of each image; the noise is every model's."""
        spans = np.ptp(self.images, axis=(1, 2, 3), keepdims=True) * self.rules.smooth_noise
        total = {key: np.zeros_like(maps, np.float64) for key, maps in found.items()}
        for draw in range(self.rules.smooth_draws):
            noisy = self.explainer(self._noisy(spans, _SMOOTH, draw), found.targets)
            for key, maps in noisy.items():
                total[key] += maps
        size = found.image_size
        return {
            key: np.stack([framed(each.astype(np.float32), size) for each in maps])
            for key, maps in total.items()
        }
