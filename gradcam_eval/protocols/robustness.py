"""The protocols of robustness, stability and complexity."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
    is_relative : whether a heatmap's change is divided by the norm of the first heatmap
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    radius: float
    draws: int
    norm: str
    source: str
    is_relative: bool = True
    departures: str = ""


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
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    values: str
    threshold: float
    source: str
    departures: str = ""


_YEH_SOURCE = (
    "Yeh, Hsieh, Suggala, Inouye, Ravikumar: On the (In)fidelity and Sensitivity of Explanations, "
    "NeurIPS 2019 (arXiv:1901.09392); "
)
_ONE_SET = (
    "all heatmaps and metrics of an image share one set of neighbours, whose values may leave "
    "0..255; a heatmap has one value a position and its method's own size, where that code has a "
    "value for each channel of each pixel"
)
_YEH_2019 = SensitivityProtocol(
    name="yeh2019",
    metrics=("max_sensitivity", "average_sensitivity"),
    radius=51.0,
    draws=50,
    norm="L2 norm of the change over that of the first heatmap",
    source=_YEH_SOURCE + "repository chihkuanyeh/saliency_evaluation, config.py: radius 0.2 of "
    "images in 0..1, 50 draws, which the paper used on MNIST",
    departures=f"{_ONE_SET}; divided by the norm of the first heatmap as that code does, where the "
    "paper's definition does not divide; the average is ours. Until 2022 that code divided the "
    "running maximum again at each draw, which is another number",
)
_YEH_2019_SMALL = replace(
    _YEH_2019,
    name="yeh2019_small",
    radius=5.1,
    draws=10,
    source=_YEH_SOURCE + "with the defaults of captum.metrics.sensitivity_max: radius 0.02, "
    "10 draws",
    departures=f"{_ONE_SET}; the radius is counted in images of 0..1, where captum counts it in "
    "the values that the model takes, normalised or not; the average is ours",
)
_LIPSCHITZ = (
    f"{_ONE_SET}; 50 random neighbours give a lower bound of the maximum, which that code searches "
    "by Bayesian optimisation, within the range of the data; the radius is 0.2 of the range"
)
_LIPSCHITZ_2018 = replace(
    _YEH_2019,
    name="lipschitz2018",
    metrics=("local_lipschitz",),
    norm="L2 norm of the change over that of the first heatmap, and over that of the image / 255",
    source=(
        "Alvarez-Melis, Jaakkola: On the Robustness of Interpretability Methods, 2018 "
        "(arXiv:1806.08049): the ratio; the neighbours are those of yeh2019, drawn instead of "
        "searched; repository dmelis/robust_interpret, explainers.py"
    ),
    departures=f"{_LIPSCHITZ}; divided by the norm of the first heatmap, so that methods of "
    "different scales compare, where the paper, its code and Quantus do not divide: "
    "`lipschitz2018_absolute` has their number",
)
_LIPSCHITZ_2018_ABSOLUTE = replace(
    _LIPSCHITZ_2018,
    name="lipschitz2018_absolute",
    norm="L2 norm of the change over that of the image / 255",
    is_relative=False,
    departures=f"{_LIPSCHITZ}; a heatmap keeps its own scale, as in the paper, so that methods of "
    "different scales do not compare; Quantus divides each heatmap by its largest value first "
    "unless told otherwise",
)
_TRANSFORMS_V1 = StabilityProtocol(
    name="transforms_v1",
    metrics=("shift_stability", "flip_stability", "jpeg_stability"),
    shift_fraction=0.125,
    jpeg_quality=50,
    compared="Spearman's rank correlation at the image's size, after the change is undone",
    source="ours; nothing published",
)
_ONE_VALUE = (
    "a pixel has one value, where the paper has one for each input value; the heatmap is resized "
    "first, and the number depends on its size"
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
    departures=_ONE_VALUE,
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
        "their number"
    ),
    departures=f"{_ONE_VALUE}; the paper counts the values that keep the model's expected loss low "
    "when held fixed; Quantus counts those above 1e-5, and does not divide",
)

ROBUSTNESS = (
    _YEH_2019,
    _YEH_2019_SMALL,
    _LIPSCHITZ_2018,
    _LIPSCHITZ_2018_ABSOLUTE,
    _TRANSFORMS_V1,
    _CHALASANI_2020,
    _BHATT_2020,
    _EFFECTIVE_2020,
)
