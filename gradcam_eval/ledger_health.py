"""Whether a ledger is as it was written, image by image.

Beside each image stand the place and the number of its rows in each table, and a digest of them:
a lost row, or a changed bit of one, is seen, which SQLite's own check does not promise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gradcam_eval.core import InputError
from gradcam_eval.ledger_header import LOST
from gradcam_eval.ledger_rows import KEPT_BY_IMAGE

Image: TypeAlias = tuple[Any, ...]  # rowid, model, sample, id, status, row, content

IMAGE_COLUMNS = "rowid, model, sample, id, status, row, content"
COST_COLUMNS = "rowid, model, rows, sha256"
UNREADABLE = (sqlite3.Error, ValueError, TypeError, KeyError, OverflowError)
DISK_CODES = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
_MOST_NAMED = 3
_ROWS_A_PAGE = 20  # of 4096 bytes, at most: those of images and costs are long
_MOST_PROBED = 20_000  # rows that are looked for one by one where a table is torn


@dataclass(frozen=True)
class Health:
    """What a check found.

    Attributes
    ----------
    images, records : how many are as they were written
    lost : (model, sample) of the images with a row that is gone or changed
    faults : what is wrong with the file itself, or with rows of no image, one sentence each
    """

    images: int
    records: int
    lost: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was written."""
        return not self.lost and not self.faults

    def __str__(self) -> str:
        """Say what is damaged, in short."""
        names = [sample for _, sample in self.lost[:_MOST_NAMED]]
        more = len(self.lost) - len(names)
        shown = ", ".join(names) + (f" and {more} more" if more else "")
        parts = [f"rows of {len(self.lost)} of its images are gone or changed ({shown})"]
        return "; ".join([*(parts if self.lost else []), *self.faults[:_MOST_NAMED]])


def content_of(connection: sqlite3.Connection, image: Image, first: dict[str, int]) -> str:
    """Return what is kept beside an image: where its rows are from `first` on, and their digest."""
    places = {}
    for table, start in first.items():
        count = connection.execute(f"SELECT count(*) FROM {table} WHERE rowid >= ?", (start,))
        places[table] = [start, count.fetchone()[0]]
    return json.dumps(places | {"sha256": _digest(connection, image, places)})


def cost_digest(model: str, rows: str) -> str:
    """Return the digest that is kept beside a model's cost."""
    return hashlib.sha256(repr((model, rows)).encode()).hexdigest()


def examine(connection: sqlite3.Connection) -> Health:
    """Compare every row of a ledger with what is kept beside its image.

    An image of a ledger that an earlier version wrote has nothing beside it; it counts as lost.
    """
    faults = list(integrity(connection))
    kept: list[dict[str, list[int]]] = []
    lost = []
    images, is_listed = rows_of(connection, "images", IMAGE_COLUMNS)
    for image in images:
        places = whole_places(connection, image)
        if places is None:
            lost.append((str(image[1]), str(image[2])))
        else:
            kept.append(places)
    if not is_listed:
        faults.append("its table of images cannot be read to the end")
    costs, is_listed = rows_of(connection, "cost", COST_COLUMNS)
    if not is_listed or any(cost_digest(*row[1:3]) != row[3] for row in costs):
        faults.append("the cost of a model is gone or changed")
    if not lost:
        faults += _strays(connection, kept)
    records = sum(places["records"][1] for places in kept)
    return Health(len(kept), records, tuple(lost), tuple(faults))


def integrity(connection: sqlite3.Connection) -> Iterator[str]:
    """Say what SQLite's own check of the file finds, indices included."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    except UNREADABLE as error:
        found = [str(error)]
    if found != ["ok"]:
        yield f"SQLite finds it damaged ({'; '.join(' '.join(each.split()) for each in found)})"


def _strays(connection: sqlite3.Connection, kept: list[dict[str, list[int]]]) -> Iterator[str]:
    """Say which tables have rows of no image, as where an image's own row is gone."""
    for table in KEPT_BY_IMAGE:
        with contextlib.suppress(*UNREADABLE):  # said by `integrity`
            count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if count != sum(places[table][1] for places in kept):
                yield f"{table} has rows of an image whose own row is gone"


