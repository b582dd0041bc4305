"""Heatmaps in a file: NumPy's .npz, which anything can read that reads arrays, and no pickle.

The file has `map_0`, `map_1`, … (float32 (N, h, w), on the raw scale), `scores` (N,), for classes
`targets` (N,) and `probabilities` (N, K), for maps that were placed on the image those before it,
`placed_0`, …, and `header`: JSON with the keys of the maps in their order, the size of the images,
where the layers lie on it by each geometry, and why a map is missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry, Placement, Placing
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.files import replacing
from gradcam_eval.methods.heatmaps import Heatmaps, Key, Placed, check_geometry

FORMAT = 1
SUFFIX = ".npz"


def save_heatmaps(heatmaps: Heatmaps, path: str | Path) -> None:
    """Write heatmaps to a .npz file, whole or not at all; `load_heatmaps` reads it.

    Raises
    ------
    InputError : the path does not end in .npz, or cannot be written
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise InputError(f"heatmaps are written to a {SUFFIX} file, not to {path}: name one.")
    arrays = _as_arrays(heatmaps)
    try:
        with replacing(path) as unfinished:
            np.savez_compressed(unfinished, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def load_heatmaps(path: str | Path) -> Heatmaps:
    """Read heatmaps that `Heatmaps.save` or `gradcam-eval explain -o maps.npz` wrote.

    Parameters
    ----------
    path : the .npz file; nothing in it is run (no pickle)

    Returns
    -------
    Heatmaps, equal to those that were saved, bit by bit; no model is needed

    Raises
    ------
    InputError : there is no such file, it is no file of heatmaps, or of another version's format
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}: give a {SUFFIX} file that Heatmaps.save wrote.")
    try:
        with path.open("rb") as file:  # which NumPy leaves open where it is no archive
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise ValueError("one array, and no archive")
            with found:
                return _as_heatmaps({name: found[name] for name in found.files})
    except InputError:
        raise
    except Exception as error:  # a broken archive can raise anything in zlib and zipfile
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is no file of heatmaps that can be read ({said}): give one that "
            "Heatmaps.save wrote."
        ) from error


def _as_arrays(heatmaps: Heatmaps) -> dict[str, NDArray[Any]]:
    header = {
        "format": FORMAT,
        "keys": list(heatmaps),
        "image_size": list(heatmaps.image_size),
        "geometry": heatmaps.geometry,
        "refused": [[*key, reason] for key, reason in heatmaps.refused.items()],
        "in_pixels": sorted(heatmaps.in_pixels),
        "placed": [[*key, _as_json(each.placement)] for key, each in heatmaps.placed.items()],
        "placings": {
            geometry: [[path, _as_json(each)] for path, each in _placings(heatmaps, geometry)]
            for geometry in get_args(Geometry)
        },
        "layer_names": [[name, list(paths)] for name, paths in heatmaps.layer_names.items()],
        "members": [[*key, list(paths)] for key, paths in heatmaps.members.items()],
    }
    arrays: dict[str, NDArray[Any]] = {"header": np.array(json.dumps(header))}
    arrays["scores"] = heatmaps.scores
    if heatmaps.classes is not None:
        arrays["targets"], arrays["probabilities"] = heatmaps.classes
    arrays |= {f"placed_{n}": each.maps for n, each in enumerate(heatmaps.placed.values())}
    return arrays | {f"map_{n}": maps for n, maps in enumerate(heatmaps.values())}


def _placings(heatmaps: Heatmaps, geometry: Geometry) -> list[tuple[str, Placing]]:
    return list(heatmaps.find_placings(geometry).items())


def _as_heatmaps(arrays: Mapping[str, NDArray[Any]]) -> Heatmaps:
    header = json.loads(str(arrays["header"]))
    if header["format"] != FORMAT:
        raise InputError(
            f"these heatmaps have format {header['format']!r}, and this version reads {FORMAT}: "
            "read them with the version that wrote them."
        )
    check_geometry(header["geometry"])
    count = len(arrays["scores"])
    maps = {_key(key): _stack(arrays, f"map_{n}", count) for n, key in enumerate(header["keys"])}
    placed = {
        _key(key): Placed(_stack(arrays, f"placed_{n}", count), _as_placement(placement))
        for n, (*key, placement) in enumerate(header["placed"])
    }
    placings = {
        geometry: {str(path): _as_placing(each) for path, each in rows}
        for geometry, rows in header["placings"].items()
    }
    height, width = (int(side) for side in header["image_size"])
    has_classes = "targets" in arrays
    return Heatmaps(
        maps=maps,
        scores=arrays["scores"],
        image_size=(height, width),
        classes=(arrays["targets"], arrays["probabilities"]) if has_classes else None,
        refused={_key(key): str(reason) for *key, reason in header["refused"]},
        geometry=header["geometry"],
        placed=placed,
        find_placings=lambda geometry: placings[geometry],
        in_pixels=frozenset(map(_key, header["in_pixels"])),
        layer_names={name: tuple(paths) for name, paths in header["layer_names"]},
        members={_key(key): tuple(paths) for *key, paths in header["members"]},
    )


def _key(key: Sequence[str]) -> Key:
    layer, method = key
    return str(layer), str(method)


def _stack(arrays: Mapping[str, NDArray[Any]], name: str, count: int) -> NDArray[np.float32]:
    stack = arrays[name]
    if stack.ndim != 3 or len(stack) != count or stack.dtype != np.float32:
        raise ValueError(f"{name} is {stack.dtype} of shape {stack.shape}")
    return stack


def _as_json(placing: Placing) -> dict[str, Any] | None:
    if placing is None:
        return None
    if isinstance(placing, Undefined):
        return {"reason": placing.reason}
    rows, columns = (side.tolist() for side in placing.centres)
    return {"rows": rows, "columns": columns, "seen": placing.seen, "frame": placing.frame}


def _as_placing(placing: dict[str, Any] | None) -> Placing:
    if placing is None:
        return None
    return Undefined(placing["reason"]) if "reason" in placing else _as_placement(placing)


def _as_placement(placing: dict[str, Any]) -> Placement:
    (top, bottom), (left, right) = placing["seen"]
    height, width = placing["frame"]
    centres = (np.array(placing["rows"], np.float64), np.array(placing["columns"], np.float64))
    return Placement(centres, ((top, bottom), (left, right)), (height, width))
