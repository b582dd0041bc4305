"""One geometric transform for a picture and all that is drawn on it: boxes, polygons and masks.

A point (x, y) lies in a continuous frame whose origin is the outer corner of the first pixel:
pixel (row i, column j) covers [j, j + 1) × [i, i + 1), and its centre is (j + ½, i + ½).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from gradcam_eval.arrays import interpolate
from gradcam_eval.core import Heatmap, Image, InputError, Mask, unknown_name
from gradcam_eval.data.annotation import Box, Polygon
from gradcam_eval.values import LUMINANCE

Fit: TypeAlias = Literal["squash", "crop", "letterbox"]
Size: TypeAlias = tuple[int, int]  # (H, W)

GREY = (128, 128, 128)
_SHARE = 0.875  # 224 of 256: what the published crop keeps of the resized shorter side


@dataclass(frozen=True)
class Framing:
    """How pictures of any shape become images of the model's size.

    Attributes
    ----------
    fit : "squash" changes the proportions, and nothing is lost; "crop" resizes until the picture
        covers `resize`, keeps its proportions and takes the centre; "letterbox" keeps proportions
        and all of the picture, and pads
    resize : for "crop", the shorter side in pixels before the crop; None: round(size / 0.875)
    fill : for "letterbox", the RGB colour of the padding, 0..255

    Notes
    -----
    "crop" rounds as torchvision's `Resize` and `CenterCrop` do: the longer side is cut to whole
    pixels, the margin is rounded half to even. For a size that is not square, both sides of
    size / 0.875 are covered, and `resize` is that of the shorter one.
    """

    fit: Fit = "squash"
    resize: int | None = None
    fill: tuple[int, int, int] = GREY

    def __post_init__(self) -> None:
        """Refuse a fit that does not exist, and options of another one."""
        if self.fit not in get_args(Fit):
            raise unknown_name("frame", self.fit, get_args(Fit))
        if self.resize is not None and self.fit != "crop":
            raise InputError(f"resize = {self.resize} is for frame 'crop', not {self.fit!r}.")
        if self.fill != GREY and self.fit != "letterbox":
            raise InputError(f"fill = {self.fill} is for frame 'letterbox', not {self.fit!r}.")

    def frame(self, original: Size, size: Size) -> Frame:
        """Return where the pixels of a file of size `original` (H, W) go in an image of `size`.

        Raises
        ------
        InputError : `resize` is smaller than the image that is to be cropped
        """
        if self.fit == "squash":
            return Frame(original, size, size, (0, 0))
        if self.fit == "letterbox":
            return _letterbox(original, size, self.fill)
        return _crop(original, size, self.resize)


def as_framing(framing: Framing | Fit) -> Framing:
    """Return a framing that was named, or is one."""
    return framing if isinstance(framing, Framing) else Framing(framing)


@dataclass(frozen=True)
class Frame:
    """Where one file's pixels lie in an image: x' = x · scale + offset on either axis.

    Attributes
    ----------
    original : (H, W) of the file, upright
    size : (H, W) of the image
    resized : (H, W) to which the whole file is resized
    corner : (row, column) of the image at which the resized file begins; negative where cropped
    fill : RGB, 0..255, where the image shows nothing of the file
    is_mirrored : whether the image is turned left to right at the end
    """

    original: Size
    size: Size
    resized: Size
    corner: tuple[int, int]
    fill: tuple[int, int, int] = GREY
    is_mirrored: bool = False

    @classmethod
    def identity(cls, size: Size) -> Frame:
        """Return the frame of the file itself."""
        return cls(size, size, size, (0, 0))

    def unscaled(self) -> Frame:
        """Return what the image shows, in the file's own pixels: all, a crop, or with padding.

        The image's corners are rounded to whole pixels of the file.
        """
        up = [o / r for o, r in zip(self.original, self.resized, strict=True)]
        height, width = (max(1, round(s * u)) for s, u in zip(self.size, up, strict=True))
        row, column = (round(c * u) for c, u in zip(self.corner, up, strict=True))
        return replace(self, size=(height, width), resized=self.original, corner=(row, column))

    def mirrored(self) -> Frame:
        """Return the same frame turned left to right; twice is the frame itself."""
        return replace(self, is_mirrored=not self.is_mirrored)

    @property
    def scale(self) -> tuple[float, float]:
        """(x, y) by which the file's pixels are multiplied; x is negative where mirrored."""
        x = self.resized[1] / self.original[1]
        return (-x if self.is_mirrored else x), self.resized[0] / self.original[0]

    @property
    def offset(self) -> tuple[float, float]:
        """(x, y) in the image of the file's first corner."""
        x = self.corner[1]
        return float(self.size[1] - x if self.is_mirrored else x), float(self.corner[0])

    def points(self, points: Polygon) -> NDArray[np.float64]:
        """Return points (x, y) of the file as float64 (n, 2) of the image."""
        return np.asarray(points, np.float64).reshape(-1, 2) * self.scale + self.offset

    def box(self, box: Box) -> NDArray[np.float64] | None:
        """Return a box of the file in the image, or None where nothing of it is seen.

        It is clipped to the file, moved, and clipped to the image.
        """
        x0, y0, x1, y1 = box
        height, width = self.original
        inside = np.clip([[x0, y0], [x1, y1]], 0, [width, height])
        moved = np.sort(inside * self.scale + self.offset, axis=0)
        moved = np.clip(moved, 0, self.size[::-1])
        return moved.ravel() if bool((moved[0] < moved[1]).all()) else None

    def mask(self, mask: Mask) -> Mask:
        """Return a mask of the file in the image: each pixel is what its centre shows.

        The pixel (i, j) shows the file's pixel (⌊y⌋, ⌊x⌋) with x = (j + ½ - offset) / scale, and
        y likewise: nothing is averaged, so a mask stays boolean, and parts that are thinner than
        the distance between two centres may vanish. Outside the file it is False.
        """
        rows, columns = self._source(0), self._source(1)
        seen = mask[np.clip(rows, 0, self.original[0] - 1)]
        seen = seen[:, np.clip(columns, 0, self.original[1] - 1)]
        return seen & self.shown

    @property
    def shown(self) -> Mask:
        """Where the image shows the file, (H, W): everywhere but in the padding."""
        rows, columns = self._source(0), self._source(1)
        is_row = (rows >= 0) & (rows < self.original[0])
        is_column = (columns >= 0) & (columns < self.original[1])
        return is_row[:, None] & is_column[None, :]

    def polygon(self, polygon: Polygon) -> Mask:
        """Return the pixels whose centres lie inside a polygon of the file.

        The polygon is moved first, so no mask is resampled.
        """
        from skimage.draw import (
            polygon2mask,
        )  # slow to import, and wanted only where truth is drawn

        x, y = self.points(polygon).T
        # polygon2mask tests integer points; ours are pixel centres, half a pixel further on.
        inside: Mask = polygon2mask(self.size, np.column_stack([y, x]) - 0.5)
        return inside & self.shown

    def picture(self, picture: Pillow.Image) -> Image:
        """Return an upright picture of the file as float32 (H, W, C), 0..255.

        C is 3 for RGB, 1 for grey (modes L and F). The resize is that of `load_image`: Pillow's
        `BILINEAR`, on 8-bit values, or on floats for mode F.
        """
        height, width = self.resized
        if picture.size != (width, height):
            picture = picture.resize((width, height), Pillow.Resampling.BILINEAR)
        if self.resized != self.size or self.corner != (0, 0):
            grey = round(float(np.dot(LUMINANCE, self.fill)))
            fill = self.fill if picture.mode == "RGB" else grey
            canvas = Pillow.new(picture.mode, (self.size[1], self.size[0]), fill)
            canvas.paste(picture, (self.corner[1], self.corner[0]))
            picture = canvas
        pixels = np.asarray(picture, np.float32)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        return np.ascontiguousarray(pixels[:, ::-1]) if self.is_mirrored else pixels

    @property
    def is_stretch(self) -> bool:
        """Whether the image shows all of the file and nothing else, edge on edge."""
        return self.resized == self.size and self.corner == (0, 0) and not self.is_mirrored

    def on_file(self, heatmap: Heatmap, size: Size | None = None) -> Heatmap:
        """Lay a heatmap of the image back on the file: the inverse of the transform.

        The pixel (x, y) of the file gets the value at (x · scale + offset) of the image, bilinearly
        between the map's positions, which cover the image corner to corner. Where the image does
        not show the file, the border's value is repeated: see `seen`.

        Parameters
        ----------
        heatmap : float (h, w), any resolution
        size : (H, W) of a larger or smaller picture of the file; None: the file's own

        Returns
        -------
        float32 (H, W)
        """
        places = [
            self._places(axis, size) * n / side - 0.5
            for axis, (n, side) in enumerate(zip(heatmap.shape, self.size, strict=True))
        ]
        return interpolate(heatmap, *places)

    def seen(self, size: Size | None = None) -> Mask:
        """Where the file's pixels are in the image, (H, W): everywhere but where it is cropped."""
        places = [self._places(axis, size) for axis in (0, 1)]
        rows, columns = ((at > 0) & (at < n) for at, n in zip(places, self.size, strict=True))
        return rows[:, None] & columns[None, :]

    def _places(self, axis: int, size: Size | None) -> NDArray[np.float64]:
        """Return where in the image the centres of the file's rows (0) or columns (1) are."""
        original = self.original[axis]
        count = original if size is None else size[axis]
        centres = (np.arange(count) + 0.5) * original / count
        return centres * self.scale[1 - axis] + self.offset[1 - axis]

    def _source(self, axis: int) -> NDArray[np.int64]:
        """Return the file's row (0) or column (1) that each row or column of the image shows."""
        centres = np.arange(self.size[axis]) + 0.5
        back = (centres - self.offset[1 - axis]) / self.scale[1 - axis]
        return np.floor(back).astype(np.int64)


def _letterbox(original: Size, size: Size, fill: tuple[int, int, int]) -> Frame:
    scale = min(size[0] / original[0], size[1] / original[1])
    height, width = (max(1, min(s, round(o * scale))) for o, s in zip(original, size, strict=True))
    corner = (size[0] - height) // 2, (size[1] - width) // 2
    return Frame(original, size, (height, width), corner, fill)


def _crop(original: Size, size: Size, resize: int | None) -> Frame:
    shorter = min(size)
    wanted = round(shorter / _SHARE) if resize is None else resize
    if wanted < shorter:
        raise InputError(
            f"resize = {wanted} is smaller than the image of {size[0]}×{size[1]} that is cropped "
            f"from it: give {shorter} or more."
        )
    covered = [side * wanted / shorter for side in size]
    axis = 0 if covered[0] / original[0] >= covered[1] / original[1] else 1
    resized = [round(covered[axis])] * 2
    resized[1 - axis] = int(resized[axis] * original[1 - axis] / original[axis])
    height, width = (max(r, s) for r, s in zip(resized, size, strict=True))
    corner = -round((height - size[0]) / 2), -round((width - size[1]) / 2)
    return Frame(original, size, (height, width), corner)
