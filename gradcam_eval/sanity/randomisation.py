"""Parameter randomisation: do heatmaps change when what the model learned is taken away?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import keras
import numpy as np
import pandas as pd

from gradcam_eval.arrays import Geometry
from gradcam_eval.core import InputError, check_whole, unknown_name
from gradcam_eval.methods.batch import as_images
from gradcam_eval.methods.explainer import Layers
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.methods.targets import Targets
from gradcam_eval.models.inputs import model_inputs
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.output import OutputKind
from gradcam_eval.models.reinitialise import Learned, learned_layers, reinitialise
from gradcam_eval.models.scratch import answers_of, scratch_model
from gradcam_eval.models.target import Score
from gradcam_eval.models.zoo import known_values
from gradcam_eval.protocols.sanity import DEFAULT
from gradcam_eval.sanity.check import SanityCheck
from gradcam_eval.sanity.compare import similarity_rows
from gradcam_eval.sanity.complexity import RANDOMISED, TRAINED, entropy_rows
from gradcam_eval.sanity.explaining import explaining
from gradcam_eval.sanity.heatmap_source import Explained, HeatmapSource
from gradcam_eval.sanity.rules import find_rules

ORDERS = ("cascading", "cascading_bottom_up", "independent")
_FAR = 10_000  # between the draws of the steps and those of each randomised model


def parameter_randomisation(  # noqa: PLR0913 - what is explained, and how it is spoilt
    model: keras.Model,
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
    order: str | None = None,
    steps: int | None = None,
    protocol: str = DEFAULT,
    seed: int = 0,
) -> SanityCheck:
    """Compare heatmaps of the model with those after its layers lost what they had learned.

    ``s_i(t) = s(Φ_f(x_i), Φ_{f_t}(x_i))``: f_t is the model after step t, s is a measure of
    similarity at the images' size, and Φ explains the class that was explained of the trained
    model, or the one that each f_t predicts, as the protocol has it.

    Parameters
    ----------
    model : keras.Model with one input; it is not changed (see Notes)
    images : float32 (N, H, W, C) or (H, W, C), 0..255
    layers, methods, targets : as of `Explainer`; a protocol that explains what each model predicts
        takes no targets
    score, output, head, tokens, geometry : as of `Explainer`: what of which output is explained,
        and how a transformer's tokens and a layer's map lie on the image
    order : "cascading" from the model's output to its input, each step keeping the former ones;
        "cascading_bottom_up"; or "independent", each step alone, all else as trained. By default
        the protocol's
    steps : most steps; the first takes one layer, the others share the rest evenly in the order
        of the calls. By default the protocol's, 16 or 17
    protocol : "sanity2018"; "sanity2018_code" with the settings of the authors' code; or
        "sanity2023_smooth", from the input on, of heatmaps averaged over noisy copies
    seed : of the new weights, the random controls and the bootstrap

    Returns
    -------
    SanityCheck; a step that changed no weight, or no answer of the model for an image, is
    undefined there and says so. Chance are the heatmaps of three models without anything learned,
    in pairs; repeatability is that of the model's heatmaps with a little noise on the image. The
    limits of its conclusions were calibrated for cascades from the output on; in another order
    it gives no pass or fail.

    Raises
    ------
    InputError : an unknown order or protocol, fewer than one step, targets that the protocol does
        not take, a model with several inputs or without weights, and what `Explainer` raises

    Notes
    -----
    Each variable gets a value of its layer's own initialiser; where the layer names none, its
    values are permuted (`models/reinitialise.py`). The model is copied (`models/scratch.py`): most
    subclassed models cannot be, so that their weights are put back afterwards, also after an
    exception. At each step the model is called live, beside the compiled pass that explains: a pass
    that still had the old weights would end the check with a `RuntimeError`.

    What the default protocol does otherwise than the repository adebayoj/sanity_checks_saliency,
    and what "sanity2018_code" still does otherwise, stands in the protocols' `departures`.

    References
    ----------
    Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS 2018,
    arXiv:1810.03292.
    """
    rules = find_rules(protocol)
    order = rules.order if order is None else order
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    most = rules.steps if steps is None else steps
    check_whole("steps", most)
    if targets is not None and rules.explains == "predicted":
        raise InputError(
            f"the protocol {protocol!r} explains the class that each model predicts: give no "
            "targets, or take 'sanity2018'"
        )
    batch = as_images(images, known_values(model))
    inputs = model_inputs(model, given=batch)
    if inputs.extras:
        raise InputError("this model has several inputs: wrap it in one that fixes the others")
    probe = inputs.join(batch[:1])
    explain = explaining(
        *(layers, methods),
        score=score,
        output=output,
        head=head,
        tokens=tokens,
        geometry=geometry,
        seed=seed,
    )
    with scratch_model(model, probe) as spoilt:
        learned = learned_layers(spoilt, inputs, with_statistics=rules.resets == "all")
        if not learned:
            raise InputError("this model has no weights: there is nothing to randomise")
        groups = grouped(learned if order == "cascading_bottom_up" else learned[::-1], most)
        source = HeatmapSource.of(explain(spoilt), batch, rules, seed)
        return _Run(source, probe, groups, order).check(targets)


def grouped(learned: Sequence[Learned], most: int) -> list[list[Learned]]:
    """Split layers, in order, into at most `most` groups: one layer, then even shares."""
    rest = list(learned[1:])
    if not rest or most == 1:
        return [list(learned)]
    parts = np.array_split(np.arange(len(rest)), min(most - 1, len(rest)))
    return [[learned[0]], *([rest[n] for n in part] for part in parts)]


@dataclass(frozen=True, eq=False)
class _Run:
    """A model to spoil, and the groups of its layers in the order of the steps."""

    source: HeatmapSource
    probe: Any
    groups: list[list[Learned]]
    order: str

    @property
    def model(self) -> keras.Model:
        return self.source.explainer.model

    def check(self, targets: Targets) -> SanityCheck:
        """Randomise step by step, and compare with the heatmaps from before."""
        trained = self.source.explained(targets)
        rules, seed = self.source.rules, self.source.seed
        classes = trained.heatmaps.targets if rules.explains == "first" else None
        repeats = self.source.repeats(trained, classes)
        rows, steps = self._steps(trained, classes)
        randomised = [self._unlearned(classes, draw) for draw in range(rules.random_models)]
        return SanityCheck(
            name=f"parameter randomisation ({self.order.replace('_', ' ')})",
            frame=pd.DataFrame(rows),
            chance=_compared_in_pairs(randomised),
            repeats=repeats,
            steps=pd.DataFrame(steps),
            output_step=self._output_step(),
            needs_output=True,
            is_calibrated=self.order == "cascading",
            entropies=_entropies(trained, randomised),
            seed=seed,
            protocol=rules.name,
            targets=tuple(trained.heatmaps.targets.tolist()),
        )

    def _steps(
        self, trained: Explained, classes: Any
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the similarities after each step, and what each step changed."""
        kept = [weight.numpy().copy() for weight in self.model.weights]
        rows: list[dict[str, Any]] = []
        steps = []
        before = trained
        for step, group in enumerate(self.groups, start=1):
            if self.order == "independent":
                self._restore(kept)
                before = trained
            before, row = self._step(step, group, before.heatmaps, classes)
            unchanged = row.pop("unchanged")
            rows += similarity_rows(
                trained.prepared, before.prepared, step=step, unchanged=unchanged
            )
            steps.append(row)
        return rows, steps

    def _step(
        self, step: int, group: list[Learned], before: Heatmaps, classes: Any
    ) -> tuple[Explained, dict[str, Any]]:
        live = answers_of(self.model, self.probe)
        has_changed = self._randomise(group, draw=step)
        after = self.source.explained(classes)
        moved = _moved(before, after.heatmaps)
        if _differ(live, answers_of(self.model, self.probe)) and not moved[0]:
            raise RuntimeError(
                f"step {step} changed what the model answers, but not what the compiled pass "
                "says of it: it has old weights; please report this"
            )
        reason = (
            "the model answers as before this step" if has_changed else "the step changed no weight"
        )
        row = {
            "step": step,
            "changed": _label(group),
            "layers": len(group),
            "weights_changed": has_changed,
            "images_changed": int(moved.sum()),
            "unchanged": {int(n): reason for n in np.flatnonzero(~moved)},
        }
        return after, row

    def _output_step(self) -> int | None:
        """Return the step that replaces the output layer alone, all else being as trained."""
        is_alone = self.order != "cascading_bottom_up" and len(self.groups[0]) == 1
        return 1 if is_alone else None

    def _randomise(self, group: list[Learned], *, draw: int) -> bool:
        """Give a group new weights; the same ones for the same draw, whatever was done before."""
        generator = np.random.default_rng([self.source.seed, draw])
        changed = [reinitialise(each, generator) for each in group]  # all of them, whatever comes
        return any(changed)

    def _restore(self, kept: list[Any]) -> None:
        for weight, value in zip(self.model.weights, kept, strict=True):
            weight.assign(value)

    def _unlearned(self, classes: Any, draw: int) -> Explained:
        """Explain a model without anything learned."""
        for n, group in enumerate(self.groups):
            self._randomise(group, draw=(draw + 1) * _FAR + n)
        return self.source.explained(classes)


def _compared_in_pairs(models: Sequence[Explained]) -> pd.DataFrame:
    """Compare the heatmaps of each two models."""
    rows: list[dict[str, Any]] = []
    for pair, (one, other) in enumerate(combinations(models, 2)):
        rows += similarity_rows(one.prepared, other.prepared, step=pair)
    return pd.DataFrame(rows)


def _entropies(trained: Explained, randomised: Sequence[Explained]) -> pd.DataFrame:
    rows = list(entropy_rows(trained.maps, TRAINED))
    for draw, each in enumerate(randomised):
        rows += entropy_rows(each.maps, RANDOMISED, draw)
    return pd.DataFrame(rows)


def _moved(before: Heatmaps, after: Heatmaps) -> Any:
    """Return for each image whether the model's answer changed, bool (N,)."""
    by_class = (before.predictions != after.predictions).any(axis=1)
    return by_class | (before.scores != after.scores)


def _differ(ones: Sequence[Any], others: Sequence[Any]) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


def _label(group: list[Learned]) -> str:
    first, last = group[0].path, group[-1].path
    return first if len(group) == 1 else f"{first} … {last}"
