"""Where samples come from: a data set by name, the user's files, or what is in memory already."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, get_args

from gradcam_eval.core import BadSample, InputError, Sample, unknown_name
from gradcam_eval.data.annotation import BoxFrame, BoxUnit, Entry, Listing
from gradcam_eval.data.classmap import ClassMap
from gradcam_eval.data.evidence.entries import VIEWS, evidence_entries
from gradcam_eval.data.memory import check_count, entries_from_dataset, wanted_count
from gradcam_eval.data.numbering import Kind, Numbering, check_numbering, with_numbering
from gradcam_eval.data.photos import photo_entries
from gradcam_eval.data.pipeline import Reading, read_sample
from gradcam_eval.data.readers import list_entries
from gradcam_eval.data.rescale import with_rescale
from gradcam_eval.data.streaming import read_ahead
from gradcam_eval.data.subset import Subset
from gradcam_eval.files import is_there
from gradcam_eval.values import LEVELS, Values, as_values

Data: TypeAlias = "str | Path | Source | Iterable[Any]"

IN_MEMORY = "(in memory)"
MANIFESTS = {".csv": "csv", ".jsonl": "jsonl"}
_LISTS = ("csv", "jsonl")  # their authors number classes in any way; other formats say how
RELATIVE = ("csv", "jsonl", "coco")  # formats that some write with boxes from 0 to 1


@dataclass(frozen=True)
class Drawing:
    """In which frame and unit the boxes of a data set are drawn; "" where nobody says."""

    boxes: BoxFrame = ""
    boxes_unit: BoxUnit = ""

    def __post_init__(self) -> None:
        """Refuse names that do not exist."""
        for name, valid in (("boxes", get_args(BoxFrame)), ("boxes_unit", get_args(BoxUnit))):
            if getattr(self, name) not in valid:
                raise unknown_name(name, getattr(self, name), valid[1:])


@dataclass(frozen=True)
class DataSet:
    """A data set that is known by name.

    Attributes
    ----------
    description : one line
    entries : lists its images, without decoding or generating any
    """

    description: str
    entries: Callable[[], list[Entry]]


DATASETS: dict[str, DataSet] = {
    "photos": DataSet(
        "photographs inside pip packages, with classes, boxes and masks", photo_entries
    ),
    **{
        f"evidence/{name}": DataSet(view.description, partial(evidence_entries, name))
        for name, view in VIEWS.items()
    },
}


@dataclass(frozen=True, eq=False)
class Source:
    """The images of a data set, listed and in order; none of them decoded.

    Attributes
    ----------
    path : the name or path it was opened by
    entries : the images, each with a name of its own; or samples that were made already
    classes : the names of all classes of the data set, whatever images are chosen: the labels in
        order of appearance, or the names of the class folders
    kind : what these are: see `numbering.with_numbering`
    numbering : how labels that are numbers count; see `numbering.with_numbering`
    skipped : the names of image files that are in no format that is read
    """

    path: str
    entries: tuple[Entry | Sample, ...]
    classes: tuple[str, ...] = ()
    kind: Kind = "indices"
    numbering: Numbering | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse names that stand twice: results are kept by name."""
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise InputError(f"two images of {self.path} are called {name!r}: name each once.")
            seen.add(name)

    @property
    def names(self) -> list[str]:
        """The names of the images, in order."""
        return [entry.name for entry in self.entries]

    @property
    def labels(self) -> list[str]:
        """The data set's own names of its images' classes, each once, in order of appearance."""
        listed = (entry.labels for entry in self.entries if isinstance(entry, Entry))
        return list(dict.fromkeys(label for labels in listed for label in labels))

    def drawn_in(self, drawn: Drawing | None) -> Source:
        """Return the same images, with a frame and a unit of what is drawn, where they had none."""
        if drawn is None or drawn == Drawing():
            return self
        entries = tuple(
            replace(
                entry,
                boxes=entry.boxes or drawn.boxes,
                boxes_unit=entry.boxes_unit or drawn.boxes_unit,
            )
            if isinstance(entry, Entry)
            else entry
            for entry in self.entries
        )
        return replace(self, entries=entries)

    @property
    def has_samples(self) -> bool:
        """Whether there are samples that were made already, whose labels are indices."""
        return any(isinstance(entry, Sample) for entry in self.entries)

    def class_map(self, classes: ClassMap) -> ClassMap:
        """Return a model's class map with the meaning of this data set's numbers and folders.

        Raises
        ------
        InputError : the data set's classes are numbered, and it is not clear from where
        """
        labels = self.classes or self.labels
        return with_numbering(classes, labels, kind=self.kind, numbering=self.numbering)

    def named(self, names: Sequence[str]) -> Source:
        """Return the images of these names alone, in the data set's order."""
        known = self.names
        for name in names:
            if name not in known:
                raise unknown_name("image", name, known)
        wanted = set(names)
        return replace(self, entries=tuple(e for e in self.entries if e.name in wanted))

    def select(self, subset: Subset) -> Source:
        """Return the images of a subset.

        Raises
        ------
        InputError : the subset names what the data set has not, no image is left, or samples that
            were made already are to be chosen by what only their files say
        """
        is_small = subset.count is None or len(self.entries) <= subset.count
        if replace(subset, count=None, seed=0) == Subset() and is_small:
            return self
        found = subset.chosen(self._unread())
        if not found:
            raise InputError(f"no image of {self.path} is in the subset: ask for less.")
        return replace(self, entries=tuple(found))

    def every_label(self, classes: ClassMap) -> Source:
        """Return an image for each image and each of its labels that the model has, that one first.

        An image with several labels becomes several of the same pixels, called "name [label]"; all
        labels stay right for each of them, and its groups are those of its own label. An image
        without a label that the model has stays as it is.

        Parameters
        ----------
        classes : of the model, as `class_map` returns it
        """
        found: list[Entry | Sample] = []
        for entry in self.entries:
            if isinstance(entry, Entry):
                found += _entries_of(entry, classes)
            else:
                found += _samples_of(entry, classes)
        return replace(self, entries=tuple(found))

    def rescaled(self) -> Source:
        """Return the same images, with what is drawn on them brought to the size of their files.

        For pictures that were resized after they were annotated; see `rescale.rescaled`. Samples
        that were made already stay as they are.
        """
        return replace(
            self,
            entries=tuple(
                with_rescale(entry) if isinstance(entry, Entry) else entry for entry in self.entries
            ),
        )

    def check(self, subset: Subset) -> None:
        """Raise InputError where a subset names what there is not; no annotation is read."""
        if subset != Subset():
            subset.narrowed(self._unread())

    def _unread(self) -> list[Entry]:
        entries = [entry for entry in self.entries if isinstance(entry, Entry)]
        if len(entries) < len(self.entries):
            raise InputError("samples that are made already have no subsets: give those wanted.")
        return entries

    def samples(
        self, reading: Reading, *, readers: int = 0
    ) -> Generator[Sample | BadSample, None, None]:
        """Yield the samples in order, so that memory holds a few images, not all.

        Parameters
        ----------
        reading : size, frame and classes
        readers : threads that read ahead; 0: each sample is read when it is asked for. The samples
            are the same for any number
        """
        return read_ahead(partial(read_sample, reading=reading), self.entries, readers)


