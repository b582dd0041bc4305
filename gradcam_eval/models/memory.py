"""Return memory to the system that compiling and freeing leave with the C library."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None


def trim() -> None:
    """Return the C library's free memory to the system, in milliseconds.

    To compile a model leaves 50-300 MB of free blocks between used ones, which glibc keeps. Other
    C libraries have no such call, and nothing happens.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)


def trimmed(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a compiled function that trims after its first call, which leaves most of the blocks.

    TensorFlow optimises the graph in it.
    """
    is_new = True

    def call(*args: Any) -> Any:
        nonlocal is_new
        found = run(*args)
        if is_new:
            is_new = False
            trim()
        return found

    return call


def collect() -> None:
    """Free what nobody uses, compiled functions too, and return its memory to the system."""
    gc.collect()  # compiled functions are cycles: they would wait for a collection by chance
    trim()


@contextmanager
def quick_collections() -> Iterator[None]:
    """Let collections look at those objects alone that are made inside.

    TensorFlow and a model are some million objects, which take a collection half a second.
    """
    is_ours = gc.get_freeze_count() == 0  # who froze objects before keeps them so
    if is_ours:
        gc.freeze()
    try:
        yield
    finally:
        if is_ours:
            gc.unfreeze()
