"""`gradcam-eval ranks`: do several models, data sets, protocols or runs rank alike?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradcam_eval.cli.terminal import console, say


def ranks(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Studies' folders, results/<study>.")
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="By which metric; by default the first RUN's primary one."
        ),
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="WHAT", help="What is ranked: method, depth or cell.")
    ] = "method",
) -> None:
    """Compare how the models, data sets and protocols of RUNs rank methods or layers."""
    from gradcam_eval.report.ranking_text import models_table, ranking_sentences, ranks_table
    from gradcam_eval.results import compare_ranks

    found = compare_ranks(runs, metric, by=by)
    console().print(ranks_table(found))
    console().print(models_table(found))
    for sentence in ranking_sentences(found):
        say(sentence)
