"""Open an entry's image: its pixels as planes, where they come from, and what was done to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from gradcam_eval.core import Image, InputError
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.decode import as_array, decode_file, picture_header, read_file
from gradcam_eval.data.depth import Decoded, Pixels
from gradcam_eval.data.geometry import Frame
from gradcam_eval.data.placement import Placement
from gradcam_eval.values import LUMINANCE, check_values

LONGEST = 380  # pixels of a photograph for pictures: twice a tile of a grid


@dataclass(frozen=True, eq=False)
class Opened:
    """An image before it is framed.

    Attributes
    ----------
    digest : of its content (hex)
    planes : one RGB picture, one of grey levels (mode F), or one F picture for each channel
    place : how the file's pixels became them
    is_grey : whether the file has one channel
    notes, warnings : what was applied to its values, and what to look at
    """

    digest: str
    planes: tuple[Pillow.Image, ...]
    place: Placement
    is_grey: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def applied(self, channels: int) -> str:
        """Say what was applied to get an image of so many channels, for the record."""
        said = [*self.notes, *(f"warning: {each}" for each in self.warnings)]
        if self.place.turn:
            said.append(f"{self.place.turn} as EXIF says")
        if channels == 1 and not self.is_grey:
            said.append("grey by luminance")
        return "; ".join(said)

    def framed(self, frame: Frame, channels: int) -> Image:
        """Return the image in a frame, float32 (H, W, channels), 0..255.

        Raises
        ------
        InputError : a model of other channels than the image has, where it is neither grey nor RGB
        """
        if len(self.planes) == 1:
            (plane,) = self.planes
            plane = plane.convert("L") if channels == 1 and plane.mode == "RGB" else plane
            image = frame.picture(plane)
        else:
            image = np.concatenate([frame.picture(plane) for plane in self.planes], axis=2)
        if image.shape[2] == 3 and channels == 1:
            image = (image @ np.array(LUMINANCE, np.float32))[..., None]
        if image.shape[2] == 1 and channels == 3:
            image = np.repeat(image, 3, axis=2)
        if image.shape[2] != channels:
            raise InputError(
                f"the image has {image.shape[2]} channels and the model takes {channels}: files "
                "give 1 or 3, and arrays in memory the channels that they have."
            )
        return image

    def small(self, channels: int) -> NDArray[np.uint8]:
        """Return what a person can look at, (h, w, 3), no side longer than 380 pixels.

        Grey where the image has one channel.
        """
        shown = self.rgb()
        scale = LONGEST / max(shown.size)
        if scale < 1:
            size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
            shown = shown.resize(size, Pillow.Resampling.LANCZOS, reducing_gap=2.0)
        shown = shown.convert("L").convert("RGB") if channels == 1 else shown
        return np.asarray(shown)

    def rgb(self) -> Pillow.Image:
        """Return what a person can look at: 8-bit RGB."""
        if len(self.planes) == 1 and self.planes[0].mode == "RGB":
            return self.planes[0]
        shown = self.planes[:3] if len(self.planes) >= 3 else self.planes[:1] * 3
        arrays = [as_array(plane, 1)[..., 0] for plane in shown]
        return Pillow.fromarray(np.rint(np.clip(np.stack(arrays, -1), 0, 255)).astype(np.uint8))


def open_entry(entry: Entry, pixels: Pixels | None = None) -> Opened:
    """Open an entry's image.

    Raises
    ------
    InputError : there is no file, or it is not an image
    """
    content = entry.file() if callable(entry.file) else entry.file
    name = str(content) if isinstance(content, Path) else entry.name
    if isinstance(content, np.ndarray):
        return _opened_array(content, name)
    data = read_file(content, name=name) if isinstance(content, Path) else content
    found = decode_file(data, name=name, pixels=pixels)
    return Opened(
        hashlib.sha256(data).hexdigest()[:16],
        (found.picture,),
        _place_of(found),
        found.is_grey,
        found.notes,
        found.warnings,
    )


def place_of(entry: Entry) -> Placement:
    """Return how an entry's file is placed, unreduced; of a file, only the header is read."""
    if isinstance(entry.file, Path):
        stored, orientation = picture_header(entry.file)
        place = Placement(stored, orientation, stored)
        return Placement(stored, orientation, place.upright)
    return open_entry(entry).place


def _place_of(found: Decoded) -> Placement:
    size = (found.picture.height, found.picture.width)
    upright = found.upright or size
    return Placement(upright[::-1] if found.orientation > 4 else upright, found.orientation, size)


def _opened_array(pixels: NDArray[np.generic], name: str) -> Opened:
    is_bytes = pixels.dtype == np.uint8
    if pixels.ndim != 3 or not pixels.size or not (is_bytes or pixels.dtype == np.float32):
        raise InputError(
            f"{name} is {pixels.dtype} of shape {pixels.shape}: expected uint8 or float32, "
            "(H, W, channels), 0..255."
        )
    pixels = np.ascontiguousarray(pixels)
    if not is_bytes:
        check_values(pixels, what=f"the values of {name}")
    digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()[:16]
    size = (pixels.shape[0], pixels.shape[1])
    planes = (
        (Pillow.fromarray(pixels),)
        if is_bytes and pixels.shape[2] == 3
        else tuple(
            Pillow.fromarray(pixels[..., n].astype(np.float32)) for n in range(pixels.shape[2])
        )
    )
    return Opened(digest, planes, Placement(size, 1, size), pixels.shape[2] == 1)
