"""Images and what is known about them: data sets by name, or the user's own files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradcam_eval.core import BadSample, Sample
from gradcam_eval.data.annotation import Annotation, Drawn, Entry
from gradcam_eval.data.classmap import ClassMap, class_map
from gradcam_eval.data.decode import load_image
from gradcam_eval.data.depth import Pixels
from gradcam_eval.data.geometry import Fit, Framing, as_framing
from gradcam_eval.data.memory import entries_from_dataset
from gradcam_eval.data.pipeline import Reading
from gradcam_eval.data.readers import READERS
from gradcam_eval.data.source import (
    DATASETS,
    IN_MEMORY,
    Data,
    DataSet,
    Drawing,
    Source,
    open_source,
)
from gradcam_eval.data.subset import Subset

__all__ = [
    "DATASETS",
    "IN_MEMORY",
    "READERS",
    "Annotation",
    "ClassMap",
    "DataSet",
    "Drawing",
    "Drawn",
    "Entry",
    "Framing",
    "Pixels",
    "Reading",
    "Source",
    "Subset",
    "entries_from_dataset",
    "iter_samples",
    "load_image",
    "load_samples",
    "open_source",
    "sample_names",
]


def load_samples(  # noqa: PLR0913 - what is read, and how
    source: Data,
    size: tuple[int, int],
    *,
    format: str | None = None,
    classes: ClassMap | Sequence[str] | None = None,
    framing: Framing | Fit = "squash",
    channels: int = 3,
    pixels: Pixels | None = None,
    drawn: Drawing | None = None,
) -> list[Sample | BadSample]:
    """Read all samples of a source into memory; `data.iter_samples` reads one at a time.

    Parameters
    ----------
    source : a built-in data set's name, a folder, an image, a list of images, samples or tensors in
        memory; see `open_source`, which takes a reader's options as well
    size : (H, W) of the model's input
    format : a name in `data.READERS`, where it does not follow from the source
    classes : the model's class names, or a `data.ClassMap`; None: those of ImageNet-1k
    framing : "squash", "crop", "letterbox", or a `data.Framing` with its options
    channels : of the model's input: 3, or 1 for grey
    pixels : how deep and very large files are read, a `data.Pixels`
    drawn : the frame and unit of what is drawn, a `data.Drawing`

    Returns
    -------
    list of Sample (image float32 (H, W, channels), 0..255; labels; truth), in the source's order;
    an image that cannot be read is a `data.BadSample` with its reason

    Raises
    ------
    InputError : the source is unknown, or it cannot be read as a whole
    """
    return list(
        iter_samples(
            source,
            size,
            format=format,
            classes=classes,
            framing=framing,
            channels=channels,
            pixels=pixels,
            drawn=drawn,
        )
    )


def iter_samples(  # noqa: PLR0913 - as load_samples
    source: Data,
    size: tuple[int, int],
    *,
    format: str | None = None,
    classes: ClassMap | Sequence[str] | None = None,
    framing: Framing | Fit = "squash",
    channels: int = 3,
    pixels: Pixels | None = None,
    drawn: Drawing | None = None,
) -> Iterator[Sample | BadSample]:
    """Yield the samples of a source one at a time, so that memory holds one image, not all.

    Parameters
    ----------
    source : a name in `DATASETS`, a folder, an image, a manifest, samples or tensors in memory; see
        `open_source`, which takes a reader's options as well
    size : (H, W) of the model's input
    format : a name in `READERS`, where it does not follow from the source
    classes : the model's class names, or a `ClassMap`; None: those of ImageNet-1k
    framing : "squash", "crop", "letterbox", or a `Framing` with its options
    channels, pixels, drawn : as of `load_samples`

    Raises
    ------
    InputError : the source is unknown, or it cannot be read as a whole
    """
    opened = open_source(source, format=format, drawn=drawn)
    framing = as_framing(framing)
    mapped = opened.class_map(class_map(classes))
    return opened.samples(
        Reading(size, framing, mapped, channels=channels, pixels=pixels or Pixels())
    )


def sample_names(source: Data) -> list[str]:
    """Return the names of a source's samples without decoding them: their number is cheap."""
    return open_source(source).names
