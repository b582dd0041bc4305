"""The command line: explain | layers | study | report. Quick to start; bad input is a sentence."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradcam_eval.core import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

app = typer.Typer(
    name="gradcam-eval",
    help="Benchmark Grad-CAM and its relatives on Keras models: which layer, which method, by how "
    "much, and at what cost.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: no boxes that wrap paths
    add_completion=False,
    pretty_exceptions_enable=False,
)

ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="MODEL", help="A model's name, or a local .keras or .h5 file."
    ),
]
PreprocessOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="For a model file: how it wants 0-255 RGB images changed first: "
        "none, unit, tf, torch, caffe or lite. Named models know.",
    ),
]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"gradcam-eval {importlib.metadata.version('gradcam-eval')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(short_help="Explain one image: write its heatmaps as a PNG.")
def explain(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="An image file, or a URL with --allow-url.")
    ],
    model: ModelOption = "efficientnet_lite0",
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            "-l",
            metavar="LAYER",
            help="Role (last, stages, all), path or glob; repeatable.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="METHOD", help="A method's name; repeatable."),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target", "-t", metavar="CLASS", help="'predicted', a class index or a class name."
        ),
    ] = "predicted",
    score: Annotated[
        Literal["logit", "probability"], typer.Option(help="What is explained.")
    ] = "logit",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="PNG to write; else IMAGE-cam.png here."
        ),
    ] = None,
    preprocess: PreprocessOption = "none",
    classes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For a model file: its class names, one a line."),
    ] = None,
    allow_url: Annotated[
        bool, typer.Option("--allow-url", help="Allow IMAGE to be an http(s) URL.")
    ] = False,
) -> None:
    """Explain one image: write its heatmap laid over it, or a grid of layers × methods.

    Example: gradcam-eval explain cat.jpg --target "Egyptian cat" --method layer_cam -o cat.png
    """
    from gradcam_eval import picture

    asked = picture.LocalModel(model, preprocess, classes)
    question = picture.Question(
        layers=tuple(layer or ["last"]),
        methods=tuple(method or ["grad_cam"]),
        target=target,
        score=score,
    )
    out = output or Path(f"{Path(image).stem or 'image'}-cam.png")
    picture.check_output(out, image)
    pixels = picture.readable_image(image, allow_url=allow_url)
    with _silent_stderr():  # looking a method up imports TensorFlow
        picture.check_question(asked, question)
    for line in picture.explain_to_file(pixels, asked, question, out=out):
        typer.echo(line)


@app.command(short_help="List a model's layers, and what to call them.")
def layers(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, or a local .keras or .h5 file.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="List every layer, not only those that carry a heatmap.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV to standard output.")] = False,
) -> None:
    """List a model's layers: path, type, shape, stride, parameters, and the roles they have.

    A named model is built with random weights for this, so nothing is downloaded.
    """
    from gradcam_eval.models.zoo import check_model_name
    from gradcam_eval.picture import layers_of

    with _silent_stderr():
        check_model_name(model)
    _import_tensorflow()
    frame = layers_of(model)
    if not everything:
        frame = frame[frame["is_candidate"]]
    if csv:
        frame.to_csv(sys.stdout, index=False)
    else:
        _print_layers(model, frame)


@app.command(short_help="Run a study, or go on where it was stopped.")
def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study, a TOML file.")],
    results: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the study's folder is made.")
    ] = Path("results"),
    fresh: Annotated[
        bool,
        typer.Option("--fresh/--resume", help="Remove what an earlier run left, or go on from it."),
    ] = False,
) -> None:
    """Run a study, or go on where it was stopped; write its tables, pictures and report.html."""
    from gradcam_eval.study.config import load_study

    with _silent_stderr():  # looking a method up imports TensorFlow
        loaded = load_study(file)
    from gradcam_eval.progress import shown_progress
    from gradcam_eval.report.tables import summary_table
    from gradcam_eval.results import run_study

    try:
        with shown_progress() as progress:
            done = run_study(loaded, results=results, fresh=fresh, progress=progress)
    except KeyboardInterrupt:
        typer.echo(
            "gradcam-eval: stopped; what is finished is kept, and the same command without --fresh "
            "goes on from here",
            err=True,
        )
        raise typer.Exit(130) from None
    page = done.report()
    _console().print(summary_table(done.summary(), title=loaded.question or None))
    typer.echo(f"Report: {page}")


@app.command(short_help="Make a study's report again; no model is needed.")
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A study's folder, results/<study>.")
    ],
) -> None:
    """Make a study's pictures and report.html again from its files; no model is needed."""
    from gradcam_eval.results import Results

    page = Results(folder).report()
    typer.echo(f"Report: {page}")


def main() -> None:
    """Run the command line; bad input ends with one sentence on standard error and exit code 2."""
    # TensorFlow reads it once, when it is imported; what it logs is of no use to a reader here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app(prog_name="gradcam-eval")
    except InputError as error:
        print(f"gradcam-eval: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        print(f"gradcam-eval: {error.strerror}: {error.filename or 'the disk'}", file=sys.stderr)
        sys.exit(2)


# What a disk may answer to any write, which is nobody's mistake in the code.
_DISK_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send standard error nowhere, for C++ code that logs there whatever one sets."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _import_tensorflow() -> None:
    """Import TensorFlow without its greetings, which would bury a one-sentence error."""
    with _silent_stderr():
        import tensorflow  # noqa: F401


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width: do not squeeze tables into 80 columns there.
    return Console(width=None if sys.stdout.isatty() else 200)


def _print_layers(model: str, frame: pd.DataFrame) -> None:
    from rich.table import Table
    from rich.text import Text

    # Text throughout: names in brackets are names, not rich's markup.
    table = Table(title=Text(f"{model}: {len(frame)} layers"), box=None, header_style="bold")
    for column in ("path", "type", "shape", "stride", "params", "roles"):
        table.add_column(column, overflow="fold")
    for row in frame.to_dict("records"):
        shape = "×".join(str(side or "any") for side in row["shape"])
        stride = "" if row["stride"] != row["stride"] else f"{row['stride']:.4g}"
        cells = (row["path"], row["type"], shape, stride, f"{row['params']:,}", row["roles"])
        table.add_row(*map(Text, cells))
    _console().print(table)
