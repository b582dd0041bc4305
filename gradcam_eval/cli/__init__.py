"""The command line. Quick to start; bad input is a sentence."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from gradcam_eval.cli.check_metrics import check_metrics
from gradcam_eval.cli.compare import compare
from gradcam_eval.cli.data import data
from gradcam_eval.cli.explain import explain
from gradcam_eval.cli.ledger import ledger
from gradcam_eval.cli.lists import layers, methods, metrics
from gradcam_eval.cli.plugins import import_plugins
from gradcam_eval.cli.protocols import protocols
from gradcam_eval.cli.ranks import ranks
from gradcam_eval.cli.sanity import sanity
from gradcam_eval.cli.studies import report, study
from gradcam_eval.cli.terminal import say, show_any_text, silent_stderr
from gradcam_eval.core import InputError

app = typer.Typer(
    name="gradcam-eval",
    help="Benchmark Grad-CAM and its relatives on Keras models: which layer, which method, by how "
    "much, and at what cost.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: no boxes that wrap paths
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import a module, or a .py file, that registers methods, metrics or protocols; "
            "repeatable.",
        ),
    ] = None,
) -> None:
    """Take the options that stand before a command."""
    if imports:
        with silent_stderr():
            import_plugins(imports)


app.command(short_help="Explain images: lay their heatmaps over them.")(explain)
app.command(short_help="List a model's layers, and what to call them.")(layers)
app.command(short_help="List the methods, with their options.")(methods)
app.command(short_help="List the metrics: direction, unit, and what each needs.")(metrics)
app.command(short_help="List the protocols: what each fixes, and its source.")(protocols)
app.command(short_help="Check whether heatmaps depend on weights, class and input.")(sanity)
app.command(short_help="Check which metrics can tell good heatmaps from bad ones.")(check_metrics)
app.command(short_help="Run a study, or go on where it was stopped.")(study)
app.command(short_help="Make a study's report again; no model is needed.")(report)
app.add_typer(ledger, name="ledger", short_help="Check what a study has finished, or repair it.")
app.command(short_help="Compare two runs cell by cell; exit code 1 if one is worse.")(compare)
app.command(short_help="Compare how models, data sets and runs rank methods.")(ranks)
app.add_typer(data, name="data", short_help="Look at data sets: what is in them, what is wrong.")


def main() -> None:
    """Run the command line; bad input ends with one sentence on standard error and exit code 2."""
    # TensorFlow reads both once, when it is imported. What it logs is of no use to a reader here.
    # Without oneDNN it is slower, and cannot compute channels first; it turns it on by itself on
    # some processors only.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    show_any_text()
    try:
        app(prog_name="gradcam-eval")
    except InputError as error:
        say(f"gradcam-eval: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        say(f"gradcam-eval: {error.strerror}: {error.filename or _NO_NAME}", err=True)
        sys.exit(2)


# A write to an open file does not say which.
_NO_NAME = (
    "make room or write elsewhere; what a study has finished is kept, and it goes on from there"
)
# What a disk may answer to any write, which is nobody's mistake in the code.
_DISK_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
    *(errno.EFBIG, errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT),
)
