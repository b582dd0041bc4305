"""What a study will take, before it starts: forward passes, time, memory and disk."""

from __future__ import annotations

import math
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradcam_eval.perturb import CHUNK
from gradcam_eval.protocols import PROTOCOLS, Calls, SensitivityProtocol
from gradcam_eval.study.subject import Subject
from gradcam_eval.timing import CostPlan

if TYPE_CHECKING:
    from gradcam_eval.methods.cells import HeatmapCell
    from gradcam_eval.models.tap import LayerCall

_TIMED_IMAGES = 8
_PASS = 3  # forwards that one pass with all layers and its backward pass costs, about


@dataclass(frozen=True)
class Forecast:
    """An estimate for one model.

    Attributes
    ----------
    images, cells, controls : how many
    passes : in how many passes an image's layers are explained, so that each fits into memory
    forwards : forward passes of single images, heatmaps and metrics together
    seconds : wall-clock time, from the forward pass that the engine's choice timed; without tracing
    memory_bytes : activations kept for the gradients, and one batch of masked images
    disk_bytes : heatmaps and pictures, before compression
    output : what the model returns for an image
    """

    images: int
    cells: int
    controls: int
    passes: int
    forwards: int
    seconds: float
    memory_bytes: int
    disk_bytes: int
    output: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"{_plural(self.images, 'image')} × ({self.cells} layer × method "
            f"{'cell' if self.cells == 1 else 'cells'} + {_plural(self.controls, 'control')}): "
            f"about {self.forwards:,} forward passes, {_minutes(self.seconds)}, "
            f"{self.memory_bytes / 2**20:,.0f} MB for activations"
            f"{f' in {self.passes} passes' if self.passes > 1 else ''}, "
            f"{self.disk_bytes / 2**20:,.0f} MB on disk; output: {self.output}"
        )


def forecast(
    subject: Subject, plan: CostPlan | None, *, images: int, size: tuple[int, int]
) -> Forecast:
    """Estimate what is still to do for one model.

    Parameters
    ----------
    subject : the model and its study
    plan : how its cost will be measured, or None where it will not
    images : how many are still to judge
    size : (H, W) of the model's input
    """
    study, explainer = subject.study, subject.explainer
    pixels = size[0] * size[1]
    cells, controls = explainer.cells(size), len(study.controls)
    own = [cell.passes(size) for cell in cells]
    passes = explainer.passes(size)
    # a backward pass takes about as long as two forward ones, and the shared pass is one of each
    asked = _PASS * passes + sum(
        each.forwards + 2 * each.backwards for each in own if each.forwards
    )
    calls_of = [_calls(protocol, pixels) for _, protocol in study.measures]
    judged = (len(cells) + controls) * sum(each.each_heatmap for each in calls_of)
    judged += sum(each.each_image for each in calls_of)
    changed = max(_changed(protocol) for _, protocol in study.measures)
    forwards = images * (asked * (1 + changed) + judged)
    placed = {path for path, each in explainer.placings(size).items() if each is not None}
    map_values = sum(_map_pixels(cell, size, placed) for cell in cells)
    calls = explainer.calls(size)
    activations = sum(math.prod(_sides(call, size)) * (call.map_shape[2] or 1) for call in calls)
    largest = max((CHUNK, *plan.batch_sizes) if plan else (CHUNK,))
    timed = forwards + _cost_images(plan, [1 + each.forwards for each in own])
    return Forecast(
        images=images,
        cells=len(cells),
        controls=controls,
        passes=passes,
        forwards=forwards,
        seconds=seconds_of_forward(subject) * timed,
        # each value is 4 bytes, and an activation has a gradient beside it
        memory_bytes=4 * (2 * activations // passes + largest * pixels * 3),
        disk_bytes=images * (4 * (map_values + controls * pixels) + 4 * pixels),
        output=str(subject.output),
    )


def seconds_of_forward(subject: Subject) -> float:
    """Return seconds for an image in a batch of forward passes, as the engine's choice timed it.

    Where no choice was timed, a batch of 8 images is; that compiles the forward pass.
    """
    from gradcam_eval.models.inputs import input_shape  # TensorFlow: not to be imported early

    choice, predictor = subject.engine, subject.predictor
    if choice.engine in choice.ms_per_image:
        return choice.ms_per_image[choice.engine] / 1000
    shape = input_shape(predictor.model, subject.loaded.size)
    images = np.zeros((_TIMED_IMAGES, *shape), np.float32)
    predictor(images)
    start = time.perf_counter()
    predictor(images)
    return (time.perf_counter() - start) / len(images)


def _cost_images(plan: CostPlan | None, forwards: Sequence[int]) -> int:
    """Return how many forward passes of one image the cost takes.

    In each round a cell makes its own and a backward pass, which takes as long as one, beside a
    forward pass.
    """
    if plan is None:
        return 0
    return sum(
        sum(plan.sizes_of(each)) * (plan.rounds_of(each) + 2) * (2 + each) for each in forwards
    )


def _calls(protocol: str, pixels: int) -> Calls:
    """Return what a protocol asks the model; one that asks nothing does not say so."""
    calls = getattr(PROTOCOLS[protocol], "calls", None)
    return calls(pixels) if calls else Calls(0)


def _changed(protocol: str) -> int:
    """Return how many changed images are explained; metrics with the same ones share them."""
    rules = PROTOCOLS[protocol]
    return rules.draws if isinstance(rules, SensitivityProtocol) else 0


def _map_pixels(cell: HeatmapCell, size: tuple[int, int], placed: Container[str]) -> int:
    """Return how many values a cell's heatmap has; a fusion's is as large as its largest member."""
    sides = [size if call.path in placed else _sides(call, size) for call in cell.calls]
    return max((math.prod(each) for each in sides), default=math.prod(size))


def _sides(call: LayerCall, size: tuple[int, int]) -> tuple[int, int]:
    return call.map_shape[0] or size[0], call.map_shape[1] or size[1]


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
