"""What a study will take, before it starts: forward passes, time, memory and disk."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradcam_eval.perturb import CHUNK
from gradcam_eval.protocols import PROTOCOLS
from gradcam_eval.study.subject import Subject
from gradcam_eval.timing import CostPlan

if TYPE_CHECKING:
    from gradcam_eval.models.engine import Predictor
    from gradcam_eval.models.tap import LayerCall

_PASS = 3  # forwards that one pass with all layers and its backward pass costs, about


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
            f"{_plural(self.images, 'image')} × ({self.cells} layer × method "
            f"{'cell' if self.cells == 1 else 'cells'} + {_plural(self.controls, 'control')}): "
            f"about {self.forwards:,} forward passes, {_minutes(self.seconds)}, "
            f"{self.memory_bytes / 2**20:,.0f} MB for activations, "
            f"{self.disk_bytes / 2**20:,.0f} MB on disk"
        )


def forecast(
    subject: Subject,
    calls: Sequence[LayerCall],
    plan: CostPlan | None,
    *,
    images: int,
    size: tuple[int, int],
) -> Forecast:
    """Estimate what is still to do for one model.

    Parameters
    ----------
    subject : the model and its study
    calls : of the layers that are explained
    plan : how its cost will be measured, or None where it will not
    images : how many are still to judge
    size : (H, W) of the model's input
    """
    study = subject.study
    pixels = size[0] * size[1]
    cells, controls = len(calls) * len(study.methods), len(study.controls)
    points = sum(_points(study.protocol_of(metric), pixels) for metric in study.metrics)
    forwards = images * (_PASS + (cells + controls) * points)
    map_values = sum(math.prod(_sides(call, size)) for call in calls) * len(study.methods)
    activations = sum(math.prod(_sides(call, size)) * (call.shape[2] or 1) for call in calls)
    largest = max((CHUNK, *plan.batch_sizes) if plan else (CHUNK,))
    return Forecast(
        images=images,
        cells=cells,
        controls=controls,
        forwards=forwards,
        seconds=time_forward(subject.predictor, size) * (forwards + _cost_images(plan, cells)),
        # each value is 4 bytes, and an activation has a gradient beside it
        memory_bytes=4 * (2 * activations + largest * pixels * 3),
        disk_bytes=images * (4 * (map_values + controls * pixels) + 4 * pixels),
    )


def time_forward(predictor: Predictor, size: tuple[int, int]) -> float:
    """Return seconds for an image in a batch of the compiled forward pass; compiles it."""
    images = np.zeros((CHUNK, *size, 3), np.float32)
    predictor(images)
    start = time.perf_counter()
    predictor(images)
    return (time.perf_counter() - start) / len(images)


def _cost_images(plan: CostPlan | None, cells: int) -> int:
    """Return how many forward passes of one image the cost takes: a cell's call is about two."""
    return sum(plan.batch_sizes) * (plan.rounds + 2) * (2 * cells + 1) if plan else 0


def _points(protocol: str, pixels: int) -> int:
    step = getattr(PROTOCOLS[protocol], "step_pixels", None)
    return math.ceil(pixels / step) + 1 if step else 0


def _sides(call: LayerCall, size: tuple[int, int]) -> tuple[int, int]:
    return call.shape[0] or size[0], call.shape[1] or size[1]


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
