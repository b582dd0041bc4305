"""How near adaptive curves come to full ones, for how many model calls.

Run: ``python -m pytest benchmarks/test_adaptive.py --override-ini addopts= -s``. Every heatmap of a
sweep (photographs × layers × methods × deletion and insertion, EfficientNet-Lite0) is judged by
``rise2018`` and by ``rise2018_adaptive``, whose tolerance is stated beside the errors found.
"""

from __future__ import annotations

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from gradcam_eval import Explainer, Predictor, load_model, load_samples
from gradcam_eval.core import Curve, Sample
from gradcam_eval.metrics import deletion, insertion
from gradcam_eval.protocols import PROTOCOLS

LAYERS = ["block4a_expand_activation", "top_activation"]
METHODS = ["grad_cam", "layer_cam"]


def test_adaptive_against_full_curves(benchmark: BenchmarkFixture) -> None:
    """Print the errors of areas and the share of calls, for both metrics."""
    model = load_model("efficientnet_lite0")
    explainer = Explainer(model, layers=LAYERS, methods=METHODS)
    predict = Predictor(model)
    samples = [s for s in load_samples("photos", (224, 224)) if isinstance(s, Sample)]
    explained = [explainer(sample.image) for sample in samples]
    for metric in (deletion, insertion):
        errors, points = [], []
        for sample, maps in zip(samples, explained, strict=True):
            heatmaps = [heatmap[0] for heatmap in maps.values()]
            targets = [int(maps.targets[0])] * len(heatmaps)
            pair = [
                metric(predict, sample.image[None], heatmaps, targets, protocol=name)
                for name in ("rise2018", "rise2018_adaptive")
            ]
            for full, few in zip(*pair, strict=True):
                if isinstance(full, Curve) and isinstance(few, Curve):
                    errors.append(abs(few.area - full.area))
                    points.append(len(few.fraction) / len(full.fraction))
        tolerance = PROTOCOLS["rise2018_adaptive"].tolerance  # type: ignore[union-attr]
        print(
            f"\n{metric.__name__}, {len(errors)} curves, tolerance {tolerance}: error median "
            f"{np.median(errors):.4f}, 95 % {np.quantile(errors, 0.95):.4f}, largest "
            f"{max(errors):.4f}, within {np.mean(np.array(errors) <= tolerance):.1%}; model calls "
            f"median {np.median(points):.0%} [{min(points):.0%}, {max(points):.0%}] of 225"
        )
    first = [next(iter(explained[0].values()))[0]]
    image, target = samples[0].image[None], [int(explained[0].targets[0])]
    benchmark.pedantic(
        deletion, (predict, image, first, target, "rise2018_adaptive"), rounds=3, warmup_rounds=1
    )
