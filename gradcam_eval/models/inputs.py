"""How a model takes its images: alone or among other inputs, channels last or first, of what size.

Images are (N, H, W, C) everywhere in the toolkit; what the model wants is made inside the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gradcam_eval.core import InputError, is_tf_keras
from gradcam_eval.models.image_input import image_key, names_of, ranked_keys, said_of
from gradcam_eval.models.layout import ImageLayout, layout_of_images
from gradcam_eval.models.structure import (
    ALONE,
    Key,
    filled,
    is_structure,
    matched,
    rank_of,
    taken_apart,
)

_LAST: ImageLayout = "channels_last"  # as all images are that are given


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What a model takes.

    Attributes
    ----------
    shape : (H, W, C) of one image
    layout : which axis of the model's image input holds the channels
    structure : in which the inputs are handed over: dicts, lists and tuples of keys, or one key.
        A key is the input's name or place; inside another structure, the way to it ("facts/0")
    image : key of the images
    extras : the other inputs, by key, as tensors (N, …)
    names : the keys by the names of the model's symbolic inputs, which a dict may be given by
    """

    shape: tuple[int, int, int]
    layout: ImageLayout = "channels_last"
    structure: Any = ALONE
    image: Key = ALONE
    extras: Mapping[Key, tf.TensorSpec] = field(default_factory=dict)
    names: Mapping[str, Key] = field(default_factory=dict)

    def join(self, images: Any, extras: tuple[Any, ...] = ()) -> Any:
        """Return what the model is called with, from (N, H, W, C) and the extras in their order."""
        if self.layout == "channels_first":
            images = tf.transpose(images, (0, 3, 1, 2))
        values = {self.image: images, **dict(zip(self.extras, extras, strict=True))}
        return filled(self.structure, values)

    def answer(self, model: keras.Model, images: Any, extras: tuple[Any, ...] = ()) -> Any:
        """Return a model's outputs for images (N, H, W, C) and extras; each image by itself."""
        with _without_memory(model):
            return model(self.join(images, extras), training=False)

    def zeros(self) -> Any:
        """Return one image and its extras, all zero: what builds a model that was never called."""
        shapes = [[1, *(side or 1 for side in spec.shape[1:])] for spec in self.extra_specs]
        extras = (tf.zeros(s, e.dtype) for s, e in zip(shapes, self.extra_specs, strict=True))
        return self.join(tf.zeros((1, *self.shape)), tuple(extras))

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
    image_input : which input holds the images, where several could: its key, or its own name

    Raises
    ------
    InputError : no input or several could be the images, their size is not known, several inputs
        were given to a model that has one, or a layer keeps its state from call to call
    """
    if not isinstance(model, keras.layers.Layer):
        if is_tf_keras(model):
            raise InputError(
                "the model is of tf_keras (Keras 2): wanted a keras.Model of Keras 3; save it and "
                "load it with load_model, or build it again with `import keras`"
            )
        raise InputError(
            f"the model is a {type(model).__name__}: wanted a keras.Model, as load_model gives; "
            "a SavedModel becomes one behind keras.Input and keras.layers.TFSMLayer"
        )
    _check_keeps_no_state(model)
    declared = _declared(model)
    if declared is None and not is_structure(given):
        return _of_images(model, given, size)
    structure, members = taken_apart(given if declared is None else declared)
    names = names_of(members)
    is_alone = len(members) == 1 and not isinstance(structure, Mapping)
    if isinstance(given, Mapping) and is_alone and set(given) != set(names):
        raise InputError(
            f"this model has one input, and {len(given)} were given "
            f"({', '.join(map(str, given))}): give the images alone"
        )
    if declared is None:
        members = {key: _tensor(key, member) for key, member in members.items()}
    key = image_key(members, image_input)
    found = _by_key(structure, given, names) or {key: given}
    size = _size_of(found[key]) or size
    layout = layout_of_images(model)
    shape = _image_shape(tuple(members[key].shape), layout if declared is not None else _LAST, size)
    extras = {name: _spec(member) for name, member in members.items() if name != key}
    return ModelInputs(shape, layout, structure, key, extras, names)


def check_takes_images(model: keras.Model) -> None:
    """Raise InputError where a model says what it takes, and none of it could be images."""
    members = taken_apart(_declared(model))[1]
    if all(isinstance(member, keras.KerasTensor) for member in members.values()):
        ranked_keys(members)


_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)  # stateless, they begin at zero


def _stateful(model: keras.Model) -> list[keras.Operation]:
    return [each for each in model._flatten_layers() if getattr(each, "stateful", False) is True]


@contextmanager
def _without_memory(model: keras.Model) -> Iterator[None]:
    """Let recurrent layers that keep their state from call to call begin at zero, and keep none.

    That is what they compute behind `reset_states`, for any number of images.
    """
    layers = _stateful(model)
    try:
        for layer in layers:
            layer.stateful = False
        yield
    finally:
        for layer in layers:
            layer.stateful = True


def _check_keeps_no_state(model: keras.Model) -> None:
    """Raise InputError for a layer of the user's own that keeps its state from call to call."""
    for layer in _stateful(model):
        if not isinstance(layer, _RECURRENT):
            raise InputError(
                f"layer {layer.name!r} is stateful: it remembers earlier images, so an image would "
                "have another answer at each call; expected a layer without a state, or one of "
                "Keras' recurrent layers: build the model with stateful=False, and copy the weights"
            )


