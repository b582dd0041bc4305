"""From names to layer calls: roles, paths, unique path endings and globs."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.models.layers import ROLES, ModelLayers
from gradcam_eval.models.tap import LayerCall


def resolve_layers(found: ModelLayers, wanted: str | Sequence[str]) -> list[LayerCall]:
    """Turn roles, paths, unique path endings and globs into calls, in the order asked, once each.

    Raises
    ------
    InputError : no such layer, an ambiguous name, or a layer whose output is not a map
    """
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if not names:
        raise InputError("no layer was named: give 'last', 'stages', 'all', a glob or a path")
    chosen: dict[str, LayerCall] = {}
    for name in names:
        for call in _resolve(found, name):
            chosen[call.path] = call
    return list(chosen.values())


def _resolve(found: ModelLayers, name: str) -> list[LayerCall]:
    if name in ROLES:
        calls = found.role(name)
        if not calls:
            raise InputError(
                f"no layer fits {name!r}: this model has no map larger than 1×1 before its output"
            )
        return calls
    if any(sign in name for sign in "*?["):
        calls = [call for call in found.candidates if fnmatch.fnmatchcase(call.path, name)]
        if not calls:
            raise InputError(
                f"no candidate layer matches the glob {name!r}: see list_layers(model)"
            )
        return calls
    return [_named(found, name)]


def _named(found: ModelLayers, name: str) -> LayerCall:
    matches = [call for call in found.calls if call.path == name]
    if not matches:
        matches = [
            call
            for call in found.calls
            if call.path.endswith(f"/{name}") or call.path.split("#")[0] == name
        ]
    if len(matches) > 1:
        paths = ", ".join(call.path for call in matches[:8])
        raise InputError(f"layer {name!r} is ambiguous in this model: name one of {paths}")
    if not matches:
        valid = [*ROLES, *(call.path for call in reversed(found.candidates))]
        raise unknown_name("layer", name, valid)
    if len(matches[0].map_shape) != 3:
        raise InputError(
            f"layer {name!r} gives shape {matches[0].shape} for an image: "
            "a heatmap needs a map (h, w, channels)"
        )
    return matches[0]
