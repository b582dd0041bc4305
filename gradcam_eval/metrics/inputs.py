"""What metrics are given, checked once: models, images, heatmaps, targets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, wraps
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Heatmap, InputError, NoScore, Predict, Undefined, check_whole
from gradcam_eval.metrics.black_box import BlackBox
from gradcam_eval.values import check_values

Heatmaps: TypeAlias = Heatmap | Sequence[Heatmap]


def as_predict(predict: Predict | Any) -> Predict:
    """Return `predict`, the compiled forward pass of a Keras model, or a function as a `BlackBox`.

    Keras is not imported for this: a Keras model cannot exist before someone imported Keras.

    Notes
    -----
    The last model's compiled functions are kept, so that a loop over images compiles once. New
    weights are seen; a model whose *layers* were changed in between needs its own `Predictor`.
    """
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(predict, keras.Model):
        return _predictor(predict)
    is_ready = isinstance(predict, BlackBox) or callable(getattr(predict, "compiled", None))
    return predict if is_ready else BlackBox(predict)


def reader(predict: Predict | Any, score: str) -> Predict:
    """Return `predict` giving the score that a protocol asks for in place of probabilities.

    A Keras model and a `Predictor` give all three. Of a black box ln(p / (1 - p)) is computed from
    its probabilities, and is not finite where they are 0 or 1.

    Raises
    ------
    NoScore : the log-odds of a regression, whose values are read instead of probabilities
    InputError : the logit of a black box, which its probabilities do not tell
    """
    found = as_predict(predict)
    if score == "probability":
        return found
    if score == "log_odds":
        check_probabilities(found)
    reading = getattr(found, "reading", None)
    if callable(reading):
        return reading(score)
    if score == "log_odds":
        return partial(_log_odds, found)
    if is_regression(found):
        return found
    raise InputError(
        "this protocol reads the logit, and predict gives probabilities alone: give the Keras "
        "model, or use a protocol that reads the probability or the log-odds."
    )


def scored(
    measure: Callable[[Predict, Request, Any], Sequence[Any]],
    predict: Predict | Any,
    request: Request,
    rules: Any,
) -> list[Any]:
    """Return what a metric's measure says of each heatmap, by the score that its protocol reads.

    Undefined for all of them where the model has no such score, as a regression has no log-odds.
    """
    try:
        return list(measure(reader(predict, rules.score), request, rules))
    except NoScore as error:
        return [Undefined(str(error))] * len(request.heatmaps)


def of_probabilities(
    measure: Callable[[Predict, Request, Any], list[Any]],
) -> Callable[[Predict, Request, Any], list[Any]]:
    """Let a measure that means something for probabilities alone be undefined for a regression.

    The kind of a Keras model's output is known once it was called: what came of it is dropped then.
    """

    @wraps(measure)
    def checked(predict: Predict, request: Request, rules: Any) -> list[Any]:
        check_probabilities(predict)
        found = measure(predict, request, rules)
        check_probabilities(predict)
        return found

    return checked


def check_probabilities(predict: Predict) -> None:
    """Raise NoScore where a model is known to be a regression."""
    if is_regression(predict):
        from gradcam_eval.models.output import NO_PROBABILITIES

        raise NoScore(NO_PROBABILITIES.reason)


def is_regression(predict: Predict) -> bool:
    """Return whether a model is known to return values in place of probabilities."""
    output = getattr(predict, "output", None)
    return output is not None and not output.has_probabilities


def _log_odds(predict: Predict, images: NDArray[np.float32], /) -> NDArray[np.float64]:
    probability = np.asarray(predict(images), np.float64)
    with np.errstate(divide="ignore"):
        return np.log(probability) - np.log1p(-probability)


@lru_cache(maxsize=1)
def _predictor(model: Any) -> Predict:
    from gradcam_eval.models.engine import Predictor

    return Predictor(model)


@dataclass(frozen=True, eq=False)
class Request:
    """What was asked, checked: images (I, H, W, C) with I = 1 or N, N heatmaps, N targets.

    `generator` makes the random generator of each image: the same for all, so that an image meets
    the same draws alone and in a batch, and so do all heatmaps of it.
    """

    images: NDArray[np.float32]
    heatmaps: list[Heatmap]
    targets: NDArray[np.int32]
    generator: Callable[[], np.random.Generator]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def owners(self) -> NDArray[np.int32]:
        """The image of each heatmap, (N,)."""
        owners = np.arange(len(self.heatmaps), dtype=np.int32)
        return owners if len(self.images) > 1 else np.zeros_like(owners)

    def framed(self) -> tuple[dict[int, Heatmap], dict[int, Undefined]]:
        """Return the heatmaps in the images' frame by number, and why others rank no pixels."""
        good: dict[int, Heatmap] = {}
        bad: dict[int, Undefined] = {}
        for n, heatmap in enumerate(self.heatmaps):
            framed = in_frame(heatmap, self.size)
            if isinstance(framed, Undefined):
                bad[n] = framed
            else:
                good[n] = framed
        return good, bad

    def groups(self, numbers: Sequence[int]) -> list[tuple[int, int, list[int]]]:
        """Return (image, target, heatmaps) for heatmaps that share both."""
        found: dict[tuple[int, int], list[int]] = {}
        for n in numbers:
            found.setdefault((int(self.owners[n]), int(self.targets[n])), []).append(n)
        return [(*key, members) for key, members in found.items()]