def fits(model: keras.Model, given: Any) -> bool:
    """Whether what is given has the structure in which a model was built to take several inputs."""
    structure = taken_apart(_declared(model))[0]
    return isinstance(structure, Mapping | list | tuple) and _by_key(structure, given) is not None


def split(inputs: ModelInputs, given: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the images and the extras, in their order, of what a user gave.

    Raises
    ------
    InputError : an input is missing, or one that the model does not have
    """
    found = _by_key(inputs.structure, given, inputs.names)
    if found is None and not inputs.extras and not isinstance(given, Mapping):
        return given, ()
    if found is None:
        keys = said_of([inputs.image, *inputs.extras], inputs.names)
        received = list(given) if isinstance(given, Mapping) else type(given).__name__
        raise InputError(f"this model's inputs are {sorted(map(str, keys))}: {received} was given")
    return found[inputs.image], tuple(found[key] for key in inputs.extras)


def _by_key(
    structure: Any, given: Any, names: Mapping[str, Key] | None = None
) -> dict[Key, Any] | None:
    """Return what was given by key; None where it has another structure, as a list of images.

    A dict by the `names` of the inputs is taken in place of any structure, as Keras takes it.
    """
    is_one = isinstance(structure, list | tuple) and len(structure) == 1
    is_listed = is_one and isinstance(given, list | tuple) and rank_of(given) == 4
    found = None if is_listed else matched(structure, given)
    if found is None and names and isinstance(given, Mapping) and set(given) == set(names):
        return {names[name]: value for name, value in given.items()}
    return found


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
        if declared is not None:
            return declared[0] if name == "inputs" and len(declared) == 1 else declared
    return None


def _of_images(model: keras.Model, given: Any, size: tuple[int, int] | None) -> ModelInputs:
    """Return what a subclassed model takes: what it is given, or else what it was built for."""
    layout = layout_of_images(model)
    channels = np.shape(given)[-1] if rank_of(given) > 2 else _built_channels(model, layout)
    shape: tuple[int | None, ...] = (None, None, None, channels)
    if layout == "channels_first":
        shape = (None, channels, None, None)
    return ModelInputs(_image_shape(shape, layout, size or _size_of(given)), layout)


def _built_channels(model: keras.Model, layout: ImageLayout) -> int:
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, list | tuple) or len(shape) != 4:
        return 3
    return (shape[1] if layout == "channels_first" else shape[3]) or 3


def _tensor(key: Key, given: Any) -> Any:
    try:
        return tf.convert_to_tensor(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"input {key!r} cannot be read as one array") from error


def _spec(member: Any) -> tf.TensorSpec:
    dtype = keras.backend.standardize_dtype(member.dtype)
    return tf.TensorSpec((None, *member.shape[1:]), dtype)


def _size_of(given: Any) -> tuple[int, int] | None:
    return tuple(np.shape(given)[-3:-1]) if rank_of(given) in (3, 4) else None


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
