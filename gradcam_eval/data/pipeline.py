"""From an entry of any data set to a sample: decoded, framed, its classes mapped, or a bad row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from gradcam_eval.core import BadSample, InputError, ReadError, Sample, reason_of
from gradcam_eval.data.annotation import Annotation, Entry
from gradcam_eval.data.classmap import ClassMap, imagenet_map
from gradcam_eval.data.decode import decode, picture_size, read_file
from gradcam_eval.data.geometry import Framing
from gradcam_eval.data.groups import groups_of
from gradcam_eval.data.truth import check_annotation, truth_in_frame

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
    """

    size: tuple[int, int]
    framing: Framing = field(default_factory=Framing)
    classes: ClassMap = field(default_factory=imagenet_map)


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


def open_picture(entry: Entry) -> tuple[str, Pillow.Image]:
    """Return the content hash of an entry's image and the upright RGB picture.

    Raises
    ------
    InputError : there is no file, or it is not an image
    """
    content = entry.file() if callable(entry.file) else entry.file
    name = str(content) if isinstance(content, Path) else entry.name
    if isinstance(content, np.ndarray):
        pixels = _checked_pixels(content, name)
        digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes())
        return digest.hexdigest()[:16], Pillow.fromarray(pixels)
    data = read_file(content, name=name) if isinstance(content, Path) else content
    return hashlib.sha256(data).hexdigest()[:16], decode(data, name=name)


def upright_size(entry: Entry) -> tuple[int, int]:
    """Return (H, W) of an entry's upright image; of a file, only the header is read."""
    if isinstance(entry.file, Path):
        return picture_size(entry.file)
    picture = open_picture(entry)[1]
    return picture.height, picture.width


def _read(entry: Entry, reading: Reading) -> Sample:
    labels, n_main = label_indices(entry.labels, reading.classes)
    digest, picture = open_picture(entry)
    original = (picture.height, picture.width)
    annotation = entry.annotate(original)
    check_annotation(annotation, original)
    classes = object_classes(annotation, entry, labels, reading.classes)
    frame = reading.framing.frame(original, reading.size)
    return Sample(
        id=digest,
        name=entry.name,
        image=frame.picture(picture),
        labels=labels,
        truth=truth_in_frame(annotation, frame, classes),
        original_truth=truth_in_frame(annotation, frame.unscaled(), classes),
        credit=entry.credit,
        licence=entry.licence,
        groups=groups_of(entry, annotation, original),
        n_main=n_main,
    )


def _checked(sample: Sample, reading: Reading) -> Sample | BadSample:
    image, count = sample.image, reading.classes.count
    if image.dtype != np.float32 or image.shape != (*reading.size, 3):
        return BadSample(
            sample.name,
            f"its image is {image.dtype} of shape {image.shape} and the model takes float32 of "
            f"shape {(*reading.size, 3)}, 0..255: make samples at the model's size.",
        )
    for label in sample.labels:
        if label < 0 or (count is not None and label >= count):
            return BadSample(sample.name, f"label {label} is outside the model's {count} classes.")
    return sample


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


def _checked_pixels(pixels: np.ndarray, name: str) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"{name} is {pixels.dtype} of shape {pixels.shape}: wanted uint8 RGB (H, W, 3)."
        )
    return np.ascontiguousarray(pixels)
