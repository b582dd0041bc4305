"""`gradcam-eval data list`, `data show` and `data check`: data sets, before any model sees them."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradcam_eval.cli.terminal import console
from gradcam_eval.core import InputError, unknown_name

if TYPE_CHECKING:
    from PIL.Image import Image

    from gradcam_eval.data.annotation import Entry
    from gradcam_eval.data.check import DataReport
    from gradcam_eval.data.classmap import ClassMap

MOST_LISTED = 10  # problems of one kind, and classes, before "… more"

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at data sets: what there is, what is in it, and what is wrong with it.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="PNG", help="Write a contact sheet: boxes and masks on pictures."
    ),
]


@data.command(name="list", short_help="List the built-in data sets, and the formats.")
def list_(as_json: JsonOption = False) -> None:
    """List the data sets that are there by name, and the formats that can be read."""
    from gradcam_eval.data import DATASETS, READERS

    sets = [
        {"name": name, "images": len(each.entries()), "description": each.description}
        for name, each in DATASETS.items()
    ]
    formats = [
        {"name": name, "description": (read.__doc__ or "").split("\n")[0]}
        for name, read in READERS.items()
    ]
    if as_json:
        print(json.dumps({"datasets": sets, "formats": formats}, indent=2))
        return
    _table("built-in data sets", sets)
    _table("formats that `data check PATH --format` reads", formats)


@data.command(short_help="Show a data set's card; draw what is annotated.")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `data list` gives.")],
    out: SheetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the card of a data set or format: what it is, its licence, how to get it.

    Of a built-in data set, -o writes a contact sheet.
    """
    from gradcam_eval.data import DATASETS
    from gradcam_eval.data.classmap import class_map
    from gradcam_eval.data.sheet import contact_sheet
    from gradcam_eval.resources import datasets_root

    _check_out(out)
    cards = {path.parent.name: path for path in sorted(datasets_root().glob("*/README.md"))}
    folder = name.partition("/")[0] if name in DATASETS else name  # "evidence/single" has one too
    if folder not in cards:
        raise unknown_name("data set", name, [*cards, *DATASETS])
    entries = DATASETS[name].entries() if name in DATASETS else []
    if out is not None and not entries:
        raise InputError(f"{name} is a format without pictures of its own: use data check PATH -o.")
    card = cards[folder].read_text(encoding="utf-8")
    facts = _facts(name, entries)
    print(json.dumps({**facts, "card": card}, indent=2) if as_json else card.rstrip())
    if not as_json and entries:
        print(f"\n{facts['images']} images, {facts['classes']} classes, and these licences stated:")
        for licence, count in facts["licences"].items():
            print(f"  {count} × {licence}")
    if out is not None:
        _save(contact_sheet(entries, called=_names_of(class_map())), out, quiet=as_json)


def _facts(name: str, entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "name": name,
        "images": len(entries),
        "classes": len({label for entry in entries for label in entry.labels}),
        "licences": dict(Counter(entry.licence or "none stated" for entry in entries)),
    }


@data.command(short_help="Check a data set, and draw what is annotated.")
def check(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder, a file, or a built-in data set.")
    ],
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="One of those that `data list` gives.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Where the annotations are, if not in PATH.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="imagenet: a list of image names and synsets.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="One split alone, as 'val' or 'test'.")] = None,
    part: Annotated[str | None, typer.Option(help="pets: 'pet' or 'head'.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="The named model whose classes are meant.")
    ] = "efficientnet_lite0",
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="The data set's class names (name) to the model's (index, …)."
        ),
    ] = None,
    out: SheetOption = None,
    tiles: Annotated[int, typer.Option(min=1, max=200, help="Pictures on the sheet.")] = 24,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end with 1 too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Decode all images, read all that is drawn on them, and say what is there and what is wrong.

    Ends with 0 where every image and object can be used, with 1 where one cannot (or, with
    --strict, where there is a warning), with 2 where the data set cannot be read as a whole.
    """
    from gradcam_eval.data import open_source
    from gradcam_eval.data.check import check_entries
    from gradcam_eval.data.sheet import contact_sheet

    _check_out(out)
    mapped = _class_map(model, classes)
    options = {"annotations": annotations, "labels": labels, "split": split, "part": part}
    given = {key: value for key, value in options.items() if value is not None}
    source = open_source(path, format=format, options=given)
    with _shown_steps(len(source.entries)) as step:
        report = check_entries(str(path), source.entries, mapped, step=step)
    code = report.exit_code(strict=strict)
    if as_json:
        print(json.dumps(_as_json(report, code), indent=2))
    else:
        print("\n".join(report_lines(report, model, _names_of(mapped))))
    if out is not None:
        sheet = contact_sheet(
            source.entries, _captions(report), called=_names_of(mapped), tiles=tiles
        )
        _save(sheet, out, quiet=as_json)
    raise typer.Exit(code)


@contextmanager
def _shown_steps(count: int) -> Iterator[Callable[[], None]]:
    """Show a bar on standard error where that is a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from gradcam_eval.progress import shown_progress

    with shown_progress() as progress:
        progress.stage("images", count)
        yield progress.step


