"""Why a file that a data set names is not there: often its name is written otherwise."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from gradcam_eval.core import ReadError


def missing_file(path: Path, name: str) -> ReadError:
    """Return the error for a file that is not there, with the cause where its folder shows one.

    macOS writes "é" as two characters (Unicode NFD), and lists made elsewhere as one (NFC); Windows
    does not tell "A.JPG" from "a.jpg".
    """
    try:
        beside = [each.name for each in path.parent.iterdir()]
    except OSError:
        beside = []
    form = unicodedata.normalize("NFC", path.name)
    for other in beside:
        if unicodedata.normalize("NFC", other) == form:
            return ReadError(
                f"there is no file {name}, but one whose name looks the same in another Unicode "
                "form (NFC or NFD, which macOS writes): rename the file or change the list."
            )
    for other in beside:
        if other.casefold() == path.name.casefold():
            return ReadError(f"there is no file {name}, but {other}: mind capital letters.")
    return ReadError(f"there is no file {name}: check the path.")