def rows_of(
    connection: sqlite3.Connection, table: str, columns: str
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return a table's rows that can be read, and whether these are all of them."""
    try:
        return connection.execute(f"SELECT {columns} FROM {table}").fetchall(), True
    except UNREADABLE:
        pass
    rows, one = [], f"SELECT {columns} FROM {table} WHERE rowid = ?"
    for rowid in range(1, _last_row(connection, table) + 1):
        with contextlib.suppress(*UNREADABLE):
            rows += connection.execute(one, (rowid,)).fetchall()
    return rows, False


def _last_row(connection: sqlite3.Connection, table: str) -> int:
    """Return the number of the last row; where that is lost, one that is large enough."""
    with contextlib.suppress(*UNREADABLE):
        found = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0
        return min(int(found), _MOST_PROBED)
    try:
        file = connection.execute("PRAGMA database_list").fetchone()[2]
        return min(Path(file).stat().st_size // 4096 * _ROWS_A_PAGE, _MOST_PROBED)
    except (*UNREADABLE, OSError):
        return _MOST_PROBED


def whole_places(connection: sqlite3.Connection, image: Image) -> dict[str, list[int]] | None:
    """Return where an image's rows are, or None where any is gone or changed."""
    try:
        places = json.loads(image[6])
        expected = places.pop("sha256")
        is_whole = places.keys() == set(KEPT_BY_IMAGE) and (
            _digest(connection, image, places) == expected
        )
    except (*UNREADABLE, AttributeError, IndexError):
        return None
    return places if is_whole else None


def _digest(connection: sqlite3.Connection, image: Image, places: dict[str, list[int]]) -> str:
    found = hashlib.sha256(repr(image[1:6]).encode())
    for table in KEPT_BY_IMAGE:
        rows = rows_between(connection, table, *places[table])
        if len(rows) != places[table][1]:
            raise ValueError(f"{table} has {len(rows)} rows")
        found.update(repr((table, rows)).encode())
    return found.hexdigest()


def rows_between(
    connection: sqlite3.Connection, table: str, first: int, count: int
) -> list[tuple[Any, ...]]:
    """Return `count` rows of a table, from one on, in their order."""
    query = f"SELECT * FROM {table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
    return connection.execute(query, (first, first + count - 1)).fetchall()


def next_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number that the next row of each table will have."""
    query = "SELECT coalesce(max(rowid), 0) + 1 FROM {}"
    return {table: connection.execute(query.format(table)).fetchone()[0] for table in KEPT_BY_IMAGE}


def is_busy(error: BaseException | None) -> bool:
    """Whether SQLite refuses a file because another process has it open."""
    is_locked = code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(error, sqlite3.Error) and (is_locked or "locked" in str(error))


def code_of(error: BaseException | None) -> int:
    """Return SQLite's primary code of an error; SQLITE_CORRUPT for one that has none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) & 0xFF


def refusal(path: Path, error: Exception) -> InputError:
    """Return what to say where SQLite, or what was read with it, raises an error."""
    code = code_of(error)
    if is_busy(error):
        return InputError(f"another run is writing to {path}: wait until it ends")
    if code in DISK_CODES:  # the disk's fault, not the content's
        return InputError(
            f"cannot write the ledger {path}: {error}; what is finished is kept, and the same "
            "command goes on from there once it can be written"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return damaged_ledger(path, LOST)
    return damaged_ledger(path, str(error))


def damaged_ledger(path: Path, why: str) -> InputError:
    """Return the error for a ledger that is not as it was written."""
    return InputError(
        f"the ledger {path} is damaged: {why}; `gradcam-eval ledger repair {path.parent}` keeps "
        "what is whole, and the study goes on from there"
    )
