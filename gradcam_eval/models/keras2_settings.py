"""TensorFlow functions whose settings Keras 3 writes otherwise: split, pad, resize, matmul, gelu.

Each function takes the arguments and the settings of a call as Keras 2 wrote them, and returns
Keras 3's name of the operation, its arguments and its settings; None where no operation of Keras 3
is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeAlias

Made: TypeAlias = tuple[str, list[Any], dict[str, Any]] | None
_PADDINGS = ("constant", "reflect", "symmetric")
_KERNELS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")  # of a resize, in both


def split(tensor: Any, given: dict[str, Any]) -> Made:
    """`tf.split`: Keras 3 counts sections, or says where they begin."""
    sizes, axis = given.get("num_or_size_splits"), given.get("axis", 0)
    is_known = set(given) <= {"num_or_size_splits", "axis"} and isinstance(axis, int)
    if not is_known or not _is_count(sizes, least=1):
        return None
    places = list(accumulate(sizes))[:-1] if isinstance(sizes, list) else sizes
    return "numpy.Split", [tensor], {"indices_or_sections": places, "axis": axis}


def pad(tensor: Any, given: dict[str, Any]) -> Made:
    """`tf.pad`, where what is added is 0 or mirrored."""
    sides, mode = given.get("paddings"), str(given.get("mode", "CONSTANT")).lower()
    is_known = set(given) <= {"paddings", "mode", "constant_values"} and mode in _PADDINGS
    if not is_known or given.get("constant_values", 0) != 0 or not isinstance(sides, list):
        return None
    if not all(isinstance(side, list) and len(side) == 2 and _is_count(side) for side in sides):
        return None
    return "numpy.Pad", [tensor], {"pad_width": sides, "mode": mode}


def resize(tensor: Any, given: dict[str, Any]) -> Made:
    """`tf.image.resize` to a size that is known, with a kernel that both have."""
    size, kernel = given.get("size"), given.get("method", "bilinear")
    is_plain = set(given) <= {"size", "method", "antialias", "preserve_aspect_ratio"}
    is_size = isinstance(size, list) and len(size) == 2 and _is_count(size, least=1)
    if given.get("preserve_aspect_ratio", False) is not False or kernel not in _KERNELS:
        return None
    if not (is_plain and is_size):
        return None
    settings = {"size": size, "interpolation": kernel, "data_format": "channels_last"}
    return "image.Resize", [tensor], settings | {"antialias": given.get("antialias", False)}


def matmul(first: Any, second: Any, given: dict[str, Any]) -> Made:
    """`tf.matmul`, also of transposed matrices."""
    flags = {key: value for key, value in given.items() if key != "b" and value is not False}
    if not set(flags) <= {"transpose_a", "transpose_b"}:
        return None
    if not flags:
        return "numpy.Matmul", [first, second], {}
    left = "...ji" if "transpose_a" in flags else "...ij"
    right = "...kj" if "transpose_b" in flags else "...jk"
    return "numpy.Einsum", [first, second], {"subscripts": f"{left},{right}->...ik"}


def gelu(tensor: Any, given: dict[str, Any]) -> Made:
    """`tf.nn.gelu`, which is exact unless it says otherwise; Keras 3 approximates."""
    is_known = set(given) <= {"approximate"}
    return ("nn.Gelu", [tensor], {"approximate": False, **given}) if is_known else None


def leaky_relu(tensor: Any, given: dict[str, Any]) -> Made:
    """`tf.nn.leaky_relu`."""
    if not set(given) <= {"alpha"} or not isinstance(given.get("alpha", 0.2), int | float):
        return None
    return "nn.LeakyRelu", [tensor], {"negative_slope": given.get("alpha", 0.2)}


OF_ONE: dict[str, Callable[[Any, dict[str, Any]], Made]] = {
    "compat.v1.pad": pad,
    "image.resize": resize,
    "nn.gelu": gelu,
    "nn.leaky_relu": leaky_relu,
    "split": split,
}


def _is_count(value: Any, *, least: int = 0) -> bool:
    """Whether a number, or each member of a list, is whole and not less than this."""
    members = value if isinstance(value, list) else [value]
    return all(isinstance(n, int) and not isinstance(n, bool) and n >= least for n in members)
