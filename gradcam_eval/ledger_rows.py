"""The tables of a study's ledger, and records as their rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from gradcam_eval.core import Curve, Record, Tally, TieOrders

FORMAT = 2  # 1: first version; 2: curves.csv names the protocol

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    model TEXT, sample TEXT, id TEXT, status TEXT NOT NULL, row TEXT NOT NULL, position INTEGER,
    content TEXT, PRIMARY KEY (model, sample));
CREATE TABLE IF NOT EXISTS records (
    model TEXT, layer TEXT, method TEXT, kind TEXT, sample TEXT, metric TEXT, protocol TEXT,
    status TEXT NOT NULL, value REAL, reason TEXT NOT NULL, curve TEXT,
    PRIMARY KEY (model, layer, method, sample, metric, protocol));
CREATE TABLE IF NOT EXISTS tallies (
    model TEXT, layer TEXT, method TEXT, sample TEXT, metric TEXT, protocol TEXT, parts TEXT,
    PRIMARY KEY (model, layer, method, sample, metric, protocol));
CREATE TABLE IF NOT EXISTS ties (
    model TEXT, layer TEXT, method TEXT, sample TEXT, metric TEXT, protocol TEXT,
    shift REAL NOT NULL, spread REAL NOT NULL,
    PRIMARY KEY (model, layer, method, sample, metric, protocol));
CREATE TABLE IF NOT EXISTS cost (model TEXT PRIMARY KEY, rows TEXT NOT NULL, sha256 TEXT);
"""
KEPT_BY_IMAGE = ("records", "tallies", "ties")
# What earlier versions did not keep: the tables' columns of it.
LATER_COLUMNS = (("images", "content"), ("cost", "sha256"))


def record_row(kind: str, record: Record) -> tuple[Any, ...]:
    """Return the row of a record, which holds its curve as JSON."""
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


def _key_of(record: Record) -> tuple[str, ...]:
    key = (record.model, record.layer, record.method, record.sample, record.metric)
    return (*key, record.protocol)


def tie_row(record: Record, ties: TieOrders) -> tuple[Any, ...]:
    """Return the row of what the order of equal pixels does to a record's value."""
    return (*_key_of(record), ties.shift, ties.spread)


def tally_row(record: Record, tally: Tally) -> tuple[Any, ...]:
    """Return the row of what an image adds to a value of the whole data set."""
    whole = np.array_equal(tally.parts, np.rint(tally.parts))  # counts need no decimals
    parts = tally.parts.astype(np.int64) if whole else tally.parts
    return (*_key_of(record), json.dumps(parts.tolist(), separators=(",", ":")))


def _encode(curve: Curve) -> str:
    points = {"fraction": curve.fraction, "score": curve.score}
    return json.dumps({name: np.asarray(values).tolist() for name, values in points.items()})