def _check_out(out: Path | None) -> None:
    if out is None:
        return
    if out.suffix.lower() != ".png":
        raise InputError(f"{out} must end in .png: a contact sheet is a PNG.")
    if not out.parent.is_dir():
        raise InputError(f"there is no folder {out.parent}: make it first.")


def _class_map(model: str, mapping: Path | None) -> ClassMap:
    from gradcam_eval.data.classmap import ClassMap, read_mapping
    from gradcam_eval.models.catalogue import model_spec

    spec = model_spec(model)
    found = ClassMap(spec.class_names, spec.synsets)
    return found if mapping is None else read_mapping(mapping, found)


def _names_of(classes: ClassMap) -> Callable[[str], str]:
    """Return what a label is called for a reader's eye: the model's name behind a synset."""

    def called(label: str) -> str:
        try:
            index = classes.index(label)
        except InputError:
            return label
        name = classes.names[index] if index is not None and index < len(classes.names) else label
        return label if name.casefold() == label.casefold() else f"{label} ({name})"

    return called


def _captions(report: DataReport) -> dict[str, str]:
    captions: dict[str, list[str]] = {}
    for problem in report.problems:
        captions.setdefault(problem.name, []).append(f"{problem.kind}: {problem.detail}")
    return {name: "; ".join(said) for name, said in captions.items()}


def _save(sheet: Image, out: Path, *, quiet: bool) -> None:
    sheet.save(out)
    if not quiet:
        print(f"written to {out}")


def _table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=None, header_style="bold")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    console().print(table)


def _as_json(report: DataReport, code: int) -> dict[str, Any]:
    return {
        "exit_code": code,
        **dataclasses.asdict(report),
        "problems": [
            {**dataclasses.asdict(each), "severity": each.severity} for each in report.problems
        ],
        "class_counts": [
            {"name": name, "images": n, "index": index} for name, n, index in report.class_counts
        ],
    }


def report_lines(report: DataReport, model: str, called: Callable[[str], str]) -> list[str]:
    """Return the report as text: counts, sizes, classes, and the problems by kind."""
    from gradcam_eval.data.check import KINDS

    usable = sum(image.is_usable for image in report.images)
    lines = [f"{report.source}: {len(report.images)} images, {usable} of them usable"]
    lines += [f"  {name}: {value}" for name, value in _counts(report) if value]
    lines += _class_lines(report, model, called)
    for kind, (severity, meaning) in KINDS.items():
        found = [problem for problem in report.problems if problem.kind == kind]
        if found:
            lines.append(f"{severity}: {kind}, {len(found)} × ({meaning})")
            lines += _first(f"  {problem.name}: {problem.detail}" for problem in found)
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
    return f"{low:.3g} to {high:.4g}, median {middle:.4g} {unit}".rstrip()


def _class_lines(report: DataReport, model: str, called: Callable[[str], str]) -> list[str]:
    counts = report.class_counts
    if not counts:
        return []
    known = [index for _, _, index in counts if index is not None]
    range_ = f", indices {min(known)} to {max(known)}" if known else ""
    lines = [f"  classes: {len(counts)}, {len(known)} of them known to {model}{range_}"]
    lines.append(f"  images a class: {_spread([n for _, n, _ in counts], '')}")
    shown = [f"{called(name)} {n}" for name, n, _ in counts[:MOST_LISTED]]
    more = [f"… {len(counts) - MOST_LISTED} more"] if len(counts) > MOST_LISTED else []
    return [*lines, f"  most frequent: {', '.join(shown + more)}"]


def _first(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    more = len(found) - MOST_LISTED
    return found[:MOST_LISTED] + ([f"  … {more} more (--json lists all)"] if more > 0 else [])
