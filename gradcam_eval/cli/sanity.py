"""`gradcam-eval sanity`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradcam_eval.cli.explain import (
    BitsOption,
    ClassesOption,
    GeometryOption,
    HeadOption,
    KindOption,
    LargeOption,
    PreprocessOption,
    ScoreOption,
    ValuesOption,
    WindowOption,
)
from gradcam_eval.cli.lists import TokensOption
from gradcam_eval.cli.terminal import cell, console, import_tensorflow, say, silent_stderr

if TYPE_CHECKING:
    import pandas as pd

    from gradcam_eval.sanity.check import SanityCheck

_MOST_CLASSES = 10
Order = Literal["cascading", "cascading_bottom_up", "independent"]


def sanity(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, or a local .keras or .h5 file.")
    ],
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="A data set's name, a folder, or an image.")
    ],
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", "-l", metavar="LAYER", help="As of `explain`; repeatable."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="METHOD", help="A method's name; repeatable."),
    ] = None,
    order: Annotated[Order, typer.Option(help="How the weights are randomised.")] = "cascading",
    steps: Annotated[
        int | None, typer.Option(help="Most steps of the randomisation; the protocol's by default.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="sanity2018, or sanity2018_code: as the authors' code has it."
        ),
    ] = "sanity2018",
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of similarity: rank_correlation, absolute_rank_correlation, ssim or hog; of "
            "sanity2018_code, clipped_rank_correlation, clipped_absolute_rank_correlation, "
            "gaussian_ssim or ranked_hog. The first by default; all are written to the CSV.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the new weights and the controls.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write CSVs and the chart there."),
    ] = None,
    score: ScoreOption = "logit",
    output_kind: KindOption = None,
    head: HeadOption = None,
    tokens: TokensOption = None,
    geometry: GeometryOption = "auto",
    preprocess: PreprocessOption = "none",
    classes: ClassesOption = None,
    values: ValuesOption = None,
    window: WindowOption = None,
    bits: BitsOption = None,
    large: LargeOption = "refuse",
) -> None:
    """Check whether heatmaps depend on the weights, on the class, and not on the input's coding.

    Example: gradcam-eval sanity efficientnet_lite0 photos --method grad_cam --method eigen_cam
    """
    from gradcam_eval.data.depth import Pixels
    from gradcam_eval.picture import LocalModel, Question, check_question
    from gradcam_eval.sanity.rules import find_rules
    from gradcam_eval.values import LEVELS, as_values

    chosen = find_rules(protocol).measure(measure)
    layers, methods = tuple(layer or ["last"]), tuple(method or ["grad_cam"])
    with silent_stderr():  # looking a method up imports TensorFlow
        question = Question(layers, methods, score=score, head=head, tokens=tokens)
        check_question(LocalModel(model, preprocess, classes), question)
    import_tensorflow()
    from gradcam_eval.sanity.all_checks import Asked, run_checks, write_checks

    asked = Asked(
        *(model, preprocess, layers, methods, protocol),
        classes=classes,
        score=score,
        output=output_kind,
        head=head,
        tokens=tokens,
        geometry=geometry,
        values=as_values(values or LEVELS),
        pixels=Pixels(window, bits, large),
    )
    found = run_checks(asked, images, order=order, steps=steps, seed=seed)
    for check in found.checks:
        _print_verdict(check, chosen)
    _print_shift(found.invariance)
    say(f"explained: {_explained(found.explained)}")
    for line in found.notes:
        say(line)
    if output:
        for path in write_checks(found, output, chosen):
            say(f"written to {path}")


def _explained(names: tuple[str, ...]) -> str:
    """Say of how many images each class is explained, the most frequent first."""
    from gradcam_eval.report.text import plural

    counts = Counter(names).most_common()
    shown = [f"{name} ({plural(count, 'image')})" for name, count in counts[:_MOST_CLASSES]]
    more = len(counts) - len(shown)
    return ", ".join(shown + [f"and {more} more"] * (more > 0))


def _print_verdict(check: SanityCheck, measure: str) -> None:
    from gradcam_eval.report.text import interval, number

    rows = [
        (
            *(row["layer"], row["method"], row["verdict"], f"{row['n']}"),
            *(number(row[key]) for key in ("similarity", "floor", "pair")),
            f"{number(row['share'])} {interval(row['low'], row['high'])}",
        )
        for row in check.verdict(measure).to_dict("records")
    ]
    share = "share of sameness [95 %]"
    head = ("layer", "method", "verdict", "n", "similarity", "by chance", "two random models")
    title = f"{check.name}, by {measure.replace('_', ' ')}, protocol {check.protocol}"
    _print(title, (*head, share), rows)


def _print_shift(frame: pd.DataFrame) -> None:
    from gradcam_eval.report.text import number

    if frame.empty:
        return
    rows: list[tuple[str, ...]] = []
    for key, each in frame.groupby(["layer", "method"], sort=False):
        known = each[each["reason"] == ""]
        alike = int(known["is_invariant"].astype(bool).sum())
        verdict = "passes" if len(known) and alike == len(known) else "fails"
        verdict = verdict if len(known) else "undecided"
        layer, method = map(str, key)
        rows.append(
            (layer, method, verdict, f"{alike} of {len(known)}", number(known["difference"].max()))
        )
    head = ("layer", "method", "verdict", "images alike", "largest relative difference")
    _print("input invariance", head, rows)


def _print(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(title=cell(title), box=None, header_style="bold", title_justify="left")
    for column in head:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    console().print(table)
