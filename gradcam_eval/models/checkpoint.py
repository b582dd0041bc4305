"""Read the tensors of a PyTorch file without PyTorch and without running what it contains.

A `.pth` file of PyTorch before 1.6 is five pickles (magic number, protocol, type sizes, state
dictionary, storage keys) followed by the raw storages. A pickle can call any function, so the
unpickler here knows four harmless names and refuses every other one.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

# Strings, not dtype objects: a pickle may change what it is given, and a string cannot change.
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    length: int


@dataclass(frozen=True)
class _View:
    """A tensor as the pickle describes it, before the storages are read."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def parse_checkpoint(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a `.pth` file in PyTorch's legacy format, by name.

    Parameters
    ----------
    content : the bytes of the file

    Returns
    -------
    dict of name to array, in the order of the file; copies, in C order

    Raises
    ------
    InputError
        If the file is no such file, is cut short, or holds anything but tensors.

    Notes
    -----
    `torch.load` also reads the zip format and sparse, quantised and shared-memory tensors. The
    two files that this package knows need none of them, so they are refused.
    """
    stream = io.BytesIO(content)
    try:
        views = _read_header(stream)
        storages = _read_storages(stream, views)
        return {name: _read_view(name, view, storages) for name, view in views.items()}
    except InputError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise InputError(
            f"the checkpoint cannot be read ({type(error).__name__}: {error}): it is cut short or "
            "not a PyTorch file in the legacy format; install its package again."
        ) from error


def _read_header(stream: io.BytesIO) -> dict[str, _View]:
    magic, protocol, system, state = (_Unpickler(stream).load() for _ in range(4))
    if magic != MAGIC or protocol != PROTOCOL or system.get("little_endian") is not True:
        raise _refused("it does not start like a little-endian PyTorch file of the legacy format")
    if not isinstance(state, dict):
        raise _refused("it holds no dictionary of tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, _View):
            raise _refused(f"its entry {name!r} is not a tensor")
    return dict(state)


def _read_storages(stream: io.BytesIO, views: dict[str, _View]) -> dict[str, NDArray[Any]]:
    wanted = {view.storage.key: view.storage for view in views.values()}
    if any(wanted[view.storage.key] != view.storage for view in views.values()):
        raise _refused("two tensors describe one storage differently")
    keys = _Unpickler(stream).load()
    if not isinstance(keys, list) or sorted(keys) != sorted(wanted):
        raise _refused("its list of storages is not that of its tensors")
    storages = {key: _read_storage(stream, wanted[key]) for key in keys}
    if stream.read(1):
        raise _refused("there are bytes behind its last storage")
    return storages


def _read_storage(stream: io.BytesIO, storage: _Storage) -> NDArray[Any]:
    (length,) = struct.unpack("<q", stream.read(8))
    if length != storage.length:
        raise _refused(f"a storage holds {length} values where {storage.length} are announced")
    dtype = np.dtype(storage.dtype)
    data = stream.read(length * dtype.itemsize)
    if len(data) != length * dtype.itemsize:
        raise _refused("it is cut short")
    return np.frombuffer(data, dtype)


def _read_view(name: str, view: _View, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    flat = storages[view.storage.key]
    count = math.prod(view.size)
    if count == 0:
        return np.zeros(view.size, flat.dtype)
    last = view.offset + sum((n - 1) * s for n, s in zip(view.size, view.stride, strict=True))
    # The count bounds the memory: with a stride of 0, one value could stand for any number of them.
    if last >= len(flat) or count > len(flat):
        raise _refused(f"its tensor {name!r} claims more than its storage holds")
    steps = tuple(s * flat.itemsize for s in view.stride)
    return np.lib.stride_tricks.as_strided(flat[view.offset :], view.size, steps).copy()


def _rebuild_tensor(*values: Any) -> _View:
    """Stand in for `torch._utils._rebuild_tensor_v2`: check and keep its arguments."""
    storage, offset, size, stride = values[:4]
    numbers = (offset, *size, *stride)
    if (
        not isinstance(storage, _Storage)
        or any(type(n) is not int or n < 0 for n in numbers)
        or len(size) != len(stride)
    ):
        raise _refused("it holds a tensor with an impossible size, stride or offset")
    return _View(storage, offset, tuple(size), tuple(stride))


class _Unpickler(pickle.Unpickler):
    """The unpickler that knows tensors and `OrderedDict`, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise _refused(f"it asks for '{module}.{name}', and only tensors are allowed")

    def persistent_load(self, identity: Any) -> _Storage:
        kind, dtype, key, _device, length, view = identity
        if kind != "storage" or dtype not in STORAGES.values() or view is not None:
            raise _refused("it refers to something that is not a plain storage")
        if not isinstance(key, str) or type(length) is not int or length < 0:
            raise _refused("it holds a storage with an impossible key or length")
        return _Storage(key, dtype, length)


def _refused(reason: str) -> InputError:
    return InputError(f"the checkpoint is refused: {reason}; install its package again.")
