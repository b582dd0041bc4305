"""The small frozen types that every module shares, and the errors a user may see.

Nothing here imports TensorFlow, Keras or another module of the package than `texts`.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.texts import is_writable, one_line, quoted, shortened

if TYPE_CHECKING:
    from gradcam_eval.data.geometry import Frame

Image: TypeAlias = NDArray[np.float32]  # (H, W, C), 0..255: RGB, or grey with C = 1
Heatmap: TypeAlias = NDArray[np.float32]  # (h, w), raw scale, larger = more relevant
Mask: TypeAlias = NDArray[np.bool_]  # (H, W), True on the object
Boxes: TypeAlias = NDArray[np.float32]  # (n, 4): x0, y0, x1, y1 in pixels, half-open


class InputError(ValueError):
    """What the user gave cannot be used: one sentence with what was received and what is valid.

    The command line prints the message alone, without a traceback, and exits with 2. A message
    that quotes what a file says keeps one line, a bounded length, and no character that could
    steer a terminal.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(one_line(str(message)), LONGEST_MESSAGE))


class ReadError(InputError):
    """A file that cannot be read now: another time, or from a healthy disk, it may be."""


def reason_of(error: BaseException) -> str:
    """Return what a row says of an exception: one line, with its beginning and its end."""
    name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return name + shortened(one_line(str(error)), LONGEST_MESSAGE - len(name))


LONGEST_MESSAGE = 500  # characters of an error
_LONGEST_NAME = 100  # of what was received instead of a valid name
_LONGEST_LIST = 300  # of the valid names


class NoScore(InputError):
    """The model has no such score, for this reason; a metric that reads it is undefined."""


# What a command lists need not fill an error with forty names.
_LISTED_BY = {
    "method": "methods",
    "metric": "metrics",
    "protocol": "protocols",
    "layer": "layers MODEL",
    "data set": "data list",
}
_MOST_NAMED = 12


def unknown_name(kind: str, received: object, valid: Iterable[str]) -> InputError:
    """Return the error for an unknown name: the nearest valid one, and those there are.

    Of a long list it has the first names, and the command that lists them all, if there is one.

    Examples
    --------
    >>> print(unknown_name("method", "gradcam", ["grad_cam", "layer_cam"]))
    unknown method 'gradcam': did you mean 'grad_cam'? Valid: grad_cam, layer_cam.
    """
    names = list(valid)
    if isinstance(received, str):
        received = shortened(received, _LONGEST_NAME)
    near = difflib.get_close_matches(str(received), names, n=1)
    hint = f": did you mean {near[0]!r}?" if near else "."
    command = _LISTED_BY.get(kind)
    most = min(_MOST_NAMED if command else len(names), _fitting(names))
    lists = f": gradcam-eval {command} lists them" if command else ""
    more = f", … ({len(names)} in all{lists})" if len(names) > most else ""
    return InputError(f"unknown {kind} {received!r}{hint} Valid: {', '.join(names[:most])}{more}.")


def _fitting(names: list[str]) -> int:
    """Return how many names, at least one, a message has room for."""
    ends = itertools.accumulate(len(name) + 2 for name in names)
    return max(1, sum(end <= _LONGEST_LIST for end in ends))


