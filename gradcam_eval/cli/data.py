"""`gradcam-eval data list`, `data show` and `data check`: data sets, before any model sees them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gradcam_eval.cli.data_report import as_json_object, captions, names_of, report_lines
from gradcam_eval.cli.explain import BitsOption, LargeOption, WindowOption
from gradcam_eval.cli.terminal import cell, console, say, silent_stderr
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

    from gradcam_eval.data.annotation import Entry
    from gradcam_eval.data.classmap import ClassMap

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
        raise unknown_name("data set", name, dict.fromkeys([*cards, *DATASETS]))
    entries = DATASETS[name].entries() if name in DATASETS else []
    if out is not None and not entries:
        raise InputError(f"{name} is a format without pictures of its own: use data check PATH -o.")
    card = cards[folder].read_text(encoding="utf-8")
    facts = _facts(name, entries)
    print(json.dumps({**facts, "card": card}, indent=2) if as_json else card.rstrip())
    if not as_json and entries:
        print(f"\n{facts['images']} images, {facts['classes']} classes, and these licences stated:")
        for licence, count in facts["licences"].items():
            say(f"  {count} × {licence}")
    if out is not None:
        _save(contact_sheet(entries, called=names_of(class_map())), out, quiet=as_json)


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
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Whose classes are meant: a model's name, or a local .keras or .h5 file.",
        ),
    ] = "efficientnet_lite0",
    class_names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For a model file: its class names, one a line, or 'imagenet' for ImageNet-1k's.",
        ),
    ] = None,
    numbering: Annotated[
        Literal["from_0", "from_1", "order"] | None,
        typer.Option(
            metavar="HOW",
            help="What labels that are numbers mean: from_0 (indices), from_1, or order (of the "
            "class folders).",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="The data set's class names (name) to the model's (index, …)."
        ),
    ] = None,
    window: WindowOption = None,
    bits: BitsOption = None,
    large: LargeOption = "refuse",
    boxes: Annotated[
        str, typer.Option(metavar="FRAME", help="Where EXIF turns a file: 'stored' or 'upright'.")
    ] = "",
    boxes_unit: Annotated[
        str, typer.Option(metavar="UNIT", help="'pixels', or 'relative' for boxes from 0 to 1.")
    ] = "",
    rescale: Annotated[
        bool,
        typer.Option("--rescale", help="The pictures were resized after they were annotated."),
    ] = False,
    out: SheetOption = None,
    tiles: Annotated[int, typer.Option(min=1, max=200, help="Pictures on the sheet.")] = 24,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end with 1 too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Decode all images, read all that is drawn on them, and say what is there and what is wrong.

    Ends with 0 where every image and object can be used, with 1 where one cannot (or, with
    --strict, where there is a warning), with 2 where the data set cannot be read as a whole.
    """
    from gradcam_eval.data import Drawing, Entry, Pixels, open_source
    from gradcam_eval.data.check import check_entries
    from gradcam_eval.data.sheet import contact_sheet

    _check_out(out)
    options = {"annotations": annotations, "labels": labels, "split": split, "part": part}
    given = {key: value for key, value in options.items() if value is not None}
    drawn: Any = (boxes, boxes_unit)  # checked there
    rules = Pixels(window, bits, large)
    known = _class_map(model, class_names, classes)
    source = open_source(
        path, format=format, options=given, drawn=Drawing(*drawn), numbering=numbering
    )
    source = source.rescaled() if rescale else source
    mapped = source.class_map(known)
    entries = [entry for entry in source.entries if isinstance(entry, Entry)]  # of a path, all are
    with _shown_steps(len(entries)) as step:
        report = check_entries(
            path, entries, mapped, step=step, pixels=rules, skipped=source.skipped
        )
    code = report.exit_code(strict=strict)
    if as_json:
        print(json.dumps(as_json_object(report, code), indent=2))
    else:
        for line in report_lines(report, model, names_of(mapped), note=mapped.note):
            say(line)
    if out is not None:
        sheet = contact_sheet(
            entries, captions(report), called=names_of(mapped), tiles=tiles, pixels=rules
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


def _class_map(model: str, names: Path | None, mapping: Path | None) -> ClassMap:
    from gradcam_eval.data.classmap import ClassMap, read_mapping
    from gradcam_eval.models.catalogue import MODELS, model_spec

    if names is None and (model in MODELS or not Path(model).suffix):
        spec = model_spec(model)
        found = ClassMap(spec.class_names, spec.synsets)
    else:
        found = _classes_of_file(model, names)
    return found if mapping is None else read_mapping(mapping, found)


def _classes_of_file(model: str, names: Path | None) -> ClassMap:
    with silent_stderr():  # TensorFlow
        from gradcam_eval.study.config import ModelEntry
        from gradcam_eval.study.subject import load

        return load(ModelEntry(name=model, classes=None if names is None else str(names))).classes


def _save(sheet: Image, out: Path, *, quiet: bool) -> None:
    with replacing(out) as file:
        sheet.save(file)
    if not quiet:
        say(f"written to {out}")


def _table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(title=cell(title), title_justify="left", box=None, header_style="bold")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row.values()))
    console().print(table)
