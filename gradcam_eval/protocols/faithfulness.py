"""The protocols of faithfulness: every parameter, where it comes from, and how we differ."""

from __future__ import annotations

from dataclasses import replace

from gradcam_eval.protocols.faithfulness_local import LOCAL
from gradcam_eval.protocols.fills import (
    IMAGE_MEAN,
    IMAGENET_MEAN,
    MEAN_COLOUR,
    NOISY_LINEAR,
    Fill,
)
from gradcam_eval.protocols.kinds import (
    FaithfulnessProtocol,
    RegionProtocol,
    RoadProtocol,
)

_RISE_SOURCE = (
    "Petsiuk, Das, Saenko: RISE, BMVC 2018 (arXiv:1806.07421); repository eclique/RISE, "
    "evaluation.py and Evaluation.ipynb: "
)
_RISE_2018 = FaithfulnessProtocol(
    name="rise2018",
    metrics=("deletion", "insertion"),
    removal=MEAN_COLOUR,
    start=Fill("rise_blur", colour=IMAGENET_MEAN, sigma=5.0, kernel=11),
    step_pixels=224,
    source=_RISE_SOURCE + "the single run, 224 pixels a step",
    departures="the mean colour is fixed, whatever the model's normalisation; ties in row-major "
    "order, where an unstable sort leaves them there; true fractions; the target is given",
)
_RISE_2018_BATCH = replace(
    _RISE_2018,
    name="rise2018_batch",
    step_pixels=1792,
    source=_RISE_SOURCE + "the run over many images, 8 x 224 pixels a step",
)
_RISE_2018_ADAPTIVE = replace(
    _RISE_2018,
    name="rise2018_adaptive",
    tolerance=0.005,
    source="ours, after rise2018",
    departures=f"{_RISE_2018.departures}; only as many points as an area within 0.005 of that of "
    "all 225 is expected to need",
)
_RISE_2018_LABEL = replace(
    _RISE_2018,
    name="rise2018_label",
    of="label",
    departures=f"{_RISE_2018.departures}: it is the image's label, where they read the predicted "
    "class; of a label that means several classes the most probable one",
)
_GAUSSIAN_CLEAN = replace(
    _RISE_2018,
    name="gaussian_clean",
    start=Fill("gaussian_blur", sigma=5.0),
    step_pixels=None,
    step_fraction=1 / 224,
    source="ours, after rise2018",
    departures="a true Gaussian instead of a kernel that is nearly a box, the border reflected "
    "instead of mean-coloured, a step that follows the image's size",
)
_GAUSSIAN_CLEAN_TIES = replace(
    _GAUSSIAN_CLEAN,
    name="gaussian_clean_ties",
    ties="expected",
    tie_orders=8,
    departures=f"{_GAUSSIAN_CLEAN.departures}; the mean over 8 random orders of equal pixels",
)
_FLIP_MEAN = FaithfulnessProtocol(
    name="flip_mean",
    metrics=("morf", "lerf"),
    removal=IMAGE_MEAN,
    start=IMAGE_MEAN,
    step_fraction=0.01,
    source="ours, pixel flipping after Samek et al. (2017, arXiv:1509.06321)",
    departures="single pixels, 1 % a step, each image's own mean colour as fill",
)
_FLIP_BLUR = replace(
    _FLIP_MEAN,
    name="flip_blur",
    removal=Fill("gaussian_blur", sigma=10.0),
    start=Fill("gaussian_blur", sigma=10.0),
    departures="single pixels, 1 % a step, the blurred image as fill, which leaves no edges",
)
_FLIP_IMPUTED = replace(
    _FLIP_MEAN,
    name="flip_imputed",
    removal=NOISY_LINEAR,
    start=NOISY_LINEAR,
    step_fraction=0.05,
    departures="single pixels, 5 % a step, the noisy linear imputation of ROAD as fill, drawn once "
    "for an image; one pixel at least is known",
)
_FLIP_LOGIT = replace(_FLIP_MEAN, name="flip_mean_logit", score="logit")
# ln(p / (1 - p)) does not saturate, and a black box has it as well
_FLIP_LOG_ODDS = replace(_FLIP_MEAN, name="flip_mean_log_odds", score="log_odds")
_FLIP_LABEL = replace(_FLIP_MEAN, name="flip_mean_label", of="label")
_ABPC_MEAN = replace(
    _FLIP_MEAN,
    name="abpc_mean",
    metrics=("abpc",),
    area="area of LeRF minus area of MoRF, each the trapezoid over the fraction of pixels removed",
    source="Schulz, Sixt, Tombari, Landgraf: Restricting the Flow, ICLR 2020 (arXiv:2001.00396): "
    "the area between the LeRF and MoRF curves",
    departures="single pixels, 1 % a step, each image's own mean colour; the scores are not "
    "rescaled to 0..1 first",
)
_ABPC_LOG_ODDS = replace(_ABPC_MEAN, name="abpc_mean_log_odds", score="log_odds")
_SAMEK_2017 = RegionProtocol(
    name="samek2017",
    metrics=("aopc",),
    regions="squares",
    relevance="sum",
    removal=Fill("uniform_noise"),
    size=9,
    steps=100,
    repeats=10,
    area="mean fall over 0, 1, 2, … regions removed",
    source="Samek, Binder, Montavon, Lapuschkin, Müller: Evaluating the Visualization of What a "
    "Deep Neural Network Has Learned, IEEE TNNLS 2017 (arXiv:1509.06321)",
    departures="the draws of the noise are the same for all heatmaps of an image; the probability "
    "of the given target; fewer steps where the image has fewer squares",
)
_SAMEK_2017_ONE_DRAW = replace(
    _SAMEK_2017,
    name="samek2017_one_draw",
    repeats=1,
    departures=f"one draw of the noise, where the paper takes ten, at a tenth of the cost; "
    f"{_SAMEK_2017.departures}",
)
_IROF_2020 = RegionProtocol(
    name="irof2020",
    metrics=("irof",),
    regions="slic",
    relevance="mean",
    removal=IMAGE_MEAN,
    segments=100,
    compactness=10.0,
    sigma=0.0,
    area="1 minus the trapezoid of the score over that of the whole image, over the share of "
    "regions removed",
    source="Rieger, Hansen: IROF, a low resource evaluation metric for explanation methods, 2020 "
    "(arXiv:2003.08747)",
    departures="the number of segments and SLIC's parameters are scikit-image's defaults, as in "
    "the library Quantus (quantus/helpers/utils.py, get_superpixel_segments); those of the paper "
    "were not to be found; the probability of the given target; at most 1, where Quantus "
    "(quantus/metrics/faithfulness/irof.py) returns L minus the area over 1 to L of L segments "
    "removed: L times ours plus (1 + p) / 2, p the share that the first one leaves",
)
_ROAD_DEPARTURES = (
    "the probability of the target, where that code reports the accuracy and the mean "
    "probability of a data set; ties in row-major order, where noise of 1e-4 breaks them there; "
    "the count of pixels is rounded, where it is cut there; one draw of the noise for all heatmaps "
    "and fractions of an image; LeRF removes the fraction, where that code keeps it; "
    "imputed values are within 0.01 of 255 grey levels of the exact ones"
)
_ROAD_2022 = RoadProtocol(
    name="road2022",
    metrics=("road_morf", "road_lerf"),
    fractions=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    edge_weight=1 / 6,
    diagonal_weight=1 / 12,
    noise=0.01,
    source="Rong, Leemann, Borisov, Kasneci, Kasneci: A Consistent and Efficient Evaluation "
    "Strategy for Attribution Methods, ICML 2022 (arXiv:2202.00449); repository "
    "tleemann/road_evaluation, imputations.py",
    departures=f"{_ROAD_DEPARTURES}; the one number is an area, where the paper shows the curve, "
    "and libraries take the mean (`road2022_mean`)",
)
_ROAD_2022_LABEL = replace(_ROAD_2022, name="road2022_label", of="label")
_ROAD_2022_MEAN = replace(
    _ROAD_2022,
    name="road2022_mean",
    area="mean over the fractions",
    departures=f"{_ROAD_DEPARTURES}; the mean is that of ROADMostRelevantFirstAverage and "
    "ROADLeastRelevantFirstAverage of pytorch-grad-cam, which subtract the score of the whole "
    "image",
)
_ROAD_2022_COMBINED = replace(
    _ROAD_2022_MEAN,
    name="road2022_combined",
    metrics=("road",),
    departures=f"{_ROAD_DEPARTURES}; half the mean of LeRF minus MoRF, as ROADCombined of "
    "pytorch-grad-cam: half the difference of `road_lerf` and `road_morf` under `road2022_mean`, "
    "not of the areas under `road2022`",
)

FAITHFULNESS = (
    _RISE_2018,
    _RISE_2018_BATCH,
    _RISE_2018_ADAPTIVE,
    _RISE_2018_LABEL,
    _GAUSSIAN_CLEAN,
    _GAUSSIAN_CLEAN_TIES,
    _FLIP_MEAN,
    _FLIP_BLUR,
    _FLIP_IMPUTED,
    _FLIP_LOGIT,
    _FLIP_LOG_ODDS,
    _FLIP_LABEL,
    _ABPC_MEAN,
    _ABPC_LOG_ODDS,
    _SAMEK_2017,
    _SAMEK_2017_ONE_DRAW,
    _IROF_2020,
    _ROAD_2022,
    _ROAD_2022_LABEL,
    _ROAD_2022_MEAN,
    _ROAD_2022_COMBINED,
    *LOCAL,
)
