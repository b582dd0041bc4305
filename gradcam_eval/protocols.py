"""Named, versioned sets of parameters: what a metric's number depends on, in readable tables.

Numbers of different protocols are not comparable, so a protocol's name stands beside each number.
A protocol never changes once published: a correction gets a new name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from gradcam_eval.core import unknown_name

# The mean colour of ImageNet, RGB, 0..255: 255 x (0.485, 0.456, 0.406), which the published torch
# models subtract. Their normalised input is 0 there.
IMAGENET_MEAN = (123.675, 116.28, 103.53)


@dataclass(frozen=True)
class FaithfulnessProtocol:
    """How pixels are removed or added, and what is read off the model meanwhile.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    step_pixels : pixels changed from one point of the curve to the next; the last step may be less
    deletion_colour : RGB, 0..255; what a deleted pixel becomes, whatever the model's normalisation
    blur_kernel : side of the square kernel that blurs the image where insertion starts, in pixels
    blur_sigma : the Gaussian's standard deviation in that kernel, in pixels
    blur_border : RGB, 0..255; the colour that the blur sees beyond the border
    score : what is read off the model at each point
    area : how the curve becomes one number
    source : the paper and the code that the parameters come from
    """

    name: str
    metrics: tuple[str, ...]
    step_pixels: int
    deletion_colour: tuple[float, float, float]
    blur_kernel: int
    blur_sigma: float
    blur_border: tuple[float, float, float]
    score: str
    area: str
    source: str


@dataclass(frozen=True)
class PointingProtocol:
    """When a heatmap's highest point counts as a hit.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    tolerance_pixels : largest distance from the highest point to the object that is still a hit
    frame : in which pixels the tolerance is counted: "original" is the image file's own size
    source : the paper that the parameters come from
    """

    name: str
    metrics: tuple[str, ...]
    tolerance_pixels: float
    frame: str
    source: str


@dataclass(frozen=True)
class SensitivityProtocol:
    """Which neighbours of an image its heatmap is compared at.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    radius : half the side of the box from which neighbours are drawn uniformly, in grey levels
    draws : how many neighbours
    norm : how changes are measured
    source : the paper and the code that the parameters come from
    """

    name: str
    metrics: tuple[str, ...]
    radius: float
    draws: int
    norm: str
    source: str


@dataclass(frozen=True)
class StabilityProtocol:
    """How an image is changed without changing what it shows.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    shift_fraction : of the side, in each of four directions; the border's pixels are repeated
    jpeg_quality : Pillow's, 1..95
    compared : how the two heatmaps are compared
    source : where the parameters come from
    """

    name: str
    metrics: tuple[str, ...]
    shift_fraction: float
    jpeg_quality: int
    compared: str
    source: str


@dataclass(frozen=True)
class ComplexityProtocol:
    """What is counted of a heatmap's values.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    values : which values count
    threshold : share of the largest value above which one counts; 0 where all do
    source : the paper that the formula comes from
    """

    name: str
    metrics: tuple[str, ...]
    values: str
    threshold: float
    source: str


@dataclass(frozen=True)
class OwnProtocol:
    """The protocol of a metric that brings no published one: its function says it all."""

    name: str
    metrics: tuple[str, ...]
    source: str


AnyProtocol: TypeAlias = (
    FaithfulnessProtocol
    | PointingProtocol
    | SensitivityProtocol
    | StabilityProtocol
    | ComplexityProtocol
    | OwnProtocol
)

_RISE_SOURCE = (
    "Petsiuk, Das, Saenko: RISE, BMVC 2018 (arXiv:1806.07421); repository eclique/RISE, "
    "evaluation.py and Evaluation.ipynb: "
)
_RISE_2018 = FaithfulnessProtocol(
    name="rise2018",
    metrics=("deletion", "insertion"),
    step_pixels=224,
    deletion_colour=IMAGENET_MEAN,
    blur_kernel=11,
    blur_sigma=5.0,
    blur_border=IMAGENET_MEAN,
    score="softmax probability of the target, the unperturbed image included",
    area="trapezoid over the fraction of pixels changed, 0..1",
    source=_RISE_SOURCE + "the single run, 224 pixels a step",
)
_RISE_2018_BATCH = replace(
    _RISE_2018,
    name="rise2018_batch",
    step_pixels=1792,
    source=_RISE_SOURCE + "the run over many images, 8 x 224 pixels a step",
)
_POINTING_2018 = PointingProtocol(
    name="pointing2018",
    metrics=("pointing_game",),
    tolerance_pixels=15.0,
    frame="original",
    source=(
        "Zhang, Bargal, Lin, Brandt, Shen, Sclaroff: Top-down Neural Attention by Excitation "
        "Backprop, IJCV 2018 (arXiv:1608.00507): a margin of 15 pixels round the object"
    ),
)
_YEH_SOURCE = (
    "Yeh, Hsieh, Suggala, Inouye, Ravikumar: On the (In)fidelity and Sensitivity of Explanations, "
    "NeurIPS 2019 (arXiv:1901.09392); "
)
_YEH_2019 = SensitivityProtocol(
    name="yeh2019",
    metrics=("max_sensitivity", "average_sensitivity"),
    radius=51.0,
    draws=50,
    norm="L2 norm of the change over that of the first heatmap",
    source=_YEH_SOURCE + "repository chihkuanyeh/saliency_evaluation, config.py: radius 0.2 of "
    "images in 0..1, 50 draws, which the paper used on MNIST",
)
_YEH_2019_SMALL = replace(
    _YEH_2019,
    name="yeh2019_small",
    radius=5.1,
    draws=10,
    source=_YEH_SOURCE + "with the defaults of captum.metrics.sensitivity_max: radius 0.02, "
    "10 draws",
)
_LIPSCHITZ_2018 = replace(
    _YEH_2019,
    name="lipschitz2018",
    metrics=("local_lipschitz",),
    norm="L2 norm of the change over that of the first heatmap, and over that of the image / 255",
    source=(
        "Alvarez-Melis, Jaakkola: On the Robustness of Interpretability Methods, 2018 "
        "(arXiv:1806.08049): the ratio; the neighbours are those of yeh2019, drawn instead of "
        "searched"
    ),
)
_TRANSFORMS_V1 = StabilityProtocol(
    name="transforms_v1",
    metrics=("shift_stability", "flip_stability", "jpeg_stability"),
    shift_fraction=0.125,
    jpeg_quality=50,
    compared="Spearman's rank correlation at the image's size, after the change is undone",
    source="ours; nothing published",
)
_CHALASANI_2020 = ComplexityProtocol(
    name="chalasani2020",
    metrics=("gini_sparseness",),
    values="absolute values of the heatmap at the image's size",
    threshold=0.0,
    source=(
        "Chalasani, Chen, Chowdhury, Jha, Wu: Concise Explanations of Neural Networks using "
        "Adversarial Training, ICML 2020 (arXiv:1810.06583)"
    ),
)
_BHATT_2020 = replace(
    _CHALASANI_2020,
    name="bhatt2020",
    metrics=("entropy_complexity",),
    source=(
        "Bhatt, Weller, Moura: Evaluating and Aggregating Feature-based Model Explanations, "
        "IJCAI 2020 (arXiv:2005.00631)"
    ),
)
_EFFECTIVE_2020 = replace(
    _CHALASANI_2020,
    name="effective2020",
    metrics=("effective_complexity",),
    threshold=1e-5,
    source=(
        "after Nguyen, Martínez: On quantitative aspects of model interpretability, 2020 "
        "(arXiv:2007.07584), as a count of the values above 1e-5 of the largest one, divided by "
        "their number; Quantus has the same count"
    ),
)
_OWN = OwnProtocol(name="own", metrics=(), source="the metric's own function; nothing published")

PROTOCOLS: dict[str, AnyProtocol] = {
    entry.name: entry
    for entry in (
        _RISE_2018,
        _RISE_2018_BATCH,
        _POINTING_2018,
        _YEH_2019,
        _YEH_2019_SMALL,
        _LIPSCHITZ_2018,
        _TRANSFORMS_V1,
        _CHALASANI_2020,
        _BHATT_2020,
        _EFFECTIVE_2020,
        _OWN,
    )
}


def protocol(name: str, metric: str) -> AnyProtocol:
    """Return the protocol called `name`, which must define `metric`.

    Raises
    ------
    InputError : no such protocol for this metric; the sentence lists those there are

    Examples
    --------
    >>> protocol("rise2018", "deletion").step_pixels
    224
    """
    valid = [entry.name for entry in PROTOCOLS.values() if metric in entry.metrics]
    if name not in valid:
        raise unknown_name(f"protocol of the metric {metric!r}", name, valid)
    return PROTOCOLS[name]


def describe(name: str) -> dict[str, Any]:
    """Return every parameter of a protocol, to be stored beside the numbers that it made."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return asdict(PROTOCOLS[name])
