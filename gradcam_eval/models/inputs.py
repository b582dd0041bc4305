"""How a model takes its images: alone or among other inputs, channels last or first, of what size.

Images are (N, H, W, C) everywhere in the toolkit; what the model wants is made inside the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from gradcam_eval.core import InputError

Key: TypeAlias = str | int
ImageLayout: TypeAlias = Literal["channels_last", "channels_first"]


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What a model takes.

    Attributes
    ----------
    shape : (H, W, C) of one image
    layout : which axis of the model's image input holds the channels
    kind : how the inputs are handed over: the images alone, a dict or a list
    image : key of the images in that dict or list
    extras : the other inputs, by key, as tensors (N, …)
    """

    shape: tuple[int, int, int]
    layout: ImageLayout = "channels_last"
    kind: Literal["alone", "dict", "list"] = "alone"
    image: Key = 0
    extras: Mapping[Key, tf.TensorSpec] = field(default_factory=dict)

    def join(self, images: Any, extras: tuple[Any, ...] = ()) -> Any:
        """Return what the model is called with, from (N, H, W, C) and the extras in their order."""
        if self.layout == "channels_first":
            images = tf.transpose(images, (0, 3, 1, 2))
        values = {self.image: images, **dict(zip(self.extras, extras, strict=True))}
        if self.kind == "alone":
            return images
        return values if self.kind == "dict" else [values[i] for i in range(len(values))]

    def zeros(self) -> Any:
        """Return one image and its extras, all zero: what builds a model that was never called."""
        extras = tuple(tf.zeros((1, *spec.shape[1:]), spec.dtype) for spec in self.extra_specs)
        return self.join(tf.zeros((1, *self.shape)), extras)

    @property
    def extra_specs(self) -> tuple[tf.TensorSpec, ...]:
        """The extras' specifications, in the order in which `join` takes them."""
        return tuple(self.extras.values())


def model_inputs(
    model: keras.Model,
    size: tuple[int, int] | None = None,
    *,
    given: Any = None,
    image_input: Key | None = None,
) -> ModelInputs:
    """Find out how a model takes its images.

    Parameters
    ----------
    model : keras.Model
    size : (H, W), needed where neither the model nor `given` fixes it
    given : images, or the dict or list that the model is to be called with; it says what the
        inputs of a subclassed model are
    image_input : which input holds the images, where several could

    Raises
    ------
    InputError : no input or several could be the images, their size is not known, or several
        inputs were given to a model that has one
    """
    declared = _declared(model)
    if isinstance(declared, dict | list) or (declared is None and is_structure(given)):
        return _one_of_many(model, declared, given, image_input, size)
    if isinstance(given, Mapping):
        raise InputError(
            f"this model has one input, and {len(given)} were given "
            f"({', '.join(map(str, given))}): give the images alone"
        )
    layout = _layout(model)
    if declared is not None:
        shape = tuple(declared.shape)
    else:  # a subclassed model takes what it is given, or else what it was built for
        channels = np.shape(given)[-1] if np.ndim(given) > 2 else _built_channels(model, layout)
        shape = (
            (None, channels, None, None)
            if layout == "channels_first"
            else (None, None, None, channels)
        )
    return ModelInputs(_image_shape(shape, layout, size or _size_of(given)), layout)


def is_structure(given: Any) -> bool:
    """Whether several inputs are given: a dict, or a list of arrays that differ in rank."""
    if isinstance(given, Mapping):
        return True
    return isinstance(given, list | tuple) and len({np.ndim(each) for each in given}) > 1


def split(inputs: ModelInputs, given: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the images and the extras, in their order, of what a user gave.

    Raises
    ------
    InputError : an input is missing, or one that the model does not have
    """
    if inputs.kind == "alone":
        return given, ()
    keys = (inputs.image, *inputs.extras)
    if inputs.kind == "list" and not isinstance(given, Mapping):
        given = dict(enumerate(given)) if isinstance(given, list | tuple) else given
    if not isinstance(given, Mapping) or set(given) != set(keys):
        received = list(given) if isinstance(given, Mapping) else type(given).__name__
        raise InputError(f"this model's inputs are {sorted(map(str, keys))}: {received} was given")
    return given[inputs.image], tuple(given[key] for key in inputs.extras)


def input_shape(
    model: keras.Model, input_size: tuple[int, int] | None = None
) -> tuple[int, int, int]:
    """Return (H, W, C) of the model's images, its open axes filled from `input_size`."""
    return model_inputs(model, input_size).shape


def check_image_shape(model: keras.Model, shape: tuple[int, ...]) -> None:
    """Raise InputError unless the model takes images of this shape (H, W, C)."""
    check_shape(model_inputs(model, (shape[0], shape[1])), shape)


def check_shape(inputs: ModelInputs, shape: tuple[int, ...]) -> None:
    """Raise InputError unless images of this shape (H, W, C) are what a model takes."""
    if tuple(shape) != inputs.shape:
        given, takes = ("×".join(map(str, sides)) for sides in (shape, inputs.shape))
        first = " The model's channels-first layout is made inside." * (
            inputs.layout == "channels_first"
        )
        raise InputError(
            f"images are {given} (height × width × channels), and this model takes {takes}: "
            f"load them with load_image(path, size=(height, width)).{first}"
        )


def _declared(model: keras.Model) -> Any:
    """Return the model's symbolic inputs in the structure it was built with, or None."""
    for name in ("input", "inputs"):  # a Sequential model has only the second
        try:
            declared = getattr(model, name, None)
        except (AttributeError, ValueError):  # subclassed, or never built
            continue
        if isinstance(declared, list) and len(declared) == 1:
            return declared[0]
        if declared is not None:
            return declared
    return None


def _built_channels(model: keras.Model, layout: ImageLayout) -> int:
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, list | tuple) or len(shape) != 4:
        return 3
    return (shape[1] if layout == "channels_first" else shape[3]) or 3


