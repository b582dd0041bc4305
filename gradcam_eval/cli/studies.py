"""`gradcam-eval study` and `gradcam-eval report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradcam_eval.cli.terminal import console, say, silent_stderr


def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study, a TOML file.")],
    results: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the study's folder is made.")
    ] = Path("results"),
    fresh: Annotated[
        bool,
        typer.Option("--fresh/--resume", help="Remove what an earlier run left, or go on from it."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first image that cannot be read.")
    ] = False,
) -> None:
    """Run a study, or go on where it was stopped; write its tables, pictures and report.html."""
    from gradcam_eval.study.config import load_study

    with silent_stderr():  # looking a method up imports TensorFlow
        loaded = load_study(file)
    loaded = loaded.strictly() if strict else loaded
    from gradcam_eval.progress import shown_progress
    from gradcam_eval.report.applied import narrow
    from gradcam_eval.report.caveats import missing
    from gradcam_eval.report.copies import alike, copies
    from gradcam_eval.report.folder import read_folder
    from gradcam_eval.report.ranking_text import ranking_sentences
    from gradcam_eval.report.rankings import comparisons
    from gradcam_eval.report.recommend import recommend
    from gradcam_eval.report.rows import summary_of
    from gradcam_eval.report.tables import summary_table
    from gradcam_eval.report.top1 import label_warning
    from gradcam_eval.results import run_study

    try:
        with shown_progress() as progress:
            done = run_study(loaded, results=results, fresh=fresh, progress=progress)
    except KeyboardInterrupt:
        say(
            "gradcam-eval: stopped; what is finished is kept, and the same command without --fresh "
            "goes on from here",
            err=True,
        )
        raise typer.Exit(130) from None
    page = done.report()
    found = read_folder(done.folder)
    summary = summary_of(found)
    metrics = found.study["metrics"]
    table = summary_table(summary, title=loaded.question or None, metrics=metrics)
    console().print(table)
    for model in found.models:
        advice = recommend(found, model).sentence
        say(f"{model}: {advice}" if len(found.models) > 1 else advice)
    for compared in comparisons(found):
        for sentence in ranking_sentences(compared):
            say(sentence)
    for model in found.study["models"]:
        if left_out := missing(found, model):
            say(f"{model}: {left_out} The report says why.")
        notes = (copies, alike, label_warning, narrow)
        for warning in filter(None, (note(found, model) for note in notes)):
            say(f"{model}: {warning}")
    say(f"Report: {page}")


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A study's folder, results/<study>.")
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="Show the summary of each subset, class, size (of the objects), hard or difficult "
            "as well, and write it into summary_by_GROUP.csv. Repeat for several.",
        ),
    ] = None,
) -> None:
    """Make a study's pictures and report.html again from its files; no model is needed."""
    from gradcam_eval.results import Results

    page = Results(folder).report(by=by)
    for name in dict.fromkeys(by or ()):
        say(f"Summary by {name}: {folder / f'summary_by_{name}.csv'}")
    say(f"Report: {page}")
