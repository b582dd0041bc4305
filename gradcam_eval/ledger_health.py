"""Whether a ledger is as it was written, image by image, and a new one of all that still is.

Beside each image stand the place and the number of its rows in each table, and a digest of them:
a lost row, or a changed bit of one, is seen, which SQLite's own check does not promise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gradcam_eval.core import InputError
from gradcam_eval.files import replacing
from gradcam_eval.ledger_rows import FORMAT, KEPT_BY_IMAGE, TABLES

Image: TypeAlias = tuple[Any, ...]  # rowid, model, sample, id, status, row, content

_IMAGE = "rowid, model, sample, id, status, row, content"
_COST = "rowid, model, rows, sha256"
_UNREADABLE = (sqlite3.Error, ValueError, TypeError, KeyError, OverflowError)
_DISK = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
_MOST_NAMED = 3
_ROWS_A_PAGE = 20  # at most, of images and costs: they are long
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
    images, is_listed = _rows_of(connection, "images", _IMAGE)
    for image in images:
        places = _whole(connection, image)
        if places is None:
            lost.append((str(image[1]), str(image[2])))
        else:
            kept.append(places)
    if not is_listed:
        faults.append("its table of images cannot be read to the end")
    costs, is_listed = _rows_of(connection, "cost", _COST)
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
    except _UNREADABLE as error:
        found = [str(error)]
    if found != ["ok"]:
        yield f"SQLite finds it damaged ({'; '.join(' '.join(each.split()) for each in found)})"


def _strays(connection: sqlite3.Connection, kept: list[dict[str, list[int]]]) -> Iterator[str]:
    """Say which tables have rows of no image, as where an image's own row is gone."""
    for table in KEPT_BY_IMAGE:
        with contextlib.suppress(*_UNREADABLE):  # said by `integrity`
            count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if count != sum(places[table][1] for places in kept):
                yield f"{table} has rows of an image whose own row is gone"


