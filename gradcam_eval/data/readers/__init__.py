"""Readers of data sets in the formats of the field: files and formats to entries, no pixels.

A reader is a function of the data set's path, with keyword-only options of its own (`annotations`,
`split`, …), that lists its images; `READERS` has them by name. It raises InputError for what makes
the whole data set unusable. What is wrong with one image is raised by its entry's `annotate`, and
becomes a row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from gradcam_eval.core import InputError, ReadError, unknown_name
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.readers.coco import read_coco
from gradcam_eval.data.readers.cub import read_cub
from gradcam_eval.data.readers.folder import read_class_folders, read_folder
from gradcam_eval.data.readers.imagenet import read_imagenet
from gradcam_eval.data.readers.manifest import read_csv, read_jsonl
from gradcam_eval.data.readers.pets import read_pets
from gradcam_eval.data.readers.voc import read_voc
from gradcam_eval.data.readers.wsol import read_wsol

Reader: TypeAlias = Callable[..., list[Entry]]

READERS: dict[str, Reader] = {
    "folder": read_folder,
    "class_folders": read_class_folders,
    "csv": read_csv,
    "jsonl": read_jsonl,
    "imagenet": read_imagenet,
    "wsol": read_wsol,
    "voc": read_voc,
    "coco": read_coco,
    "pets": read_pets,
    "cub": read_cub,
}


def list_entries(format: str, path: str | Path, options: Mapping[str, Any]) -> list[Entry]:
    """List the images of a data set in a format of `READERS`, with its reader's options.

    Raises
    ------
    InputError : there is no such format, it takes no such option, or the reader raises it
    """
    if format not in READERS:
        raise unknown_name("format", format, READERS)
    read = READERS[format]
    parameters = inspect.signature(read).parameters.values()
    taken = {p.name: "Path" in str(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY}
    given = {}
    for name, value in options.items():
        if name not in taken:
            raise InputError(
                f"format {format!r} takes no {name}; it takes {', '.join(taken) or 'no options'}."
            )
        given[name] = Path(value) if taken[name] else value
    try:
        return read(Path(path), **given)
    except OSError as error:  # a folder that cannot be listed, now
        raise ReadError(f"{path} cannot be listed ({error}): check the path.") from error
