"""Clusters of images that are not independent: near-duplicates, and records of one image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
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


def records_of_one_image(images: pd.DataFrame) -> dict[str, str]:
    """Return sample → the id of its image, for images that have several samples.

    A study of every label explains an image once for each of its labels.
    """
    first = images[images["id"] != ""].drop_duplicates("sample")  # each model has a row
    several = first[first["id"].duplicated(keep=False)]
    return dict(zip(several["sample"], several["id"], strict=True))


def joined(*clusterings: Mapping[str, str]) -> dict[str, str]:
    """Return sample → cluster, with the samples of every given cluster in one.

    Two clusters that share a sample become one; it has the name of its first sample.

    Examples
    --------
    >>> joined({"a": "1", "b": "1", "c": "2"}, {"b": "x", "d": "x", "e": "y"})
    {'a': 'a', 'b': 'a', 'c': 'c', 'd': 'a', 'e': 'e'}
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    samples = list(dict.fromkeys(chain(*clusterings)))
    place = {name: at for at, name in enumerate(samples)}
    ends: list[tuple[int, int]] = []
    for clusters in clusterings:
        first: dict[str, str] = {}  # of each cluster
        ends += [(place[first.setdefault(name, s)], place[s]) for s, name in clusters.items()]
    if not ends:
        return {}
    places = tuple(np.array(ends).T)
    links = coo_array((np.ones(len(ends)), places), shape=(len(samples),) * 2)
    of_sample = connected_components(links, directed=False)[1].tolist()
    named: dict[int, str] = {}
    return {name: named.setdefault(at, name) for name, at in zip(samples, of_sample, strict=True)}
