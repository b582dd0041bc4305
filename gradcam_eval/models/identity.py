"""What a model is: its specification, wherever it came from, and a digest of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from gradcam_eval.core import InputError
from gradcam_eval.models.catalogue import ANY_SIZE, MODELS, ModelSpec
from gradcam_eval.models.classes import class_names_from, synsets_from
from gradcam_eval.models.described import describe_output
from gradcam_eval.models.loading import image_shape, load_file
from gradcam_eval.models.preprocess import preprocessing
from gradcam_eval.models.zoo import load_model
from gradcam_eval.values import LEVELS, Values


def load_with_spec(
    name_or_path: str,
    *,
    preprocess: str = "none",
    classes: str | Path | None = None,
    values: Values = LEVELS,
    output: str | None = None,
) -> tuple[keras.Model, ModelSpec]:
    """Return `load_model(name_or_path)` and what is known about the model.

    Parameters
    ----------
    name_or_path : a name in `MODELS`, or the path of a `.keras` or `.h5` file
    preprocess : for a file only: a name in `PREPROCESSING`
    classes : for a file only: a file with its class names, or "imagenet" for the 1000 of
        ImageNet-1k with their synsets; see `class_names_from`
    values : for a file only: the range that its model takes, see `load_model`
    output : the kind of its output, where it has to be said; see `Explainer`

    Raises
    ------
    InputError
        As `load_model` and `class_names_from`, or if a named model is given class names.
    """
    if name_or_path in MODELS and classes:
        raise InputError(f"'{name_or_path}' has class names already: leave out {classes}.")
    names = class_names_from(classes) if classes else ()
    model = load_model(name_or_path, preprocess=preprocess, values=values)
    if name_or_path in MODELS:
        return model, MODELS[name_or_path]
    spec = spec_of(model, class_names=names, preprocess=preprocess, output=output)
    source = f"the file {name_or_path}"
    synsets = synsets_from(classes)
    return model, replace(spec, name=Path(name_or_path).stem, source=source, synsets=synsets)


def spec_of(
    model_or_path: keras.Model | str | Path,
    *,
    class_names: Sequence[str] = (),
    preprocess: str = "none",
    output: str | None = None,
) -> ModelSpec:
    """Return what can be known about a model that is not in the zoo.

    Parameters
    ----------
    model_or_path : a model, a local file (which is loaded), or a name in the zoo
    class_names : by index, for example from `class_names_from`; empty where they are unknown
    preprocess : the name that `load_model` was given for this file
    output : the kind of its output, where it has to be said; see `Explainer`

    Returns
    -------
    ModelSpec; `input_size` is None where the model takes any size

    Raises
    ------
    InputError
        If the model does not take one batch of images, or has another number of classes.
    """
    if isinstance(model_or_path, str) and model_or_path in MODELS:
        return MODELS[model_or_path]
    if isinstance(model_or_path, str | Path):
        model, name = load_file(model_or_path), Path(model_or_path).stem
        source = f"the file {Path(model_or_path).name}"
    else:
        model, name, source = model_or_path, model_or_path.name, "a model in memory"
    height, width, _channels = image_shape(model)
    if class_names:
        size = (height, width) if height and width else ANY_SIZE
        _check_names(model, class_names, size, output)
    return ModelSpec(
        name=name,
        input_size=(height, width) if height and width else None,
        preprocess=preprocessing(preprocess).name,
        class_names=tuple(class_names),
        source=source,
        offline=True,
    )


def _check_names(
    model: keras.Model, names: Sequence[str], size: tuple[int, int], declared: str | None
) -> None:
    """Raise InputError unless there is a name for each class; one sigmoid has two of them."""
    outputs = model.output_shape
    if not isinstance(outputs, tuple) or outputs[-1] == len(names) != 1:
        return
    if outputs[-1] != 1:
        raise InputError(
            f"there are {len(names)} class names, but model '{model.name}' has "
            f"{outputs[-1]} outputs: give one name for each."
        )
    kind = describe_output(model, size, declared=declared)
    if kind.count == len(names):
        return
    raise InputError(
        f"there are {len(names)} class names, but model '{model.name}' returns {kind}: "
        + ("give two, the negative class first" if kind.is_pair else "give one name")
        + (", or declare output = 'binary' if it is a logit" if len(names) == 2 else "")
    )


def model_digest(model: keras.Model) -> str:
    """Return the SHA-256 of a model's architecture and weights, in hexadecimal.

    Notes
    -----
    The names of layers are part of it, and a Keras that serialises a layer otherwise changes it:
    compare digests of one version of Keras. A model that cannot be serialised enters by the types
    of its layers.
    """
    digest = hashlib.sha256(_architecture(model).encode())
    for weight in model.weights:
        value = weight.numpy()
        # Not its name: Keras numbers nameless variables (ConvNeXt's) anew each time. The
        # architecture names the layers, and their order is the order of the weights.
        digest.update(f"\n{value.shape} {value.dtype}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _architecture(model: keras.Model) -> str:
    try:
        config = keras.saving.serialize_keras_object(model)
    except (NotImplementedError, TypeError, ValueError):
        return " ".join(type(layer).__name__ for layer in model._flatten_layers())
    config.pop("compile_config", None)  # how it was trained is not what it computes
    return json.dumps(config, sort_keys=True, default=str)
