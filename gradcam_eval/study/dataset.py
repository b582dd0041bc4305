"""The `data` of a study: which images, read how, and framed how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_validator,
)

from gradcam_eval.core import InputError
from gradcam_eval.data import IN_MEMORY, Data, Fit, Framing, Reading, Source, Subset, open_source
from gradcam_eval.data.classmap import ClassMap, class_map
from gradcam_eval.data.depth import Large, Pixels
from gradcam_eval.data.geometry import GREY
from gradcam_eval.data.memory import has_end
from gradcam_eval.data.numbering import Numbering
from gradcam_eval.data.source import Drawing
from gradcam_eval.files import is_there
from gradcam_eval.values import LEVELS, Values, as_values

HOW = frozenset({"readers", "strict"})  # they change how a study runs, and none of its results
_Level = Annotated[StrictInt, Field(ge=0, le=255)]


class DataEntry(BaseModel):
    """The images of a study.

    Attributes
    ----------
    path : a built-in data set's name, a folder, an image or a list of images
    format : a name in `READERS`, where it does not follow from the path
    annotations, split, labels, part : the reader's options; each reader says which it takes
    class_map : a CSV file that gives the data set's names of classes the model's
    numbering : what labels that are numbers mean; see `open_source`
    rescale : whether pictures were resized after they were annotated, so that boxes, polygons and
        masks are brought from the annotated size to that of the file
    frame, resize, fill : how pictures get the model's size; see `Framing`
    values : the range [low, high] that a model file takes, where it is not 0 to 255: levels are
        mapped to it in front of the model; images in memory are given in it
    window, bits, large : how deep and very large files are read; see `Pixels`
    boxes, boxes_unit : the frame and the unit of what is drawn; see `Drawing`
    subset, classes, sizes, hard, difficult, count, seed : which images; see `Subset`
    readers : threads that decode ahead of the model
    strict : whether the first image that cannot be read ends the study
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    format: str | None = None
    annotations: str | None = None
    split: str | None = None
    labels: str | None = None
    part: str | None = None
    class_map: str | None = None
    numbering: Numbering | None = None
    rescale: StrictBool = False
    frame: Fit = "squash"
    resize: StrictInt | None = Field(default=None, ge=1)
    fill: tuple[_Level, _Level, _Level] = GREY
    values: tuple[StrictFloat | StrictInt, StrictFloat | StrictInt] = LEVELS
    window: tuple[StrictFloat | StrictInt, StrictFloat | StrictInt] | None = None
    bits: StrictInt | None = None
    large: Large = "refuse"
    boxes: Literal["", "upright", "stored"] = ""
    boxes_unit: Literal["", "pixels", "relative"] = ""
    subset: str = ""
    classes: tuple[str, ...] = ()
    sizes: tuple[Literal["small", "medium", "large"], ...] = ()
    hard: StrictBool | None = None
    difficult: StrictBool | None = None
    count: StrictInt | None = Field(default=None, ge=1)
    seed: StrictInt = Field(default=0, ge=0)
    readers: StrictInt = Field(default=2, ge=1, le=64)
    strict: StrictBool = False

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _parts_are_whole(self) -> DataEntry:
        _ = self.framing, self.pixels, self.within
        return self

    @property
    def framing(self) -> Framing:
        """How pictures get the model's size."""
        return Framing(self.frame, self.resize, self.fill)

    @property
    def within(self) -> Values:
        """The range of values that the models take."""
        return as_values(self.values)

    @property
    def pixels(self) -> Pixels:
        """How deep and very large files are read."""
        return Pixels(self.window, self.bits, self.large)

    @property
    def drawing(self) -> Drawing:
        """The frame and the unit of what is drawn."""
        return Drawing(self.boxes, self.boxes_unit)

    @property
    def wanted(self) -> Subset:
        """Which of the data set's images are wanted."""
        return Subset(
            self.subset,
            self.classes,
            self.sizes,
            self.hard,
            count=self.count,
            seed=self.seed,
            difficult=self.difficult,
        )

    def strictly(self) -> DataEntry:
        """Return the same data, of which every image must be readable."""
        return self.model_copy(update={"strict": True})

    def listed(self) -> Source:
        """List all images of the data set, before any is chosen."""
        source = open_source(
            self.path,
            format=self.format,
            options={
                "annotations": Path(self.annotations) if self.annotations else None,
                "split": self.split,
                "labels": Path(self.labels) if self.labels else None,
                "part": self.part,
            },
            drawn=self.drawing,
            numbering=self.numbering,
        )
        return source.rescaled() if self.rescale else source

    def opened(self, data: Data) -> Source:
        """Return data in memory, of which `count` images are taken where it does not say its end.

        Where it does, `count` of all images are chosen as those of any data set.
        """
        is_known = isinstance(data, str | Path | Source) or has_end(data)
        source = open_source(
            data,
            drawn=self.drawing,
            values=self.within,
            numbering=self.numbering,
            count=None if is_known else self.count,
        )
        return source.rescaled() if self.rescale else source

    def check(self) -> None:
        """Raise InputError for whatever can be found wrong without reading an annotation."""
        if self.class_map and not is_there(self.class_map):
            raise InputError(f"there is no class mapping {self.class_map}: check the path.")
        if self.path != IN_MEMORY:
            self.listed().check(self.wanted)

    def open(self, given: Source | None = None) -> Source:
        """Return the images that are wanted, of this data set or of what was `given` instead."""
        if given is None and self.path == IN_MEMORY:
            raise InputError("the study's data is in memory: give it to run_study as data=…")
        return (self.listed() if given is None else given).select(self.wanted)

    def reading(
        self, classes: ClassMap, size: tuple[int, int], source: Source, channels: int = 3
    ) -> Reading:
        """Return how a source's images become samples for a model of these classes and this input.

        Raises
        ------
        InputError : the class mapping cannot be read, or the source's numbering is ambiguous
        """
        mapped = source.class_map(class_map(classes, self.class_map))
        return Reading(size, self.framing, mapped, channels, self.within, self.pixels)