def open_source(  # noqa: PLR0913 - all that a data set may not say itself
    data: Data,
    *,
    format: str | None = None,
    options: Mapping[str, Any] | None = None,
    drawn: Drawing | None = None,
    values: Sequence[float] = LEVELS,
    numbering: Numbering | None = None,
    count: int | None = None,
) -> Source:
    """List the images of a data set.

    Parameters
    ----------
    data : a name in `DATASETS`, a folder, or a file; a name wins over a folder so called (write
        `./photos` for the folder). Or what is in memory: an iterable of `Sample` and `Entry`, or a
        `tf.data.Dataset` that `entries_from_dataset` can read; it is iterated once, here, and held
    format : a name in `READERS`; None: a manifest by its suffix, else a folder of images, or one
    options : the reader's own, by name ("annotations", "split", …); None counts as not given
    drawn : the frame and the unit of what is drawn, where the data set does not say it
    values : of tensors in memory: the range [low, high] of their images
    numbering : what labels that are numbers mean: "from_0", the model's indices; "from_1", the
        index and 1; "order", the place of the class folder in sorted order; None: decided where
        the labels leave no doubt, see `numbering.with_numbering`
    count : how many images at most, the first ones; needed where `data` is a generator, or a data
        set that does not know its length or never ends

    Raises
    ------
    InputError : there is no such data set or format, it cannot be read as a whole, or it may never
        end and there is no `count`
    """
    check_numbering(numbering)
    check_count(count)
    if isinstance(data, Source):
        source = data
    elif isinstance(data, str | Path):
        source = _from_path(data, format, options or {}, drawn)
    else:
        source = _from_memory(data, count, as_values(values))
    numbering = numbering or source.numbering
    source = replace(source, entries=source.entries[:count], numbering=numbering)
    return source.drawn_in(drawn)


