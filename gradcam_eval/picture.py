"""A question about images, answered by pictures: what `gradcam-eval explain` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradcam_eval.arrays import degenerate_reason, resize
from gradcam_eval.core import Heatmap, InputError
from gradcam_eval.data.decode import as_array, open_image
from gradcam_eval.data.depth import Decoded, Pixels
from gradcam_eval.data.geometry import Fit, Frame, as_framing
from gradcam_eval.models.catalogue import ANY_SIZE, MODELS, ModelSpec
from gradcam_eval.models.classes import resolve_class
from gradcam_eval.models.preprocess import preprocessing
from gradcam_eval.models.zoo import check_model_name, load_model
from gradcam_eval.picture_files import Job
from gradcam_eval.report.look import Look
from gradcam_eval.report.single import draw, save
from gradcam_eval.values import LEVELS, Values

if TYPE_CHECKING:
    import pandas as pd

    from gradcam_eval.arrays import Geometry
    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.methods.heatmaps import Heatmaps, Key
    from gradcam_eval.models.output import OutputKind
    from gradcam_eval.models.target import Score

_ON_PADDING = 0.05  # of a heatmap, from which on it is said


@dataclass(frozen=True)
class LocalModel:
    """A model's name or file, and what a file does not say about itself."""

    name: str
    preprocess: str = "none"
    classes: Path | None = None
    values: Values = LEVELS
    output: OutputKind | None = None


@dataclass(frozen=True)
class Question:
    """What is to be explained, and how."""

    layers: tuple[str, ...] = ("last",)
    methods: tuple[str, ...] = ("grad_cam",)
    target: str = "predicted"
    against: str | None = None
    score: Score = "logit"
    head: str | None = None
    tokens: str | None = None
    geometry: Geometry = "auto"
    fit: Fit = "squash"


def check_question(asked: LocalModel, question: Question) -> None:
    """Raise InputError for a name that nothing has, before a model is loaded."""
    check_model_name(asked.name)
    preprocessing(asked.preprocess)
    # Here, since it imports TensorFlow, and the names above need none.
    from gradcam_eval.methods import find_methods
    from gradcam_eval.models.layout import token_grid

    find_methods(question.methods)
    token_grid(question.tokens)


def readable_image(
    source: str, *, allow_url: bool = False, pixels: Pixels | None = None
) -> Decoded:
    """Read an image at its own size, before a broken one costs the loading of a model."""
    return open_image(source, allow_url=allow_url, pixels=pixels)


@dataclass(frozen=True)
class Prepared:
    """A model that is ready to explain one image after the other."""

    explain: Explainer
    spec: ModelSpec
    asked: LocalModel
    question: Question
    shape: tuple[int, int, int]  # (H, W, C) of its images
    target: int | str
    against: int | str | None


def prepare(asked: LocalModel, question: Question) -> Prepared:
    """Load a model, and find the layers, methods and classes of a question.

    Raises
    ------
    InputError : whatever would be wrong with every image
    """
    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.models.identity import load_with_spec
    from gradcam_eval.models.inputs import input_shape

    model, spec = load_with_spec(
        asked.name,
        preprocess=asked.preprocess,
        classes=asked.classes,
        values=asked.values,
        output=asked.output,
    )
    height, width, channels = input_shape(model, spec.input_size or ANY_SIZE)
    explainer = Explainer(
        model,
        question.layers,
        question.methods,
        score=question.score,
        output=asked.output,
        head=question.head,
        tokens=question.tokens,
        geometry=question.geometry,
    )
    against = None if question.against is None else _class(explainer, spec, question.against)
    target = _class(explainer, spec, question.target)
    shape = (height, width, channels)
    if against is None:  # what a layer or a method refuses is said before the first image
        explainer.refused(shape[:2])
    else:  # its pass is another one
        explainer.cells(shape[:2])
    return Prepared(explainer, spec, asked, question, shape, target, against)


def explain_to_file(source: Decoded, prepared: Prepared, *, out: Path, look: Look) -> list[str]:
    """Explain an image and write the picture; return what a person should know, in lines.

    One layer and one method give the photograph itself at its own size with the heatmap over it;
    more give a grid. A .npz file gets the heatmaps themselves, at their own size; see
    `Heatmaps.save`.
    """
    height, width, channels = prepared.shape
    photo, framing = source.picture, as_framing(prepared.question.fit)
    frame = framing.frame((photo.height, photo.width), (height, width))
    image = as_array(photo, channels, (height, width), framing)
    heatmaps = prepared.explain(image, prepared.target, against=prepared.against)
    maps = {key: stack[0] for key, stack in heatmaps.items()}
    _make_folder(out.parent)
    if out.suffix.lower() == ".npz":
        heatmaps.save(out)
    else:
        shown = photo.convert("L") if channels == 1 and photo.mode == "RGB" else photo
        save(draw(shown, maps, frame, look), out)
    said = [*_describe(heatmaps, prepared), *on_padding(maps, frame)]
    said += _describe_pixels(source, channels)
    return [*said, f"written to {out}"]


