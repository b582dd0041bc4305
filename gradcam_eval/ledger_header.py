"""A ledger whose first page is destroyed, or that is cut to nothing.

SQLite keeps on the first page of a file what it is and where each table begins. A new ledger makes
its tables in one order, so that all ledgers agree there in all but counters: the first page of a
new one opens a file that has lost its own.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gradcam_eval.ledger_rows import TABLES

_NEEDED = {"meta", "images", "records"}  # the others came with later versions
_PAGE = 4096  # bytes; what SQLite gives every new file
_COUNT = slice(28, 32)  # of a first page: how many pages the file has, big-endian
LOST = "its first page, which says what the file is and where its tables are, is damaged"


def lost_start(path: Path, connection: sqlite3.Connection) -> str:
    """Say that a ledger has lost its tables; "" for one that is whole or new.

    A file without any table is new, unless a study has written its study.json beside it: that
    happens after the tables are made.
    """
    if has_tables(connection):
        return ""
    return "" if _is_blank(path, connection) and not has_study(path) else LOST


def has_study(path: Path) -> bool:
    """Whether a study that has made its ledger's tables has written into the ledger's folder."""
    return (path.parent / "study.json").is_file()


def _is_blank(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether a file is as SQLite makes it, a page at most with nothing on it."""
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return tables == 0 and path.stat().st_size <= _PAGE


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether a file says where the tables of a ledger are."""
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in names} >= _NEEDED
    except sqlite3.Error:
        return False


@contextmanager
def with_new_first_page(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of a ledger that has the first page of a new one; the file stays as it is.

    Pages that a new ledger has and the file has not are those of the new one, without rows. The
    first page itself has the names of the tables alone.
    """
    with closing(sqlite3.connect(":memory:")) as new:
        new.executescript(TABLES)
        empty = new.serialize()
    whole_pages = -(-path.stat().st_size // _PAGE) * _PAGE
    size = max(len(empty), whole_pages)
    first = bytearray(empty[:_PAGE])
    first[_COUNT] = (size // _PAGE).to_bytes(4, "big")
    with tempfile.TemporaryDirectory(prefix="gradcam-eval-") as folder:
        copy = Path(folder) / "ledger.sqlite"
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            file.truncate(whole_pages)
            file.seek(whole_pages)
            file.write(empty[whole_pages:])
            file.seek(0)
            file.write(first)
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            yield connection