def _from_path(
    data: str | Path, format: str | None, options: Mapping[str, Any], drawn: Drawing | None
) -> Source:
    given = {name: value for name, value in options.items() if value is not None}
    if format is None and isinstance(data, str) and data in DATASETS:
        if given:
            raise InputError(f"the data set {data!r} takes no {next(iter(given))}: leave it out.")
        return Source(data, tuple(DATASETS[data].entries())).drawn_in(drawn)
    if not is_there(data):
        raise unknown_name("data set, folder or image", str(data), DATASETS)
    path = Path(data)
    format = format or MANIFESTS.get(path.suffix.lower(), "folder")
    if drawn and drawn.boxes_unit == "relative" and format not in RELATIVE:
        raise InputError(
            f"boxes_unit = 'relative' is for {', '.join(RELATIVE)} and data in memory: format "
            f"{format!r} has a unit of its own."
        )
    found = list_entries(format, path, given)
    listing = found if isinstance(found, Listing) else Listing(found)
    labels = (label for entry in listing for label in entry.labels)
    return Source(
        str(data),
        tuple(listing),
        classes=listing.folders or tuple(dict.fromkeys(labels)),
        kind="folders" if listing.folders else "list" if format in _LISTS else "indices",
        skipped=listing.skipped,
    )


def _from_memory(data: Iterable[Any], count: int | None, values: Values) -> Source:
    if not isinstance(data, Iterable):
        raise InputError(f"data is {type(data).__name__}: wanted a path, samples or a data set.")
    if hasattr(data, "element_spec"):
        entries = tuple(entries_from_dataset(data, values=values, count=wanted_count(data, count)))
    else:
        entries = tuple(islice(data, wanted_count(data, count)))
    for entry in entries:
        if not isinstance(entry, Entry | Sample):
            raise InputError(
                f"data has a {type(entry).__name__}: wanted `Sample`s and `Entry`s; "
                "`entries_from_dataset` makes them of tensors."
            )
    if not entries:
        raise InputError("data has no sample: give one or more.")
    return Source(IN_MEMORY, entries)


def _entries_of(entry: Entry, classes: ClassMap) -> list[Entry]:
    unknown = set(classes.unmapped(entry.labels))
    # two names of one class of the model are one label
    known = {classes.indices(each): each for each in reversed(entry.labels) if each not in unknown}
    return [
        replace(
            entry,
            name=f"{entry.name} [{label}]" if len(known) > 1 else entry.name,
            labels=(label, *(other for other in entry.labels if other != label)),
        )
        for label in reversed(known.values())
    ] or [entry]


def _samples_of(sample: Sample, classes: ClassMap) -> list[Sample]:
    """Do the same with a sample that is made already; its further labels are in no group."""
    main, others = sample.labels[: sample.n_main], sample.labels[sample.n_main :]
    if not others:
        return [sample]
    names = classes.names
    called = [names[each] if each < len(names) else str(each) for each in sample.labels]
    first = replace(sample, name=f"{sample.name} [{called[0]}]")
    return [
        first,
        *(
            replace(
                sample,
                name=f"{sample.name} [{called[at]}]",
                labels=(sample.labels[at], *main, *(o for o in others if o != sample.labels[at])),
                n_main=1,
                groups=tuple((key, each if key == "subset" else "") for key, each in sample.groups),
            )
            for at in range(sample.n_main, len(sample.labels))
        ),
    ]


def say_skipped(names: Sequence[str]) -> str:
    """Say which image files of a folder are not read, in one sentence."""
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    n = f"{len(names)} image file{'s' * (len(names) != 1)}"
    return f"{n} in a format that is not read: {shown}; convert them to PNG"
