"""`gradcam-eval ledger check` and `ledger repair`: what a study has finished, after an accident."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_eval.cli.terminal import say

if TYPE_CHECKING:
    from gradcam_eval.ledger_health import Health

ledger = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check the file in which a study keeps what is finished, and keep what is whole of it.",
)

FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A study's folder, results/<study>.")
]
_MOST_LISTED = 20


@ledger.command(short_help="Check that every finished row is as it was written.")
def check(folder: FolderArgument) -> None:
    """Compare every row of a study's ledger with what was noted when it was written.

    Ends with 0 where the ledger is whole, with 1 where it is damaged, with 2 where there is none.
    """
    from gradcam_eval.ledger_repair import check_ledger
    from gradcam_eval.store import LEDGER

    health = check_ledger(folder / LEDGER)
    _say_kept(folder / LEDGER, health)
    if not health.is_whole:
        say(f"gradcam-eval ledger repair {folder} keeps what is whole")
        raise typer.Exit(1)


@ledger.command(short_help="Write a new ledger of all that is whole.")
def repair(folder: FolderArgument) -> None:
    """Replace a damaged ledger by one of all images that are whole; the damaged file is kept.

    The study then goes on from there: the same `gradcam-eval study` command judges the others.
    """
    from gradcam_eval.ledger_repair import check_ledger, repair_ledger
    from gradcam_eval.store import LEDGER

    path = folder / LEDGER
    health = check_ledger(path)
    if health.is_whole:
        _say_kept(path, health)
        return
    health, kept = repair_ledger(path, _fingerprint(folder))
    _say_kept(path, health)
    say(f"{path} now contains what is whole; the damaged file is {kept}")
    say("run the study again, with the same command: it goes on from there")


def _say_kept(path: Path, health: Health) -> None:
    state = "whole" if health.is_whole else "damaged"
    say(f"{path} is {state}: {health.images} images with {health.records} records are as written")
    for model, sample in health.lost[:_MOST_LISTED]:
        say(f"  gone or changed: {sample} ({model})")
    if len(health.lost) > _MOST_LISTED:
        say(f"  and {len(health.lost) - _MOST_LISTED} more")
    for fault in health.faults:
        say(f"  {fault}")


def _fingerprint(folder: Path) -> str | None:
    """Return the study's fingerprint by its study.json, for a ledger that has lost it."""
    try:
        found = json.loads((folder / "study.json").read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
