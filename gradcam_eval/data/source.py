"""Where samples come from: a data set by name, the user's files, or what is in memory already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradcam_eval.core import BadSample, InputError, Sample, unknown_name
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.photos import photo_entries
from gradcam_eval.data.pipeline import Reading, read_entry
from gradcam_eval.data.readers import list_entries


@dataclass(frozen=True)
class DataSet:
    """A data set that is known by name.

    Attributes
    ----------
    description : one line
    entries : lists its images, without decoding or generating any
    """

    description: str
    entries: Callable[[], list[Entry]]


DATASETS: dict[str, DataSet] = {
    "photos": DataSet(
        "photographs inside pip packages, with classes, boxes and masks", photo_entries
    ),
}


@dataclass(frozen=True, eq=False)
class Source:
    """The images of a data set, listed and in order; none of them decoded.

    Attributes
    ----------
    path : the name or path it was opened by
    entries : the images, each with a name of its own
    """

    path: str
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Refuse names that stand twice: results are kept by name."""
        names = self.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"two images of {self.path} are called {twice!r}: name each once.")

    @property
    def names(self) -> list[str]:
        """The names of the images, in order."""
        return [entry.name for entry in self.entries]

    def named(self, names: Sequence[str]) -> Source:
        """Return the images of these names alone, in the data set's order."""
        for name in sorted(set(names) - set(self.names)):
            raise unknown_name("image", name, self.names)
        wanted = set(names)
        return Source(self.path, tuple(entry for entry in self.entries if entry.name in wanted))

    def samples(self, reading: Reading) -> Iterator[Sample | BadSample]:
        """Yield the samples one at a time, so that memory holds one image, not all."""
        return (read_entry(entry, reading) for entry in self.entries)


def open_source(
    path: str | Path, *, format: str | None = None, options: Mapping[str, Any] | None = None
) -> Source:
    """List the images of a data set.

    Parameters
    ----------
    path : a name in `DATASETS`, a folder, or a file; a name wins over a folder so called (write
        `./photos` for the folder)
    format : a name in `READERS`; None: a manifest by its suffix, else a folder of images, or one
    options : the reader's own, by name ("annotations", "split", …); None counts as not given

    Raises
    ------
    InputError : there is no such data set or format, or it cannot be read as a whole
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    if format is None and isinstance(path, str) and path in DATASETS:
        if given:
            raise InputError(f"the data set {path!r} takes no {next(iter(given))}: leave it out.")
        return Source(path, tuple(DATASETS[path].entries()))
    if not _exists(path):
        raise unknown_name("data set, folder or image", str(path), DATASETS)
    found = list_entries(format or _format_of(Path(path)), Path(path), given)
    return Source(str(path), tuple(found))


def _format_of(path: Path) -> str:
    return "folder"


def _exists(path: str | Path) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # for example a name longer than the file system allows
        return False
