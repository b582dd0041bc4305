"""COCO's run-length encoded masks, uncompressed and compressed, to pixels.

Runs go down the columns, from left to right, and alternate between background and object; the first
run is background and may be 0 long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcam_eval.core import InputError, Mask
from gradcam_eval.data.decode import MAX_PIXELS
from gradcam_eval.data.readers.files import whole_number


def decode_rle(rle: Any, what: str) -> Mask:
    """Return the mask of one `{"size": [height, width], "counts": …}`.

    Parameters
    ----------
    rle : `counts` is a list of run lengths, or their compressed text
    what : what error messages call it

    Returns
    -------
    bool (H, W)

    Raises
    ------
    InputError
        If it is no such thing, or the runs do not cover the picture exactly.

    Notes
    -----
    Compressed text: each number is cut into groups of 5 bits, the lowest first; a character is the
    group, plus 32 where another one follows, plus 48; bit 16 of the last group is the sign. From
    the fourth on, numbers are differences to the run two places before. This is the encoding of
    `maskApi.c` in the COCO API, whose Python package needs a compiler where no wheel fits; so it
    is decoded here.
    """
    size = rle.get("size") if isinstance(rle, dict) else None
    if not isinstance(size, list) or len(size) != 2:
        raise InputError(
            f"{what} is no run-length mask: wanted 'size' [height, width] and 'counts'."
        )
    height, width = (whole_number(side, f"the size of {what}") for side in size)
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise InputError(f"{what} is {width}x{height} pixels: wanted 1 to {MAX_PIXELS} pixels.")
    counts = rle.get("counts")
    if isinstance(counts, str):
        runs = _uncompressed(counts, what)
    elif isinstance(counts, list):
        runs = [whole_number(run, f"a run of {what}") for run in counts]
    else:
        raise InputError(f"{what} has no 'counts': wanted a list of numbers or a text.")
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise InputError(
            f"the runs of {what} cover {sum(runs)} pixels, some of them negative or not: wanted "
            f"runs of 0 or more that cover {height * width}."
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T.copy()


def _uncompressed(text: str, what: str) -> list[int]:
    runs: list[int] = []
    number, shift = 0, 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift > 60:
            raise InputError(f"{what} holds {character!r}, which no compressed mask has there.")
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number, shift = 0, 0
    if shift:
        raise InputError(f"the compressed text of {what} ends within a number.")
    return runs
