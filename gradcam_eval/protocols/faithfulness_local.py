"""The protocols of faithfulness at one stroke: no curve, or one of correlations."""

from __future__ import annotations

from dataclasses import replace

from gradcam_eval.protocols.fills import BLACK, MEAN_COLOUR
from gradcam_eval.protocols.kinds import DropProtocol, InfidelityProtocol, SubsetProtocol

_DROP_2018 = DropProtocol(
    name="drop2018",
    metrics=("average_drop", "increase_in_confidence", "average_gain"),
    scaling="min-max, after the resize",
    behind=BLACK,
    source="Chattopadhay, Sarkar, Howlader, Balasubramanian: Grad-CAM++, WACV 2018 "
    "(arXiv:1710.11063); average gain: Zhang, Torres, Sicre, Avrithis, Ayache: Opti-CAM, 2023 "
    "(arXiv:2301.07002); black behind the map, and min-max after the resize, as in the repository "
    "hanwei0912/OptiCAM, util.py",
    departures="the score is the probability of the given target, not of the predicted class",
)
_DROP_2018_MEAN = replace(
    _DROP_2018,
    name="drop2018_mean",
    behind=MEAN_COLOUR,
    departures=f"{_DROP_2018.departures}; the normalised image is multiplied, as PyTorch "
    "libraries do: the mean colour stands where the heatmap is 0",
)
_ANCONA_2018 = SubsetProtocol(
    name="ancona2018",
    metrics=("sensitivity_n",),
    draws=100,
    removal=MEAN_COLOUR,
    subset_fractions=(0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8),
    area="trapezoid over the fractions, divided by their range",
    source="Ancona, Ceolini, Öztireli, Gross: Towards Better Understanding of Gradient-based "
    "Attribution Methods, ICLR 2018 (arXiv:1711.06104)",
    departures="seven sizes of sets, where the first author's later code (marcoancona/DeepExplain, "
    "deepexplain/tensorflow/sensitivityn.py) has up to fifty from 1 to all, spaced geometrically; "
    "100 draws of each, where that code takes their number as an argument; all channels of a pixel "
    "go together; the mean colour stands for the 0 that it writes into its input; the paper shows "
    "the correlation over the sizes, and has no one number",
)
_ANCONA_2018_LOGIT = replace(_ANCONA_2018, name="ancona2018_logit", score="logit")
_BHATT_2020_CORRELATION = SubsetProtocol(
    name="bhatt2020_correlation",
    metrics=("faithfulness_correlation",),
    draws=100,
    removal=MEAN_COLOUR,
    subset_pixels=224,
    source="Bhatt, Weller, Moura: Evaluating and Aggregating Feature-based Model Explanations, "
    "IJCAI 2020 (arXiv:2005.00631)",
    departures="the paper fixes no numbers for images: 100 sets of 224 are the defaults of the "
    "library Quantus (quantus/metrics/faithfulness/faithfulness_correlation.py), which counts "
    "values where we count pixels; the colour is ours",
)
_INFIDELITY_SOURCE = (
    "Yeh, Hsieh, Suggala, Inouye, Ravikumar: On the (In)fidelity and Sensitivity of Explanations, "
    "NeurIPS 2019 (arXiv:1901.09392); repository chihkuanyeh/saliency_evaluation, "
    "infid_sen_utils.py"
)
_SIDE_AND_SCORE = "their largest side is its 10 of 28 pixels, as a share; the probability"
_NO_SCALING = "no optimal scaling, which that code always does"
_EVEN_SIDES = (
    "the squares are drawn at random, every side alike, where that code takes each square once, so "
    "that small ones count more (a side of s pixels 29 - s times squared, of 28 pixels): "
    f"`infidelity2019_places` draws as often; {_SIDE_AND_SCORE}"
)
_SIDES_BY_PLACES = (
    "200 squares are drawn, each as likely as any other, where that code takes each of them once "
    f"(5,605 at 28 x 28 pixels); {_SIDE_AND_SCORE}"
)
_INFIDELITY_2019 = InfidelityProtocol(
    name="infidelity2019",
    metrics=("infidelity",),
    perturbation="square",
    draws=200,
    is_scaled=False,
    largest_square=10 / 28,
    sides="evenly",
    source=_INFIDELITY_SOURCE,
    departures=f"{_EVEN_SIDES}; {_NO_SCALING}",
)
_INFIDELITY_2019_SCALED = replace(
    _INFIDELITY_2019, name="infidelity2019_scaled", is_scaled=True, departures=_EVEN_SIDES
)
_INFIDELITY_2019_PLACES = replace(
    _INFIDELITY_2019,
    name="infidelity2019_places",
    sides="by number of places",
    departures=f"{_SIDES_BY_PLACES}; {_NO_SCALING}",
)
_INFIDELITY_2019_PLACES_SCALED = replace(
    _INFIDELITY_2019_PLACES,
    name="infidelity2019_places_scaled",
    is_scaled=True,
    departures=_SIDES_BY_PLACES,
)
_INFIDELITY_2019_NOISE = replace(
    _INFIDELITY_2019,
    name="infidelity2019_noise",
    perturbation="noisy_baseline",
    largest_square=None,
    sides=None,
    noise=0.2,
    departures="200 draws, where that code takes 10,000; a heatmap has no channels: I is averaged "
    "over them; the probability; no optimal scaling",
)
_INFIDELITY_2019_NOISE_SCALED = replace(
    _INFIDELITY_2019_NOISE,
    name="infidelity2019_noise_scaled",
    is_scaled=True,
    departures="200 draws, where that code takes 10,000; a heatmap has no channels: I is averaged "
    "over them; the probability",
)

LOCAL = (
    _DROP_2018,
    _DROP_2018_MEAN,
    _ANCONA_2018,
    _ANCONA_2018_LOGIT,
    _BHATT_2020_CORRELATION,
    _INFIDELITY_2019,
    _INFIDELITY_2019_SCALED,
    _INFIDELITY_2019_PLACES,
    _INFIDELITY_2019_PLACES_SCALED,
    _INFIDELITY_2019_NOISE,
    _INFIDELITY_2019_NOISE_SCALED,
)
