"""Where the positions of a layer's map lie on the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.models.calls import trace_calls
from gradcam_eval.models.inputs import ModelInputs
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.receptive_field import ReceptiveField
from gradcam_eval.models.tap import LayerCall

Centres: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]  # of rows, of columns


def find_centres(
    model: keras.Model, inputs: ModelInputs, calls: Sequence[LayerCall]
) -> dict[str, Centres | Undefined]:
    """Return the middles of the receptive fields of each call's map, by path, from one trace.

    Returns
    -------
    by path: float64 (h,) and (w,), pixels of the image, 0 the middle of its first one; Undefined
    with the reason where the field is not computed or the map's positions do not lie evenly
    """
    grids = [call.layout for call in calls if isinstance(call.layout, TokenGrid)]
    traced = trace_calls(model, inputs, grids[0] if grids else None)
    fields = {
        (id(call.layer), call.index): field
        for call, field in zip(traced.calls, traced.fields, strict=True)
    }
    missing = Undefined("the layer is not called for an image of this size")
    return {
        call.path: centres_of(fields.get((id(call.layer), call.index), missing)) for call in calls
    }


def centres_of(field: ReceptiveField | Undefined) -> Centres | Undefined:
    """Return the middles of a receptive field's rows and columns."""
    if isinstance(field, Undefined):
        return field
    if field.rows.centres is None or field.columns.centres is None:
        return Undefined("its positions do not lie evenly on the image")
    return field.rows.centres, field.columns.centres
