"""Damage to an HDF5 file that makes the HDF5 library read for ever, found before it is opened.

Texts of any length, as a model's architecture, lie in global heaps: ``GCOL``, version 1, three
zeros, the heap's size, then objects of 16 bytes (index, references, zeros, size) and their data. An
object of index 0 is the free space at the end and counts its own 16 bytes. With a size of 0 there,
the library (2.0 and earlier) reads the same 16 bytes again and again, and nothing can interrupt it.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_HEAP = b"GCOL\x01\0\0\0"
_HEAD = 16  # bytes of a heap's and of an object's header


def is_endless(path: Path) -> bool:
    """Whether a global heap of an HDF5 file has an object that leads to itself."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            if _leads_to_itself(content, start):
                return True
            start = content.find(_HEAP, start + 1)
    return False


def _leads_to_itself(content: mmap.mmap, start: int) -> bool:
    (size,) = struct.unpack("<Q", content[start + 8 : start + _HEAD].ljust(8, b"\0"))
    at, end = start + _HEAD, min(start + size, len(content))
    while at + _HEAD <= end:
        index, length = struct.unpack("<H6xQ", content[at : at + _HEAD])
        if index == 0 and length == 0:
            return True
        at += _HEAD + -(-length // 8) * 8 if index else length
    return False
