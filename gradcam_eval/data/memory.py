"""Data that a program holds already: samples and entries, or a data set of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from gradcam_eval.core import InputError
from gradcam_eval.data.annotation import Annotation, Drawn, Entry

_PARTS = ("image", "label", "boxes", "mask")
_EITHER = "third part"


def entries_from_dataset(dataset: Iterable[Any], *, scale: float = 1.0) -> Iterator[Entry]:
    """Yield an entry for each element of a `tf.data.Dataset`, or of anything that iterates alike.

    Parameters
    ----------
    dataset : its elements are (image, label), (image, label, boxes), (image, label, mask), or a
        dict with "image" and any of "label", "boxes" and "mask". image: (H, W, 3), or (H, W, 1) in
        grey, 0..255; label: an index, a name, or a vector of zeros and ones; boxes: (n, 4), x0, y0,
        x1, y1 in pixels, half-open; mask: (H, W) or (H, W, 1), not 0 on the object. Or batches of
        these, of any size, with one axis more in front of each part; they are taken apart.
    scale : what images are multiplied by: 255 for images in 0..1

    Yields
    ------
    Entry with the pixels as uint8, named "000000", "000001", …. A negative label is none.

    Raises
    ------
    InputError : an element is something else; the message has its number, counted in images

    Notes
    -----
    TensorFlow is not imported: each tensor is asked for its `.numpy()`. Float images are rounded to
    whole numbers, as all files have them.
    """
    number = 0
    for element in dataset:
        try:
            for single in _singles(_arrays(element)):
                yield _entry(f"{number:06d}", _parts(single), scale)
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


def _entry(name: str, parts: dict[str, np.ndarray], scale: float) -> Entry:
    pixels = _pixels(parts["image"], scale)
    labels = _labels(parts["label"]) if "label" in parts else ()
    objects = _objects(parts, pixels.shape[:2])
    return Entry(name, pixels, labels, lambda size: Annotation(objects))


def _pixels(image: np.ndarray, scale: float) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype.kind not in "uif":
        raise InputError(
            f"its image is {image.dtype} of shape {image.shape}: wanted numbers of shape (H, W, 3)."
        )
    if image.dtype.kind == "f" and scale == 1.0 and 0 < image.max(initial=0) <= 1:
        raise InputError("its image ends at 1 or below: give scale=255 for images in 0..1.")
    values = image * scale if scale != 1.0 else image
    # written so that NaN fails as well
    if not (values.min(initial=0) >= 0 and values.max(initial=0) <= 255):
        raise InputError(
            f"its image has values from {values.min()} to {values.max()}: wanted 0..255."
        )
    pixels = np.rint(values).astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


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
