"""`gradcam-eval sanity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
from gradcam_eval.cli.terminal import import_tensorflow, say, silent_stderr

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
    order: Annotated[
        Order | None,
        typer.Option(help="How the weights are randomised; the protocol's by default: cascading."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Most steps of the randomisation; the protocol's by default.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="sanity2018; sanity2018_code: as the authors' code has it; or sanity2023_smooth: "
            "from the input on, with heatmaps averaged over noisy copies of the image.",
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
    from gradcam_eval.cli.sanity_tables import (
        explained_classes,
        print_conclusions,
        print_rises,
        print_shift,
    )
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
        print_conclusions(check, chosen)
    print_rises(found.checks[0])
    print_shift(found.invariance)
    say("passing is necessary, not sufficient: a heatmap that passes can still be wrong")
    say(f"explained: {explained_classes(found.explained)}")
    for line in found.notes:
        say(line)
    if output:
        for path in write_checks(found, output, chosen):
            say(f"written to {path}")
