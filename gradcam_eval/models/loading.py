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

from gradcam_eval.core import LONGEST_MESSAGE, InputError
from gradcam_eval.models.hdf5_heaps import is_endless
from gradcam_eval.models.keras2 import is_of_keras2
from gradcam_eval.models.mended import load_mended
from gradcam_eval.models.model_files import local_file
from gradcam_eval.models.preprocess import preprocessing
from gradcam_eval.models.process import kept_random_state
from gradcam_eval.texts import one_line, shortened
from gradcam_eval.values import LEVELS, Values, slope

LARGEST_METADATA = 2**16  # bytes; Keras writes less than 100
LARGEST_CONFIG = 64 * 2**20  # bytes; the largest of keras.applications takes less than 2 MB

_LONGEST_CAUSE, _SHORTEST_CAUSE = 250, 100
_LONGEST_NAME, _LONGEST_PATH = 40, 120  # in an error
_BUILD_AGAIN, _OWN_LAYER = (
    f"Build the same model with `import keras`{layer}, load the file with the package tf_keras, "
    "copy the weights with set_weights(get_weights()), and save the new model."
    for layer in ("", ", a layer of your own in its place")
)

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
    is_zip = path.suffix.lower() == ".keras"
    config, version = _keras_config(path) if is_zip else _hdf5_config(path)
    unsafe = sorted({name for name in _class_names(config) if name in UNSAFE})
    if unsafe:
        raise InputError(
            f"{_named(path, version)} contains {', '.join(unsafe)}, which may run any code "
            "when it is loaded: build the model in Python from registered layers and save it again."
        )
    try:
        model = load_mended(path, config, is_of_keras2=is_of_keras2(version))
    except Exception as error:  # Keras raises anything for a broken file
        raise _cannot_load(path, error, version) from error
    if way.name == "none" and values == LEVELS:
        return model
    inputs = keras.Input(image_shape(model), name="image")
    if values == LEVELS:
        return keras.Model(inputs, model(way.apply(inputs)), name=f"{model.name}_{way.name}")
    scaled = keras.layers.Rescaling(slope(values), values[0], name="values")(inputs)
    return keras.Model(inputs, model(scaled), name=f"{model.name}_values")


def _keras_config(path: Path) -> tuple[Any, str | None]:
    """Return the architecture in a `.keras` file, and the version of Keras that wrote it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > LARGEST_CONFIG:
                raise InputError(f"{path} has a config.json that is too large to be a model's.")
            return _parsed(path, archive.read("config.json")), _version_in(archive)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{path} is not a Keras model ({error}): save it again with model.save()."
        ) from error


def _version_in(archive: zipfile.ZipFile) -> str | None:
    """Return the version in a `.keras` file's metadata, or None where it says none."""
    if "metadata.json" not in archive.namelist():
        return None
    if archive.getinfo("metadata.json").file_size > LARGEST_METADATA:
        return None
    try:
        metadata = json.loads(archive.read("metadata.json"))
    except (ValueError, RecursionError):
        return None
    return _version(metadata.get("keras_version") if isinstance(metadata, dict) else None)


def _version(found: Any) -> str | None:
    """Return a version as it stands in a file, if it is one: digits first, and short."""
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
    is_version = isinstance(text, str) and re.fullmatch(r"\d+(\.[\w+-]{1,16}){0,5}", text)
    return text if is_version else None


def _named(path: Path, version: str | None) -> str:
    """Return what an error calls a file: its path, and the version of Keras 2 that wrote it."""
    writer = f", written by Keras {version}," if is_of_keras2(version) else ""
    return shortened(str(path), _LONGEST_PATH) + writer


def _hdf5_config(path: Path) -> tuple[Any, str | None]:
    """Return the architecture in an `.h5` file, and the version of Keras that wrote it."""
    if is_endless(path):
        raise InputError(f"{path} cannot be read as HDF5 (an endless heap): it is damaged.")
    try:
        with h5py.File(path, "r") as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version")
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as HDF5 ({error}): it is cut short or damaged."
        ) from error
    if config is None:
        raise InputError(
            f"{path} holds weights without an architecture: save the model with model.save()."
        )
    return _parsed(path, config), _version(version)


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


def _cannot_load(path: Path, error: Exception, version: str | None = None) -> InputError:
    text = str(error)
    file = _named(path, version)
    missing = re.search(r"(?:Could not locate class|Unknown layer:) '([^']+)'", text)
    removed = re.search(r"Could not deserialize 'keras\.layers\.(\w+)'", text)
    if missing and missing[1] in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
        return InputError(
            f"{file} calls functions of TensorFlow between its layers ({missing[1]}), not all of "
            f"which Keras 3 has. {_BUILD_AGAIN}"
        )
    if removed:
        return InputError(
            f"{file} uses a layer that Keras 3 does not have: {removed[1]}. {_OWN_LAYER}"
        )
    if missing:
        return _unknown_class(file, missing[1], text)
    said = f"{file} cannot be loaded as a Keras model: "
    route = f" {_BUILD_AGAIN}" if is_of_keras2(version) else ""
    room = max(LONGEST_MESSAGE - len(said) - len(route), _SHORTEST_CAUSE)
    return InputError(f"{said}{_cause(error, min(room, _LONGEST_CAUSE))}{route}")


def _unknown_class(file: str, name: str, text: str) -> InputError:
    """Return the error for a class of somebody's own, with the way to make Keras find it."""
    registered = name if ">" in name else ""
    found = re.search(r"'registered_name': '([^']*>[^']*)'", text)
    package, _, own = (registered or (found[1] if found else "")).rpartition(">")
    own, package = (shortened(one_line(each), _LONGEST_NAME) for each in (own or name, package))
    way = (
        f'@keras.saving.register_keras_serializable("{package}")'
        if package
        else f'keras.saving.get_custom_objects()["{own}"] = {own}'
    )
    return InputError(
        f"{file} uses the class '{own}', which Keras does not know: define it in a Python file "
        f"with {way}, and import that file before you load the model (on the command line: "
        "--import FILE.py)."
    )


def _cause(error: Exception, most: int) -> str:
    """Return the line of an error that names its cause: Keras puts a layer's settings before it."""
    text = str(error).strip()
    cause = text.rpartition("Exception encountered:")[2].strip() or text
    return shortened(one_line(cause), most) or type(error).__name__


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
