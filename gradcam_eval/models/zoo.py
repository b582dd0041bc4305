"""Build the models known by name, and load others from local files."""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.files import is_there
from gradcam_eval.models.catalogue import (
    EVIDENCE_NETWORKS,
    KERAS_APPLICATIONS,
    MODELS,
    ModelSpec,
)
from gradcam_eval.models.preprocess import PREPROCESSING
from gradcam_eval.models.process import check_process, kept_random_state
from gradcam_eval.values import ANY_VALUES, LEVELS, Values

if TYPE_CHECKING:
    import keras


@kept_random_state()
def load_model(
    name_or_path: str | Path,
    *,
    preprocess: str = "none",
    weights: str | None = "imagenet",
    values: Values = LEVELS,
) -> keras.Model:
    """Return a model of the zoo, or one from a local `.keras` or `.h5` file, ready for 0-255 RGB.

    Parameters
    ----------
    name_or_path : a name in `MODELS`, or a path. A string that is a name is never a path.
    preprocess : for a file only: a name in `PREPROCESSING`, put in front of the model in it
    weights : for the zoo only: "imagenet" (the `evidence_…` networks: those of their data set), or
        None for random weights
    values : for a file only: the range [low, high] of what the file's model takes. Other than
        (0, 255), it is mapped from 0-255 in front of the model

    Returns
    -------
    keras.Model, float32 (N, H, W, 3), 0..255 RGB → (N, K). A model of the zoo is one flat
    functional model and contains its preprocessing.

    Raises
    ------
    InputError
        If there is no such name or file, if the file is not safe to load, or if the weights
        cannot be had.

    Notes
    -----
    The weights of `keras.applications` are downloaded by Keras into `~/.keras/models`.
    """
    check_process()
    if weights not in ("imagenet", None):
        raise InputError(f"weights are 'imagenet' or None (random), not {weights!r}.")
    if isinstance(name_or_path, str) and name_or_path in MODELS:
        if preprocess != "none":
            raise InputError(
                f"'{name_or_path}' contains its preprocessing already: leave out "
                f"preprocess={preprocess!r}, which is for model files."
            )
        if values != LEVELS:
            raise InputError(
                f"'{name_or_path}' takes 0 to 255: leave out values = {list(values)}, which is for "
                "model files."
            )
        model = _build(MODELS[name_or_path], weights)
        _LOADED[model] = MODELS[name_or_path]
        return model
    if isinstance(name_or_path, str) and not _looks_like_path(name_or_path):
        raise unknown_name("model", name_or_path, MODELS)
    if weights is None:
        raise InputError(f"weights=None is for the zoo's models; {name_or_path} has its own.")
    # Here, since it imports TensorFlow and this module must be cheap.
    from gradcam_eval.models.loading import load_file

    model = load_file(name_or_path, preprocess=preprocess, values=values)
    if preprocess != "none" or values != LEVELS:
        _IN_LEVELS.add(model)
    return model


# What `load_model` built, so that a target can be named by class; it keeps no model alive.
_LOADED: weakref.WeakKeyDictionary[keras.Model, ModelSpec] = weakref.WeakKeyDictionary()
# Of the model files, those that take 0-255 for certain, since that is mapped inside them.
_IN_LEVELS: weakref.WeakSet[keras.Model] = weakref.WeakSet()


def known_values(model: object, declared: Values | None = None) -> Values | None:
    """Return the range of images that a model takes: its own, or what a call declared.

    None where nobody said: the images are then taken as they are.

    Raises
    ------
    InputError : the model is known to take 0..255, and another range was declared
    """
    try:
        is_known = model in _LOADED or model in _IN_LEVELS
    except TypeError:  # what cannot be hashed, as an array, was never loaded
        is_known = False
    if is_known and declared not in (None, LEVELS, ANY_VALUES):
        raise InputError(
            f"values = {list(declared or ())} was declared, and this model takes 0 to 255 (its "
            "preprocessing is inside): give images in 0..255."
        )
    return declared or (LEVELS if is_known else None)


def loaded_spec(model: keras.Model) -> ModelSpec | None:
    """Return the spec of a model that `load_model` built by name, else None."""
    return _LOADED.get(model)


def check_model_name(name: str) -> None:
    """Raise InputError unless `load_model` can begin: a name of the zoo, or a file to load."""
    if name in MODELS:
        return
    if not _looks_like_path(name):
        raise unknown_name("model", name, MODELS)
    from gradcam_eval.models.model_files import local_file

    local_file(name)


def _looks_like_path(text: str) -> bool:
    return any(mark in text for mark in "/\\:.") or is_there(text)


def _build(spec: ModelSpec, weights: str | None) -> keras.Model:
    if spec.name == "efficientnet_lite0":
        from gradcam_eval.models.lite0 import build_lite0

        return build_lite0(weights=weights)
    if spec.name == "mobilenet_v2_torchvision":
        from gradcam_eval.models.mobilenet_v2 import build_mobilenet_v2

        return build_mobilenet_v2(weights=weights)
    if spec.name in EVIDENCE_NETWORKS:
        from gradcam_eval.models.evidence import build_evidence

        return build_evidence(spec.name, weights=weights)
    return _build_keras(spec, weights)


def _build_keras(spec: ModelSpec, weights: str | None) -> keras.Model:
    """Build a model of `keras.applications`, flat, with its preprocessing in front."""
    import keras

    constructor = getattr(keras.applications, KERAS_APPLICATIONS[spec.name][0])
    with _own_layer_numbers():
        inputs = keras.Input((*(spec.input_size or (None, None)), 3), name="image")
        images = PREPROCESSING[spec.preprocess].apply(inputs)
        try:
            # Keras reports its download on stdout, which belongs to machine-readable output.
            with contextlib.redirect_stdout(sys.stderr):
                model = constructor(weights=weights, input_tensor=images)
        except Exception as error:  # Keras raises a bare Exception when a download fails
            if weights is None:
                raise
            raise _no_weights(spec, error) from error
    # With `input_tensor`, Keras makes a list of the one input and warns at each call without one.
    return keras.Model(inputs, model.output, name=model.name)


@contextlib.contextmanager
def _own_layer_numbers() -> Iterator[None]:
    """Number the layers that Keras names itself ("conv2d_7", "add_3") from the start.

    Otherwise InceptionV3's layers have other names each time it is loaded, and a study could not
    be resumed. Afterwards no counter is lower than it was: the caller's next layer clashes neither
    with an older one nor with one of this model.
    """
    from keras.src.backend.common import global_state  # no public way to read the counters

    kept = global_state.get_global_attribute("object_name_uids") or defaultdict(int)
    own: defaultdict[str, int] = defaultdict(int)
    global_state.set_global_attribute("object_name_uids", own)
    try:
        yield
    finally:
        for prefix, count in own.items():
            kept[prefix] = max(count, kept[prefix])
        global_state.set_global_attribute("object_name_uids", kept)


def _no_weights(spec: ModelSpec, error: Exception) -> InputError:
    """Return the error for weights that cannot be downloaded, or are broken on the disk.

    Keras removes a download that fails and, where it knows the hash, repeats one that was killed.
    It knows none for MobileNet and MobileNetV2: their broken file has to be deleted by hand.
    """
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "models"
    offline = ", ".join(name for name, known in MODELS.items() if known.offline)
    return InputError(
        f"the ImageNet weights of '{spec.name}' cannot be loaded ({reason}): they need a network "
        f"the first time, and a file that was cut short must be deleted from {folder}; without a "
        f"network use one of {offline}."
    )
