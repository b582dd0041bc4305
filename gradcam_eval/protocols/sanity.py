"""The protocols of the sanity checks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gradcam_eval.core import unknown_name

DEFAULT = "sanity2018"


@dataclass(frozen=True)
class SanityProtocol:
    """How heatmaps are compared in sanity checks, and when they are said to differ.

    Attributes
    ----------
    name : the protocol's name
    metrics : the checks that it defines
    steps : most steps in which a model is randomised
    measures : of similarity, at the image's size; the first is the one that is shown by default
    source : the paper and the code that the parameters come from
    order : in which layers are randomised, unless a call names another one
    random_models : models without anything learned; their heatmaps, in pairs, are alike by chance
    noise_maps : coarse noise that heatmaps are compared with, by chance, where no model is random
    repeats : noisy copies of each image, by which a heatmap's repeatability is measured
    noise : their standard deviation, as a share of the range of all images' values
    over_steps_limit : mean over the steps of the share of the way from chance to repeatability
        below which heatmaps differ
    after_output_limit : the same share after the output layer alone lost its weights
    repeatability_limit : similarity of a heatmap and its repetition above which it repeats
    room_limit : least difference of repeatability and chance by which a measure can tell anything
    smooth_draws : noisy copies of each image whose heatmaps are averaged; 0: the image's own
    smooth_noise : their standard deviation, as a share of each image's range of values
    explains : which class the heatmap of a model with randomised weights explains: the "first" one,
        about which the trained model was asked, or the one "predicted" by the randomised model
    resets : what a step takes away: "all" that was learned, moving statistics too, or "trainable"
        variables alone
    is_calibrated : whether the limits were calibrated for these measures and this order; where they
        were not, a check has its numbers and concludes nothing
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    steps: int
    measures: tuple[str, ...]
    source: str
    order: Literal["cascading", "cascading_bottom_up"] = "cascading"
    random_models: int = 3
    noise_maps: int = 4
    repeats: int = 2
    noise: float = 0.001
    over_steps_limit: float = 0.5
    after_output_limit: float = 0.7
    repeatability_limit: float = 0.5
    room_limit: float = 0.1
    smooth_draws: int = 0
    smooth_noise: float = 0.0
    explains: Literal["first", "predicted"] = "first"
    resets: Literal["all", "trainable"] = "all"
    is_calibrated: bool = True
    departures: str = ""

    def measure(self, name: str | None = None) -> str:
        """Return that measure's name, or the first one's.

        Raises
        ------
        InputError : it is none of this protocol's; the sentence lists those there are
        """
        if name is None:
            return self.measures[0]
        if name not in self.measures:
            raise unknown_name(f"measure of the protocol {self.name!r}", name, self.measures)
        return name


SANITY_2018 = SanityProtocol(
    name=DEFAULT,
    metrics=("sanity",),
    steps=16,
    measures=("rank_correlation", "absolute_rank_correlation", "ssim", "hog"),
    source=(
        "Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS "
        "2018 (arXiv:1810.03292): the randomisations and the measures; repository "
        "adebayoj/sanity_checks_saliency, notebooks/inceptionv3_cascading_randomization.ipynb, "
        "src/randomize_inceptionv3.py and src/utils.py"
    ),
    departures="SSIM has uniform windows of 7 x 7 pixels and a range of 1, where the notebook has "
    "scikit-image's Gaussian windows and, as it states none, a range of 2; HOG's cells are a "
    "fourteenth of the shorter side (16 of 224 pixels), where it has 16 x 16 of 299 x 299; HOGs "
    "are compared by Pearson's correlation, as in the paper, where it ranks them; maps are ranked "
    "as they are, where it clips them at their 99th percentile first; the class is the one that "
    "was explained first, where src/randomize_inceptionv3.py takes the one that the randomised "
    "model predicts; moving statistics are reset too, where it resets trainable variables alone; "
    "16 steps at most, where it takes 17 blocks of Inception from the logits down; chance, "
    "repeatability and the limits of the conclusion are ours. `sanity2018_code` has the "
    "code's settings instead",
)

SANITY_2018_CODE = SanityProtocol(
    name="sanity2018_code",
    metrics=("sanity",),
    steps=17,
    measures=(
        "clipped_rank_correlation",
        "clipped_absolute_rank_correlation",
        "gaussian_ssim",
        "ranked_hog",
    ),
    source=(
        "the authors' code of the paper of `sanity2018`, adebayoj/sanity_checks_saliency: the "
        "measures of notebooks/inceptionv3_cascading_randomization.ipynb with the defaults of "
        "scikit-image 0.15.0 and saliency 0.0.4, which requirements.txt names; the randomisation "
        "of src/randomize_inceptionv3.py and src/utils.py"
    ),
    explains="predicted",
    resets="trainable",
    is_calibrated=False,
    departures="layers go in at most 17 groups, the output's alone first, where the script names "
    "17 blocks of Inception; a cascade keeps the values that it drew, where the script draws those "
    "of all its blocks again at each step; heatmaps have the model's image size, where it is 299 x "
    "299, and one value a pixel, where those of input gradients keep three channels (it sums them "
    "for ranks, means SSIM over them and takes the steepest for HOG; Grad-CAM's are alike); they "
    "are resized with pixel centres at half integers, where saliency calls TensorFlow 1's "
    "resize_bilinear; a map that is constant, or so once clipped, has no similarity, where a "
    "division gives NaN, and neither has a step that changed no answer; curves have intervals of "
    "the mean, where the notebook draws a standard deviation; chance, repeatability and the "
    "limits of the conclusion are ours; of the other checks this gives the measures alone",
)

SMOOTH_2023 = replace(
    SANITY_2018,
    name="sanity2023_smooth",
    order="cascading_bottom_up",
    is_calibrated=False,
    smooth_draws=16,
    smooth_noise=0.1,
    source="Hedström, Weber, Lapuschkin, Höhne: Sanity Checks Revisited: An Exploration to Repair "
    "the Model Parameter Randomisation Test, XAI in Action at NeurIPS 2023 (arXiv:2401.06465): the "
    "smooth MPRT",
    departures="made from the paper's idea, not from its code. The number of noisy images and "
    "their noise are ours, within what Smilkov et al. (2017) advise for SmoothGrad; every model "
    "gets the same noise; similarities and all else are those of `sanity2018`",
)

SANITY = (SANITY_2018, SANITY_2018_CODE, SMOOTH_2023)
