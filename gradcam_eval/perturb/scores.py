"""Replace pixels of images, many at a time, and read the model's score each time.

The masked images of a TensorFlow model are built inside its compiled function, so Python does
nothing per point; any other model gets the same images in chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError, Predict
from gradcam_eval.perturb.traced import batch_builder, masked_builder

CHUNK = 32  # points in one forward pass, at most: enough to fill 2 to 8 cores, small in memory
SHARED_CHUNK = 128  # points in one call that computes them a few at a time, side by side
_LARGEST_RANK = 2**24  # float32 holds every integer up to here


@dataclass(frozen=True, eq=False)
class Perturbation:
    """Which pixels of which image are replaced at each of S points, for N rankings of I images.

    Point (n, s) is image `owner[n]`, where pixels with `ranks[n] < counts[s]` come from
    `replacement` and all others from `base`. Several heatmaps of one image share its pixels.

    Attributes
    ----------
    base, replacement : float32 (I, H, W, C), 0..255
    owner : int32 (N,), the image that each ranking belongs to, 0..I-1
    ranks : int32 (N, H, W), from 0: the order in which pixels are replaced. A permutation for one
        pixel after another; equal ranks for regions; 0 inside and 1 outside for a mask
    counts : int32 (S,), how many ranks are replaced at each point
    targets : int32 (N,), the class whose score is read
    """

    base: NDArray[np.float32]
    replacement: NDArray[np.float32]
    owner: NDArray[np.int32]
    ranks: NDArray[np.int32]
    counts: NDArray[np.int32]
    targets: NDArray[np.int32]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rankings N and of points S."""
        return len(self.ranks), len(self.counts)


def masked_scores(
    predict: Predict, plan: Perturbation, *, chunk: int | None = None
) -> NDArray[np.float64]:
    """Return the target's score at every point of a perturbation.

    Parameters
    ----------
    predict : Predict or TraceablePredict
        A black box, or a model whose compiled function builds the images itself.
    plan : Perturbation
        What is replaced, and where.
    chunk : int, optional
        Points in one forward pass; by default the number up to `CHUNK` that divides best.

    Returns
    -------
    float64 (N, S), the score of `plan.targets[n]` at each point, in the unit of `predict`

    Raises
    ------
    InputError : a target that the model does not have, or scores of another shape than (n, K)

    Notes
    -----
    Both ways compute the same images bit for bit. The compiled way has one trace per image size,
    for every number of rankings, points and chunk sizes. An image that several points show is
    computed once: the ends of all curves of an image, and equal rankings.
    """
    if not len(plan.ranks):
        return np.zeros(plan.shape)
    _, first, which = np.unique(_alike(plan), return_index=True, return_inverse=True)
    ranking, point = np.divmod(first, len(plan.counts))
    found = scores_at(predict, plan, ranking, plan.counts[point], chunk=chunk)
    return found[which].reshape(plan.shape)


def _alike(plan: Perturbation) -> NDArray[np.int64]:
    """Return a number for each point, (N, S), equal where image and target are."""
    points, pixels = len(plan.counts), plan.ranks[0].size
    ids: dict[Any, int] = {}
    pairs = list(zip(plan.owner.tolist(), plan.targets.tolist(), strict=True))
    whole = np.array([ids.setdefault(pair, len(ids)) for pair in pairs], np.int64)
    ranks = np.array(
        [
            ids.setdefault((*pair, each.tobytes()), len(ids))
            for pair, each in zip(pairs, plan.ranks, strict=True)
        ],
        np.int64,
    )
    is_end = (plan.counts == 0) | (plan.counts == pixels)  # nothing is replaced, or everything
    return np.where(is_end, whole[:, None], ranks[:, None]) * points + np.arange(points)


def scores_at(
    predict: Predict,
    plan: Perturbation,
    ranking: NDArray[np.integer[Any]],
    count: NDArray[np.integer[Any]],
    *,
    chunk: int | None = None,
) -> NDArray[np.float64]:
    """Return the target's score at any points of a perturbation, whatever its own `counts`.

    Parameters
    ----------
    predict, plan, chunk : as for `masked_scores`
    ranking : int (M,), which ranking each point belongs to, 0..N-1
    count : int (M,), how many ranks are replaced there

    Returns
    -------
    float64 (M,), in the unit of `predict`
    """
    if len(ranking) == 0:
        return np.zeros(0)
    if plan.ranks[0].size > _LARGEST_RANK:
        raise InputError(f"images have {plan.ranks[0].size} pixels: at most {_LARGEST_RANK}.")
    is_traceable = callable(getattr(predict, "compiled", None))
    shares = is_traceable and getattr(_masked(predict, plan), "shares_rows", False)
    size = chunk or best_chunk(len(ranking), SHARED_CHUNK if shares else CHUNK)
    scores = _compiled_scores if is_traceable else _black_box_scores
    found = np.empty(len(ranking))
    for start in range(0, len(ranking), size):
        end = min(start + size, len(ranking))
        index = np.arange(start, end)
        if is_traceable:  # the last chunk repeats its last point, so that all have one shape
            index = np.pad(index, (0, size - len(index)), mode="edge")
        part = scores(predict, plan, ranking[index], count[index])
        found[start:end] = part[: end - start]
    return found


