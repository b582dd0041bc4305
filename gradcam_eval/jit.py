"""Loops over pixels, compiled by Numba: one pass through memory, without Python's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function of arrays on its first call, and keep the result on disk.

    It may call compiled functions of its own module only: Numba notices that a file on disk is
    older than the module, but not that another module has changed since.
    """
    return _compiled(function, {})


def compiled_sum(function: Function) -> Function:
    """Compile a function that may add up in another order than it says, many numbers at a time.

    The order is fixed when it is compiled: the same numbers give the same sum.
    """
    return _compiled(function, {"fastmath": {"reassoc", "contract"}})


def _compiled(function: Function, options: dict[str, Any]) -> Function:
    try:
        return njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, **options)(function)
