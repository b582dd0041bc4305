"""Clusters of near-duplicates among a folder's images, from their perceptual hashes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd

from gradcam_eval.core import InputError
from gradcam_eval.data.near_duplicates import near_duplicates
from gradcam_eval.study.analysis import NEAR_DUPLICATES


def hashed_clusters(images: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Return sample → cluster of near-duplicates, as a study declares them.

    Raises
    ------
    InputError : images of an earlier version, or some of them, have no perceptual hash
    """
    known = images[images["status"] == "ok"]
    if "perceptual_hash" not in known or (known["perceptual_hash"] == "").any():
        raise InputError(
            f"{folder / 'images.csv'} lacks perceptual hashes, which cluster = "
            f"{NEAR_DUPLICATES!r} needs: run the study again with --fresh."
        )
    return alike_images(images)


def alike_images(images: pd.DataFrame) -> dict[str, str]:
    """Return sample → cluster of near-duplicates; empty in a table without perceptual hashes."""
    if "perceptual_hash" not in images:
        return {}
    known = images[images["perceptual_hash"] != ""]
    first = known.drop_duplicates("sample")  # each model has a row
    return _alike(tuple(zip(first["sample"], first["perceptual_hash"], strict=True)))


@lru_cache(maxsize=8)
def _alike(hashes: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return near_duplicates(dict(hashes))