def image_scores(
    predict: Predict, images: Iterable[NDArray[np.float32]], targets: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the target's score of images that are made one by one, a chunk at a time.

    Parameters
    ----------
    predict : Predict or TraceablePredict
    images : float32 (H, W, C), 0..255; only a chunk of them is in memory
    targets : int32 (M,), the class whose score is read, one for each image

    Returns
    -------
    float64 (M,), in the unit of `predict`
    """
    scores = np.empty(len(targets))
    start = 0
    for some in _chunks(images, best_chunk(max(1, len(targets)))):
        batch = np.stack(some)
        wanted = targets[start : start + len(batch)]
        scores[start : start + len(batch)] = _batch_scores(predict, batch, wanted)
        start += len(batch)
    return scores


def _chunks(images: Iterable[NDArray[np.float32]], size: int) -> Iterator[list[Any]]:
    iterator = iter(images)
    while some := list(itertools.islice(iterator, size)):
        yield some


def _batch_scores(
    predict: Predict, batch: NDArray[np.float32], targets: NDArray[np.int32]
) -> NDArray[np.float64]:
    if callable(getattr(predict, "compiled", None)):
        function = predict.compiled(batch_builder(batch.shape[1:]), rows=2)  # type: ignore[attr-defined]
        scores, classes = function(batch, targets)
        _check_targets(targets, int(classes[0]))
        return scores.numpy().astype(np.float64)
    found = _checked_table(predict, batch)
    _check_targets(targets, found.shape[1])
    return found[np.arange(len(batch)), targets]


def _checked_table(predict: Predict, images: NDArray[np.float32]) -> NDArray[Any]:
    """Return a black box's (n, K) table of probabilities."""
    found = np.asarray(predict(images))
    if found.ndim != 2 or len(found) != len(images):
        raise InputError(
            f"the model returned scores of shape {found.shape} for {len(images)} images: "
            "predict must return one row of class probabilities for each image, (N, K)."
        )
    return found


def best_chunk(total: int, largest: int = CHUNK) -> int:
    """Choose the chunk from largest/2 to largest that leaves the fewest idle places at the end.

    Examples
    --------
    >>> best_chunk(225), best_chunk(29), best_chunk(5)
    (25, 29, 5)
    """
    if total <= largest:
        return total
    return min(range(largest // 2, largest + 1), key=lambda size: (-total % size, -size))


def _black_box_scores(
    predict: Predict, plan: Perturbation, ranking: NDArray[Any], count: NDArray[Any]
) -> NDArray[np.float64]:
    """Build one chunk of masked images in NumPy."""
    replaced = plan.ranks[ranking] < count[:, None, None]
    owner = plan.owner[ranking]
    images = np.where(replaced[..., None], plan.replacement[owner], plan.base[owner])
    found = _checked_table(predict, images)
    _check_targets(plan.targets, found.shape[1])
    return found[np.arange(len(images)), plan.targets[ranking]]


def _check_targets(targets: NDArray[np.int32], classes: int) -> None:
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise InputError(
            f"target {int(wrong[0])} does not exist: the model has {classes} classes, "
            f"so targets are 0 to {classes - 1}."
        )


def _compiled_scores(
    predict: Any, plan: Perturbation, ranking: NDArray[Any], count: NDArray[Any]
) -> NDArray[np.float64]:
    """Let the model's compiled function build one chunk of masked images, and read their scores."""
    function = _masked(predict, plan)
    used, ranking_used = np.unique(ranking, return_inverse=True)
    rows = (ranking_used, plan.owner[ranking], count, plan.targets[ranking])
    ranks = np.repeat(plan.ranks[used].astype(np.float32), plan.base.shape[-1], axis=-1)
    scores, classes = function(
        *(each.astype(np.int32) for each in rows),
        plan.base,
        plan.replacement,
        ranks.reshape(len(used), -1),
    )
    _check_targets(plan.targets, int(classes[0]))
    return scores.numpy().astype(np.float64)


def _masked(predict: Any, plan: Perturbation) -> Any:
    """Return the model's compiled function of masked images, made once for their size."""
    return predict.compiled(masked_builder(plan.base.shape[1:]), rows=4)
