"""Images and what is known about them: data sets by name, or the user's own files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gradcam_eval.core import BadSample, Sample, unknown_name
from gradcam_eval.data.decode import load_image
from gradcam_eval.data.folder import folder_names, iter_folder, load_folder
from gradcam_eval.data.photos import iter_photos, load_photos, photo_names

__all__ = [
    "DATASETS",
    "DataSet",
    "iter_samples",
    "load_folder",
    "load_image",
    "load_photos",
    "load_samples",
    "sample_names",
]


class _Samples(Protocol):
    def __call__(
        self, size: tuple[int, int], *, names: Sequence[str] | None = None
    ) -> Iterator[Sample | BadSample]: ...


@dataclass(frozen=True)
class DataSet:
    """A data set that is known by name.

    Attributes
    ----------
    description : one line
    names : the names of its samples, found without decoding any
    samples : yields them at a size (H, W), all or the named ones
    """

    description: str
    names: Callable[[], list[str]]
    samples: _Samples


DATASETS: dict[str, DataSet] = {
    "photos": DataSet(
        "photographs inside pip packages, with classes, boxes and masks", photo_names, iter_photos
    ),
}


def load_samples(source: str | Path, size: tuple[int, int]) -> list[Sample | BadSample]:
    """Return all samples of a source at `size` (H, W); see `iter_samples`."""
    return list(iter_samples(source, size))


def iter_samples(
    source: str | Path, size: tuple[int, int], *, names: Sequence[str] | None = None
) -> Iterator[Sample | BadSample]:
    """Yield the samples of a source one at a time, so that memory holds one image, not all.

    Parameters
    ----------
    source : a name in `DATASETS`, a folder, or an image file; a name wins over a folder so called
        (write `./photos` for the folder)
    size : (H, W) of the model's input
    names : which samples, of those that `sample_names` lists; all of them where None

    Raises
    ------
    InputError
        If the source is unknown, the folder has no image, or a sample has not that name.
    """
    dataset = _registered(source)
    if dataset is not None:
        return dataset.samples(size, names=names)
    return iter_folder(source, size, names=names)


def sample_names(source: str | Path) -> list[str]:
    """Return the names of a source's samples without decoding them: their number is cheap."""
    dataset = _registered(source)
    return folder_names(source) if dataset is None else dataset.names()


def _registered(source: str | Path) -> DataSet | None:
    """Return the data set of that name, or None where `source` is a path that exists."""
    if isinstance(source, str) and source in DATASETS:
        return DATASETS[source]
    try:
        exists = Path(source).exists()
    except OSError:  # for example a name longer than the file system allows
        exists = False
    if not exists:
        raise unknown_name("data set, folder or image", str(source), DATASETS)
    return None
