"""Whether the scans of a JPEG file bring every coefficient that its frame has.

A sequential scan brings whole components. A progressive one brings the coefficients `Ss` to `Se` of
some components down to bit `Al`; decoders show what has come by then, with less detail.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_PROGRESSIVE = (0xC2, 0xCA)
_ARITHMETIC = (0xC9, 0xCA)
_SCAN, _END = 0xDA, 0xD9
_ALL = 64  # coefficients of a block
_NOT_SENT = 99  # more than any bit


def lacks_scans(content: bytes) -> bool:
    """Whether a component of a JPEG's first picture lacks a coefficient, or low bits of one.

    Parameters
    ----------
    content : the bytes of a file that a decoder has accepted

    Raises
    ------
    ValueError, IndexError, struct.error : the segments are none
    """
    lowest: dict[int, list[int]] = {}  # of each component: the lowest bit sent, by coefficient
    is_progressive = False
    for kind, body in _segments(content):
        if kind in (*_SEQUENTIAL, *_PROGRESSIVE):
            is_progressive = kind in _PROGRESSIVE
            lowest = {body[6 + 3 * n]: [_NOT_SENT] * _ALL for n in range(body[5])}
        elif kind == _SCAN:
            first, last, bits = body[-3:] if is_progressive else (0, _ALL - 1, 0)
            for n in range(body[0]):
                sent = lowest.get(body[1 + 2 * n], [])
                sent[first : last + 1] = [_after(bit, bits) for bit in sent[first : last + 1]]
            if not is_progressive and not _missing(lowest):
                return False  # without a look at the data behind it
    return _missing(lowest)


def _after(lowest: int, bits: int) -> int:
    """Return the lowest bit sent after a scan (`Ah`, `Al` in one byte); a refinement needs `Ah`."""
    high, low = bits >> 4, bits & 15
    return low if high in (0, lowest) else _NOT_SENT


def _missing(lowest: dict[int, list[int]]) -> bool:
    return any(bit != 0 for bits in lowest.values() for bit in bits)


def ends_of_scans(content: bytes) -> list[int]:
    """Return where the data of each scan of a JPEG's first picture ends.

    Empty with arithmetic coding, whose data may end before its last zeros.
    """
    ends, is_data = [], False
    for kind, at in _markers(content):
        if kind in _ARITHMETIC:
            return []
        if is_data:
            ends.append(at)
        is_data = kind == _SCAN
    return ends


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the body of each segment up to the end of the first picture."""
    for kind, at in _markers(content):
        if kind == _END:
            return
        yield kind, content[at + 4 : at + 2 + _length(content, at)]


def _markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the kind and the place of each marker that begins a segment, and of the end."""
    at = 2
    while True:
        at = content.index(b"\xff", at)
        kind = content[at + 1]
        if kind in (0x00, 0xFF) or 0xD0 <= kind <= 0xD7:  # data, filling, or a restart
            at += 1 if kind == 0xFF else 2
            continue
        yield kind, at
        if kind == _END:
            return
        at += 2 + _length(content, at)


def _length(content: bytes, at: int) -> int:
    return int(struct.unpack(">H", content[at + 2 : at + 4])[0])
