"""From names to layer calls: roles, indices, paths, unique path endings and globs."""

from __future__ import annotations

import fnmatch
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.models.layers import ROLES, ModelLayers
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.tap import LayerCall

_MOST_MAPS = 3  # that an error names


def resolve_layers(found: ModelLayers, wanted: str | int | Sequence[str | int]) -> list[LayerCall]:
    """Turn names and indices into calls, in the order asked, once each.

    Parameters
    ----------
    found : the model's layers
    wanted : roles ("last", "stages", "all"), paths, unique path endings, "path#1" for the second
        call of a layer that is called twice, globs among the candidates, or indices of candidates:
        0 is the first, -1 the last; or several of these

    Raises
    ------
    InputError : no such layer, an ambiguous name, or a layer whose output is not a map

    Warns
    -----
    UserWarning : a layer was asked for by name that is no candidate for a reason
    """
    each = resolve_each(found, wanted).values()
    return list({call.path: call for calls in each for call in calls}.values())


def resolve_each(
    found: ModelLayers, wanted: str | int | Sequence[str | int]
) -> dict[str | int, list[LayerCall]]:
    """Return the calls that each name or index stands for; all else as `resolve_layers`."""
    names = as_list(wanted)
    if not names:
        raise InputError("no layer was named: give 'last', 'stages', 'all', a glob or a path")
    return {name: _resolve(found, name) for name in names}


def as_list(wanted: Any) -> list[Any]:
    """Return the names, indices and calls that were asked for, one or several.

    Raises
    ------
    InputError : there is something else among them
    """
    is_one = isinstance(wanted, str | LayerCall) or not isinstance(wanted, Iterable)
    found = [wanted] if is_one else list(wanted)
    for each in found:
        if isinstance(each, bool) or not isinstance(each, str | int | np.integer | LayerCall):
            raise InputError(
                f"layers hold {each!r}: name a layer by its path, a glob, an index from the end, "
                "'last', 'stages' or 'all'"
            )
    return found


def _resolve(found: ModelLayers, name: str | int) -> list[LayerCall]:
    text = str(name)
    if text in ROLES:
        return _of_role(found, text)
    if any(call.path == text for call in found.calls):
        return [_named(found, text)]
    if re.fullmatch(r"[+-]?\d+", text):
        return [_at(found, int(text))]
    if any(sign in text for sign in "*?["):
        calls = [call for call in found.candidates if fnmatch.fnmatchcase(call.path, text)]
        if not calls:
            raise InputError(
                f"no candidate layer matches the glob {text!r}: see list_layers(model)"
            )
        return calls
    return [_named(found, text)]


def _of_role(found: ModelLayers, role: str) -> list[LayerCall]:
    calls = found.role(role)
    if calls:
        return calls
    grid = found.missing_grid
    if grid is not None:
        raise InputError(
            f"{role!r} cannot be chosen, since this model goes on in rows of {grid.tokens} tokens, "
            f"which are no maps until their grid is declared: give tokens='{grid}', "
            f"{_in_words(grid)}, or name a layer by its path"
        )
    if any(type(call.layer).__name__ == "TFSMLayer" for call in found.calls):
        raise InputError(
            f"no layer fits {role!r}: this model's layers lie inside a SavedModel (TFSMLayer), "
            "where their outputs cannot be read; use a method that looks at no layer, such as "
            "'gradient' or 'rise'"
        )
    raise InputError(f"no layer fits {role!r}: {_without_candidates(found)}")


def _without_candidates(found: ModelLayers) -> str:
    """Say what a model has in place of layers that can carry a heatmap, and what explains it."""
    maps = [call for call in found.calls if _is_larger(call)]
    way = "use a method that looks at no layer, such as 'gradient' or 'rise'"
    if not maps:
        return f"this model has no map larger than 1×1 on the way to what is explained; {way}"
    shown = [_said(found, call) for call in maps[-_MOST_MAPS:]]
    more = f" and {len(maps) - _MOST_MAPS} before them" if len(maps) > _MOST_MAPS else ""
    return (
        "no layer that learned something made a map for it on the way to what is explained. The "
        f"model's maps are {'; '.join(shown)}{more}: name one by its path if you mean it, or {way}"
    )


def _is_larger(call: LayerCall) -> bool:
    return len(call.map_shape) == 3 and call.map_shape[:2] != (1, 1)


def _said(found: ModelLayers, call: LayerCall) -> str:
    size = "×".join(str(side or "any") for side in call.map_shape[:2])
    doubt = found.doubts.get(call.path)
    return f"{call.path!r} ({size}{f': {doubt}' if doubt else ''})"


def _in_words(grid: TokenGrid) -> str:
    before = f" with {grid.prefix} before them" if grid.prefix else ""
    return f"{grid.rows} rows × {grid.columns} columns of patches{before}"


def _at(found: ModelLayers, index: int) -> LayerCall:
    count = len(found.candidates)
    if not -count <= index < count:
        raise InputError(
            f"layer index {index} is out of range: this model has {count} candidate layers, "
            f"0 to {count - 1} from the start or -1 to -{count} from the end"
            if count
            else f"layer index {index} is out of range: this model has no candidate layer"
        )
    return found.candidates[index]


def _named(found: ModelLayers, name: str) -> LayerCall:
    matches = [call for call in found.calls if call.path == name]
    if not matches:
        matches = [
            call
            for call in found.calls
            if any(f"/{path}".endswith(f"/{name}") for path in (call.path, call.path.split("#")[0]))
        ]
    if len(matches) > 1:
        paths = ", ".join(call.path for call in matches[:8])
        raise InputError(f"layer {name!r} is ambiguous in this model: name one of {paths}")
    if not matches:
        valid = [*ROLES, *(call.path for call in reversed(found.candidates))]
        raise unknown_name("layer", name, valid)
    return _checked(found, matches[0], name)


def _checked(found: ModelLayers, call: LayerCall, name: str) -> LayerCall:
    if call.path in found.undeclared:
        grid = found.undeclared[call.path]
        raise InputError(
            f"layer {name!r} gives a row of {grid.tokens} tokens for an image: declare how they "
            f"lie on it with tokens='{grid}', {_in_words(grid)}"
        )
    if len(call.map_shape) != 3:
        raise InputError(
            f"layer {name!r} gives shape {call.shape} for an image: "
            "a heatmap needs a map (h, w, channels)"
        )
    if call.path in found.doubts:
        warnings.warn(
            f"layer {call.path!r} is no good choice: {found.doubts[call.path]}", stacklevel=2
        )
    return call
