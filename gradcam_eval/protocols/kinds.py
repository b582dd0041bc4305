"""The kinds of protocol of faithfulness: which parameters each has, and how many calls it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gradcam_eval.core import InputError
from gradcam_eval.protocols.fills import Fill

Score: TypeAlias = Literal["probability", "log_odds", "logit"]
Ties: TypeAlias = Literal["stable", "expected"]
Of: TypeAlias = Literal["target", "label"]
RoadArea: TypeAlias = Literal[
    "trapezoid over the fractions, divided by their range", "mean over the fractions"
]


@dataclass(frozen=True)
class Calls:
    """How many images a protocol shows the model: for each heatmap, and once for each image."""

    each_heatmap: int
    each_image: int = 0


@dataclass(frozen=True)
class FaithfulnessProtocol:
    """A curve: pixels are replaced in order of relevance, so many at a time.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    removal : what a removed pixel becomes
    start : what insertion starts from
    source : the paper and the code that the parameters come from
    step_pixels : pixels changed from one point of the curve to the next; the last step may be less
    step_fraction : the same as a share of the image's pixels; one of the two is given
    score : what is read off the model at each point, the unperturbed image included
    ties : "stable": pixels of equal relevance go in row-major order; "expected": the mean curve
        over `tie_orders` random orders of them, with the area in row-major order beside it
    tie_orders : how many orders are drawn, two or more where they are
    area : how the curve becomes one number
    seed : of what is random, outside a study (a study has its own)
    of : whose score: "target" (the class that the heatmap explains) or "label" (the image's main
        label; where it means several of the model's classes, the most probable of them)
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    removal: Fill
    start: Fill
    source: str
    step_pixels: int | None = None
    step_fraction: float | None = None
    score: Score = "probability"
    ties: Ties = "stable"
    tie_orders: int = 1
    area: str = "trapezoid over the fraction of pixels changed, 0..1"
    seed: int = 0
    of: Of = "target"
    tolerance: float | None = None
    departures: str = ""

    def __post_init__(self) -> None:
        """Refuse a mean over one order, or over orders that would have points in other places."""
        if self.ties == "expected" and self.tie_orders < 2:
            raise InputError(
                f"the protocol {self.name!r} has ties 'expected' and tie_orders {self.tie_orders}: "
                "wanted 2 or more"
            )
        if self.tolerance is not None and (self.ties != "stable" or self.tolerance < 0):
            raise InputError(
                f"the protocol {self.name!r} has tolerance {self.tolerance} and ties {self.ties!r}:"
                " wanted 0 or more, and ties='stable'"
            )
        fills = {getattr(fill, "rule", None) for fill in (self.removal, self.start)}
        if self.tolerance is not None and "noisy_linear" in fills:
            raise InputError(
                f"the protocol {self.name!r} imputes and has a tolerance: wanted one of the two"
            )

    def step(self, pixels: int) -> int:
        """Return the step in pixels for images of so many pixels: 1 at least."""
        if self.step_pixels is not None:
            return self.step_pixels
        return max(1, round((self.step_fraction or 0) * pixels))

    def calls(self, pixels: int) -> Calls:
        """Return what a curve costs, at most: maps without ties, and a tolerance, need less."""
        points = math.ceil(pixels / self.step(pixels)) + 1
        both_orders = 2 if self.metrics == ("abpc",) else 1
        orders = 1 + self.tie_orders if self.ties == "expected" else 1  # row-major, and the drawn
        return Calls(points * both_orders * orders)


@dataclass(frozen=True)
class RegionProtocol:
    """Square regions or segments are removed one after another, the most relevant first.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    regions : "squares" (a grid of `size` × `size` pixels) or "slic" (superpixels)
    relevance : how a region's relevance is made of its pixels'
    removal : what a removed region becomes
    source : the paper that the parameters come from
    size : side of a square, in pixels
    segments : wanted number of superpixels; SLIC may give fewer
    compactness, sigma : of SLIC as scikit-image has it
    steps : how many regions are removed, one at a time; None: all
    repeats : over how many draws of a random fill the score is averaged
    area : how the scores become one number
    score : what is read off the model
    seed : of what is random, outside a study
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    regions: Literal["squares", "slic"]
    relevance: Literal["sum", "mean"]
    removal: Fill
    source: str
    size: int | None = None
    segments: int | None = None
    compactness: float | None = None
    sigma: float | None = None
    steps: int | None = None
    repeats: int = 1
    area: str | None = None
    score: Score = "probability"
    seed: int = 0
    departures: str = ""

    def calls(self, pixels: int) -> Calls:
        """Return what a curve costs, at most."""
        regions = self.segments or math.ceil(math.sqrt(pixels) / (self.size or 1)) ** 2
        return Calls((min(regions, self.steps or regions) + 1) * self.repeats)


@dataclass(frozen=True)
class RoadProtocol:
    """Remove and debias: removed pixels are imputed from their neighbours, with a little noise.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    fractions : shares of the image's pixels that are removed
    edge_weight, diagonal_weight : of a pixel's neighbours in the linear system
    noise : standard deviation of what is added to an imputed value, where images are 0..1
    source : the paper and the code that the parameters come from
    area : how the scores become one number; `road` takes half the difference of both orders'
    score : what is read off the model
    seed : of the noise, outside a study
    of : whose score: "target" (the class that the heatmap explains) or "label" (the image's main
        label; where it means several of the model's classes, the most probable of them)
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    fractions: tuple[float, ...]
    edge_weight: float
    diagonal_weight: float
    noise: float
    source: str
    area: RoadArea = "trapezoid over the fractions, divided by their range"
    score: Score = "probability"
    seed: int = 0
    of: Of = "target"
    departures: str = ""

    def calls(self, pixels: int) -> Calls:
        """Return what it costs: the combined score asks for both orders."""
        both_orders = 2 if self.metrics == ("road",) else 1
        return Calls(both_orders * len(self.fractions))


@dataclass(frozen=True)
class DropProtocol:
    """The image is multiplied by the heatmap, and the score before compared with the one after.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    scaling : how the resized heatmap is brought to 0..1
    behind : what stands where the heatmap is 0
    source : the papers that the parameters come from
    score : what is read off the model
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    scaling: str
    behind: Fill
    source: str
    score: Score = "probability"
    departures: str = ""

    def calls(self, pixels: int) -> Calls:
        """Return what it costs: each masked image, and the image itself."""
        return Calls(1, 1)


@dataclass(frozen=True)
class SubsetProtocol:
    """Random sets of pixels are removed: does the heatmap's sum over them tell the score's fall?

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    subset_fractions : sizes of the sets, as shares of the image's pixels
    subset_pixels : the one size in pixels, instead
    draws : how many sets of each size
    removal : what a removed pixel becomes
    source : the paper that the parameters come from
    area : how the correlations of several sizes become one number
    score : what is read off the model
    seed : of the draws, outside a study
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    draws: int
    removal: Fill
    source: str
    subset_fractions: tuple[float, ...] = ()
    subset_pixels: int | None = None
    area: str | None = None
    score: Score = "probability"
    seed: int = 0
    departures: str = ""

    def sizes(self, pixels: int) -> list[int]:
        """Return the sizes of the sets, in pixels, each at least 1 and never all."""
        if self.subset_pixels is not None:
            return [min(self.subset_pixels, pixels - 1)]
        wanted = [min(max(1, round(share * pixels)), pixels - 1) for share in self.subset_fractions]
        return sorted(set(wanted))

    def calls(self, pixels: int) -> Calls:
        """Return what it costs: all heatmaps of an image share their sets."""
        return Calls(0, 1 + self.draws * len(self.sizes(pixels)))


@dataclass(frozen=True)
class InfidelityProtocol:
    """Random perturbations: how far is the heatmap's forecast of the score's fall from the fall?

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    perturbation : "square" (one square becomes black; I is 1 inside it and 0 outside) or
        "noisy_baseline" (every value becomes noise round black; I is what was taken away)
    draws : how many perturbations
    is_scaled : whether the heatmap is multiplied first by the factor that fits best
    source : the paper and the code that the parameters come from
    largest_square : largest side, as a share of the image's shorter side
    sides : how a square's side is drawn: "evenly" from 1 to the largest, or "by number of places":
        in proportion to the places that a square of that side has in the image, so that each square
        is as likely as any other
    noise : standard deviation of the noise, where images are 0..1
    score : what is read off the model
    seed : of the draws, outside a study
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    perturbation: Literal["square", "noisy_baseline"]
    draws: int
    is_scaled: bool
    source: str
    largest_square: float | None = None
    sides: Literal["evenly", "by number of places"] | None = None
    noise: float | None = None
    score: Score = "probability"
    seed: int = 0
    departures: str = ""

    def calls(self, pixels: int) -> Calls:
        """Return what it costs: all heatmaps of an image share their perturbations."""
        return Calls(0, 1 + self.draws)
