"""What a model file is, by its name and its first bytes, and what to do with other kinds."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from gradcam_eval.core import InputError
from gradcam_eval.files import is_there

SUFFIXES = (".keras", ".h5", ".hdf5")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npy", ".ckpt")
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

_GIVE = "give a .keras or .h5 file"
# Keras cannot reach the layers of these: maps need the model that they were made from.
_OTHERS = {
    ".tflite": "a TensorFlow Lite model",
    ".onnx": "an ONNX model",
    ".pb": "a graph of TensorFlow",
}
_SOURCE = (
    "whose layers cannot be reached: save the Keras model that it was made from with "
    "model.save('model.keras'), and give that file. Heatmaps that were made elsewhere can be "
    "measured with a function in place of a model"
)
_LFS = b"version https://git-lfs"


def local_file(path: str | Path) -> Path:
    """Return the path if it is a local file with the content that its suffix says.

    Raises
    ------
    InputError : with what the path is, and what to do
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", str(path))  # one letter is a Windows drive
    if scheme:
        raise InputError(
            f"{path} is not a local file: download it yourself from a source that you trust, "
            "then give the path of the .keras or .h5 file."
        )
    path = Path(path)
    suffix = path.suffix.lower()
    if is_there(path) and path.is_dir():
        raise InputError(_of_folder(path))
    if suffix in PICKLES:
        raise InputError(
            f"{path} is a {suffix} file, which may run any code when it is loaded: {_GIVE}."
        )
    start = _start(path)
    if start.startswith(_LFS):
        raise InputError(
            f"{path} is a Git LFS pointer, a short text in place of the file: run `git lfs pull` "
            "in its repository (from a web page, take the download of the file itself)."
        )
    other = "a TensorFlow Lite model" if start[4:8] == b"TFL3" else _OTHERS.get(suffix)
    if other:
        raise InputError(f"{path} is {other}, {_SOURCE}.")
    if suffix not in SUFFIXES:
        raise InputError(f"{path} has the suffix '{suffix}': {_GIVE}.")
    if not is_there(path) or not path.is_file():
        raise InputError(f"the model file {path} does not exist.")
    _check_content(path, suffix, start)
    return path


def _start(path: Path) -> bytes:
    if not is_there(path) or not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(64)


def _of_folder(path: Path) -> str:
    if is_there(path / "saved_model.pb"):
        return (
            f"{path} is a SavedModel folder, {_SOURCE}. In Python, keras.layers.TFSMLayer behind "
            "keras.Input makes a model of it for methods of kind 'input'."
        )
    if is_there(path / "config.json"):
        return (
            f"{path} is a folder with the parts of a .keras file: load it with "
            "keras.models.load_model, save it with model.save('model.keras'), and give that file."
        )
    return f"{path} is a folder: {_GIVE}."


def _check_content(path: Path, suffix: str, start: bytes) -> None:
    """Raise InputError unless the content is what the suffix says."""
    is_hdf5 = start.startswith(HDF5_MAGIC)
    is_zip = not is_hdf5 and zipfile.is_zipfile(path)
    if is_zip if suffix == ".keras" else is_hdf5:
        return
    kind = "a zip archive, as .keras files are" if suffix == ".keras" else "an HDF5 file"
    if is_hdf5 or is_zip:
        right = ".h5" if is_hdf5 else ".keras"
        why = f"it has the wrong suffix, and may be loaded as {path.with_suffix(right).name}"
    elif start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        why = "it is a web page, which was downloaded in place of the file"
    else:
        why = "it is cut short or has the wrong suffix"
    raise InputError(f"{path} is not {kind}: {why}.")
