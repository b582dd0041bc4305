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
    source : the paper and the code that the parameters come from
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    steps: int
    measures: tuple[str, ...]
    floor_draws: int
    limit: float
    source: str
    departures: str = ""


SANITY_2018 = SanityProtocol(
    name="sanity2018",
    metrics=("sanity",),
    steps=16,
    measures=("rank_correlation", "absolute_rank_correlation", "ssim", "hog"),
    floor_draws=4,
    limit=0.5,
    source=(
        "Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS "
        "2018 (arXiv:1810.03292): the randomisations and the measures; repository "
        "adebayoj/sanity_checks_saliency, notebooks/inceptionv3_cascading_randomization.ipynb, "
        "src/randomize_inceptionv3.py and src/utils.py"
    ),
    departures="SSIM has uniform windows of 7 x 7 pixels and a range of 1, where the notebook has "
    "scikit-image's Gaussian windows and states no range; HOG's cells are a fourteenth of the "
    "shorter side (16 of 224 pixels), where it has 16 x 16 of 299 x 299; HOGs are compared by "
    "Pearson's correlation, as in the paper, where it ranks them; the class is the one that was "
    "explained first, where src/randomize_inceptionv3.py takes the one that the randomised model "
    "predicts; moving statistics are reset too, where it resets trainable variables alone; 16 "
    "steps at most, where it takes 17 blocks of Inception from the logits down; the floor and the "
    "limit of the verdict are ours",
)
