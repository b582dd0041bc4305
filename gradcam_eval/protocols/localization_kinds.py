"""The kinds of protocol of localization: which parameters each has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gradcam_eval.core import InputError

Frame: TypeAlias = Literal["image", "original"]  # the model's input size, or the file's own
Drawn: TypeAlias = Literal["mask", "boxes"]


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
    is_strict : whether the distance must be below the tolerance
    tolerance_fraction : the tolerance as a share of the frame's longer side instead; one of the two
        is given
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    tolerance_pixels: float | None
    frame: Frame
    source: str
    is_strict: bool = False
    tolerance_fraction: float | None = None
    departures: str = ""

    def __post_init__(self) -> None:
        """Refuse two tolerances, or none."""
        if (self.tolerance_pixels is None) == (self.tolerance_fraction is None):
            raise InputError(
                f"the protocol {self.name!r} has tolerance_pixels {self.tolerance_pixels} and "
                f"tolerance_fraction {self.tolerance_fraction}: give one of the two, and None for "
                "the other"
            )

    def tolerance(self, size: tuple[int, int]) -> float:
        """Return the tolerance in pixels of a frame (H, W)."""
        if self.tolerance_pixels is not None:
            return self.tolerance_pixels
        return (self.tolerance_fraction or 0) * max(size)


@dataclass(frozen=True)
class OverlapProtocol:
    """How much of a heatmap's value, or how many of its highest pixels, lie on the object.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    drawn : which annotation is used where both are known; the other one where it alone is
    values : which of the heatmap's values count
    source : the paper that the parameters come from
    k : how many of the highest pixels are looked at; None: as many as the object has
    frame : in whose pixels the two are compared
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    drawn: Drawn
    values: str
    source: str
    k: int | None = None
    frame: Frame = "image"
    departures: str = ""


@dataclass(frozen=True)
class IouProtocol:
    """Which pixels of a heatmap are taken for the object.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    rule : "max" (at least `level` times the maximum), "otsu" (above Otsu's threshold), or "rank"
        (a share `level` of the pixels, the highest first)
    level : 0..1; unused by "otsu"
    source : where the rule comes from
    drawn, frame : as in `OverlapProtocol`
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    rule: Literal["max", "otsu", "rank"]
    level: float
    source: str
    drawn: Drawn = "mask"
    frame: Frame = "image"
    departures: str = ""


@dataclass(frozen=True)
class BoxProtocol:
    """When the box made from a heatmap locates the object.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    level : the share of the maximum from which a pixel belongs to a segment
    iou : least overlap of the box with a drawn one
    ranks : among how many of the model's first answers the class must be; None: it is given
    source : the paper that the parameters come from
    segment : which segment the box is drawn round
    frame : in whose pixels the boxes are compared
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    level: float
    iou: float
    ranks: int | None
    source: str
    segment: str = "the largest one by its pixels, of pixels that touch by a side or a corner"
    frame: Frame = "original"
    departures: str = ""


@dataclass(frozen=True)
class MaxBoxProtocol:
    """Boxes at every threshold, of which the whole data set shares the best.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    thresholds : how many, evenly from 0 to below 1 of the min-max map
    ious : least overlaps; each has its own best threshold, and the mean over them is reported
    contours : whose box is compared: that of the "largest" contour, or of any ("all")
    source : the paper and the code that the parameters come from
    resize : how the heatmap comes to the image's size, before min-max
    frame : in whose pixels the boxes are compared
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    thresholds: int
    ious: tuple[float, ...]
    contours: Literal["largest", "all"]
    source: str
    resize: str = "cubic convolution, a = -0.75, as cv2.INTER_CUBIC"
    frame: Frame = "image"
    departures: str = ""


@dataclass(frozen=True)
class PixelPrecisionProtocol:
    """Average precision over the pixels of all images, at thresholds that they share.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    thresholds : how many, evenly from 0 to below 1 of the min-max map, and 1
    source : the paper and the code that the parameters come from
    resize : how the heatmap comes to the image's size, before min-max
    frame : in whose pixels map and mask are compared
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    thresholds: int
    source: str
    resize: str = "cubic convolution, a = -0.75, as cv2.INTER_CUBIC"
    frame: Frame = "image"
    departures: str = ""


@dataclass(frozen=True)
class InstanceProtocol:
    """When one of several objects of the class counts as found.

    Attributes
    ----------
    name : the protocol's name
    metrics : the metrics that it defines
    level : the share of the map's maximum that the object's own maximum must reach; None where no
        object is looked for
    energy : what is shared out among the objects
    source : where the parameters come from
    frame : in whose pixels map and objects are compared
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    level: float | None
    energy: str
    source: str
    frame: Frame = "image"
    departures: str = ""


@dataclass(frozen=True)
class GridProtocol:
    """Where a heatmap of a mosaic is divided among the mosaic's cells.

    Attributes
    ----------
    name : the protocol's name
    metrics : the functions that it defines
    divided : "image": enlarged bilinearly to the mosaic first, so that a coarse map leaks a little
        over the cells' borders; "map": at the heatmap's own positions
    source : the papers and the code that the parameters come from
    departures : how this differs from the source
    """

    name: str
    metrics: tuple[str, ...]
    divided: Literal["image", "map"]
    source: str
    departures: str = ""
