"""`gradcam-eval explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from gradcam_eval.cli.lists import TokensOption
from gradcam_eval.cli.terminal import say, silent_stderr

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


def explain(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="An image file, or a URL with --allow-url.")
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
            help="PNG to write, or .npz for the numbers; else IMAGE-cam.png here.",
        ),
    ] = None,
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
    """Explain one image: write its heatmap laid over it, or a grid of layers × methods.

    Example: gradcam-eval explain cat.jpg --target "Egyptian cat" --method layer_cam -o cat.png
    """
    from gradcam_eval import picture
    from gradcam_eval.data.depth import Pixels
    from gradcam_eval.values import LEVELS, as_values

    limits = as_values(values or LEVELS)
    asked = picture.LocalModel(model, preprocess, classes, limits, output_kind)
    rules = Pixels(window, bits, large)
    question = picture.Question(
        layers=tuple(layer or ["last"]),
        methods=tuple(method or ["grad_cam"]),
        target=target,
        against=against,
        score=score,
        head=head,
        tokens=tokens,
        geometry=geometry,
    )
    out = output or Path(f"{Path(image).stem or 'image'}-cam.png")
    picture.check_output(out, image)
    pixels = picture.readable_image(image, allow_url=allow_url, pixels=rules)
    with silent_stderr():  # looking a method up imports TensorFlow
        picture.check_question(asked, question)
    for line in picture.explain_to_file(pixels, asked, question, out=out):
        say(line)
