"""Draw the card's picture: rows of variants, six images each, with the outlines of their truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gradcam_eval.data.evidence.scene import Scene
from gradcam_eval.data.evidence.variants import make_scene

ROWS = ("single", "multi", "small", "confounded", "null")
COLUMNS, SCALE, GAP = 6, 2, 4
COLOURS = {
    "object": (255, 40, 40),
    "other": (0, 230, 255),
    "watermark": (60, 255, 60),
    "decoy": (255, 60, 255),
}


def outlined(scene: Scene) -> np.ndarray:
    """Return a scene enlarged, with a line just inside each mask."""
    picture = scene.pixels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    for each in scene.seen("object", "other", "watermark", "decoy"):
        mask = np.pad(each.mask.repeat(SCALE, axis=0).repeat(SCALE, axis=1), 1)
        inner = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        picture[mask[1:-1, 1:-1] & ~inner] = COLOURS[each.role]
    return np.pad(picture, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


if __name__ == "__main__":
    rows = [[outlined(make_scene(row, index)) for index in range(COLUMNS)] for row in ROWS]
    sheet = np.vstack([np.hstack(row) for row in rows])[:-GAP, :-GAP]
    Image.fromarray(sheet).save(Path(__file__).with_name("examples.jpg"), quality=80)