def _one_of_many(
    model: keras.Model, declared: Any, given: Any, image_input: Key | None, size: Any
) -> ModelInputs:
    struct = declared if isinstance(declared, dict | list) else given
    kind: Literal["dict", "list"] = "dict" if isinstance(struct, Mapping) else "list"
    members = dict(struct) if isinstance(struct, Mapping) else dict(enumerate(struct))
    layout = _layout(model)
    key = _image_key(members, image_input)
    shape = tuple(members[key].shape)
    if is_structure(given):
        values = dict(given) if isinstance(given, Mapping) else dict(enumerate(given))
        size = _size_of(values.get(key)) or size
    return ModelInputs(
        _image_shape(shape, layout, size),
        layout,
        kind,
        key,
        {name: _spec(member) for name, member in members.items() if name != key},
    )


def _image_key(members: dict[Key, Any], image_input: Key | None) -> Key:
    ranked = [key for key, member in members.items() if len(member.shape) == 4]
    if image_input is not None:
        if image_input not in ranked:
            raise InputError(
                f"image_input is {image_input!r}: this model's image inputs are "
                f"{', '.join(map(repr, ranked)) or 'none'}"
            )
        return image_input
    if len(ranked) != 1:
        raise InputError(
            f"this model has {len(members)} inputs, {len(ranked)} of which could be images "
            f"({', '.join(map(repr, ranked)) or 'wanted (N, H, W, C)'}): name one with image_input"
        )
    return ranked[0]


def _spec(member: Any) -> tf.TensorSpec:
    dtype = keras.backend.standardize_dtype(member.dtype)
    return tf.TensorSpec((None, *member.shape[1:]), dtype)


def _size_of(given: Any) -> tuple[int, int] | None:
    sides = list(np.shape(given)) if given is not None else []
    return (sides[-3], sides[-2]) if len(sides) in (3, 4) else None


def operations_in(layer: keras.Operation) -> list[keras.Operation]:
    """Return the layers, and in a functional model also the operations, that one is made of."""
    if not isinstance(layer, keras.layers.Layer):
        return []
    # Model.layers is this same walk, but blocks that are plain Layers offer no public one.
    layers = list(layer._flatten_layers(include_self=False, recursive=False))
    if isinstance(layer, keras.Model) and hasattr(layer, "operations"):  # a functional model
        return list({id(each): each for each in (*layer.operations, *layers)}.values())
    return layers


def output_layout(model: keras.Model) -> ImageLayout:
    """Return the layout of what a model gives for each pixel: that of its last layer that has one.

    Keras offers no other way to ask.
    """
    return next(reversed(list(_layouts(model))), "channels_last")


def _layout(model: keras.Model) -> ImageLayout:
    """Return the layout of a model's images: that of the first layer that has one."""
    return next(_layouts(model), "channels_last")


def _layouts(layer: keras.Operation) -> Iterator[ImageLayout]:
    """Yield the layouts that maps have on their way, as the layers tell in their order."""
    data_format = getattr(layer, "data_format", None)
    if data_format in ("channels_last", "channels_first"):
        yield data_format
    dims = getattr(layer, "dims", None) if isinstance(layer, keras.layers.Permute) else None
    axes = (0, *dims) if dims else getattr(layer, "axes", None)
    if axes is not None and tuple(np.ravel(axes)) == (0, 3, 1, 2):
        yield from ("channels_last", "channels_first")
    if axes is not None and tuple(np.ravel(axes)) == (0, 2, 3, 1):
        yield from ("channels_first", "channels_last")
    for inner in operations_in(layer):
        yield from _layouts(inner)


def _image_shape(
    shape: tuple[int | None, ...], layout: str, size: tuple[int, int] | None
) -> tuple[int, int, int]:
    if len(shape) != 4:
        raise InputError(f"this model's input has shape {shape}: wanted images (N, H, W, C)")
    channels, *sides = shape[1:] if layout == "channels_first" else (shape[3], *shape[1:3])
    height, width = (fixed or wanted for fixed, wanted in zip(sides, size or (0, 0), strict=True))
    if not height or not width:
        raise InputError(
            "this model does not fix its image size: give input_size=(height, width) in pixels"
        )
    return int(height), int(width), int(channels or 3)
