"""The ledger of a study: results go to disk as they are made, so that a kill loses almost none.

One SQLite file holds everything that a study has finished; an image's rows are written in one
transaction. `export` turns it into the CSV files that people and the report read.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gradcam_eval.core import InputError, Record
from gradcam_eval.files import write_table
from gradcam_eval.ledger_header import has_study, lost_start
from gradcam_eval.ledger_health import (
    content_of,
    cost_digest,
    damaged_ledger,
    examine,
    is_busy,
    next_rows,
    refusal,
)
from gradcam_eval.ledger_rows import (
    FORMAT,
    KEPT_BY_IMAGE,
    LATER_COLUMNS,
    TABLES,
    record_row,
    tally_row,
    tie_row,
)

if TYPE_CHECKING:
    import pandas as pd

LEDGER = "ledger.sqlite"  # in a study's folder

_ORDER = "ORDER BY images.position, images.rowid, records.rowid"
_IN_ORDER = f"FROM records JOIN images USING (model, sample) {_ORDER}"
_WITH_TIES = (
    "FROM records JOIN images USING (model, sample) "
    f"LEFT JOIN ties USING (model, layer, method, sample, metric, protocol) {_ORDER}"
)
_LONGEST = 200  # bytes of a file's name; file systems end at 255


def map_path(folder: Path, model: str, sample: str) -> Path:
    """Return the file of an image's heatmaps; whatever the names, it lies in `folder`/maps."""
    return Path(folder) / "maps" / file_name(model) / f"{file_name(sample)}.npz"


def file_name(name: str) -> str:
    """Write a name so that it is one file's name on every system, and another for each name."""
    quoted = quote(name, safe=" ")
    if not quoted.strip("."):  # "", "." and ".." are not names of files
        return quoted.replace(".", "%2E") or "%"
    if len(quoted) <= _LONGEST:
        return quoted
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{quoted[: _LONGEST - len(digest) - 1]}~{digest}"