def is_whole(value: object) -> bool:
    """Return whether something is a whole number, which True and 1.0 are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_whole(name: str, value: Any, lowest: int = 1) -> None:
    """Raise InputError unless an option that counts or numbers something is from `lowest` up."""
    if not is_whole(value):
        raise InputError(f"{name} is {quoted(value)}: wanted a whole number")
    if value < lowest:
        raise InputError(f"{name} is {value}: wanted {lowest} or more")


def is_tf_keras(model: object) -> bool:
    """Return whether something is a model of tf_keras, which is Keras 2 and no model of Keras 3."""
    return any(each.__module__.split(".")[0] == "tf_keras" for each in type(model).__mro__)


@dataclass(frozen=True)
class Undefined:
    """A value that does not exist for this case, and why. Never a NaN, a 0 or a -1."""

    reason: str


@dataclass(frozen=True)
class TieOrders:
    """The areas under one heatmap's curves, each with its equal pixels in another order.

    Random orders scatter the pixels of a plateau, so their areas lie close together; row by row, a
    plateau goes from its top edge down, and that area may lie far from all of them.

    Attributes
    ----------
    row_major : the area in row-major order
    areas : the areas in random orders, two or more; all the same where the order is without effect
    """

    row_major: float
    areas: tuple[float, ...]

    @property
    def shift(self) -> float:
        """Area in row-major order, minus the mean over the random ones."""
        return self.row_major - statistics.mean(self.areas)  # exact, so that no effect is 0

    @property
    def spread(self) -> float:
        """Standard deviation over the random orders, with n - 1."""
        return statistics.stdev(self.areas)


@dataclass(frozen=True, eq=False)
class Curve:
    """A model's score as pixels are removed or added, and how it becomes one number.

    Attributes
    ----------
    fraction : float64 (S,), share of the image's pixels changed so far, ascending, 0..1
    score : float64 (S,), the model's score at that fraction
    ties : the areas that it is a mean of, where it is one over orders of equal pixels
    is_mean : whether its one number is the mean of the scores instead of the area
    """

    fraction: NDArray[np.float64]
    score: NDArray[np.float64]
    ties: TieOrders | None = None
    is_mean: bool = False

    def __post_init__(self) -> None:
        """Refuse what has no area."""
        if self.fraction.shape != self.score.shape or self.fraction.size < 2:
            raise InputError(
                f"a curve has fractions of shape {self.fraction.shape} and scores of shape "
                f"{self.score.shape}: wanted the same number of each, two or more"
            )

    @property
    def area(self) -> float:
        """The curve's one number: its area, or the mean of its scores where `is_mean`.

        The area is the trapezoid over the true fractions, divided by their range.
        """
        if self.is_mean:
            return float(self.score.mean())
        span = self.fraction[-1] - self.fraction[0]
        return float(np.trapezoid(self.score, self.fraction) / span)


@dataclass(frozen=True, eq=False)
class Tally:
    """What one image adds to a value that only a whole data set has, beside its own value.

    Attributes
    ----------
    value : the image's own, as good as one image can say
    parts : float (R, S), what the metric's aggregate puts together over the images; see
        `aggregates.py`
    """

    value: float
    parts: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """Where the objects are, in one pixel frame. Empty where nobody annotated them.

    Attributes
    ----------
    size : (H, W) of the frame
    boxes : one for each object
    mask : the pixels of all objects; None where only boxes are known
    ignore : pixels that count neither as hit nor as miss (void, crowds, difficult objects)
    instances : one mask for each box, or none at all
    classes : the model's class index of each box, several where several of the model's classes
        are right for it (-1: the model has no such class), or none at all where every box shows
        the sample's labels
    """

    size: tuple[int, int]
    boxes: Boxes = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    mask: Mask | None = None
    ignore: Mask | None = None
    instances: tuple[Mask, ...] = ()
    classes: tuple[int | tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse lists of different lengths: they would be paired by position."""
        for name, values in (("instances", self.instances), ("classes", self.classes)):
            if values and len(values) != len(self.boxes):
                raise InputError(
                    f"a truth has {len(self.boxes)} boxes and {len(values)} {name}: wanted one "
                    "for each box, or none"
                )

    @property
    def is_known(self) -> bool:
        """Whether there is a box or a non-empty mask to judge a heatmap by."""
        return len(self.boxes) > 0 or (self.mask is not None and bool(self.mask.any()))

    def of(self, target: int) -> Truth:
        """Return the objects of one class alone; all of them where the classes are not told apart.

        Objects of other classes are background then, as the ignored pixels stay ignored. Their
        mask is known only where each object has one of its own.
        """
        if not self.classes:
            return self
        kept = [n for n, known in enumerate(self.classes) if target in _as_tuple(known)]
        instances = tuple(self.instances[n] for n in kept) if self.instances else ()
        mask = np.any(instances, axis=0) if instances else None
        classes = tuple(self.classes[n] for n in kept)
        return replace(
            self, boxes=self.boxes[kept], mask=mask, instances=instances, classes=classes
        )