def in_frame(
    heatmap: Heatmap,
    size: tuple[int, ...],
    resize: Callable[[Heatmap, tuple[int, int]], Heatmap] = arrays.resize,
) -> Heatmap | Undefined:
    """Return the heatmap, resized to (H, W), or why it cannot rank pixels."""
    reason = arrays.degenerate_reason(heatmap)
    if reason:
        return Undefined(reason)
    framed = resize(heatmap, (size[0], size[1]))
    reason = arrays.degenerate_reason(framed)  # a smaller frame may lose what differed
    return Undefined(reason) if reason else framed


def finite_scores(scores: NDArray[np.float64]) -> NDArray[np.float64] | Undefined:
    """Return what was read off the model, or undefined where some of it is not finite."""
    return scores if np.isfinite(scores).all() else Undefined("the model's score is not finite")


def checked_request(
    images: NDArray[np.float32], heatmaps: Heatmaps, targets: Sequence[int], seed: int = 0
) -> Request:
    """Check what a caller gave, in the words that help to put it right."""
    maps = checked_heatmaps(heatmaps)
    classes = np.asarray(targets)
    if any(isinstance(each, bool | np.bool_) for each in np.asarray(targets, object).ravel()):
        raise InputError("targets have True or False among them: give class indices (int).")
    if len(maps) and (classes.shape != (len(maps),) or classes.dtype.kind not in "iu"):
        raise InputError(
            f"targets have shape {classes.shape} and dtype {classes.dtype}: give {len(maps)} class "
            "indices (int), one for each heatmap."
        )
    pictures = _checked_images(np.asarray(images))
    if len(pictures) not in (1, len(maps)) and maps:
        raise InputError(
            f"{len(pictures)} images for {len(maps)} heatmaps: give one image for each heatmap, "
            "or one for all."
        )
    check_whole("seed", seed, 0)
    generator = partial(np.random.default_rng, seed)
    return Request(pictures, maps, classes.astype(np.int32), generator)


def checked_heatmaps(heatmaps: Heatmaps) -> list[Heatmap]:
    """Return the heatmaps as a list of (h, w) arrays, which may have different sizes."""
    maps = [np.asarray(each) for each in heatmaps]
    for each in maps:
        if each.ndim != 2 or each.size == 0 or each.dtype.kind not in "fiub":
            raise InputError(
                f"a heatmap has shape {each.shape} and dtype {each.dtype}: wanted numbers (h, w); "
                "for one heatmap give heatmap[None]."
            )
    return [each.astype(np.float32) if each.dtype.kind == "b" else each for each in maps]


def _checked_images(images: NDArray[Any]) -> NDArray[np.float32]:
    if images.ndim != 4 or images.dtype.kind not in "fiu":
        raise InputError(
            f"images have shape {images.shape} and dtype {images.dtype}: wanted numbers "
            "(N, H, W, C); for one image give image[None]."
        )
    try:
        check_values(images)
    except InputError as error:
        raise InputError(
            f"{error} Metrics take levels, 0 to 255: `in_levels(predict, images, values)` brings "
            "images and model there."
        ) from error
    return images.astype(np.float32, copy=False)
