"""`gradcam-eval check-metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_eval.cli.explain import (
    BitsOption,
    ClassesOption,
    KindOption,
    LargeOption,
    ModelOption,
    PreprocessOption,
    ValuesOption,
    WindowOption,
)
from gradcam_eval.cli.terminal import cell, console, import_tensorflow, say, silent_stderr
from gradcam_eval.core import InputError

if TYPE_CHECKING:
    from gradcam_eval.meta_evaluation.check import MetricCheck
    from gradcam_eval.meta_evaluation.outcome import MetricResult


def check_metrics(
    model: ModelOption = "evidence_gap",
    data: Annotated[
        str, typer.Option(metavar="DATA", help="Images with their truth: a name or a path.")
    ] = "evidence/single",
    count: Annotated[int, typer.Option(min=1, help="Images, chosen at random.")] = 30,
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
    values: ValuesOption = None,
    window: WindowOption = None,
    bits: BitsOption = None,
    large: LargeOption = "refuse",
) -> None:
    """Check which metrics tell better heatmaps from worse ones where the evidence is known.

    Each metric scores eleven heatmaps of each image: the annotated truth with 0, 10, … 100 % of
    noise. Example: gradcam-eval check-metrics --count 20 --metric deletion
    """
    import_tensorflow()
    from gradcam_eval.data.depth import Pixels
    from gradcam_eval.meta_evaluation.check import CheckSettings, write_check
    from gradcam_eval.meta_evaluation.check import check_metrics as check
    from gradcam_eval.meta_evaluation.scoring import chosen_metrics
    from gradcam_eval.models.zoo import check_model_name
    from gradcam_eval.progress import shown_progress
    from gradcam_eval.study.config import DataEntry, ModelEntry
    from gradcam_eval.values import LEVELS, as_values

    names, protocols = tuple(metric or ()), _protocols(protocol or [])
    chosen_metrics(names, protocols)
    with silent_stderr():
        check_model_name(model)
    given = str(classes) if classes else None
    pixels = Pixels(window, bits, large)
    settings = CheckSettings(
        ModelEntry(name=model, preprocess=preprocess, classes=given, output=output_kind),
        DataEntry(
            path=data,
            count=count,
            seed=seed,
            values=as_values(values or LEVELS),
            window=pixels.window,
            bits=pixels.bits,
            large=pixels.large,
        ),
        names,
        protocols,
    )
    with shown_progress() as progress:
        result = check(settings, seed=seed, stage=progress.stage, step=progress.step)
    _print(result)
    if output:
        for path in write_check(result, output):
            say(f"written to {path}")


def _protocols(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (name, _, rules) in zip(given, pairs, strict=True):
        if not (name and rules):
            raise InputError(f"the protocol {text!r} is not of the form METRIC=NAME.")
    return {name: rules for name, _, rules in pairs}


def _print(check: MetricCheck) -> None:
    """Print the table of metrics, and the details below it."""
    from rich.table import Table

    from gradcam_eval.meta_evaluation.resolution import SIZES
    from gradcam_eval.report.text import plural

    about = check.about
    title = f"{about['model']} on {about['data']}, {plural(check.images, 'image')}"
    table = Table(title=cell(title), box=None, header_style="bold", title_justify="left")
    step = f"smallest step of noise at n = {', '.join(map(str, SIZES))}"
    for column in ("metric", "outcome", "monotony [95 %]", step, "reliability α", "missing"):
        table.add_column(column, overflow="fold")
    for result in check.results:
        table.add_row(*map(cell, _row(result)))
    console().print(table)
    for line in _lines(check):
        say(line)


def _row(result: MetricResult) -> tuple[str, ...]:
    from gradcam_eval.meta_evaluation.resolution import SIZES
    from gradcam_eval.report.text import DASH, interval, number

    rate = result.reliability
    steps = [result.resolved(n) for n in SIZES]
    is_only_circular = result.outcome == "works" and result.is_circular
    return (
        f"{result.metric} ({result.protocol})",
        "not validated" if is_only_circular else result.outcome,
        f"{number(rate.monotony)} {interval(rate.low, rate.high)}".strip(),
        " · ".join(DASH if each is None else f"{each:.1f}" for each in steps),
        number(rate.alpha),
        str(result.missing),
    )


def _lines(check: MetricCheck) -> list[str]:
    from gradcam_eval.report.text import interval, number, plural

    lines = [f"! {each['metric']} ({each['protocol']}) {each['fault']}" for each in check.unable()]
    if check.circular():
        names = ", ".join(each["metric"] for each in check.circular())
        lines.append(f"not validated, as the ladder is made of the mask they compare with: {names}")
    for each in check.agreement:
        bounds = interval(each.low, each.high)
        lines.append(
            f"agreement, {each.group} ({plural(each.metrics, 'metric')}): Kendall's W "
            f"{number(each.kendall_w)} {bounds} an image, "
            f"{number(each.kendall_w_of_mean_ranks)} of mean ranks; Krippendorff's α "
            f"{number(each.krippendorff_alpha)}"
        )
    lines += [f"not checked: {name}: {reason}" for name, reason in check.not_checked]
    return lines + [f"left out {name}: {reason}" for name, reason in check.left_out]