def _as_tuple(known: int | tuple[int, ...]) -> tuple[int, ...]:
    return known if isinstance(known, tuple) else (known,)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph from which a sample's image was made, for pictures of heatmaps.

    Attributes
    ----------
    pixels : uint8 (h, w, 3), RGB, upright, of the file's proportions and at most its size
    frame : where the file's pixels are in the image
    """

    pixels: NDArray[np.uint8]
    frame: Frame


@dataclass(frozen=True, eq=False)
class Sample:
    """One image of a data set, ready for the model, with what is known about it.

    Attributes
    ----------
    id : content hash of the file's bytes (hex), stable across machines
    name : short human name, unique in its data set
    image : float32 (H, W, C), 0..255, at the model's size; C = 3 for RGB, 1 for grey
    labels : indices of the classes that are right for this image; empty where unknown
    n_main : how many of them, from the first on, are the main label: several where the data set's
        class has several in the model, as "dog" has in ImageNet
    truth : the annotation in the frame of `image`
    original_truth : the annotation of what `image` shows, in the file's own pixels: of the whole
        file, or of its crop, or with padding, so that a heatmap is stretched to it corner to corner
    groups : (group, value) by which summaries can be split, as ("hard", "yes")
    applied : what was done to the file's values (a window, grey by luminance), for the record
    photo : the photograph, where there is a file; no result depends on it
    """

    id: str
    name: str
    image: Image
    labels: tuple[int, ...]
    truth: Truth
    original_truth: Truth
    credit: str = ""
    licence: str = ""
    groups: tuple[tuple[str, str], ...] = ()
    n_main: int = 1
    applied: str = ""
    photo: Photo | None = None

    def __post_init__(self) -> None:
        """Refuse texts that no table can keep."""
        values = [value for pair in self.groups for value in pair]
        for text in (self.name, self.credit, self.licence, *values):
            if not is_writable(text):
                raise InputError(f"a sample has the text {text!r}, which UTF-8 cannot write.")

    def ranked_labels(self, scores: NDArray[Any]) -> tuple[int, ...]:
        """Return the labels with the one of the main label first that has the highest score (K,).

        That is the class which a heatmap of the label explains, where the model has several for it.
        """
        if self.n_main < 2:
            return self.labels
        best = max(self.labels[: self.n_main], key=lambda index: scores[index])
        return tuple(dict.fromkeys((best, *self.labels)))

    def digest(self) -> str:
        """Return a hash (hex) of all that results depend on: pixels, labels, truth and groups."""
        found = hashlib.sha256(repr((self.id, self.labels, self.n_main, self.groups)).encode())
        for truth in (self.truth, self.original_truth):
            found.update(repr((truth.size, truth.classes)).encode())
            for array in (truth.boxes, truth.mask, truth.ignore, *truth.instances):
                found.update(b"-" if array is None else array.tobytes())
        found.update(self.image.tobytes())
        return found.hexdigest()[:16]


@dataclass(frozen=True)
class BadSample:
    """An image that could not be read: it becomes a row that says why, and ends nothing.

    `may_pass` is whether another run may read it: its disk failed, or the memory was full.
    """

    name: str
    reason: str
    may_pass: bool = False


@dataclass(frozen=True, eq=False)
class Case:
    """What a metric judges: one heatmap of one image for one target, beside the truth.

    `heatmap` keeps the size and scale the method gave it; a metric resizes it to the frame that
    its protocol names.

    Attributes
    ----------
    truth, original_truth : of the target's class, in the image's frame and in the file's
    labels : indices of the classes that are right for this image; empty where unknown
    predicted : the model's classes for it, the most probable first, five at most
    seed : from the study's seed and the sample alone, so that all cells of an image meet the same
        random draws and differ by their heatmaps only
    explain : what made the heatmap, for further images; None where nothing can be asked (controls,
        heatmaps made elsewhere)
    """

    image: Image
    heatmap: Heatmap
    target: int
    truth: Truth
    original_truth: Truth
    labels: tuple[int, ...] = ()
    predicted: tuple[int, ...] = ()
    seed: int = 0
    explain: Explain | None = None

    def generator(self, metric: str) -> np.random.Generator:
        """Return the random generator of one metric: the same at each call."""
        return np.random.default_rng([self.seed, *metric.encode()])


Status: TypeAlias = Literal["value", "undefined", "failed"]


@dataclass(frozen=True)
class Record:
    """One row of results: a value, or undefined with its reason, or failed with the exception."""

    model: str
    layer: str  # "" for controls, which look at no layer
    method: str
    sample: str
    metric: str
    protocol: str
    status: Status
    value: float | None = None
    reason: str = ""
    curve: Curve | None = None
    tally: Tally | None = None


class Explain(Protocol):
    """What made a heatmap: float32 (n, H, W, C) images, 0..255 → (n, h, w), for the same target."""

    def __call__(self, images: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Return the heatmap of each image."""
        ...


class Predict(Protocol):
    """A black box: float32 (N, H, W, C) images, 0..255 → float (N, K) probabilities."""

    def __call__(self, images: NDArray[np.float32], /) -> NDArray[Any]:
        """Return the class probabilities of each image."""
        ...


class TraceablePredict(Predict, Protocol):
    """A `Predict` that TensorFlow can compile together with the masking of its input."""

    def compiled(
        self, builder: Callable[[Callable[[Any], Any]], Callable[..., Any]], *, rows: int = 0
    ) -> Any:
        """Return `builder(forward)` compiled, once per builder.

        `forward` maps a float32 tensor (N, H, W, C) to a probability tensor (N, K). `rows` tells
        how many leading arguments of the function have a row for each row of all its outputs,
        which depends on no other row of them: these may be computed in parts.
        """
        ...
