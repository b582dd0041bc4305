"""A scene: a background and objects in front of one another, drawn so that each mask is exact.

Each pixel belongs to the front-most object whose outline covers half of it or more. Its colour is
made of that object and the background alone, so an object that is left out changes no pixel
outside its mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Mask
from gradcam_eval.data.evidence.background import Colours, background, lighting, sensor_noise
from gradcam_eval.data.evidence.draws import Draws
from gradcam_eval.data.evidence.noise import Field, pixel_grid
from gradcam_eval.data.evidence.shapes import Pose, coverage
from gradcam_eval.data.evidence.textures import Place, painted
from gradcam_eval.data.evidence.watermark import stamp_cover, stamped

SIZE = 96

Role = Literal["object", "other", "decoy", "clutter", "occluder", "watermark"]
Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Element:
    """One thing in a scene, not yet drawn.

    Attributes
    ----------
    role : "object" (of the image's class), "other" (of another class), "decoy" (of a class, where
        the network is blind), "clutter" and "occluder" (of no class), "watermark"
    label : index of its class; of a watermark, the class that it stands for; -1 without one
    outline : a name in `shapes.OUTLINES`, or "stamp"
    texture : a name in `textures.TEXTURES`, or "stamp"
    key : decides its random draws, so that they are its own
    """

    role: Role
    label: int
    outline: str
    texture: str
    pose: Pose
    key: Key

    @cached_property
    def cover(self) -> Field:
        """The share of each pixel inside its outline, 0 where that is less than a half."""
        if self.outline == "stamp":
            return stamp_cover(self.pose, SIZE)
        share = coverage(self.outline, self.pose, SIZE)
        return np.where(share >= 0.5, share, 0.0)

    @property
    def mask(self) -> Mask:
        """The pixels that belong to it where nothing stands in front."""
        return self.cover > 0

    def colours(self, place: Place) -> Colours:
        """Return the colour of each of its pixels, (n, 3)."""
        if self.texture == "stamp":
            return stamped(self.label, self.pose, place)
        return painted(Draws(*self.key), self.texture, self.pose, place)


@dataclass(frozen=True)
class Plan:
    """What a scene shows, from back to front, and the key of its background."""

    key: Key
    label: int
    elements: tuple[Element, ...]

    def visible(self) -> tuple[Mask, ...]:
        """Return the pixels of each element that nothing in front covers."""
        front = np.zeros((SIZE, SIZE), bool)
        masks = []
        for element in reversed(self.elements):
            masks.append(element.mask & ~front)
            front = front | element.mask
        return tuple(reversed(masks))


@dataclass(frozen=True, eq=False)
class Planted:
    """One element as it is seen: its mask (SIZE, SIZE) and its box, x0, y0, x1, y1, half-open."""

    role: Role
    label: int
    mask: Mask

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The extent of its visible pixels."""
        rows, columns = np.nonzero(self.mask)
        return (
            float(columns.min()),
            float(rows.min()),
            float(columns.max() + 1),
            float(rows.max() + 1),
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture, uint8 RGB (SIZE, SIZE, 3), and what was planted in it, from back to front."""

    pixels: NDArray[np.uint8]
    label: int
    planted: tuple[Planted, ...]

    def seen(self, *roles: Role) -> tuple[Planted, ...]:
        """Return what was planted in these roles and is not hidden altogether."""
        return tuple(each for each in self.planted if each.role in roles and each.mask.any())


def render(plan: Plan) -> Scene:
    """Draw a scene."""
    under = background(Draws(*plan.key, "background"), SIZE)
    colours = under.copy()
    masks = plan.visible()
    x, y = pixel_grid(SIZE)
    for element, mask in zip(plan.elements, masks, strict=True):
        if mask.any():
            whole = Place(x[element.mask], y[element.mask], under[element.mask])
            own = element.colours(whole)[mask[element.mask]]
            share = element.cover[mask][:, None]
            colours[mask] = share * own + (1 - share) * under[mask]
    lit = colours * lighting(Draws(*plan.key, "lighting"), SIZE)[..., None]
    noisy = lit + sensor_noise(Draws(*plan.key, "noise"), SIZE)
    pixels = np.floor(np.clip(noisy, 0.0, 255.0) + 0.5).astype(np.uint8)
    planted = tuple(
        Planted(element.role, element.label, mask)
        for element, mask in zip(plan.elements, masks, strict=True)
    )
    return Scene(pixels, plan.label, planted)