class Ledger:
    """What a study has finished, on disk. Use it as a context manager; one process at a time.

    Parameters
    ----------
    path : the SQLite file; made if it is not there
    fingerprint : of the study; a ledger of another study is refused, never mixed

    Raises
    ------
    InputError : the file holds another study, another format, is no ledger, is damaged, cannot be
        written, or another run is writing to it
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        _check_there(path)
        self._connection = _open_alone(path)
        try:
            if lost := lost_start(path, self._connection):
                raise damaged_ledger(path, lost)
            self._connection.executescript(TABLES)
            self._claim(fingerprint)
            self._adopt()
            health = examine(self._connection)
            if not health.is_whole:
                raise damaged_ledger(path, str(health))
        except InputError:
            self._connection.close()
            raise
        except (sqlite3.Error, ValueError) as error:
            self._connection.close()
            raise refusal(path, error) from error

    def _claim(self, fingerprint: str) -> None:
        found = dict(self._connection.execute("SELECT key, value FROM meta"))
        wanted = {"ledger": str(FORMAT), "fingerprint": fingerprint}
        if not found:
            with self._connection:
                self._connection.executemany("INSERT INTO meta VALUES (?, ?)", wanted.items())
        elif found != wanted:
            raise InputError(
                f"{self.path.parent} holds results of another study, model or version under this "
                "name: start anew with --fresh (its results are removed) or give the study another "
                "name"
            )

    def _adopt(self) -> None:
        """Keep beside images of an earlier version what is kept beside those of this one."""
        missing = [
            (table, column)
            for table, column in LATER_COLUMNS
            if column
            not in {row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")}
        ]
        if not missing:
            return
        with self._connection:
            for table, column in missing:
                self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
            for model, rows in self._connection.execute("SELECT model, rows FROM cost").fetchall():
                digest = (cost_digest(model, rows), model)
                self._connection.execute("UPDATE cost SET sha256=? WHERE model=?", digest)
            for key in self._connection.execute(
                "SELECT model, sample FROM images ORDER BY rowid"
            ).fetchall():
                first = next_rows(self._connection)
                for table in KEPT_BY_IMAGE:  # an image's rows, one behind the other
                    own = f"SELECT * FROM {table} WHERE model=? AND sample=? ORDER BY rowid"
                    rows = self._connection.execute(own, key).fetchall()
                    self._connection.execute(f"DELETE FROM {table} WHERE model=? AND sample=?", key)
                    self._insert(table, rows)
                self._keep_content(key, first)

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    def _keep_content(self, key: tuple[str, str], first: dict[str, int]) -> None:
        """Keep beside an image where its rows are, and their digest."""
        query = (
            "SELECT rowid, model, sample, id, status, row FROM images WHERE model=? AND sample=?"
        )
        image = self._connection.execute(query, key).fetchone()
        content = content_of(self._connection, image, first)
        self._connection.execute(
            "UPDATE images SET content=? WHERE model=? AND sample=?", (content, *key)
        )

    def __enter__(self) -> Ledger:
        """Return the open ledger."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; everything written is kept."""
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write all of what follows or nothing; what the disk refuses is an `InputError`."""
        try:
            with self._connection:
                yield
        except sqlite3.IntegrityError:
            raise  # a row twice: our own mistake, and nothing was written
        except sqlite3.Error as error:
            raise refusal(self.path, error) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Read; what cannot be read, or is not what was written, is an `InputError`."""
        try:
            yield
        except InputError:
            raise
        except (sqlite3.Error, OSError, ValueError, TypeError, KeyError) as error:
            # pandas' own DatabaseError is an OSError
            raise refusal(self.path, error) from error

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._reading():
            return self._connection.execute(query, values).fetchall()

    def _frame(self, query: str) -> pd.DataFrame:
        import pandas as pd

        with self._reading():
            return pd.read_sql_query(query, self._connection)

    def has_image(self, model: str, sample: str, state: str) -> bool:
        """Whether this image is finished as it is now (same name, same state); a failed one is not.

        Its state is what `write_image` was told: a digest of its content and its truth.
        """
        query = "SELECT 1 FROM images WHERE model=? AND sample=? AND id=? AND status='ok'"
        return bool(self._rows(query, (model, sample, state)))

    def write_image(
        self,
        row: dict[str, Any],
        records: Iterable[tuple[str, Record]],
        *,
        state: str | None = None,
    ) -> None:
        """Write an image's row and all its records, each with its kind, or nothing at all.

        Earlier rows of the same image are replaced. The row's id is its state where none is given.
        """
        key, records = (row["model"], row["sample"]), list(records)
        with self._writing():
            for table in KEPT_BY_IMAGE:
                self._connection.execute(f"DELETE FROM {table} WHERE model=? AND sample=?", key)
            self._connection.execute(
                "INSERT OR REPLACE INTO images (model, sample, id, status, row) "
                "VALUES (?, ?, ?, ?, ?)",
                (*key, state or row.get("id", ""), row["status"], json.dumps(row)),
            )
            first = next_rows(self._connection)
            tallies = [(record, record.tally) for _, record in records if record.tally]
            ties = [(record, record.curve.ties) for _, record in records if record.curve]
            self._insert("records", [record_row(kind, record) for kind, record in records])
            self._insert("tallies", [tally_row(*each) for each in tallies])
            self._insert("ties", [tie_row(record, tie) for record, tie in ties if tie])
            self._keep_content(key, first)

    def arrange(self, images: Sequence[tuple[str, str]]) -> None:
        """Put the (model, sample) pairs in this order, and forget images that are not among them.

        A failed image that is judged again would otherwise come last, and an image that has left
        the data set would stay in the results.
        """
        positions = [(position, *key) for position, key in enumerate(images)]
        with self._writing():
            self._connection.execute("UPDATE images SET position = NULL")
            self._connection.executemany(
                "UPDATE images SET position=? WHERE model=? AND sample=?", positions
            )
            self._connection.execute("DELETE FROM images WHERE position IS NULL")
            for table in KEPT_BY_IMAGE:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE (model, sample) NOT IN "
                    "(SELECT model, sample FROM images)"
                )

    def finished(self, model: str) -> set[str]:
        """Return the names of the images that are finished, whatever their files hold now."""
        query = "SELECT sample FROM images WHERE model=? AND status='ok'"
        return {name for (name,) in self._rows(query, (model,))}

    def methods(self, model: str) -> list[str]:
        """Return the labels of the methods that a model's records name, without the controls."""
        query = "SELECT DISTINCT method FROM records WHERE model=? AND layer != '' ORDER BY rowid"
        return [label for (label,) in self._rows(query, (model,))]

    def forget(self, model: str) -> None:
        """Remove all that is kept of a model."""
        with self._writing():
            for table in ("images", "cost", *KEPT_BY_IMAGE):
                self._connection.execute(f"DELETE FROM {table} WHERE model=?", (model,))

    def has_cost(self, model: str) -> bool:
        """Whether the model's cost has been measured."""
        return bool(self._rows("SELECT 1 FROM cost WHERE model=?", (model,)))

    def write_cost(self, model: str, rows: Iterable[Any]) -> None:
        """Write a model's cost rows (dataclasses), instead of earlier ones."""
        encoded = json.dumps([{"model": model, **asdict(row)} for row in rows])
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO cost (model, rows, sha256) VALUES (?, ?, ?)",
                (model, encoded, cost_digest(model, encoded)),
            )

    def images(self) -> pd.DataFrame:
        """Return a row for each model × image: as arranged, else in the order of writing."""
        import pandas as pd

        rows = self._rows("SELECT row FROM images ORDER BY position, rowid")
        with self._reading():
            return pd.DataFrame([json.loads(row) for (row,) in rows])

    def records(self) -> pd.DataFrame:
        """Return a row for each record, without curves; what ties do, where they were drawn."""
        query = (
            "SELECT model, layer, method, kind, sample, metric, protocol, records.status, value, "
            f"reason, shift AS tie_shift, spread AS tie_spread {_WITH_TIES}"
        )
        return self._frame(query)

    def curves(self) -> pd.DataFrame:
        """Return a row for each point of each curve."""
        query = f"SELECT model, layer, method, sample, metric, protocol, curve {_IN_ORDER}"
        frame = self._frame(query).dropna(subset="curve")
        with self._reading():
            points = frame.pop("curve").map(json.loads)
            frame["fraction"] = [curve["fraction"] for curve in points]
            frame["score"] = [curve["score"] for curve in points]
        return frame.explode(["fraction", "score"], ignore_index=True)

    def tallies(self) -> pd.DataFrame:
        """Return a row for each record that is part of a value of the whole data set."""
        query = (
            "SELECT model, layer, method, sample, metric, protocol, parts FROM tallies "
            "JOIN images USING (model, sample) ORDER BY position, images.rowid, tallies.rowid"
        )
        return self._frame(query)

    def cost(self) -> pd.DataFrame:
        """Return the cost rows of all models."""
        import pandas as pd

        rows = self._rows("SELECT rows FROM cost ORDER BY rowid")
        with self._reading():
            return pd.DataFrame([row for (encoded,) in rows for row in json.loads(encoded)])

    def export(self, folder: Path) -> None:
        """Write a CSV of each table: images, records, curves, tallies, cost; none without rows."""
        tables = {
            "images": self.images(),
            "records": self.records(),
            "curves": self.curves(),
            "tallies": self.tallies(),
            "cost": self.cost(),
        }
        for name, frame in tables.items():
            path = folder / f"{name}.csv"
            if len(frame):
                write_table(path, frame)
            else:
                path.unlink(missing_ok=True)


def check_unused(path: Path, *, is_removed: bool = False) -> None:
    """Raise InputError if another run is writing to this ledger, or it cannot be opened.

    Where the file is to be removed, only another run counts.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    try:
        _open_alone(path).close()
    except InputError as error:
        if not is_removed or is_busy(error.__cause__):
            raise


def _check_there(path: Path) -> None:
    """Raise InputError for a folder in which a study has results, and no ledger or an empty one."""
    if not has_study(path):
        return
    if not path.exists():
        raise InputError(
            f"{path.parent} has results of a study and no {path.name}, which says what is "
            "finished: put it back, start anew with --fresh (the results are removed), or give the "
            "study another name"
        )
    if path.stat().st_size == 0:
        raise damaged_ledger(path, "it is empty (0 bytes), and a study has results beside it")


def _open_alone(path: Path) -> sqlite3.Connection:
    """Open a ledger's file, new or old, and lock it until it is closed."""
    try:
        connection = sqlite3.connect(path, timeout=1.0)
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.commit()
    except sqlite3.Error as error:
        connection.close()
        raise refusal(path, error) from error
    return connection
