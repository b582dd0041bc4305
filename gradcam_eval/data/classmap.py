"""From a data set's own names of its classes to the indices of a model's; nothing is guessed.

One name may mean several of the model's classes, where a mapping file says so: "dog" is 118 of
ImageNet's.

The names and synsets of the model are given as plain sequences, so that no model is needed here.
"""

from __future__ import annotations

import csv
import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gradcam_eval.core import InputError
from gradcam_eval.resources import ALSO_CALLED, imagenet_classes
from gradcam_eval.texts import quoted, shortened

_LONGEST = 100_000  # classes in a range: a slip of the pen must not fill the memory
_DECIMAL = re.compile(r"-?\d+\.0+")
_LONGEST_NUMBER = 18  # digits
_LONGEST_LIST = 100  # characters of columns that a message quotes
_COLUMNS = ("index", "synset", "class")


@dataclass(frozen=True)
class ClassMap:
    """Which class of a model a name of a data set means.

    The first of these that knows the name decides: `explicit`; the synset or the class name (case,
    and `_` for a space, do not matter), which mean nothing where several classes have it; a whole
    number as text, the index itself, or the index + `first`.

    Attributes
    ----------
    names : of the model's classes by index; empty where nobody knows them
    synsets : their WordNet synsets, likewise
    n_classes : how many classes the model has, where there are no names; None where unknown
    explicit : the data set's name → index, or several, from a mapping file
    first : the number that means the model's class 0: see `numbering`
    note : how folders or numbers were understood, for the user; empty where they are plain indices
    """

    names: tuple[str, ...] = ()
    synsets: tuple[str, ...] = ()
    n_classes: int | None = None
    explicit: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    first: int = 0
    note: str = ""

    @property
    def count(self) -> int | None:
        """The number of the model's classes, or None where it is unknown."""
        return self.n_classes if self.n_classes is not None else (len(self.names) or None)

    def index(self, name: str) -> int | None:
        """Return the one index that a name means; None where it means none, or several."""
        found = self.indices(name)
        return found[0] if len(found) == 1 else None

    def indices(self, name: str) -> tuple[int, ...]:
        """Return the indices that a name means: one, several by a mapping file, or none.

        Raises
        ------
        InputError : the name is a whole number outside the model's classes
        """
        name = unicodedata.normalize("NFC", name)
        if name in self.explicit:
            said = self.explicit[name]
            return said if isinstance(said, tuple) else (said,)
        if found := self._by_name.get(_plain(name)):
            return tuple(found) if len(found) == 1 else ()
        if _DECIMAL.fullmatch(name.strip()):
            raise InputError(
                f"label {name.strip()[:40]!r} has a decimal point, as pandas writes whole numbers "
                "of a column with gaps: write it without (astype('Int64'))."
            )
        if not is_number(name):
            return ()
        index = int(name) - self.first
        if index < 0 or (self.count is not None and index >= self.count):
            last = " or more" if self.count is None else f" to {self.count - 1 + self.first}"
            known = "" if self.count is None else f" {self.count}"
            raise InputError(
                f"label {int(name)} is outside the model's{known} classes: valid is "
                f"{self.first}{last}."
            )
        return (index,)

    def has_name(self, name: str) -> bool:
        """Return whether a mapping file, a synset or a class name knows a name."""
        return unicodedata.normalize("NFC", name) in self.explicit or _plain(name) in self._by_name

    def unmapped(self, names: Iterable[str]) -> list[str]:
        """Return the names that mean no class of the model, each once, in order of appearance."""
        missing = []
        for name in dict.fromkeys(names):
            try:
                is_mapped = bool(self.indices(name))
            except InputError:
                is_mapped = False
            if not is_mapped:
                missing.append(name)
        return missing

    @functools.cached_property
    def _by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            found.setdefault(_plain(name), []).append(index)
        for index, synset in enumerate(self.synsets):
            for name in filter(None, (synset, ALSO_CALLED.get(synset))):
                if index not in found.setdefault(_plain(name), []):
                    found[_plain(name)].append(index)
        return found


