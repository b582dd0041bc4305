"""From an entry of any data set to a sample: decoded, framed, its classes mapped, or a bad row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from gradcam_eval.core import BadSample, InputError, Photo, ReadError, Sample, Truth, reason_of
from gradcam_eval.data.annotation import Annotation, Entry
from gradcam_eval.data.classmap import ClassMap, imagenet_map
from gradcam_eval.data.decode import check_size
from gradcam_eval.data.depth import Pixels
from gradcam_eval.data.geometry import Framing
from gradcam_eval.data.groups import groups_of
from gradcam_eval.data.opening import open_entry
from gradcam_eval.data.placement import annotation_of, are_relative
from gradcam_eval.data.truth import truth_in_frame
from gradcam_eval.values import LEVELS, Values, check_values, to_levels

# What another run may not meet: it says nothing about the image.
_PASSING = (ReadError, OSError, MemoryError)


@dataclass(frozen=True)
class Reading:
    """How the entries of a data set become samples.

    Attributes
    ----------
    size : (H, W) of the model's input
    framing : how pictures of any shape get that size
    classes : the data set's names of classes → the model's indices
    channels : of the model's input: 3, or 1 for grey; in memory, any number that the images have
    values : the range of samples that were made already; those of files have levels
    pixels : how deep and very large files are read
    """

    size: tuple[int, int]
    framing: Framing = field(default_factory=Framing)
    classes: ClassMap = field(default_factory=imagenet_map)
    channels: int = 3
    values: Values = LEVELS
    pixels: Pixels = field(default_factory=Pixels)

    def __post_init__(self) -> None:
        """Refuse what is no size."""
        check_size(self.size)


def read_sample(item: Entry | Sample, reading: Reading) -> Sample | BadSample:
    """Return a sample of an entry, or the sample that was made already, checked."""
    return read_entry(item, reading) if isinstance(item, Entry) else _checked(item, reading)


def read_entry(entry: Entry, reading: Reading) -> Sample | BadSample:
    """Decode one entry; what is wrong with it becomes the reason of a `BadSample`.

    Notes
    -----
    Labels that the model has no class for are left out of `labels`; an object of such a class has
    the index -1. A whole number outside the model's classes is an error.
    """
    try:
        return _read(entry, reading)
    except Exception as error:  # a reader that stumbles over one file must not end a study
        return BadSample(entry.name, reason_of(error), may_pass=isinstance(error, _PASSING))


def _read(entry: Entry, reading: Reading) -> Sample:
    labels, n_main = label_indices(entry.labels, reading.classes)
    opened = open_entry(entry, reading.pixels)
    original = opened.place.size
    annotation = annotation_of(entry, opened.place)
    classes = object_classes(annotation, entry, labels, reading.classes)
    frame = reading.framing.frame(original, reading.size)
    return Sample(
        id=opened.digest,
        name=entry.name,
        image=opened.framed(frame, reading.channels),
        labels=labels,
        truth=truth_in_frame(annotation, frame, classes),
        original_truth=truth_in_frame(annotation, frame.unscaled(), classes),
        credit=entry.credit,
        licence=entry.licence,
        groups=groups_of(entry, annotation, original),
        n_main=n_main,
        applied=opened.applied(reading.channels),
        photo=Photo(opened.small(reading.channels), frame),
    )


def _checked(sample: Sample, reading: Reading) -> Sample | BadSample:
    image, count = sample.image, reading.classes.count
    shape = (*reading.size, reading.channels)
    if image.dtype != np.float32 or image.shape != shape:
        return BadSample(
            sample.name,
            f"its image is {image.dtype} of shape {image.shape} and the model takes float32 of "
            f"shape {shape}: make samples at the model's size.",
        )
    try:
        check_values(image, reading.values, what="its image's values")
        _check_boxes(sample.truth)
    except InputError as error:
        return BadSample(sample.name, str(error))
    for label in sample.labels:
        if label < 0 or (count is not None and label >= count):
            return BadSample(sample.name, f"label {label} is outside the model's {count} classes.")
    if reading.values == LEVELS:
        return sample
    return replace(sample, image=to_levels(image, reading.values))


def _check_boxes(truth: Truth) -> None:
    """Raise InputError where a sample's boxes end within 0..1: those of a truth are in pixels."""
    if len(truth.boxes) and max(truth.size) > 1 and are_relative(truth.boxes.reshape(-1, 2)):
        raise InputError(
            f"its boxes end within the first pixel of {truth.size[1]}×{truth.size[0]}: boxes of a "
            "`Truth` are in pixels, so multiply boxes from 0 to 1 by the sides."
        )


def label_indices(names: tuple[str, ...], classes: ClassMap) -> tuple[tuple[int, ...], int]:
    """Return the indices of an image's labels that the model knows, each once.

    And how many of them, from the first on, the first label means that it knows; 1 without any.
    """
    found = [indices for name in names if (indices := classes.indices(name))]
    labels = tuple(dict.fromkeys(index for indices in found for index in indices))
    return labels, len(set(found[0])) if found else 1


def object_classes(
    annotation: Annotation, entry: Entry, labels: tuple[int, ...], classes: ClassMap
) -> tuple[int | tuple[int, ...], ...]:
    """Return the class index of each object, or none where all of them show the labels.

    Several indices where its name means several, and -1 where it means none.
    """
    names = [drawn.label for drawn in annotation.objects]
    if all(name is None for name in names):
        # of an image whose labels the model does not have, the objects are not the model's either
        return (-1,) * len(names) if entry.labels and not labels else ()
    if None in names and len(entry.labels) > 1:
        raise InputError(
            f"some objects have a class and others have none, and the image has "
            f"{len(entry.labels)} labels: give each object its class."
        )
    found = [labels if name is None else classes.indices(name) for name in names]
    return tuple(each if len(each) > 1 else each[0] if each else -1 for each in found)
