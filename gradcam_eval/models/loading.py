"""Load a model from a local file, and only what is safe to load.

What a file claims to contain is read first and refused where loading would run foreign code;
then Keras loads it in its safe mode.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from gradcam_eval.core import InputError
from gradcam_eval.files import is_there
from gradcam_eval.models.preprocess import preprocessing
from gradcam_eval.models.process import kept_random_state
from gradcam_eval.texts import one_line, shortened
from gradcam_eval.values import LEVELS, Values, slope

SUFFIXES = (".keras", ".h5", ".hdf5")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npy", ".ckpt")
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
LARGEST_CONFIG = 64 * 2**20  # bytes; the largest of keras.applications takes less than 2 MB

_LONGEST_CAUSE = 400

# Layers whose content is code or another file, whatever Keras' safe mode says.
UNSAFE = ("Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


@kept_random_state()
def load_file(
    path: str | Path, *, preprocess: str = "none", values: Values = LEVELS
) -> keras.Model:
    """Return the model of a local `.keras` or `.h5` file.

    Parameters
    ----------
    path : a file on this machine
    preprocess : a name in `PREPROCESSING`. Other than "none", the model is wrapped: its new input
        takes 0-255 RGB, and the named layers stand between it and the old one.
    values : the range of what the model takes. Other than (0, 255), it is wrapped likewise, with
        ``low + x · (high - low) / 255`` in front

    Raises
    ------
    InputError
        If the path is remote, a folder, missing, or not the kind of file that its suffix says; if
        the model contains code (a Lambda layer) or a class that is not registered.

    Notes
    -----
    Keras' safe mode refuses Python lambdas. Here every Lambda layer is refused, also one that
    names a function, and in a legacy `.h5` file too.
    """
    way = preprocessing(preprocess)
    if values != LEVELS and way.name != "none":
        raise InputError(
            f"preprocess = {way.name!r} takes 0 to 255, and values = {list(values)} says that the "
            "model takes another range: give one of them."
        )
    path = local_file(path)
    config = _keras_config(path) if path.suffix.lower() == ".keras" else _hdf5_config(path)
    unsafe = sorted({name for name in _class_names(config) if name in UNSAFE})
    if unsafe:
        raise InputError(
            f"{path} contains {', '.join(unsafe)}, which may run any code when it is loaded: build "
            "the model in Python from registered layers and save it again."
        )
    try:
        model = keras.models.load_model(path, safe_mode=True, compile=False)
    except Exception as error:  # Keras raises anything for a broken file
        raise _cannot_load(path, error) from error
    if way.name == "none" and values == LEVELS:
        return model
    inputs = keras.Input(image_shape(model), name="image")
    if values == LEVELS:
        return keras.Model(inputs, model(way.apply(inputs)), name=f"{model.name}_{way.name}")
    scaled = keras.layers.Rescaling(slope(values), values[0], name="values")(inputs)
    return keras.Model(inputs, model(scaled), name=f"{model.name}_values")


def local_file(path: str | Path) -> Path:
    """Return the path if it is a local file with the content that its suffix says."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", str(path))  # one letter is a Windows drive
    if scheme:
        raise InputError(
            f"{path} is not a local file: download it yourself from a source that you trust, "
            "then give the path of the .keras or .h5 file."
        )
    path = Path(path)
    suffix = path.suffix.lower()
    if is_there(path) and path.is_dir():
        raise InputError(f"{path} is a folder (a SavedModel?): give a .keras or .h5 file.")
    if suffix in PICKLES:
        raise InputError(
            f"{path} is a {suffix} file, which may run any code when it is loaded: give a .keras "
            "or .h5 file."
        )
    if suffix not in SUFFIXES:
        raise InputError(f"{path} has the suffix '{suffix}': give a .keras or .h5 file.")
    if not is_there(path) or not path.is_file():
        raise InputError(f"the model file {path} does not exist.")
    is_right = zipfile.is_zipfile(path) if suffix == ".keras" else _is_hdf5(path)
    if not is_right:
        kind = "a zip archive, as .keras files are" if suffix == ".keras" else "an HDF5 file"
        raise InputError(f"{path} is not {kind}: it is cut short or has the wrong suffix.")
    return path


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HDF5_MAGIC)) == HDF5_MAGIC


def _keras_config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > LARGEST_CONFIG:
                raise InputError(f"{path} has a config.json that is too large to be a model's.")
            return _parsed(path, archive.read("config.json"))
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{path} is not a Keras model ({error}): save it again with model.save()."
        ) from error


def _hdf5_config(path: Path) -> Any:
    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as HDF5 ({error}): it is cut short or damaged."
        ) from error
    if config is None:
        raise InputError(
            f"{path} holds weights without an architecture: save the model with model.save()."
        )
    return _parsed(path, config)


def _parsed(path: Path, text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"the architecture in {path} is not valid JSON: save the model again."
        ) from error


def _class_names(config: Any) -> Iterator[str]:
    """Yield every class name in a configuration, however deep. A loop: depth cannot exhaust it."""
    left = [config]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            # Keras takes either: the class of a layer, or the name under which it is registered.
            for key in ("class_name", "registered_name"):
                if isinstance(item.get(key), str):
                    yield re.split("[>.]", item[key])[-1]
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)


def _cannot_load(path: Path, error: Exception) -> InputError:
    text = str(error)
    missing = re.search(r"(?:Could not locate class|Unknown layer:) '(\w+)'", text)
    if missing:
        return InputError(
            f"{path} uses the class '{missing[1]}', which Keras does not know: define it with "
            "@keras.saving.register_keras_serializable() and import it before you load the model."
        )
    return InputError(f"{path} cannot be loaded as a Keras model: {_cause(error)}")


def _cause(error: Exception) -> str:
    """Return the line of an error that names its cause: Keras puts a layer's settings before it."""
    text = str(error).strip()
    cause = text.rpartition("Exception encountered:")[2].strip() or text
    return shortened(one_line(cause), _LONGEST_CAUSE) or type(error).__name__


def image_shape(model: keras.Model) -> tuple[int | None, int | None, int | None]:
    """Return (H, W, C) of the model's one input, or raise `InputError`."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        raise InputError(
            f"model '{model.name}' has no input shape yet: call it once on a batch of images, or "
            "build it with keras.Input."
        ) from None
    is_one = isinstance(shape, tuple) and all(n is None or isinstance(n, int) for n in shape)
    if not is_one or len(shape) != 4:
        raise InputError(
            f"model '{model.name}' takes {shape}: valid is one batch of images (N, H, W, C)."
        )
    return (shape[1], shape[2], shape[3])
