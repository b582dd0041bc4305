"""Where the positions of a layer's map lie on the image, and whether a stretched map is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry, Placement, Placing
from gradcam_eval.core import Undefined
from gradcam_eval.models.borders import unseen_borders
from gradcam_eval.models.calls import trace_calls
from gradcam_eval.models.inputs import ModelInputs
from gradcam_eval.models.layout import Layout, TokenGrid
from gradcam_eval.models.objective import Objective
from gradcam_eval.models.receptive_field import (
    NO_IMAGE,
    NO_PLACE,
    NO_ROW_EACH,
    FieldAxis,
    ReceptiveField,
    field_of,
)
from gradcam_eval.models.tap import LayerCall

UNEVEN = Undefined("its positions do not lie evenly on the image")
APART = Undefined("each of its positions sees places of the image that lie apart")
_ROUNDING = 1e-6  # of a stride


def find_placements(
    model: keras.Model, inputs: ModelInputs, calls: Sequence[LayerCall], geometry: Geometry
) -> dict[str, Placing]:
    """Return where each call's map lies on images of a size, by path.

    Parameters
    ----------
    model, inputs : the model, and how it takes images of that size
    calls : whose fields are known for that size, or else computed from one trace
    geometry : "stretch": corner to corner, whatever the field; "receptive_field": by the middles of
        what the positions see; "auto": by them where an edge of the map (half a stride beyond the
        outermost middle) is more than one stride of the layer off the image's edge, and corner to
        corner otherwise

    Returns
    -------
    Placement; None: corner to corner; Undefined with the reason where that is not known. By "auto"
    a map whose field cannot be followed is laid corner to corner if it depends on all four borders
    of the image, which `unseen_borders` tries
    """
    if geometry == "stretch":
        return {call.path: NO_ROW_EACH if _has_parts(call) else None for call in calls}
    known = _with_fields(model, inputs, calls)
    if geometry == "receptive_field":
        return {call.path: _by_field(call.field, inputs.shape[:2]) for call in known}
    doubtful = [call for call in known if _is_doubtful(call)]
    unseen = unseen_borders(model, inputs, doubtful) if doubtful else {}
    return {
        call.path: unseen[call.path]
        if call in doubtful
        else _automatic(call.field, call.map_shape[:2], inputs.shape[:2])
        for call in known
    }


def place_output(
    model: keras.Model, inputs: ModelInputs, objective: Objective
) -> tuple[tuple[int | None, ...], Placing]:
    """Return (h, w) of a segmentation's output, and where its positions lie on images of a size.

    As by "auto", see `find_placements`.

    Parameters
    ----------
    model, inputs : the model, and how it takes images of that size
    objective : says which output
    """
    traced = trace_calls(model, inputs, None, objective.read)
    end = traced.ends[0]
    is_first = objective.layout == "channels_first"
    layout: Layout = "channels_first" if is_first else "channels_last"
    field = field_of(traced.reaches.get(end.name), layout, tuple(end.shape))
    shape = tuple(end.shape)[2:4] if is_first else tuple(end.shape)[1:3]
    if isinstance(field, ReceptiveField):
        return shape, _automatic(field, shape, inputs.shape[:2])
    for call, output in zip(traced.calls, traced.outputs, strict=True):
        if output is end.op.inputs[0]:  # the explained tensor is a copy of the output
            return shape, find_placements(model, inputs, [call], "auto")[call.path]
    return shape, field


def _with_fields(
    model: keras.Model, inputs: ModelInputs, calls: Sequence[LayerCall]
) -> list[LayerCall]:
    """Return the calls with what their maps see of images of this size."""
    size = inputs.shape[:2]
    if all(call.field is not None and call.image_size == size for call in calls):
        return list(calls)
    grids = [call.layout for call in calls if isinstance(call.layout, TokenGrid)]
    traced = trace_calls(model, inputs, grids[0] if grids else None).calls
    fields = {(id(call.layer), call.index): call.field for call in traced}
    missing = Undefined("the layer is not called for an image of this size")
    return [
        replace(call, field=fields.get((id(call.layer), call.index), missing), image_size=size)
        for call in calls
    ]


def _has_parts(call: LayerCall) -> bool:
    return call.field is NO_ROW_EACH


def _by_field(field: ReceptiveField | Undefined | None, frame: tuple[int, int]) -> Placing:
    if not isinstance(field, ReceptiveField):
        return field
    sides = (field.rows, field.columns)
    if any(each.is_apart for each in sides):
        return APART
    centres = tuple(_centres(each) for each in sides)
    if any(each is None for each in centres):
        return UNEVEN
    return Placement(centres, (field.rows.seen, field.columns.seen), frame)  # type: ignore[arg-type]


def _centres(side: FieldAxis) -> NDArray[np.float64] | None:
    """Return where the positions lie; a single one covers all that it sees, wherever it lies."""
    if side.centres is None and len(side.pixels) == 1:
        return np.array([(side.pixels[0, 0] + side.pixels[0, 1] - 1) / 2])
    return side.centres


def _is_doubtful(call: LayerCall) -> bool:
    """Whether it takes a trial to say if the map is of the whole image."""
    if not isinstance(call.field, Undefined) or _has_parts(call) or call.map_shape[:2] == (1, 1):
        return False
    return call.field not in (NO_PLACE, NO_IMAGE) or isinstance(call.layout, TokenGrid)


def _automatic(
    field: ReceptiveField | Undefined | None, size: tuple[int | None, ...], frame: tuple[int, int]
) -> Placing:
    if size == (1, 1) and field is not NO_ROW_EACH:
        return None  # one value: it orders no pixels, wherever it lies
    if not isinstance(field, ReceptiveField):
        return field
    if field.rows.is_apart or field.columns.is_apart:
        return APART
    sides = [_side(*each) for each in zip((field.rows, field.columns), frame, strict=True)]
    if any(isinstance(each, Undefined) for each in sides):
        return UNEVEN
    if all(each is None for each in sides):
        return None
    rows, columns = (
        _stretched(len(axis.pixels), pixels) if (own := _centres(axis)) is None else own
        for axis, pixels in zip((field.rows, field.columns), frame, strict=True)
    )
    return Placement((rows, columns), (field.rows.seen, field.columns.seen), frame)


def _stretched(n: int, pixels: int) -> NDArray[np.float64]:
    """Return where the middles of n positions lie if their map is stretched over the pixels."""
    return (np.arange(n) + 0.5) * pixels / n - 0.5


def _side(axis: FieldAxis, pixels: int) -> NDArray[np.float64] | Undefined | None:
    """Return where the positions lie along one side of the image; None: as if stretched."""
    n, centres = len(axis.pixels), _centres(axis)
    if n == 1:
        return None if axis.seen == (0, pixels) else centres
    if centres is None or axis.stride is None:
        return None if _is_like_stretched(axis, pixels) else UNEVEN
    half = axis.stride / 2
    edges = np.array([centres[0] - half, centres[-1] + half])
    moved = np.abs(edges - [-0.5, pixels - 0.5]).max()
    return centres if moved > axis.stride * (1 + _ROUNDING) else None


def _is_like_stretched(axis: FieldAxis, pixels: int) -> bool:
    """Whether each position sees where a stretched map has it, to within its stride there."""
    n, sees = len(axis.pixels), axis.has_place
    stride, middles = pixels / n, _stretched(n, pixels)[sees]
    first, end = axis.seen
    low, high = axis.local[sees].T
    is_near = (low - stride <= middles) & (middles <= high - 1 + stride)
    return bool(first <= stride and pixels - end <= stride and is_near.all())
