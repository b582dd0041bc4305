"""Operations whose output positions look at windows of the input: convolution, pooling, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.models.reach.operation import Reach, Rule, constant, only, static_shape
from gradcam_eval.models.reach.sides import (
    OUTSIDE,
    Integers,
    NotComputedError,
    Side,
    taken,
    windowed,
)


@dataclass(frozen=True)
class Window:
    """A window along one axis: `size` positions `dilation` apart, moved by `stride`.

    `before` and `after` are the positions of padding, or None for TensorFlow's SAME.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    before: int | None = 0
    after: int = 0


def slide(side: Side, window: Window) -> Side:
    """Return the side of the windows' outputs."""
    n, dilation = len(side.first), window.dilation * side.dilation
    reach = (window.size - 1) * dilation
    before, after = window.before, window.after
    if before is None:
        total = max((-(-n // window.stride) - 1) * window.stride + reach + 1 - n, 0)
        before, after = total // 2, total - total // 2
    count = (n + before + after - reach - 1) // window.stride + 1
    starts = np.arange(count) * window.stride - before
    index = starts[:, None] + np.arange(window.size) * dilation
    index = np.where((index >= 0) & (index < n), index, OUTSIDE)
    return windowed(side, index, (starts + reach / 2).astype(np.float64), reach)


def _spatial_axes(op: Any) -> tuple[int, int]:
    data_format = op.get_attr("data_format").decode()
    if data_format not in ("NHWC", "NCHW"):
        raise NotComputedError(f"its data format is {data_format}")
    return (1, 2) if data_format == "NHWC" else (2, 3)


def _on_axes(
    reach: tuple[Side, Side], axes: tuple[int, int], changes: Sequence[Callable[[Side], Side]]
) -> Reach:
    """Apply one change to each spatial axis, whichever side of the image lies on it."""
    change_of = dict(zip(axes, changes, strict=True))

    def changed(side: Side) -> Side:
        if side.axis is None or side.axis == 0:  # axis 0 holds images, which nothing mixes
            return side
        if side.axis not in change_of:
            raise NotComputedError("it mixes an axis of the image as if it were channels")
        return change_of[side.axis](side)

    rows, columns = changed(reach[0]), changed(reach[1])
    if rows.axis is not None and rows.axis == columns.axis:  # over tokens: no longer on a grid
        return replace(rows, grid=None), replace(columns, grid=None)
    return rows, columns


def _windows(op: Any, sizes: Any, steps: Any, dilations: Any) -> list[Callable[[Side], Side]]:
    axes = _spatial_axes(op) if "data_format" in op.node_def.attr else (1, 2)
    padding = op.get_attr("padding").decode()
    explicit = list(op.get_attr("explicit_paddings")) if padding == "EXPLICIT" else [0] * 8
    made = []
    for axis, size in zip(axes, sizes, strict=True):
        before = None if padding == "SAME" else explicit[2 * axis]
        made.append(Window(int(size), steps[axis], dilations[axis], before, explicit[2 * axis + 1]))
    return [lambda side, w=window: slide(side, w) for window in made]  # type: ignore[misc]


def _convolution(op: Any, reaches: list[Reach]) -> Reach:
    sizes = static_shape(op.inputs[1])[:2]
    changes = _windows(op, sizes, op.get_attr("strides"), op.get_attr("dilations"))
    return _on_axes(only(reaches), _spatial_axes(op), changes)


def _pooling(op: Any, reaches: list[Reach]) -> Reach:
    axes, sizes = _spatial_axes(op), op.get_attr("ksize")
    changes = _windows(op, [sizes[axis] for axis in axes], op.get_attr("strides"), [1] * 4)
    return _on_axes(only(reaches), axes, changes)


def _patches(op: Any, reaches: list[Reach]) -> Reach:
    sizes = op.get_attr("ksizes")[1:3]
    changes = _windows(op, sizes, op.get_attr("strides"), op.get_attr("rates"))
    return _on_axes(only(reaches), (1, 2), changes)


def _transposed_convolution(op: Any, reaches: list[Reach]) -> Reach:
    """Output o looks at the inputs i with o = i·stride − before + t, for a kernel's t."""
    axes, steps = _spatial_axes(op), op.get_attr("strides")
    padding = op.get_attr("padding").decode()
    explicit = list(op.get_attr("explicit_paddings")) if padding == "EXPLICIT" else [0] * 8
    if any(dilation != 1 for dilation in op.get_attr("dilations")):
        raise NotComputedError("it is a dilated transposed convolution")

    def change(axis: int, k: int) -> Callable[[Side], Side]:
        n_out, step = static_shape(op.outputs[0])[axis], steps[axis]

        def upsample(side: Side) -> Side:
            n = len(side.first)
            total = max((n - 1) * step + k - n_out, 0)
            before = total // 2 if padding == "SAME" else explicit[2 * axis]
            highest = (np.arange(n_out) + before) // step
            index = highest[:, None] - np.arange(-(-k // step))
            hits = (np.arange(n_out) + before)[:, None] - index * step < k
            index = np.where(hits & (index >= 0) & (index < n), index, OUTSIDE)
            at = (np.arange(n_out) + before - (k - 1) / 2) / step
            return windowed(side, index, at, -(-k // step) - 1)

        return upsample

    sizes = static_shape(op.inputs[1])[:2]
    changes = [change(axis, k) for axis, k in zip(axes, sizes, strict=True)]
    return _on_axes(only(reaches, 2), axes, changes)


def _resize(op: Any, reaches: list[Reach]) -> Reach:
    if op.get_attr("align_corners") or not op.get_attr("half_pixel_centers"):
        raise NotComputedError("it resizes without half-pixel centres")
    is_linear, shape = op.type == "ResizeBilinear", static_shape(op.outputs[0])

    def change(axis: int) -> Callable[[Side], Side]:
        def stretch(side: Side) -> Side:
            n, m = len(side.first), shape[axis]
            at = (np.arange(m) + 0.5) * n / m - 0.5
            low, high = (np.floor(at), np.ceil(at)) if is_linear else (np.floor(at + 0.5),) * 2
            index = np.stack([low, high], axis=1).clip(0, n - 1).astype(np.int64)
            return windowed(side, index, at, float(is_linear))

        return stretch

    return _on_axes(only(reaches), (1, 2), [change(1), change(2)])


def _resize_cubic(op: Any, reaches: list[Reach]) -> Reach:
    if op.get_attr("align_corners") or not op.get_attr("half_pixel_centers"):
        raise NotComputedError("it resizes without half-pixel centres")
    return _sampled(op, reaches, lambda scale: 2)


def _resize_area(op: Any, reaches: list[Reach]) -> Reach:
    if op.get_attr("align_corners"):
        raise NotComputedError("it resizes with aligned corners")
    return _sampled(op, reaches, lambda scale: max(scale, 1) / 2)


# Half of the kernel's width, in pixels of the input if nothing is made smaller.
_RADIUS = {"triangle": 1, "box": 0.5, "gaussian": 1.5, "keyscubic": 2, "mitchellcubic": 2}
_RADIUS |= {"lanczos1": 1, "lanczos3": 3, "lanczos5": 5}


def _scale_and_translate(op: Any, reaches: list[Reach]) -> Reach:
    """Resize as `tf.image.resize` does with antialiasing, or by Lanczos' and other kernels."""
    kernel, shape = op.get_attr("kernel_type").decode(), static_shape(op.outputs[0])
    before = static_shape(op.inputs[0])
    ratio = [m / n for n, m in zip(before[1:3], shape[1:3], strict=True)]
    if kernel not in _RADIUS or not np.allclose(constant(op, 2), ratio) or constant(op, 3).any():
        raise NotComputedError("it does more than to resize the whole")
    widens = op.get_attr("antialias")
    return _sampled(op, reaches, lambda scale: _RADIUS[kernel] * (max(scale, 1) if widens else 1))


def _sampled(op: Any, reaches: list[Reach], radius: Callable[[float], float]) -> Reach:
    """Resize by a kernel of this radius about each output's place, given input per output."""
    shape = static_shape(op.outputs[0])

    def change(axis: int) -> Callable[[Side], Side]:
        def stretch(side: Side) -> Side:
            n, m = len(side.first), shape[axis]
            at, half = (np.arange(m) + 0.5) * n / m - 0.5, radius(n / m)
            low, high = np.floor(at - half) + 1, np.ceil(at + half) - 1
            index = np.stack([low, np.maximum(low, high)], axis=1).clip(0, n - 1)
            return windowed(side, index.astype(np.int64), at, 2 * half - 1)

        return stretch

    return _on_axes(only(reaches), (1, 2), [change(1), change(2)])


def _pad(op: Any, reaches: list[Reach]) -> Reach:
    reach, amounts = only(reaches), constant(op, 1)
    return _padded(reach, op, [(int(low), int(high)) for low, high in amounts])


def _padded(reach: tuple[Side, Side], op: Any, amounts: list[tuple[int, int]]) -> Reach:
    mode = op.get_attr("mode").decode().lower() if op.type == "MirrorPad" else "constant"

    def pad(side: Side) -> Side:
        if side.axis is None:
            return side
        n, width = len(side.first), amounts[side.axis]
        places = np.arange(-width[0], n + width[1])
        return taken(side, _padded_index(n, width, mode), places.astype(np.float64))

    return pad(reach[0]), pad(reach[1])


def _padded_index(n: int, width: tuple[int, int], mode: str) -> Integers:
    index: NDArray[np.int64] = np.arange(n, dtype=np.int64)
    if mode == "constant":
        return np.pad(index, width, constant_values=OUTSIDE)
    return np.pad(index, width, mode="reflect" if mode == "reflect" else "symmetric")


def _space_to_batch(op: Any, reaches: list[Reach]) -> Reach:
    """Note the dilation: TensorFlow runs a dilated convolution on every d-th pixel by turns."""
    block, amounts = constant(op, 1), constant(op, 2)
    if len(block) != 2:
        raise NotComputedError(f"its block has shape {block}")
    padded = _padded(
        only(reaches), op, [(0, 0), *((int(low), int(high)) for low, high in amounts), (0, 0)]
    )

    def dilate(by: int) -> Callable[[Side], Side]:
        return lambda side: replace(side, dilation=by)

    return padded and _on_axes(padded, (1, 2), [dilate(int(by)) for by in block])


def _batch_to_space(op: Any, reaches: list[Reach]) -> Reach:
    crops = constant(op, 2)

    def change(crop: Any) -> Callable[[Side], Side]:
        return lambda side: replace(
            taken(side, np.arange(int(crop[0]), len(side.first) - int(crop[1]))), dilation=1
        )

    return _on_axes(only(reaches), (1, 2), [change(crop) for crop in crops])


def _depth_and_space(op: Any, reaches: list[Reach]) -> Reach:
    block = op.get_attr("block_size")

    def change(side: Side) -> Side:
        if op.type == "SpaceToDepth":
            return slide(side, Window(block, block))
        place = np.arange(len(side.first) * block)
        return windowed(side, (place // block)[:, None], (place + 0.5) / block - 0.5, 0)

    return _on_axes(only(reaches), _spatial_axes(op), [change, change])


RULES: dict[str, Rule] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "MaxPool": _pooling,
    "AvgPool": _pooling,
    "ExtractImagePatches": _patches,
    "ResizeBilinear": _resize,
    "ResizeNearestNeighbor": _resize,
    "ResizeBicubic": _resize_cubic,
    "ResizeArea": _resize_area,
    "ScaleAndTranslate": _scale_and_translate,
    "Pad": _pad,
    "PadV2": _pad,
    "MirrorPad": _pad,
    "SpaceToBatchND": _space_to_batch,
    "BatchToSpaceND": _batch_to_space,
    "DepthToSpace": _depth_and_space,
    "SpaceToDepth": _depth_and_space,
}