def _rows_of(
    connection: sqlite3.Connection, table: str, columns: str
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return a table's rows that can be read, and whether these are all of them."""
    try:
        return connection.execute(f"SELECT {columns} FROM {table}").fetchall(), True
    except _UNREADABLE:
        pass
    rows, one = [], f"SELECT {columns} FROM {table} WHERE rowid = ?"
    for rowid in range(1, _last_row(connection, table) + 1):
        with contextlib.suppress(*_UNREADABLE):
            rows += connection.execute(one, (rowid,)).fetchall()
    return rows, False


def _last_row(connection: sqlite3.Connection, table: str) -> int:
    """Return the number of the last row; where that is lost, one that is large enough."""
    for query in (f"SELECT max(rowid) FROM {table}", "PRAGMA page_count"):
        with contextlib.suppress(*_UNREADABLE):
            found = connection.execute(query).fetchone()[0] or 0
            return min(int(found) * (1 if table in query else _ROWS_A_PAGE), _MOST_PROBED)
    return _MOST_PROBED


def _whole(connection: sqlite3.Connection, image: Image) -> dict[str, list[int]] | None:
    """Return where an image's rows are, or None where any is gone or changed."""
    try:
        places = json.loads(image[6])
        expected = places.pop("sha256")
        is_whole = places.keys() == set(KEPT_BY_IMAGE) and (
            _digest(connection, image, places) == expected
        )
    except (*_UNREADABLE, AttributeError, IndexError):
        return None
    return places if is_whole else None


def _digest(connection: sqlite3.Connection, image: Image, places: dict[str, list[int]]) -> str:
    found = hashlib.sha256(repr(image[1:6]).encode())
    for table in KEPT_BY_IMAGE:
        rows = _between(connection, table, *places[table])
        if len(rows) != places[table][1]:
            raise ValueError(f"{table} has {len(rows)} rows")
        found.update(repr((table, rows)).encode())
    return found.hexdigest()


def _between(
    connection: sqlite3.Connection, table: str, first: int, count: int
) -> list[tuple[Any, ...]]:
    query = f"SELECT * FROM {table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
    return connection.execute(query, (first, first + count - 1)).fetchall()


def check_ledger(path: Path) -> Health:
    """Check the ledger in a file, as `gradcam-eval ledger check` does.

    Raises
    ------
    InputError : there is no such file, it is no SQLite file, or a run is writing to it
    """
    with contextlib.closing(_opened(path)) as connection:
        return examine(connection)


def repair_ledger(path: Path, fingerprint: str | None = None) -> tuple[Health, Path]:
    """Write a new ledger of all images that are whole, and keep the damaged file beside it.

    Parameters
    ----------
    path : the ledger
    fingerprint : of the study, for a ledger that has lost it

    Returns
    -------
    what was wrong, and where the damaged file is now. The new file takes the place of the old one
    at the end, whole. A run of the study makes anew what was lost.

    Raises
    ------
    InputError : as `check_ledger`, or nothing says which study it belongs to
    """
    with contextlib.closing(_opened(path)) as damaged:
        health = examine(damaged)
        meta = _meta(damaged, fingerprint)
        if not meta:
            raise InputError(
                f"{path} does not say which study it belongs to, and no study.json beside it does: "
                "start anew with --fresh"
            )
        with replacing(path) as file:
            _write_whole(damaged, file, meta)
            kept = _set_aside(path)
    return health, kept


def _meta(connection: sqlite3.Connection, fingerprint: str | None) -> dict[str, str]:
    """Return the format and the study of a ledger: as the caller knows it, or as it says."""
    try:
        found = dict(connection.execute("SELECT key, value FROM meta"))
    except _UNREADABLE:
        found = {}
    fingerprint = fingerprint or found.get("fingerprint")
    return {"ledger": str(FORMAT), "fingerprint": fingerprint} if fingerprint else {}


def _write_whole(damaged: sqlite3.Connection, path: Path, meta: dict[str, str]) -> None:
    images, _ = _rows_of(damaged, "images", f"{_IMAGE}, position")
    costs, _ = _rows_of(damaged, "cost", _COST)
    with contextlib.closing(sqlite3.connect(path)) as new:
        new.executescript(TABLES)
        with new:
            new.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            for image in images:
                places = _whole(damaged, image[:7])
                if places is not None:
                    _copy(damaged, new, image, places)
            whole = [row[1:] for row in costs if cost_digest(*row[1:3]) == row[3]]
            new.executemany(
                "INSERT OR IGNORE INTO cost (model, rows, sha256) VALUES (?, ?, ?)", whole
            )


def _copy(
    damaged: sqlite3.Connection,
    new: sqlite3.Connection,
    image: tuple[Any, ...],
    places: dict[str, list[int]],
) -> None:
    first = next_rows(new)
    for table in KEPT_BY_IMAGE:
        for row in _between(damaged, table, *places[table]):
            marks = ", ".join("?" * len(row))
            new.execute(f"INSERT INTO {table} VALUES ({marks})", row)
    content = content_of(new, image[:7], first)
    new.execute(
        f"INSERT INTO images ({_IMAGE.partition(', ')[2]}, position) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*image[1:6], content, image[7]),
    )


def next_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number that the next row of each table will have."""
    query = "SELECT coalesce(max(rowid), 0) + 1 FROM {}"
    return {table: connection.execute(query.format(table)).fetchone()[0] for table in KEPT_BY_IMAGE}


def _set_aside(path: Path) -> Path:
    """Copy the damaged file beside itself under a new name; its journals move along with it."""
    number = 1
    while (kept := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    with replacing(kept) as file:
        shutil.copyfile(path, file)
    for end in ("-journal", "-wal", "-shm"):  # SQLite would apply them to the new file
        journal = path.with_name(path.name + end)
        if journal.exists():
            journal.rename(kept.with_name(kept.name + end))
    return kept


def _opened(path: Path) -> sqlite3.Connection:
    """Open a ledger that may be damaged, and lock it if it is whole enough for that."""
    if not path.is_file():
        raise InputError(f"there is no ledger {path}: give the folder of a study")
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOTADB) or (
            code in _DISK
        ):
            connection.close()
            raise refusal(path, error) from error
    return connection


def refusal(path: Path, error: Exception) -> InputError:
    """Return what to say where SQLite, or what was read with it, raises an error."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or "locked" in str(error):
        return InputError(f"another run is writing to {path}: wait until it ends")
    if code in _DISK:  # the disk's fault, not the content's
        return InputError(
            f"cannot write the ledger {path}: {error}; what is finished is kept, and the same "
            "command goes on from there once it can be written"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return InputError(f"{path} is not a ledger of gradcam-eval ({error}): remove it")
    return damaged_ledger(path, str(error))


def damaged_ledger(path: Path, why: str) -> InputError:
    """Return the error for a ledger that is not as it was written."""
    return InputError(
        f"the ledger {path} is damaged: {why}; `gradcam-eval ledger repair {path.parent}` keeps "
        "what is whole, and the study goes on from there"
    )