@functools.cache
def imagenet_map() -> ClassMap:
    """Return the map for models with the 1000 classes of ImageNet-1k."""
    classes = imagenet_classes()
    return ClassMap(tuple(c.name for c in classes), tuple(c.synset for c in classes))


def read_mapping(path: Path | str, model: ClassMap) -> ClassMap:
    """Return the map of a model with what a CSV file says about the data set's names on top.

    The header is `name` and one or more of `index`, `synset`, `class` (a class name of the model);
    each row fills in exactly one of these. Where the name means several of the model's classes,
    they stand in one field with `;` between them; of indices, `151-268` are all from 151 to 268.

    Raises
    ------
    InputError
        The file cannot be read, has other columns, names a class twice or one that the model has
        not; the message says in which row.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the class mapping {path} cannot be read: {error}.") from error
    shown = shortened(", ".join(columns), _LONGEST_LIST) or "none"
    if "name" not in columns or set(columns) - {"name", *_COLUMNS} or len(columns) < 2:
        raise InputError(
            f"the class mapping {path} has the columns {shown}: wanted name and one or more of "
            f"{', '.join(_COLUMNS)}."
        )
    explicit: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            name, indices = _mapped(row, model)
            if name in explicit:
                raise InputError(f"{quoted(name)} stands in another row too: name it once.")
        except InputError as error:
            raise InputError(f"line {number} of the class mapping {path}: {error}") from error
        explicit[name] = indices
    return replace(model, explicit=explicit)


def class_map(
    classes: ClassMap | Sequence[str] | None = None, mapping: Path | str | None = None
) -> ClassMap:
    """Return the map for a model's class names, or for ImageNet-1k where none are given."""
    if isinstance(classes, str):
        raise InputError(f"classes = {classes!r}: give a list of class names, or a ClassMap.")
    if classes is None:
        model = imagenet_map()
    else:
        model = classes if isinstance(classes, ClassMap) else ClassMap(tuple(classes))
    return model if mapping is None else read_mapping(mapping, model)


def _mapped(row: dict[str, str | None], model: ClassMap) -> tuple[str, tuple[int, ...]]:
    filled = [key for key in _COLUMNS if (row.get(key) or "").strip()]
    if not row["name"] or None in row or len(filled) != 1:
        raise InputError("wanted a name and exactly one of index, synset and class.")
    read = {"index": _checked_range, "synset": _of_synset, "class": _of_class}[filled[0]]
    wanted = [part.strip() for part in str(row[filled[0]]).split(";") if part.strip()]
    if not wanted:
        raise InputError("wanted a name and exactly one of index, synset and class.")
    found = [index for part in wanted for index in read(part, model)]
    return unicodedata.normalize("NFC", row["name"]), tuple(dict.fromkeys(found))


def _of_synset(wanted: str, model: ClassMap) -> tuple[int, ...]:
    if wanted not in model.synsets:
        raise InputError(f"the model has no synset {quoted(wanted)}.")
    return _of_class(wanted, model)


def _of_class(wanted: str, model: ClassMap) -> tuple[int, ...]:
    index = model.index(wanted)
    if index is None:
        raise InputError(f"the model has no class {quoted(wanted)}, or more than one so called.")
    return (index,)


def _checked_range(wanted: str, model: ClassMap) -> Sequence[int]:
    """Return the indices of "151", or of "151-268"."""
    first, dash, last = (part.strip() for part in wanted.partition("-"))
    low, high = _checked_index(first, model.count), _checked_index(last or first, model.count)
    if bool(dash) != bool(last) or not 0 <= high - low < _LONGEST:
        raise InputError(f"index {quoted(wanted)} is no range: wanted first and last, as 151-268.")
    return range(low, high + 1)


def _checked_index(wanted: str, count: int | None) -> int:
    if not wanted.isdecimal() or (count is not None and int(wanted) >= count):
        end = "" if count is None else f" to {count - 1}"
        raise InputError(f"index {quoted(wanted)} is not a class of the model: wanted 0{end}.")
    return int(wanted)


def is_number(name: str) -> bool:
    """Return whether a label is a whole number as text, of a length that is no mistake."""
    return name.strip().removeprefix("-").isdecimal() and len(name) <= _LONGEST_NUMBER


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())
