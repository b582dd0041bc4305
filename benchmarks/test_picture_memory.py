"""What the largest pictures that are read take in memory.

Run: ``python -m pytest benchmarks/test_picture_memory.py --override-ini addopts= -s``. Each picture
is made and then read, for a model of 224 pixels, in a process of its own, which reports the largest
resident size that it ever had (`ru_maxrss`) beyond that before it read the file. docs/data.md says
the bound, which is asserted here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_memory import peak

BOUND = 1000  # MB beyond the process; docs/data.md
SIDE = 9450  # 89.3 million pixels: the most that are read whole
LARGE = 10_000  # 100 million: refused, or reduced

KINDS = {
    "PNG, RGB": ("png", SIDE, "RGB"),
    "PNG, RGBA": ("png", SIDE, "RGBA"),
    "PNG, 16-bit grey": ("png", SIDE, "I;16"),
    "JPEG": ("jpg", SIDE, "RGB"),
    "JPEG, progressive": ("jpg", SIDE, "progressive"),
    "TIFF": ("tif", SIDE, "RGB"),
    "TIFF, 16-bit grey": ("tif", SIDE, "I;16"),
    "JPEG, reduced": ("jpg", LARGE, "RGB"),
    "TIFF, reduced": ("tif", LARGE, "RGB"),
    "TIFF, 16-bit grey, reduced": ("tif", LARGE, "I;16"),
}


def write(path: Path, side: int, mode: str) -> None:
    """Write a picture of side × side pixels: a gradient with a pattern, quick to compress."""
    rows = np.arange(side, dtype=np.uint32)
    grey = (rows[:, None] * 3 + rows[None, :] * 5) % 251
    channels = {"RGBA": 4, "I;16": 1}.get(mode, 3)
    dtype, factor = (np.uint16, 256) if mode == "I;16" else (np.uint8, 1)
    values = (grey * factor).astype(dtype)
    if channels > 1:
        values = np.stack([values] * channels, axis=2)
    if path.suffix == ".tif":
        import tifffile

        kind = "rgb" if channels == 3 else "minisblack"
        tifffile.imwrite(path, values, tile=(256, 256), compression="deflate", photometric=kind)
        return
    from PIL import Image

    options = {"compress_level": 1} if path.suffix == ".png" else {"progressive": mode[0] == "p"}
    Image.fromarray(values).save(path, **options)


def read(path: Path, side: int) -> dict[str, float]:
    """Read the picture as a study does, and return the peak before and after, in MB."""
    from gradcam_eval.core import Sample
    from gradcam_eval.data import ClassMap, Pixels, Reading, open_source

    pixels = Pixels(large="reduce" if side == LARGE else "refuse")
    reading = Reading((224, 224), classes=ClassMap(()), pixels=pixels)
    started = peak()
    (sample,) = open_source(path.parent).samples(reading)
    assert isinstance(sample, Sample)
    return {"started": started, "peak": peak(), "mean": float(sample.image.mean())}


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_stays_within_the_bound(kind: str, tmp_path: Path) -> None:
    """Print what reading one picture takes, and compare it with the bound."""
    suffix, side, mode = KINDS[kind]
    path = tmp_path / f"large.{suffix}"
    for step in ("write", "read"):
        command = [sys.executable, __file__, step, str(path), str(side), mode]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    needed = found["peak"] - found["started"]
    size = path.stat().st_size / 1e6
    print(f"\n{kind:26} {side}x{side}, {size:4.0f} MB on disk: {needed:5.0f} MB")
    assert found["mean"] > 0
    assert needed < BOUND


if __name__ == "__main__":
    place, length = Path(sys.argv[2]), int(sys.argv[3])
    if sys.argv[1] == "write":
        write(place, length, sys.argv[4])
    else:
        print(json.dumps(read(place, length)))
