"""`gradcam-eval compare`: two runs, paired by image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradcam_eval.cli.terminal import console, say


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The run to compare with.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The new run.")],
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="By which metric; by default RUN_A's primary one."),
    ] = None,
) -> None:
    """Compare each cell of RUN_B with the same cell of RUN_A, paired by image.

    Exit code 0: no cell of RUN_B is shown to be worse; 1: at least one is; 2: bad input.
    """
    from gradcam_eval.report.runs import compare_runs, comparison_table

    found = compare_runs(run_a, run_b, metric=metric)
    console().print(comparison_table(found))
    worse = int((found.table["change"] == "worse").sum())
    better = int((found.table["change"] == "better").sum())
    say(
        f"By {found.metric}, of {len(found.table)} cells {worse} are shown to be worse in "
        f"{run_b.name} and {better} better (all cells tested at once, two-sided)."
    )
    if worse:
        raise typer.Exit(1)
