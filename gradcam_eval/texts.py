r"""Text that comes from files, models and exceptions, made fit to be kept and to be shown.

Nothing here imports another module of the package. `writable` is for what is kept: UTF-8 can write
it. `printable` is for what is shown: it cannot steer a terminal. Both keep a file recognisable:
the byte E9 in a name that is not UTF-8 becomes the four characters ``\xe9``.
"""

from __future__ import annotations

import re
import unicodedata

# Characters that turn the direction of the text behind them, also of a sentence that goes on.
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # NUL ends a text in C: tables lose what follows it
_UNPRINTABLE = re.compile(f"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_DIRECTIONS}]")
_ISOLATES = {0x2068: None, 0x2069: None}
_OPENS, _CLOSES = "\u2066\u2067\u2068", "\u2069"
_RIGHT_TO_LEFT = frozenset(
    ("R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "RLI", "LRI", "FSI", "PDF", "PDI")
)


def is_writable(text: str) -> bool:
    """Whether a text can be kept: UTF-8 can write it, and it contains no NUL."""
    return _UNWRITABLE.search(text) is None


def writable(text: str) -> str:
    r"""Return the text with what cannot be kept as escapes; a byte of a file's name as ``\xe9``.

    Examples
    --------
    >>> print(writable("caf\udce9.png"))
    caf\xe9.png
    """
    return _UNWRITABLE.sub(_escaped, text)


def printable(text: str) -> str:
    r"""Return the text with control characters, line ends and marks of direction as escapes.

    Only the two marks that `isolated` adds are left out.

    Examples
    --------
    >>> print(printable("a\x1b[2J\n.png"))
    a\x1b[2J\n.png
    """
    return _UNPRINTABLE.sub(_escaped, text.translate(_ISOLATES))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """Return the text in one line, fit to be shown: any white space is one space."""
    return printable(" ".join(text.split()))


def shortened(text: str, most: int) -> str:
    """Return at most `most` characters of a text: its beginning and its end, where causes stand.

    Examples
    --------
    >>> shortened("a very long story, and its end", 20)
    'a very long … ts end'
    """
    if len(text) <= most:
        return text
    head = max(1, (most - 3) * 2 // 3)
    tail = max(1, most - 3 - head)
    return f"{text[:head].rstrip()} … {text[-tail:].lstrip()}"


def quoted(value: object, most: int = 100) -> str:
    """Return how Python writes a value that a message quotes, in at most `most` characters.

    Examples
    --------
    >>> print(quoted("no such class", 12))
    'no su … ss'
    """
    return shortened(repr(value), most)


def isolated(text: str) -> str:
    """Return the text so that its direction, or marks of it, change nothing around it.

    A text with letters that run from right to left, or with marks of direction, is put between
    U+2068 (first strong isolate) and U+2069; what it opens and does not close is closed in it.
    Any other text is returned as it is.
    """
    if all(unicodedata.bidirectional(each) not in _RIGHT_TO_LEFT for each in text):
        return text
    kept, depth = [], 0
    for each in text:
        if each == _CLOSES and depth == 0:
            continue  # it would end our own isolate
        depth += (each in _OPENS) - (each == _CLOSES)
        kept.append(each)
    return f"\u2068{''.join(kept)}{_CLOSES * (depth + 1)}"
