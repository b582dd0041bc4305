"""The ledger of a study: results go to disk as they are made, so that a kill loses almost none.

One SQLite file holds everything that a study has finished; an image's rows are written in one
transaction. `export` turns it into the CSV files that people and the report read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from gradcam_eval.core import Curve, InputError, Record

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1  # 1: first version

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    model TEXT, sample TEXT, id TEXT, status TEXT NOT NULL, row TEXT NOT NULL,
    PRIMARY KEY (model, sample));
CREATE TABLE IF NOT EXISTS records (
    model TEXT, layer TEXT, method TEXT, kind TEXT, sample TEXT, metric TEXT, protocol TEXT,
    status TEXT NOT NULL, value REAL, reason TEXT NOT NULL, curve TEXT,
    PRIMARY KEY (model, layer, method, sample, metric, protocol));
CREATE TABLE IF NOT EXISTS cost (model TEXT PRIMARY KEY, rows TEXT NOT NULL);
"""


def map_path(folder: Path, model: str, sample: str) -> Path:
    """Return the file of an image's heatmaps; a name with a slash cannot lead elsewhere."""
    return folder / "maps" / quote(model, safe=" ") / f"{quote(sample, safe=' ')}.npz"


class Ledger:
    """What a study has finished, on disk. Use it as a context manager; one process at a time.

    Parameters
    ----------
    path : the SQLite file; made if it is not there
    fingerprint : of the study; a ledger of another study is refused, never mixed

    Raises
    ------
    InputError : the file holds another study, another format, or another run is writing to it
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, timeout=1.0)
        try:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.commit()
            self._connection.executescript(_TABLES)
            self._claim(fingerprint)
        except (sqlite3.Error, InputError) as error:
            self._connection.close()
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> InputError:
        if isinstance(error, InputError):
            return error
        if "locked" in str(error):
            return InputError(f"another run is writing to {self.path}: wait until it ends")
        return InputError(f"{self.path} is not a ledger of gradcam-eval ({error}): remove it")

    def _claim(self, fingerprint: str) -> None:
        found = dict(self._connection.execute("SELECT key, value FROM meta"))
        wanted = {"format": str(FORMAT), "fingerprint": fingerprint}
        if not found:
            with self._connection:
                self._connection.executemany("INSERT INTO meta VALUES (?, ?)", wanted.items())
        elif found != wanted:
            raise InputError(
                f"{self.path.parent} holds results of another study or version under this name: "
                "start anew with --fresh (its results are removed) or give the study another name"
            )

    def __enter__(self) -> Ledger:
        """Return the open ledger."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; everything written is kept."""
        self._connection.close()

    def has_image(self, model: str, sample: str, sample_id: str) -> bool:
        """Whether this image (same name, same content) is finished; a failed one is not."""
        query = "SELECT 1 FROM images WHERE model=? AND sample=? AND id=? AND status='ok'"
        return bool(self._connection.execute(query, (model, sample, sample_id)).fetchall())

    def write_image(self, row: dict[str, Any], records: Iterable[tuple[str, Record]]) -> None:
        """Write an image's row and all its records, each with its kind, or nothing at all.

        Earlier rows of the same image are replaced.
        """
        key = (row["model"], row["sample"])
        with self._connection:
            self._connection.execute("DELETE FROM records WHERE model=? AND sample=?", key)
            self._connection.execute(
                "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)",
                (*key, row.get("id", ""), row["status"], json.dumps(row)),
            )
            self._connection.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_to_row(kind, record) for kind, record in records],
            )

    def has_cost(self, model: str) -> bool:
        """Whether the model's cost has been measured."""
        return bool(
            self._connection.execute("SELECT 1 FROM cost WHERE model=?", (model,)).fetchall()
        )

    def write_cost(self, model: str, rows: Iterable[Any]) -> None:
        """Write a model's cost rows (dataclasses), instead of earlier ones."""
        encoded = json.dumps([{"model": model, **asdict(row)} for row in rows])
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO cost VALUES (?, ?)", (model, encoded))

    def images(self) -> pd.DataFrame:
        """Return a row for each model × image, in the order in which they were first written."""
        import pandas as pd

        rows = self._connection.execute("SELECT row FROM images ORDER BY rowid")
        return pd.DataFrame([json.loads(row) for (row,) in rows])

    def records(self) -> pd.DataFrame:
        """Return a row for each record, without curves."""
        import pandas as pd

        query = (
            "SELECT model, layer, method, kind, sample, metric, protocol, status, value, reason "
            "FROM records ORDER BY rowid"
        )
        return pd.read_sql_query(query, self._connection)

    def curves(self) -> pd.DataFrame:
        """Return a row for each point of each curve."""
        import pandas as pd

        query = (
            "SELECT model, layer, method, sample, metric, curve "
            "FROM records WHERE curve IS NOT NULL ORDER BY rowid"
        )
        frame = pd.read_sql_query(query, self._connection)
        points = frame.pop("curve").map(json.loads)
        frame["fraction"] = [curve["fraction"] for curve in points]
        frame["score"] = [curve["score"] for curve in points]
        return frame.explode(["fraction", "score"], ignore_index=True)

    def cost(self) -> pd.DataFrame:
        """Return the cost rows of all models."""
        import pandas as pd

        rows = self._connection.execute("SELECT rows FROM cost ORDER BY rowid")
        return pd.DataFrame([row for (encoded,) in rows for row in json.loads(encoded)])

    def export(self, folder: Path) -> None:
        """Write images.csv, records.csv, curves.csv and cost.csv; one without rows is left out."""
        tables = {
            "images": self.images(),
            "records": self.records(),
            "curves": self.curves(),
            "cost": self.cost(),
        }
        for name, frame in tables.items():
            path = folder / f"{name}.csv"
            if len(frame):
                frame.to_csv(path, index=False)
            else:
                path.unlink(missing_ok=True)


def _to_row(kind: str, record: Record) -> tuple[Any, ...]:
    return (
        record.model,
        record.layer,
        record.method,
        kind,
        record.sample,
        record.metric,
        record.protocol,
        record.status,
        record.value,
        record.reason,
        None if record.curve is None else _encode(record.curve),
    )


def _encode(curve: Curve) -> str:
    points = {"fraction": curve.fraction, "score": curve.score}
    return json.dumps({name: np.asarray(values).tolist() for name, values in points.items()})
