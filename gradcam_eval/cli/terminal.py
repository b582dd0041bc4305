"""The terminal: where lines and tables go, and what is kept from being said there.

What files and models call things is untrusted: every line and cell of a table goes through
`printable`, so that no name can move the cursor, clear the screen or turn the text around.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from gradcam_eval.texts import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.text import Text


def say(text: str, *, err: bool = False) -> None:
    """Write one line to standard output, or to standard error."""
    typer.echo(printable(text), err=err)


def cell(value: object) -> Text:
    """Return a table's cell or title: plain text, never markup."""
    from rich.text import Text

    return Text(printable(str(value)))


def write_csv(frame: pd.DataFrame) -> None:
    """Write a table to standard output: as it is into a pipe, fit to be shown on a terminal."""
    if sys.stdout.isatty():
        frame = frame.map(lambda value: printable(value) if isinstance(value, str) else value)
    frame.to_csv(sys.stdout, index=False)


def show_any_text() -> None:
    """Let standard output write any text: what its encoding has no letter for is escaped."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


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
