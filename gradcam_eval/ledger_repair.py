"""Check the ledger in a file, and write a new one of all images that are as they were written."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradcam_eval.core import InputError
from gradcam_eval.files import replacing
from gradcam_eval.ledger_header import LOST, has_tables, with_new_first_page
from gradcam_eval.ledger_health import (
    COST_COLUMNS,
    DISK_CODES,
    IMAGE_COLUMNS,
    UNREADABLE,
    Health,
    code_of,
    content_of,
    cost_digest,
    examine,
    is_busy,
    next_rows,
    refusal,
    rows_between,
    rows_of,
    whole_places,
)
from gradcam_eval.ledger_rows import FORMAT, KEPT_BY_IMAGE, TABLES


def check_ledger(path: Path) -> Health:
    """Check the ledger in a file, as `gradcam-eval ledger check` does.

    Raises
    ------
    InputError : there is no such file, or a run is writing to it
    """
    with _examined(path) as (_, health):
        return health


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
    with _examined(path) as (damaged, health):
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
    except UNREADABLE:
        found = {}
    fingerprint = fingerprint or found.get("fingerprint")
    return {"ledger": str(FORMAT), "fingerprint": fingerprint} if fingerprint else {}


def _write_whole(damaged: sqlite3.Connection, path: Path, meta: dict[str, str]) -> None:
    images, _ = rows_of(damaged, "images", f"{IMAGE_COLUMNS}, position")
    costs, _ = rows_of(damaged, "cost", COST_COLUMNS)
    with contextlib.closing(sqlite3.connect(path)) as new:
        new.executescript(TABLES)
        with new:
            new.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            for image in images:
                places = whole_places(damaged, image[:7])
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
        for row in rows_between(damaged, table, *places[table]):
            marks = ", ".join("?" * len(row))
            new.execute(f"INSERT INTO {table} VALUES ({marks})", row)
    content = content_of(new, image[:7], first)
    columns = IMAGE_COLUMNS.partition(", ")[2]
    new.execute(
        f"INSERT INTO images ({columns}, position) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*image[1:6], content, image[7]),
    )


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


@contextlib.contextmanager
def _examined(path: Path) -> Iterator[tuple[sqlite3.Connection, Health]]:
    """Open a ledger that may be damaged, and examine it.

    Where more images are whole with the first page of a new ledger than with its own, it is a copy
    of the file with that page.
    """
    with _opened(path) as own:
        health = examine(own) if has_tables(own) else None
        if health is not None and health.is_whole:
            yield own, health
            return
        with with_new_first_page(path) as copy:
            other = examine(copy)
            if health is None or other.images > health.images:
                yield copy, replace(other, faults=(LOST, *other.faults))
            else:
                yield own, health


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger that may be damaged, locked if it is whole enough for that."""
    if not path.is_file():
        raise InputError(f"there is no ledger {path}: give the folder of a study")
    with contextlib.closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if is_busy(error) or code_of(error) in DISK_CODES:
                raise refusal(path, error) from error
        yield connection
