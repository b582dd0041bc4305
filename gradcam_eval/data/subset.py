"""Choose images of a data set: by its own parts, by class, size or difficulty, and how many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradcam_eval.core import unknown_name
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.groups import ObjectSize, groups_of
from gradcam_eval.data.memory import check_count
from gradcam_eval.data.opening import place_of
from gradcam_eval.data.placement import annotation_of


@dataclass(frozen=True)
class Subset:
    """Which images are wanted: those that meet all that is given.

    Attributes
    ----------
    subset : the data set's own part, as its entries name it
    classes : images with any of these labels, as the data set calls them
    sizes, hard, difficult : by the image's main objects; see `groups.groups_of`
    count : this many of them at most, chosen at random; None: all
    seed : of the choice. It ranks each name by a hash, so that the choice does not depend on the
        order, and is nearly the same after a few images have come or gone
    """

    subset: str = ""
    classes: tuple[str, ...] = ()
    sizes: tuple[ObjectSize, ...] = ()
    hard: bool | None = None
    count: int | None = None
    seed: int = 0
    difficult: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a count of no image."""
        check_count(self.count)

    def narrowed(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries of the subset and the classes, of any size; nothing is decoded."""
        found = list(entries)
        if self.subset:
            known = dict.fromkeys(entry.subset for entry in found if entry.subset)
            if self.subset not in known:
                raise unknown_name("subset", self.subset, known)
            found = [entry for entry in found if entry.subset == self.subset]
        if self.classes:
            labels = dict.fromkeys(label for entry in found for label in entry.labels)
            for name in self.classes:
                if name not in labels:
                    raise unknown_name("class of the data set", name, labels)
            found = [entry for entry in found if set(self.classes) & set(entry.labels)]
        return found

    def chosen(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries that are wanted, in the data set's order.

        Where sizes, hard or difficult are given the annotations are read, and of the image files
        their size. An image that cannot be read stays: its row says why.
        """
        narrowed = self.narrowed(entries)
        if self.count is None:
            return [entry for entry in narrowed if self._fits(entry)]
        wanted = {entry.name for entry in self._drawn(narrowed, self.count)}
        return [entry for entry in narrowed if entry.name in wanted]

    def _drawn(self, entries: list[Entry], count: int) -> Iterator[Entry]:
        for entry in sorted(entries, key=lambda entry: _rank(self.seed, entry.name)):
            if count and self._fits(entry):
                count -= 1
                yield entry
            if not count:
                return

    def _fits(self, entry: Entry) -> bool:
        if not self.sizes and self.hard is None and self.difficult is None:
            return True
        try:
            place = place_of(entry)
            groups = dict(groups_of(entry, annotation_of(entry, place), place.size))
        except Exception:  # whatever is wrong with it is said when it is read
            return True
        if self.sizes and groups["size"] not in self.sizes:
            return False
        asked = (("hard", self.hard), ("difficult", self.difficult))
        return all(
            wanted is None or groups[name] == ("yes" if wanted else "no") for name, wanted in asked
        )


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{name}".encode()).hexdigest()
