"""Data that a program holds already: samples and entries, or a data set of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from gradcam_eval.core import InputError, is_whole
from gradcam_eval.data.annotation import Annotation, BoxUnit, Drawn, Entry
from gradcam_eval.values import LEVELS, Values, as_values, check_values, to_levels

_PARTS = ("image", "label", "boxes", "mask")
_EITHER = "third part"
_WHOLE = 1e-3  # levels: what is left of whole ones that were scaled and back in float32


def entries_from_dataset(
    dataset: Iterable[Any],
    *,
    values: Sequence[float] = LEVELS,
    boxes_unit: BoxUnit = "",
    count: int | None = None,
) -> Iterator[Entry]:
    """Yield an entry for each element of a `tf.data.Dataset`, or of anything that iterates alike.

    Parameters
    ----------
    dataset : its elements are (image, label), (image, label, boxes), (image, label, mask), or a
        dict with "image" and any of "label", "boxes" and "mask". image: (H, W, C), in `values`:
        RGB, grey with C = 1, or the channels of the model; label: an index, a name, or a vector of
        zeros and ones; boxes: (n, 4), x0, y0, x1, y1 in pixels, half-open; mask: (H, W) or
        (H, W, 1), not 0 on the object. Or batches of these, of any size, with one axis more in
        front of each part; they are taken apart.
    values : the range [low, high] of the images, as (0, 1), or (-1000, 400) Hounsfield units
    boxes_unit : "pixels", or "relative" for boxes from 0 to 1
    count : how many images at most, the first ones; None: all

    Yields
    ------
    Entry with the pixels in levels, 0..255, named "000000", "000001", …: uint8 where all of them
    are whole within a thousandth, else float32. A negative label is none.

    Raises
    ------
    InputError : an element is something else (the message has its number, counted in images), or a
        `tf.data.Dataset` never ends and there is no `count`

    Notes
    -----
    TensorFlow is not imported: each tensor is asked for its `.numpy()`.
    """
    within = as_values(values)
    check_count(count)
    cardinality = getattr(dataset, "cardinality", None)  # of a tf.data.Dataset; -1: endless
    if count is None and callable(cardinality) and int(cardinality()) == -1:
        raise _endless()
    entries = islice(_entries(dataset, within, boxes_unit), count)
    return _Entries(entries, has_end=count is not None or has_end(dataset))


class _Entries(Iterator[Entry]):
    """Entries one by one, which know whether what they are made of has an end."""

    def __init__(self, entries: Iterator[Entry], *, has_end: bool) -> None:
        self._entries = entries
        self.has_end = has_end

    def __next__(self) -> Entry:
        return next(self._entries)


def check_count(count: int | None) -> None:
    """Raise InputError for a count of no image."""
    if count is not None and not (is_whole(count) and count >= 1):
        raise InputError(f"count = {count!r}: wanted a number of images from 1 up.")


def wanted_count(data: Iterable[Any], count: int | None) -> int | None:
    """Return how many images to take of `data`: `count`, or None for all where it has an end.

    Raises
    ------
    InputError : no `count`, and `data` never ends, or does not know whether it does
    """
    check_count(count)
    if count is None and not has_end(data):
        raise _endless()
    return count


def _endless() -> InputError:
    return InputError(
        "the data does not say how many images it has, and may never end: say how many to take "
        "with count=… (open_source(data, count=100); in a study data = {count = 100}), or give a "
        "list. A tf.data.Dataset knows its length after .take(n), where it was endless, or "
        "after .apply(tf.data.experimental.assert_cardinality(n))."
    )


def has_end(data: Iterable[Any]) -> bool:
    """Return whether data in memory says how many elements it has."""
    if isinstance(data, _Entries):
        return data.has_end
    try:
        return len(data) >= 0  # type: ignore[arg-type]
    except TypeError:  # a generator; a tf.data.Dataset that is endless, or of unknown length
        return False
    except OverflowError:  # a Keras PyDataset without end
        return False


def _entries(dataset: Iterable[Any], within: Values, boxes_unit: BoxUnit) -> Iterator[Entry]:
    number = 0
    for element in dataset:
        try:
            for single in _singles(_arrays(element)):
                yield _entry(f"{number:06d}", _parts(single), within, boxes_unit)
                number += 1
        except InputError as error:
            raise InputError(f"element {number} of the data set: {error}") from error


def _arrays(element: Any) -> dict[str, np.ndarray]:
    """Return the parts of an element as arrays; of a tuple, the third is "boxes or mask"."""
    if isinstance(element, Mapping):
        named = {name: element[name] for name in _PARTS if name in element}
    elif isinstance(element, tuple | list) and 1 <= len(element) <= 3:
        named = dict(zip((*_PARTS[:2], _EITHER), element, strict=False))
    else:
        named = {"image": element}
    if "image" not in named:
        raise InputError(f"it has no 'image': wanted a dict with {', '.join(_PARTS)}, or a tuple.")
    return {name: _as_array(name, value) for name, value in named.items()}


def _singles(arrays: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Take a batch apart, one image after the other; what is no batch is one image."""
    if arrays["image"].ndim != 4:
        yield arrays
        return
    count = len(arrays["image"])
    for name, values in arrays.items():
        if values.ndim == 0 or len(values) != count:
            raise InputError(
                f"it is a batch of {count} images with a {name} of shape {values.shape}: wanted "
                "one for each image."
            )
    for n in range(count):
        yield {name: np.asarray(values[n]) for name, values in arrays.items()}


