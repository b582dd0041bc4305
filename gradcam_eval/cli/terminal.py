"""The terminal: where tables go, and what TensorFlow's C++ code is kept from saying there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send standard error nowhere, for C++ code that logs there whatever one sets."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def import_tensorflow() -> None:
    """Import TensorFlow without its greetings, which would bury a one-sentence error."""
    with silent_stderr():
        import tensorflow  # noqa: F401


def console() -> Console:
    """Return where tables are printed."""
    from rich.console import Console

    # A pipe has no width: do not squeeze tables into 80 columns there.
    return Console(width=None if sys.stdout.isatty() else 200)
