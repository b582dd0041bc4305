"""DICOM files: rescaled, windowed, white is bright; nothing of the patient is read.

pydicom decodes them (extra `[medical]`). Only the elements that say what the pixels mean are read,
and errors name the kind of an exception, never its text, which may quote an element.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from gradcam_eval.core import InputError
from gradcam_eval.data.depth import Decoded, Levels, Pixels, scaled
from gradcam_eval.data.dicom_frames import GROUPS, of_first_frame

if TYPE_CHECKING:
    from pydicom import Dataset

_PREAMBLE = 128
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # inflated as a whole when it is read: no bound on memory
_TAGS = [
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *("BurnedInAnnotation", *GROUPS),
]
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")


def is_dicom(content: bytes) -> bool:
    """Whether bytes are those of a DICOM file."""
    return content[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def dicom_size(content: bytes, *, name: str) -> tuple[int, int]:
    """Return (H, W) of a DICOM file, from its header."""
    header = _header(content, name)
    return int(header.Rows), int(header.Columns)


def decode_dicom(content: bytes, pixels: Pixels, *, name: str, most: int) -> Decoded:
    """Decode the first frame of a DICOM file, classic or enhanced.

    Grey frames: stored values → modality LUT or rescale slope and intercept → the window that was
    given, or else the file's own (the first of several), or else all values that its bits can have
    → levels, inverted for MONOCHROME1. Windows follow PS3.3 C.11.2.1.2 and .3:
    LINEAR is 255 · clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1), LINEAR_EXACT is
    255 · clip((x - c) / w + 0.5, 0, 1), SIGMOID is 255 / (1 + exp(-4 (x - c) / w)).

    Parameters
    ----------
    content : the file's bytes
    pixels : a window in the file's own units (after the rescale slope), as Hounsfield units
    name : what error messages call it
    most : pixels of a frame

    Raises
    ------
    InputError : no pydicom, no DICOM file that can be read, a palette, a compression that nothing
        installed reads, or more pixels
    """
    header = _header(content, name)
    try:
        return _decoded(content, header, pixels, name, most)
    except InputError:
        raise
    except Exception as error:  # a broken file can raise anything; its text may quote an element
        raise _unreadable(name, error) from None


def _decoded(content: bytes, header: Dataset, pixels: Pixels, name: str, most: int) -> Decoded:
    height, width = int(header.Rows), int(header.Columns)
    if not 0 < height * width <= most:
        raise InputError(f"{name} is {width}x{height} pixels, not 1 to the {most} allowed.")
    kind = str(header.get("PhotometricInterpretation", ""))
    _check(header, kind, pixels, name)
    values = _frame(content, header, name)
    frames = int(header.get("NumberOfFrames") or 1)
    notes = [f"frame 1 of {frames}"] if frames > 1 else []
    header = of_first_frame(header)
    warnings = (
        ("the file says that text is burned into its picture, which may name the patient",)
        if str(header.get("BurnedInAnnotation", "")) == "YES"
        else ()
    )
    if kind in _COLOUR:
        return Decoded(Pillow.fromarray(values), notes=("DICOM colour", *notes), warnings=warnings)
    found = _grey(values, header, pixels, name)
    levels = 255 - found.values if kind == "MONOCHROME1" else found.values
    notes += ["MONOCHROME1: inverted"] if kind == "MONOCHROME1" else []
    return Decoded(
        Pillow.fromarray(levels),
        is_grey=True,
        notes=(f"DICOM: {found.note}", *notes),
        warnings=(*found.warnings, *warnings),
    )


def _grey(values: NDArray[Any], header: Dataset, pixels: Pixels, name: str) -> Levels:
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    rescaled = np.asarray(apply_modality_lut(values, header))
    units = _units(header)
    if pixels.window is not None:
        return _noted(scaled(rescaled, pixels.window, name=name), units)
    if header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        return _noted(_windowed(rescaled, header, name), f"{units}, the file's own window")
    if header.get("VOILUTSequence"):
        bits = int(header.VOILUTSequence[0].LUTDescriptor[2])
        looked_up = np.asarray(apply_voi_lut(rescaled.astype(np.int64), header, prefer_lut=True))
        found = scaled(looked_up, (0.0, float(2**bits - 1)), name=name)
        return _noted(found, f"{units}, the file's VOI table")
    return _noted(scaled(rescaled, _possible(header), name=name), f"{units}, all possible values")


def _windowed(values: NDArray[Any], header: Dataset, name: str) -> Levels:
    centre, width = (_first(header.get(key)) for key in ("WindowCenter", "WindowWidth"))
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID" and width > 0:
        levels = 255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
        note = f"sigmoid window, centre {centre:g}, width {width:g}"
        return Levels(levels.astype(np.float32), note)
    if function == "LINEAR" and width > 1:
        centre, width = centre - 0.5, width - 1
    elif function != "LINEAR_EXACT" or width <= 0:
        raise InputError(
            f"{name} has a window of function {function!r} and width {width:g}, which is none: "
            "give window = [low, high]."
        )
    return scaled(values, (centre - width / 2, centre + width / 2), name=name)


def _possible(header: Dataset) -> tuple[float, float]:
    """Return the least and the greatest value that the file's bits can have, rescaled."""
    if header.get("ModalityLUTSequence"):
        return 0.0, float(2 ** int(header.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    bits = int(header.BitsStored)
    low = -(2 ** (bits - 1)) if header.get("PixelRepresentation") else 0
    slope, intercept = (
        float(header.get("RescaleSlope", 1)),
        float(header.get("RescaleIntercept", 0)),
    )
    ends = (low * slope + intercept, (low + 2**bits - 1) * slope + intercept)
    return min(ends), max(ends)


def _units(header: Dataset) -> str:
    if header.get("ModalityLUTSequence"):
        return "modality table"
    slope, intercept = header.get("RescaleSlope", 1), header.get("RescaleIntercept", 0)
    return f"slope {float(slope):g}, intercept {float(intercept):g}"


def _noted(found: Levels, said: str) -> Levels:
    return Levels(found.values, f"{said}, {found.note}", found.warnings)


def _first(value: Any) -> float:
    """Return a window's number; of several windows, that of the first."""
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _check(header: Dataset, kind: str, pixels: Pixels, name: str) -> None:
    if kind not in (*_GREY, *_COLOUR) or (kind in _COLOUR and int(header.BitsAllocated) != 8):
        raise InputError(
            f"{name} is DICOM of kind {kind[:20]!r} with {header.get('BitsAllocated')} bits: "
            f"expected {', '.join(_GREY)}, or {', '.join(_COLOUR)} with 8 bits."
        )
    if pixels.bits is not None or (pixels.window is not None and kind in _COLOUR):
        what = f"bits = {pixels.bits}" if pixels.bits else "a window"
        raise InputError(
            f"{name} is DICOM, which says its bits itself, and {what} was given: give window = "
            "[low, high] for grey files, or nothing."
        )


def _header(content: bytes, name: str) -> Dataset:
    """Return the elements that say what the pixels mean; those of the patient are skipped."""
    try:
        from pydicom import dcmread
    except ImportError as error:
        raise InputError(
            f'{name} is a DICOM file, which needs pydicom: pip install "gradcam-eval[medical]".'
        ) from error
    if _DEFLATED in content[:1024]:
        raise InputError(f"{name} is a deflated DICOM file: save it without deflation.")
    try:
        header = dcmread(io.BytesIO(content), stop_before_pixels=True, specific_tags=list(_TAGS))
        _ = int(header.Rows), int(header.Columns), int(header.BitsStored)
    except Exception as error:  # its text may quote an element
        raise _unreadable(name, error) from None
    return header


def _frame(content: bytes, header: Dataset, name: str) -> NDArray[Any]:
    from pydicom.pixels import get_decoder, pixel_array

    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not get_decoder(syntax).is_available:
        missing = "; ".join(get_decoder(syntax).missing_dependencies)[:200]
        raise InputError(
            f"the pixels of {name} are compressed ({syntax.name}), which needs another package: "
            f"{missing}."
        )
    return np.asarray(pixel_array(io.BytesIO(content), index=0))


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(
        f"{name} cannot be read as DICOM ({type(error).__name__}): it is broken or has no picture."
    )
