"""`gradcam-eval check-metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradcam_eval.cli.explain import ClassesOption, KindOption, ModelOption, PreprocessOption
from gradcam_eval.cli.terminal import cell, console, import_tensorflow, say, silent_stderr
from gradcam_eval.core import InputError

if TYPE_CHECKING:
    from gradcam_eval.meta_evaluation.check import MetricCheck


def check_metrics(
    model: ModelOption = "evidence_gap",
    data: Annotated[
        str, typer.Option(metavar="DATA", help="Images with their truth: a name or a path.")
    ] = "evidence/single",
    count: Annotated[int, typer.Option(min=1, help="Images, chosen at random.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of images, noise and intervals.")] = 0,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="METRIC", help="Repeatable; all without it."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", metavar="METRIC=NAME", help="Not the default; repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write CSVs and JSON there."),
    ] = None,
    output_kind: KindOption = None,
    preprocess: PreprocessOption = "none",
    classes: ClassesOption = None,
) -> None:
    """Check which metrics tell good heatmaps from bad ones where the evidence is known.

    Each metric judges four heatmaps an image: oracle (the truth), good (blurred, with noise),
    random and inverted. Example: gradcam-eval check-metrics --count 20 --metric deletion
    """
    import_tensorflow()
    from gradcam_eval.meta_evaluation.check import Asked, write_check
    from gradcam_eval.meta_evaluation.check import check_metrics as check
    from gradcam_eval.meta_evaluation.judging import chosen_metrics
    from gradcam_eval.models.zoo import check_model_name
    from gradcam_eval.progress import shown_progress
    from gradcam_eval.study.config import DataEntry, ModelEntry

    names, protocols = tuple(metric or ()), _protocols(protocol or [])
    chosen_metrics(names, protocols)
    with silent_stderr():
        check_model_name(model)
    given = str(classes) if classes else None
    asked = Asked(
        ModelEntry(name=model, preprocess=preprocess, classes=given, output=output_kind),
        DataEntry(path=data, count=count, seed=seed),
        names,
        protocols,
    )
    with shown_progress() as progress:
        found = check(asked, seed=seed, stage=progress.stage, step=progress.step)
    _print(found)
    if output:
        for path in write_check(found, output):
            say(f"written to {path}")


def _protocols(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (name, _, rules) in zip(given, pairs, strict=True):
        if not (name and rules):
            raise InputError(f"the protocol {text!r} is not of the form METRIC=NAME.")
    return {name: rules for name, _, rules in pairs}


def _print(found: MetricCheck) -> None:
    """Print the table, and below it what it comes to."""
    from rich.table import Table

    from gradcam_eval.meta_evaluation.known_quality import PAIRS
    from gradcam_eval.report.text import plural

    about = found.about
    title = f"{about['model']} on {about['data']}, {plural(found.images, 'image')}"
    title += ": verdict · share of images in order · margin · smallest n"
    table = Table(title=cell(title), box=None, header_style="bold", title_justify="left")
    for column in ("metric", *(f"{a} > {b}" for a, b in PAIRS), "whole order", "missing"):
        table.add_column(column, overflow="fold")
    for row in _table_rows(found):
        table.add_row(*map(cell, row))
    console().print(table)
    for line in _lines(found):
        say(line)


def _table_rows(found: MetricCheck) -> list[tuple[str, ...]]:
    from gradcam_eval.report.text import number

    rows = []
    for order in found.orders.to_dict("records"):
        mine = found.pairs[
            (found.pairs["metric"] == order["metric"])
            & (found.pairs["protocol"] == order["protocol"])
        ]
        cells = [_cell(row) for row in mine.to_dict("records")]
        name = f"{order['metric']} ({order['protocol']})"
        rows.append((name, *cells, number(order["share"]), str(mine["missing"].max())))
    return rows


def _cell(row: dict[Any, Any]) -> str:
    import pandas as pd

    from gradcam_eval.report.text import DASH, number, signed

    n = DASH if pd.isna(row["smallest_n"]) else str(row["smallest_n"])
    return f"{row['verdict']} · {number(row['share'])} · {signed(row['margin'])} · {n}"


def _lines(found: MetricCheck) -> list[str]:
    from gradcam_eval.report.text import interval, number, plural

    lines = [f"! {each['metric']} ({each['protocol']}) {each['fault']}" for each in found.unable()]
    for each in found.agreement:
        bounds = interval(each.low, each.high)
        lines.append(
            f"agreement, {each.group} ({plural(each.metrics, 'metric')}): Kendall's W "
            f"{number(each.kendall_w)} {bounds} an image, "
            f"{number(each.kendall_w_of_mean_ranks)} of mean ranks; Krippendorff's α "
            f"{number(each.krippendorff_alpha)}"
        )
    lines += [f"not judged: {name}: {reason}" for name, reason in found.not_judged]
    return lines + [f"left out {name}: {reason}" for name, reason in found.left_out]
