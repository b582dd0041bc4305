"""Which engine computes a model's forward passes fastest here, of those that give its numbers."""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.models.engine import LARGEST_DIFFERENCE, Engine, Predictor
from gradcam_eval.models.inputs import input_shape
from gradcam_eval.models.output import OutputKind

_IMAGES = 8  # in a timed call
_ROUNDS = 5  # of timed calls, in turns
_WORTH_MS = 2.5  # of an image on the frozen graph: what is faster gains nothing by another engine
_GAIN = 0.9  # of the frozen graph's time, which another engine must stay below


@dataclass(frozen=True)
class EngineChoice:
    """The engine of a model's many forward passes.

    Attributes
    ----------
    engine : the fastest that was timed and whose probabilities are TensorFlow's to 1e-5
    ms_per_image : of each engine that was timed, in milliseconds of wall-clock time
    """

    engine: Engine
    ms_per_image: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say it in one line."""
        times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in self.ms_per_image.items())
        return f"the metrics' forward passes run on {self.engine}" + (
            f" (an image takes: {times})" if times else ""
        )


def choose_engine(
    model: keras.Model, size: tuple[int, int], *, output: OutputKind | None = None
) -> tuple[EngineChoice, Predictor]:
    """Time the engines that are installed on a batch of noise, and choose.

    Returns the choice, and the predictor that was timed: what it compiled serves on.

    The frozen graph is the choice where an image takes it less than 2.5 ms, or where OpenVINO is
    not installed, cannot compute the model, differs by more than 1e-5 in a probability, or takes
    more than .9 of its time; TensorFlow's live graph where the frozen one differs by so much.

    Parameters
    ----------
    model : classifier
    size : (H, W) of its images
    output : the kind of its output, where the user declared it

    Raises
    ------
    InputError : the output has no row of scores for each image
    """
    shape = input_shape(model, size)
    noise = np.random.default_rng(0).uniform(0, 255, (_IMAGES, *shape)).astype(np.float32)
    return _chosen(Predictor(model, engine="frozen", output=output), noise)


def _chosen(frozen: Predictor, noise: NDArray[np.float32]) -> tuple[EngineChoice, Predictor]:
    if frozen.difference(noise) > LARGEST_DIFFERENCE:
        return EngineChoice("tensorflow"), frozen.on("tensorflow")
    ms = _ms_per_image({"frozen": frozen}, noise, rounds=1)
    if ms["frozen"] < _WORTH_MS or importlib.util.find_spec("openvino") is None:
        return EngineChoice("frozen", ms), frozen
    openvino = frozen.on("openvino")
    if _is_usable(openvino, noise):
        ms = _ms_per_image({"frozen": frozen, "openvino": openvino}, noise, rounds=_ROUNDS)
        if ms["openvino"] < _GAIN * ms["frozen"]:
            frozen.release()
            return EngineChoice("openvino", ms), openvino
    openvino.release()
    return EngineChoice("frozen", ms), frozen


def _is_usable(openvino: Predictor, noise: NDArray[np.float32]) -> bool:
    """Whether OpenVINO computes the model, and gives TensorFlow's probabilities."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        difference = openvino.difference(noise)
    is_refused = any("not in OpenVINO" in str(each.message) for each in warned)
    return not is_refused and difference <= LARGEST_DIFFERENCE


def _ms_per_image(
    predictors: Mapping[str, Predictor], images: NDArray[np.float32], *, rounds: int
) -> dict[str, float]:
    """Return the shortest call of each, made in turns: what else the machine does lengthens one."""
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(rounds):
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor.on_engine(images)
            seconds[name].append(time.perf_counter() - start)
    return {name: min(taken) * 1000 / len(images) for name, taken in seconds.items()}