def explain_all(
    jobs: Sequence[Job],
    read: Callable[[str], Decoded],
    ready: Callable[[], Prepared],
    look: Look,
) -> Iterator[tuple[Job, list[str] | InputError]]:
    """Explain one image after the other; yield each with its lines, or with what is wrong with it.

    `ready` loads the model, behind the first image that can be read, and not where there is none.

    Raises
    ------
    InputError : from `ready`: what would be wrong with every image
    """
    prepared: Prepared | None = None
    for job in jobs:
        try:
            source = read(job.source)
        except InputError as error:
            yield job, error
            continue
        prepared = prepared or ready()
        try:
            yield job, explain_to_file(source, prepared, out=job.out, look=look)
        except InputError as error:
            yield job, error


def layers_of(name: str, tokens: str | None = None) -> pd.DataFrame:
    """Return `list_layers` of a named model, built with random weights, or of a model file."""
    from gradcam_eval.models.layers import list_layers
    from gradcam_eval.models.layout import token_grid

    grid = token_grid(tokens)  # first: a misspelt one costs no model
    if name in MODELS:
        return list_layers(load_model(name, weights=None), MODELS[name].input_size, tokens=grid)
    return list_layers(load_model(name), ANY_SIZE, tokens=grid)


def _class(explainer: Explainer, spec: ModelSpec, wanted: str) -> int | str:
    """Return a class by its name in the model's specification; the Explainer knows the ranks."""
    if wanted.startswith("predicted"):
        return wanted
    if spec.class_names:
        return resolve_class(wanted, spec.class_names, spec.synsets)
    kind = explainer.output(spec.input_size or ANY_SIZE)
    return resolve_class(wanted, kind.names, n_classes=kind.count)


def on_padding(maps: Mapping[Key, Heatmap], frame: Frame) -> list[str]:
    """Say which heatmaps have a twentieth or more of their positive sum where no photograph is."""
    if frame.shown.all():
        return []
    said = []
    for (layer, method), heatmap in maps.items():
        positive = np.maximum(resize(heatmap, frame.size), 0)
        share = (
            0.0 if degenerate_reason(positive) else positive[~frame.shown].sum() / positive.sum()
        )
        if share >= _ON_PADDING:
            said.append(f"warning: {share:.0%} of layer {layer}, method {method} is on the padding")
    return said


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def _describe_pixels(source: Decoded, channels: int) -> list[str]:
    """Say what was done to the file's values, and what may be wrong with them."""
    said = [f"pixels: {note}" for note in source.notes]
    if channels == 1 and not source.is_grey:
        said.append("pixels: grey by luminance, since the model takes one channel")
    return [*said, *(f"warning: {warning}" for warning in source.warnings)]


def _describe(heatmaps: Heatmaps, prepared: Prepared) -> list[str]:
    asked, channels = prepared.asked, prepared.shape[2]
    lines = [*_said(heatmaps, prepared.spec, prepared.question.score), f"output: {heatmaps.output}"]
    if asked.name not in MODELS:  # a file does not say, and a wrong one fails without a word
        low, high = asked.values
        kind = "grey" if channels == 1 else "RGB"
        range_ = f" ({kind}, {low:g} to {high:g})" if asked.preprocess == "none" else ""
        lines.append(f"preprocessing of the picture: {asked.preprocess}{range_}")
    for (layer, method), stack in heatmaps.items():
        reason = degenerate_reason(stack[0])
        known = heatmaps.placed.get((layer, method))
        height, width = (stack if known is None else known.maps).shape[1:]
        shown = f", but {reason}: the picture shows no heatmap" if reason else ""
        place = "" if known is None else f" of {known.placement}"
        lines.append(f"layer {layer}, method {method}: {height}×{width} map{place}{shown}")
    return lines


def _said(heatmaps: Heatmaps, spec: ModelSpec, score: str) -> list[str]:
    """Say what is explained, and what the model said: its first five classes, or its values."""
    output = heatmaps.output
    if output is None:  # a score function's, which the command has none of
        return [f"explained score {heatmaps.scores[0]:.4g}"]
    target, said = int(heatmaps.targets[0]), heatmaps.predictions[0]
    names = [output.name_of(k, spec.class_names) for k in range(len(said))]
    if not output.has_probabilities:
        values = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, said, strict=True))
        explained = f"explained: {names[target]} (index {target}), {heatmaps.scores[0]:.4g}"
        return [explained, *([f"the model's values: {values}"] if len(said) > 1 else [])]
    first = np.argsort(-said, kind="stable")[:5]
    return [
        f"explained class: {names[target]} (index {target}), probability {said[target]:.3f}, "
        f"explained score ({score.replace('_', '-')}) {heatmaps.scores[0]:.4g}",
        f"the model's {'first five' if len(said) > 5 else 'answer'}: "
        + ", ".join(f"{names[k]} {said[k]:.3f}" for k in first),
    ]
