"""The protocol of the sanity checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SanityProtocol:
    """How heatmaps are compared in sanity checks, and when they are said to differ.

    Attributes
    ----------
    name : the protocol's name
    metrics : the checks that it defines
    steps : most steps in which a model is randomised
    measures : of similarity, at the image's size
    floor_draws : random controls that each heatmap is compared with
    limit : share of the way from chance to sameness below which heatmaps differ
    source : the paper, and what of it is ours
    """

    name: str
    metrics: tuple[str, ...]
    steps: int
    measures: tuple[str, ...]
    floor_draws: int
    limit: float
    source: str


SANITY_2018 = SanityProtocol(
    name="sanity2018",
    metrics=("sanity",),
    steps=16,
    measures=("rank_correlation", "absolute_rank_correlation", "ssim", "hog"),
    floor_draws=4,
    limit=0.5,
    source=(
        "Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS "
        "2018 (arXiv:1810.03292): the randomisations and the measures; SSIM's window, HOG's "
        "cells, the steps, the floor and the limit of the verdict are ours"
    ),
)
