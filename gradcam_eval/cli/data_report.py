"""What `gradcam-eval data check` says: as text, as JSON, and below the pictures of its sheet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gradcam_eval.core import InputError

if TYPE_CHECKING:
    from gradcam_eval.data.check import DataReport
    from gradcam_eval.data.classmap import ClassMap

MOST_LISTED = 10  # problems of one kind, and classes, before "… more"
LONGEST = 500  # letters of one problem


def as_json_object(report: DataReport, code: int) -> dict[str, Any]:
    """Return the report for JSON, every problem with its severity."""
    return {
        "exit_code": code,
        **dataclasses.asdict(report),
        "problems": [
            {**dataclasses.asdict(each), "severity": each.severity} for each in report.problems
        ],
        "class_counts": [
            {"name": name, "images": n, "indices": list(indices)}
            for name, n, indices in report.class_counts
        ],
    }


def report_lines(
    report: DataReport, model: str, called: Callable[[str], str], *, note: str = ""
) -> list[str]:
    """Return the report as text: counts, sizes, classes, and the problems by kind.

    `note` says how the data set's class folders or numbers were understood.
    """
    from gradcam_eval.data.check import KINDS

    usable = sum(image.is_usable for image in report.images)
    n = len(report.images)
    lines = [f"{report.source}: {n} image{'s' * (n != 1)}, {usable} of them usable"]
    lines += [f"  {name}: {value}" for name, value in _counts(report) if value]
    lines += _class_lines(report, model, called) + ([f"  {note}"] if note else [])
    for kind, (severity, meaning) in KINDS.items():
        found = [problem for problem in report.problems if problem.kind == kind]
        if found:
            lines.append(f"{severity}: {kind}, {len(found)} × ({meaning})")
            lines += _first(f"  {problem.name}: {_short(problem.detail)}" for problem in found)
    return lines if report.problems else [*lines, "no problem found"]


def _counts(report: DataReport) -> list[tuple[str, str]]:
    images = [image for image in report.images if image.is_usable]
    shares = [share for image in images for share in image.shares]
    return [
        ("width", _spread([image.size[1] for image in images if image.size], "pixels")),
        ("height", _spread([image.size[0] for image in images if image.size], "pixels")),
        ("objects", f"{len(shares)}, {sum(image.n_masks for image in images)} of them with pixels "
         f"or polygons, {sum(image.n_ignored for image in images)} more ignored"),
        ("objects an image", _spread([len(image.shares) for image in images], "")),
        ("share of the image an object covers", _spread([100 * each for each in shares], "%")),
        ("images without object", _number(sum(not image.shares for image in images))),
        ("images without label", _number(sum(not image.labels for image in images))),
        ("images with void pixels", _number(sum(image.has_void for image in images))),
    ]  # fmt: skip


def _number(count: int) -> str:
    return str(count) if count else ""


def _spread(values: Sequence[float], unit: str) -> str:
    import numpy as np

    if not values:
        return ""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return f"{_plain(low)} to {_plain(high)}, median {_plain(middle)} {unit}".rstrip()


def _plain(value: float) -> str:
    """Write a number to four digits, and a large one to a whole: never as 1e+04."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _class_lines(report: DataReport, model: str, called: Callable[[str], str]) -> list[str]:
    counts = report.class_counts
    if not counts:
        return []
    known = [indices for _, _, indices in counts if indices]
    every = [index for indices in known for index in indices]
    range_ = f", indices {min(every)} to {max(every)}" if every else ""
    lines = [f"  classes: {len(counts)}, {len(known)} of them known to {model}{range_}"]
    lines.append(f"  images a class: {_spread([n for _, n, _ in counts], '')}")
    shown = [f"{called(name)} {n}" for name, n, _ in counts[:MOST_LISTED]]
    more = [f"… {len(counts) - MOST_LISTED} more"] if len(counts) > MOST_LISTED else []
    return [*lines, f"  most frequent: {', '.join(shown + more)}"]


def _short(detail: str) -> str:
    """Cut the list of a long film's frames."""
    return detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}… (--json shows all)"


def _first(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    more = len(found) - MOST_LISTED
    return found[:MOST_LISTED] + ([f"  … {more} more (--json lists all)"] if more > 0 else [])


def names_of(classes: ClassMap) -> Callable[[str], str]:
    """Return what a label is called for a reader's eye: the model's name behind a synset."""

    def called(label: str) -> str:
        try:
            indices = classes.indices(label)
        except InputError:
            return label
        if len(indices) > 1:
            return f"{label} ({len(indices)} classes)"
        name = classes.names[indices[0]] if indices and indices[0] < len(classes.names) else label
        return label if name.casefold() == label.casefold() else f"{label} ({name})"

    return called


def captions(report: DataReport) -> dict[str, str]:
    """Return what is wrong with each image, for its caption."""
    found: dict[str, list[str]] = {}
    for problem in report.problems:
        found.setdefault(problem.name, []).append(f"{problem.kind}: {problem.detail}")
    return {name: "; ".join(said) for name, said in found.items()}
