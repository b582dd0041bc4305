"""`gradcam-eval explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradcam_eval.cli.lists import TokensOption
from gradcam_eval.cli.terminal import say, silent_stderr
from gradcam_eval.core import InputError

if TYPE_CHECKING:
    from gradcam_eval.data.depth import Decoded

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
ClassesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="For a model file: its class names, one a line, or 'imagenet' for ImageNet-1k's.",
    ),
]


ValuesOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="For a model file: the range of values that it takes, if not 0 to 255.",
    ),
]
WindowOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="For grey files of more than 8 bits and DICOM: the values that are black and white.",
    ),
]
BitsOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="For 16-bit grey files: how many bits are used, as 12."),
]
LargeOption = Annotated[
    Literal["refuse", "reduce"],
    typer.Option(help="Very large JPEG and TIFF files: refuse them, or reduce them."),
]
ScoreOption = Annotated[
    Literal["logit", "probability", "log_odds"], typer.Option(help="What is explained.")
]
GeometryOption = Annotated[
    Literal["auto", "stretch", "receptive_field"],
    typer.Option(
        help="How a map is laid on the image; auto places one that does not cover it. See "
        "docs/explaining.md."
    ),
]
KindOption = Annotated[
    Literal["classes", "multi_label", "binary", "regression", "segmentation"] | None,
    typer.Option(
        "--output-kind",
        help="What the model returns, where it is not what `explain` says: binary for one logit "
        "of two classes, regression for values.",
    ),
]
HeadOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which output of a model that has several.")
]


FrameOption = Annotated[
    Literal["squash", "crop", "letterbox"],
    typer.Option(
        "--frame",
        help="How a photograph becomes the model's image; the overlay lies on the photograph.",
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The longer side of the overlay in pixels, or of each picture of a grid; else the "
        "photograph's own, and 190.",
    ),
]
AlphaOption = Annotated[float, typer.Option(metavar="A", help="Weight of the colours, 0 to 1.")]
ColormapOption = Annotated[
    str, typer.Option(metavar="NAME", help="A colormap of matplotlib, such as viridis.")
]
BarOption = Annotated[
    bool, typer.Option("--bar", help="Draw a colour bar below; a grid always has one.")
]
FormatOption = Annotated[
    Literal["png", "jpeg", "webp", "pdf", "npz"] | None,
    typer.Option("--format", help="Format of the files; else the output's suffix, or png."),
]


def explain(
    image: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help="Image files, folders of them, or URLs with --allow-url.",
            show_default=False,
        ),
    ],
    model: ModelOption = "efficientnet_lite0",
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            "-l",
            metavar="LAYER",
            help="Role (last, stages, all), path, glob, or index from the end (-l=-2); repeatable. "
            "Without it, last.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="A method's name, also with options, as in 'rise(masks=500)'; repeatable. "
            "Without it, grad_cam.",
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            metavar="CLASS",
            help="'predicted', 'predicted:2' (the second best), a class index or a class name.",
        ),
    ] = "predicted",
    against: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Explain why the target and not this class."),
    ] = None,
    score: ScoreOption = "logit",
    output_kind: KindOption = None,
    head: HeadOption = None,
    tokens: TokensOption = None,
    geometry: GeometryOption = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write (.png, .jpg, .webp, .pdf; .npz for the numbers), for several "
            "images a folder; else IMAGE-cam.png here.",
        ),
    ] = None,
    kind: FormatOption = None,
    frame: FrameOption = "squash",
    size: SizeOption = None,
    alpha: AlphaOption = 0.55,
    colormap: ColormapOption = "inferno",
    bar: BarOption = False,
    preprocess: PreprocessOption = "none",
    classes: ClassesOption = None,
    values: ValuesOption = None,
    window: WindowOption = None,
    bits: BitsOption = None,
    large: LargeOption = "refuse",
    allow_url: Annotated[
        bool, typer.Option("--allow-url", help="Allow IMAGE to be an http(s) URL.")
    ] = False,
) -> None:
    """Explain images: write each with its heatmap over it, or a grid of layers × methods.

    The overlay lies on the photograph itself, at its own size. Of several images, one that cannot
    be explained is a line on standard error, and the exit code is 1.

    Example: gradcam-eval explain cat.jpg --target "Egyptian cat" --method layer_cam -o cat.png
    """
    from gradcam_eval import picture, picture_files
    from gradcam_eval.data.depth import Pixels
    from gradcam_eval.report.look import Look
    from gradcam_eval.values import LEVELS, as_values

    limits = as_values(values or LEVELS)
    asked = picture.LocalModel(model, preprocess, classes, limits, output_kind)
    rules = Pixels(window, bits, large)
    look = Look(alpha, colormap, size, bar)
    question = picture.Question(
        layers=tuple(layer or ["last"]),
        methods=tuple(method or ["grad_cam"]),
        target=target,
        against=against,
        score=score,
        head=head,
        tokens=tokens,
        geometry=geometry,
        fit=frame,
    )
    plan = picture_files.plan(image, output, kind)
    for line in plan.left_out:
        say(f"left out: {line}", err=True)

    def read(source: str) -> Decoded:
        return picture.readable_image(source, allow_url=allow_url, pixels=rules)

    def ready() -> picture.Prepared:
        with silent_stderr():  # looking a method up imports TensorFlow
            picture.check_question(asked, question)
        return picture.prepare(asked, question)

    failed = 0
    for job, said in picture.explain_all(plan.jobs, read, ready, look):
        if not isinstance(said, InputError):
            for line in said if plan.is_one else [job.source, *said]:
                say(line)
            continue
        if plan.is_one:
            raise said
        failed += 1
        source = "" if job.source in str(said) else f"{job.source}: "
        say(f"gradcam-eval: {source}{said}", err=True)
    if failed:
        say(f"gradcam-eval: {failed} of {len(plan.jobs)} images were not explained", err=True)
        raise typer.Exit(1)
