"""Files that are written whole or not at all, and questions about paths that always have an answer.

A kill, a full disk or an exception leaves the earlier file as it was.
"""

from __future__ import annotations

import csv
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

_UNFINISHED = ".unfinished-"
_OLD = 3600.0  # seconds after which an unfinished file is nobody's any more


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Lend the path of an unfinished file, which takes the place of `path` when the block ends.

    Parameters
    ----------
    path : the file to write, new or old; its folder must exist. A link stays a link: what it
        points to is replaced. What is no regular file (a pipe, `/dev/null`) is written directly.

    Yields
    ------
    Path in the same folder, with the same suffix; nothing is there yet. When the block raises, it
    is removed and `path` stays as it was. What a kill leaves begins with ".unfinished-"; see
    `clear_unfinished`.

    Raises
    ------
    OSError : whatever the disk says, also when it is asked to keep what was written (fsync)
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    unfinished = target.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}{target.suffix[:20]}")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        with suppress(OSError):  # gone where it took its place
            unfinished.unlink()


def write_text(path: str | Path, text: str) -> None:
    r"""Write a UTF-8 text file, whole or not at all; a lone surrogate as an escape (\udce9)."""
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_table(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, without its index, whole or not at all.

    Texts are quoted where they must be; all of them where one has a carriage return, which pandas
    does not quote and readers take for the end of a row.
    """
    texts = frame.select_dtypes(exclude="number").to_numpy().ravel()
    has_return = any("\r" in value for value in texts if isinstance(value, str))
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if has_return else csv.QUOTE_MINIMAL
    with replacing(path) as file:
        frame.to_csv(file, index=False, errors="backslashreplace", quoting=quoting)


def clear_unfinished(folder: Path) -> None:
    """Remove what killed runs left unfinished below a folder more than an hour ago."""
    for file in folder.rglob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _OLD:
                file.unlink()


def is_there(path: str | Path) -> bool:
    """Whether a path exists; False for a name that no file system takes, where `exists` raises."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False