def _parts(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the parts of one image, with the third of a tuple told apart."""
    if _EITHER in arrays:
        third = arrays.pop(_EITHER)
        is_boxes = third.ndim == 2 and third.shape[1] == 4
        if is_boxes and third.shape == arrays["image"].shape[:2]:
            raise InputError("the third part may be boxes or a mask: give a dict that says which.")
        arrays["boxes" if is_boxes else "mask"] = third
    return arrays


def _as_array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except ValueError as error:
        raise InputError(f"its {name} is no array: {error}") from error


def _entry(name: str, parts: dict[str, np.ndarray], values: Values, boxes_unit: BoxUnit) -> Entry:
    pixels = _pixels(parts["image"], values)
    labels = _labels(parts["label"]) if "label" in parts else ()
    objects = _objects(parts, pixels.shape[:2])
    return Entry(name, pixels, labels, lambda size: Annotation(objects), boxes_unit=boxes_unit)


def _pixels(image: np.ndarray, values: Values) -> np.ndarray:
    if image.ndim != 3 or image.dtype.kind not in "uif":
        raise InputError(
            f"its image is {image.dtype} of shape {image.shape}: wanted numbers of shape (H, W, C)."
        )
    check_values(image, values, what="the values of its image")
    levels = np.clip(to_levels(image, values), 0, 255)  # what float32 rounds beyond
    whole = np.rint(levels)
    is_whole = bool(np.abs(levels - whole).max(initial=0) <= _WHOLE)
    return whole.astype(np.uint8) if is_whole else levels


def _labels(label: np.ndarray) -> tuple[str, ...]:
    if label.ndim == 1 and label.dtype.kind in "uifb" and set(np.unique(label)) <= {0, 1}:
        return tuple(map(str, np.flatnonzero(label).tolist()))
    value = label.item() if label.size == 1 else None
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int | str):
        raise InputError(
            f"its label is {label.dtype} of shape {label.shape}: wanted an index, a name, or a "
            "vector of zeros and ones."
        )
    return () if isinstance(value, int) and value < 0 else (str(value),)


def _objects(parts: dict[str, np.ndarray], size: tuple[int, ...]) -> tuple[Drawn, ...]:
    if "mask" in parts and "boxes" in parts:
        raise InputError("it has boxes and a mask: give one of them.")
    if "mask" in parts:
        mask = parts["mask"]
        mask = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
        if mask.shape != tuple(size) or mask.dtype.kind not in "buif":
            raise InputError(
                f"its mask is {mask.dtype} and has the shape {mask.shape}: wanted numbers, and "
                f"that of its image, {size}."
            )
        return (Drawn(mask=mask != 0),)
    boxes = parts.get("boxes", np.zeros((0, 4)))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "uif":
        raise InputError(
            f"its boxes are {boxes.dtype} and have the shape {boxes.shape}: wanted numbers (n, 4)."
        )
    return tuple(Drawn((float(a), float(b), float(c), float(d))) for a, b, c, d in boxes)
