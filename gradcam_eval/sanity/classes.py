"""Class sensitivity and data randomisation: heatmaps that should differ without spoilt weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry
from gradcam_eval.core import InputError, check_whole
from gradcam_eval.methods.batch import as_images
from gradcam_eval.methods.explainer import Layers
from gradcam_eval.methods.targets import Targets
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.output import OutputKind
from gradcam_eval.models.target import Score
from gradcam_eval.models.zoo import known_values
from gradcam_eval.protocols.sanity import DEFAULT
from gradcam_eval.sanity.check import SanityCheck
from gradcam_eval.sanity.compare import similarity_rows
from gradcam_eval.sanity.explaining import explaining
from gradcam_eval.sanity.heatmap_source import Explained, HeatmapSource
from gradcam_eval.sanity.rules import find_rules


def class_sensitivity(  # noqa: PLR0913 - what is explained, and how it is measured
    model: keras.Model,
    images: Any,
    *,
    layers: Layers = "last",
    methods: str | Sequence[str] = "grad_cam",
    score: Score = "logit",
    output: OutputKind | None = None,
    head: str | int | None = None,
    tokens: TokenGrid | str | None = None,
    geometry: Geometry = "auto",
    protocol: str = DEFAULT,
    seed: int = 0,
) -> SanityCheck:
    """Compare the heatmaps of the most and of the least probable class.

    ``s_i = s(Φ(x_i, argmax_k p_k), Φ(x_i, argmin_k p_k))``.

    Parameters
    ----------
    model : keras.Model; it is not changed
    images : float32 (N, H, W, C) or (H, W, C), 0..255
    layers, methods, score, output, head, tokens, geometry : as of `Explainer`
    protocol : by what heatmaps are compared, as of `parameter_randomisation`
    seed : of what is random in a method, of the controls and of the bootstrap

    Returns
    -------
    SanityCheck with one step; a method that does not look at the class fails with similarity 1.
    Chance is the heatmap's similarity to coarse noise

    Raises
    ------
    InputError : an unknown protocol, a regression, which has no classes, one class alone, and what
        `Explainer` raises
    """
    rules = find_rules(protocol)
    batch = as_images(images, known_values(model))
    explain = explaining(
        *(layers, methods),
        score=score,
        output=output,
        head=head,
        tokens=tokens,
        geometry=geometry,
        seed=seed,
    )
    source = HeatmapSource.of(explain(model), batch, rules, seed)
    trained = source.explained(None)
    most = trained.heatmaps
    if most.output is not None and (not most.output.has_probabilities or most.output.count == 1):
        raise InputError(
            f"class sensitivity compares two classes, and this model returns {most.output}"
        )
    other = source.explained(most.probabilities.argmin(axis=1))
    return _check("class sensitivity", "the least probable class", source, (trained, other))


def data_randomisation(  # noqa: PLR0913 - two models, and what is explained of them
    model: keras.Model,
    permuted: keras.Model,
    images: Any,
    *,
    layers: Layers = "last",
    methods: str | Sequence[str] = "grad_cam",
    targets: Targets = None,
    score: Score = "logit",
    output: OutputKind | None = None,
    head: str | int | None = None,
    tokens: TokenGrid | str | None = None,
    geometry: Geometry = "auto",
    protocol: str = DEFAULT,
    seed: int = 0,
) -> SanityCheck:
    """Compare the heatmaps of a model with those of one that was trained on permuted labels.

    ``s_i = s(Φ_f(x_i), Φ_g(x_i))``: both explain the class that f was asked about.

    Parameters
    ----------
    model : f, keras.Model trained on the data
    permuted : g, of the same architecture, trained on the same images with `permuted_labels` until
        it fits them
    images, layers, methods, score, output, head, tokens, geometry, protocol, seed : as of
        `class_sensitivity`; the layers' names must be both's
    targets : as of `Explainer`; by default what f predicts

    Returns
    -------
    SanityCheck with one step. Its numbers stand as of every check; the limits were not calibrated
    for it, so that it gives no pass or fail

    Raises
    ------
    InputError : an unknown protocol, models of different numbers of classes or layers, and what
        `Explainer` raises

    References
    ----------
    Adebayo et al.: Sanity Checks for Saliency Maps, NeurIPS 2018, arXiv:1810.03292, section 3.3.
    """
    rules = find_rules(protocol)
    batch = as_images(images, known_values(model))
    explain = explaining(
        *(layers, methods),
        score=score,
        output=output,
        head=head,
        tokens=tokens,
        geometry=geometry,
        seed=seed,
    )
    source, permuted_source = (
        HeatmapSource.of(explain(each), batch, rules, seed) for each in (model, permuted)
    )
    trained = source.explained(targets)
    other = permuted_source.explained(trained.heatmaps.targets)
    if set(trained.heatmaps) != set(other.heatmaps):
        raise InputError(
            f"the models have heatmaps of {sorted(trained.heatmaps)} and of "
            f"{sorted(other.heatmaps)}: wanted the same architecture with the same names of layers"
        )
    check = _check("data randomisation", "trained on permuted labels", source, (trained, other))
    return replace(check, is_calibrated=False)


def permuted_labels(labels: Any, *, seed: int = 0) -> NDArray[Any]:
    """Return the labels in a random order: each class keeps its number of images.

    Parameters
    ----------
    labels : (N,) class indices or (N, K) one-hot rows
    seed : of the order

    Examples
    --------
    >>> sorted(permuted_labels([0, 0, 1, 2]).tolist())
    [0, 0, 1, 2]
    """
    check_whole("seed", seed, 0)
    return np.random.default_rng(seed).permutation(np.asarray(labels), axis=0)


def _check(
    name: str, changed: str, source: HeatmapSource, pair: tuple[Explained, Explained]
) -> SanityCheck:
    trained, other = pair
    targets = trained.heatmaps.targets
    step = {"step": 1, "changed": changed, "layers": 0, "weights_changed": False}
    return SanityCheck(
        name=name,
        frame=pd.DataFrame(similarity_rows(trained.prepared, other.prepared, step=1)),
        chance=source.chance_by_noise(trained),
        repeats=source.repeats(trained, targets),
        steps=pd.DataFrame([{**step, "images_changed": len(source.images)}]),
        seed=source.seed,
        protocol=source.rules.name,
        targets=tuple(targets.tolist()),
    )
