"""Stability: does a heatmap go with its image when that is moved, mirrored or recompressed?

Each returns the rank correlation of the first heatmap and the new one, moved back, in the image's
frame. A model that itself answers otherwise for the moved image is charged to its heatmap.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np

from gradcam_eval import arrays
from gradcam_eval.core import Case, Explain, Heatmap, Image, InputError, Predict, Undefined
from gradcam_eval.metrics.cases import chosen
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.metrics.robustness import NOT_ASKABLE, asked
from gradcam_eval.metrics.similarity import framed, rank_correlation
from gradcam_eval.protocols import StabilityProtocol

_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def shift_stability(explain: Explain, image: Image, *, fraction: float) -> float | Undefined:
    """Rank correlation after the image is shifted, over what both heatmaps show.

    Mean over four directions of ``ρ(Φ(x)[overlap], (Φ(S x) moved back)[overlap])``, S a shift by
    ``round(fraction · side)`` pixels; the border's pixels are repeated where nothing is known.

    Parameters
    ----------
    explain : images (n, H, W, C), 0..255 → heatmaps (n, h, w) of one class
    image : float32 (H, W, C), 0..255
    fraction : of the side that is crossed; the shift is one pixel at least

    Returns
    -------
    float in -1..1, 1 where the heatmap moves with the image. Undefined where a heatmap, or what of
    it lies in the overlap, is constant or not finite.
    """
    height, width = image.shape[:2]
    shifts = [(y * _pixels(fraction, height), x * _pixels(fraction, width)) for y, x in _DIRECTIONS]
    images = np.stack([image, *(_shifted(image, shift) for shift in shifts)])
    first, *moved = _framed(explain, images)
    found = [
        rank_correlation(first[_overlap(back, first)], each[_overlap(shift, each)])
        for each, shift, back in zip(moved, shifts, [(-y, -x) for y, x in shifts], strict=True)
    ]
    return _mean(found)


def flip_stability(explain: Explain, image: Image) -> float | Undefined:
    """Rank correlation after the image is mirrored left to right: ``ρ(Φ(x), F Φ(F x))``.

    Parameters
    ----------
    explain, image : as of `shift_stability`

    Returns
    -------
    float in -1..1, 1 where the heatmap is mirrored with the image. Undefined where a heatmap is
    constant or not finite.
    """
    first, mirrored = _framed(explain, np.stack([image, image[:, ::-1]]))
    return rank_correlation(first, mirrored[:, ::-1])


def jpeg_stability(explain: Explain, image: Image, *, quality: int) -> float | Undefined:
    """Rank correlation after the image went through JPEG: ``ρ(Φ(x), Φ(J x))``.

    Parameters
    ----------
    explain, image : as of `shift_stability`; the image is grey or RGB, and rounded to 8 bits
    quality : Pillow's, 1..95; colours at half resolution, Pillow's default

    Returns
    -------
    float in -1..1, 1 where the heatmap stays. Undefined where a heatmap is constant or not finite,
    or the image is neither grey nor RGB.
    """
    if image.shape[2] not in (1, 3):
        return Undefined(f"JPEG has no images of {image.shape[2]} channels")
    first, second = _framed(explain, np.stack([image, recompressed(image, quality)]))
    return rank_correlation(first, second)


def recompressed(image: Image, quality: int) -> Image:
    """Return what is left of an (H, W, 1 or 3) image, 0..255, after JPEG at Pillow's `quality`."""
    from PIL import Image as PillowImage

    if not 1 <= quality <= 95:
        raise InputError(f"quality is {quality}: wanted 1 to 95")
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PillowImage.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels).save(
        file, "JPEG", quality=quality
    )
    return np.asarray(PillowImage.open(file), np.float32).reshape(image.shape)


def _pixels(fraction: float, side: int) -> int:
    return max(1, round(fraction * side))


def _shifted(image: Image, shift: tuple[int, int]) -> Image:
    """Move an image down and right by `shift` pixels, repeating its border."""
    rows, columns = (
        np.clip(np.arange(side) - by, 0, side - 1)
        for side, by in zip(image.shape[:2], shift, strict=True)
    )
    return image[rows[:, None], columns[None, :]]


def _overlap(shift: tuple[int, int], heatmap: Heatmap) -> tuple[slice, slice]:
    """Return where a heatmap shifted by `shift` shows what the first one shows as well."""
    rows, columns = (
        slice(max(by, 0), side + min(by, 0)) for by, side in zip(shift, heatmap.shape, strict=True)
    )
    return rows, columns


def _framed(explain: Explain, images: Image) -> list[Heatmap]:
    size = (images.shape[1], images.shape[2])
    return [framed(each, size) for each in asked(explain, images)]


def _mean(found: Sequence[float | Undefined]) -> float | Undefined:
    values = [each for each in found if not isinstance(each, Undefined)]
    undefined = [each for each in found if isinstance(each, Undefined)]
    return undefined[0] if undefined else float(np.mean(values))


def _of_each(
    cases: Sequence[Case], measure: Callable[[Explain, Image], float | Undefined]
) -> list[float | Undefined]:
    results: list[float | Undefined] = []
    for case in cases:
        reason = arrays.degenerate_reason(case.heatmap)
        if reason or case.explain is None:
            results.append(Undefined(reason or NOT_ASKABLE))
        else:
            results.append(measure(case.explain, case.image))
    return results


@register_metric(
    "shift_stability",
    needs="explain",
    unit="rank correlation",
    bounds="-1..1",
    higher_is_better=True,
    protocols=("transforms_v1",),
)
def _shift(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Whether the heatmap moves with the image."""
    fraction = chosen(name, "shift_stability", StabilityProtocol).shift_fraction
    return _of_each(cases, lambda explain, x: shift_stability(explain, x, fraction=fraction))


@register_metric(
    "flip_stability",
    needs="explain",
    unit="rank correlation",
    bounds="-1..1",
    higher_is_better=True,
    protocols=("transforms_v1",),
)
def _flip(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Whether the heatmap is mirrored with the image."""
    return _of_each(cases, flip_stability)


@register_metric(
    "jpeg_stability",
    needs="explain",
    unit="rank correlation",
    bounds="-1..1",
    higher_is_better=True,
    protocols=("transforms_v1",),
)
def _jpeg(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Whether the heatmap stays when the image is recompressed."""
    quality = chosen(name, "jpeg_stability", StabilityProtocol).jpeg_quality
    return _of_each(cases, lambda explain, x: jpeg_stability(explain, x, quality=quality))
