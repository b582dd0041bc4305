"""What a study will take, before it starts: forward passes, time, memory and disk."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradcam_eval.protocols import PROTOCOLS
from gradcam_eval.study.config import Study
from gradcam_eval.timing import CostPlan

if TYPE_CHECKING:
    from gradcam_eval.models.engine import Predictor
    from gradcam_eval.models.tap import LayerCall

_BATCH = 32  # images in one forward pass of the metrics, see perturb.CHUNK
_PASS = 3.0  # forwards that one pass with all layers and its backward pass costs, about


@dataclass(frozen=True)
class Forecast:
    """An estimate for one model.

    Attributes
    ----------
    images, cells, controls : how many
    forwards : forward passes of single images, heatmaps and metrics together
    seconds : wall-clock time, from a forward pass timed just now; without tracing
    memory_bytes : activations kept for the gradients, and one batch of masked images
    disk_bytes : heatmaps and pictures, before compression
    """

    images: int
    cells: int
    controls: int
    forwards: int
    seconds: float
    memory_bytes: int
    disk_bytes: int

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"{self.images} images × ({self.cells} layer × method cells + {self.controls} "
            f"controls): about {self.forwards:,} forward passes, "
            f"{_minutes(self.seconds)}, {self.memory_bytes / 2**20:,.0f} MB for activations, "
            f"{self.disk_bytes / 2**20:,.0f} MB on disk"
        )


def forecast(
    study: Study,
    predictor: Predictor,
    calls: list[LayerCall],
    *,
    images: int,
    size: tuple[int, int],
) -> Forecast:
    """Estimate what is still to do for one model: `images` of them at (H, W) = `size`."""
    pixels = size[0] * size[1]
    cells = len(calls) * len(study.methods)
    points = sum(_points(study.protocol_of(metric), pixels) for metric in study.metrics)
    forwards = images * (math.ceil(_PASS) + (cells + len(study.controls)) * points)
    seconds_each = time_forward(predictor, size)
    plan = CostPlan(study.cost.batch_sizes, max(study.cost.rounds, 1), size)
    cost = sum(study.cost.batch_sizes) * (study.cost.rounds + 2) * (2 * cells + 1)
    map_values = sum(math.prod(_sides(call, size)) for call in calls) * len(study.methods)
    return Forecast(
        images=images,
        cells=cells,
        controls=len(study.controls),
        forwards=forwards,
        seconds=seconds_each * (forwards + (cost if study.cost.rounds else 0)),
        memory_bytes=8 * sum(math.prod((*_sides(c, size), c.shape[2] or 1)) for c in calls)
        + 4 * max(_BATCH, *plan.batch_sizes) * pixels * 3,
        disk_bytes=images * (4 * (map_values + len(study.controls) * pixels) + 4 * pixels),
    )


def time_forward(predictor: Predictor, size: tuple[int, int]) -> float:
    """Return seconds for an image in a batch of the compiled forward pass; compiles it."""
    images = np.zeros((_BATCH, *size, 3), np.float32)
    predictor(images)
    start = time.perf_counter()
    predictor(images)
    return (time.perf_counter() - start) / len(images)


def _points(protocol: str, pixels: int) -> int:
    step = getattr(PROTOCOLS[protocol], "step_pixels", None)
    return math.ceil(pixels / step) + 1 if step else 0


def _sides(call: LayerCall, size: tuple[int, int]) -> tuple[int, int]:
    return call.shape[0] or size[0], call.shape[1] or size[1]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
