"""Parameter randomisation: do heatmaps change when what the model learned is taken away?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from gradcam_eval.arrays import Geometry
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.methods.batch import as_images
from gradcam_eval.methods.explainer import Explainer, Layers
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.methods.targets import Targets
from gradcam_eval.models.inputs import model_inputs
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.output import OutputKind
from gradcam_eval.models.reinitialise import Learned, learned_layers, reinitialise
from gradcam_eval.models.scratch import answers_of, scratch_model
from gradcam_eval.models.selection import as_list
from gradcam_eval.models.tap import LayerCall
from gradcam_eval.models.target import Score
from gradcam_eval.models.zoo import known_values
from gradcam_eval.protocols.sanity import DEFAULT, SanityProtocol
from gradcam_eval.sanity.check import SanityCheck
from gradcam_eval.sanity.compare import Prepared, floor_frame, similarity_rows, stacks_of
from gradcam_eval.sanity.rules import find_rules

ORDERS = ("cascading", "cascading_bottom_up", "independent")


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
    order: str = "cascading",
    steps: int | None = None,
    protocol: str = DEFAULT,
    seed: int = 0,
) -> SanityCheck:
    """Compare heatmaps of the model with those after its layers lost what they had learned.

    ``s_i(t) = s(Φ_f(x_i), Φ_{f_t}(x_i))``: f_t is the model after step t, Φ explains the class that
    the whole model was asked about, or the one that each f_t predicts, as the protocol has it, and
    s is a measure of similarity at the images' size.

    Parameters
    ----------
    model : keras.Model with one input; it is not changed (see Notes)
    images : float32 (N, H, W, C) or (H, W, C), 0..255
    layers, methods, targets : as of `Explainer`; a protocol that explains what each model predicts
        takes no targets
    score, output, head, tokens, geometry : as of `Explainer`: what of which output is explained,
        and how a transformer's tokens and a layer's map lie on the image
    order : "cascading" from the model's output to its input, each step keeping the former ones;
        "cascading_bottom_up"; or "independent", each step alone, all else as trained
    steps : most steps; the first takes one layer, the others share the rest evenly in the order
        of the calls. By default the protocol's, 16 or 17
    protocol : "sanity2018", or "sanity2018_code" with the settings of the authors' code
    seed : of the new weights, the random controls and the bootstrap

    Returns
    -------
    SanityCheck; a step that changed no weight, or no answer of the model for an image, is
    undefined there and says so. Its verdict is on the last step, so of a cascade it is on the
    model without anything learned; of "independent" it is on the last group alone.

    Raises
    ------
    InputError : an unknown order or protocol, fewer than one step, targets that the protocol does
        not take, a model with several inputs or without weights, and what `Explainer` raises

    Notes
    -----
    Each variable gets a value of its layer's own initialiser; where the layer names none, its
    values are permuted (`models/reinitialise.py`). The model is copied (`models/scratch.py`): most
    subclassed models cannot be, so that their weights are put back afterwards, also after an
    exception. At each step the model is asked live, beside the compiled pass that explains: a pass
    that still had the old weights would end the check with a `RuntimeError`.

    What the default protocol does otherwise than the repository adebayoj/sanity_checks_saliency,
    and what "sanity2018_code" still does otherwise, stands in the protocols' `departures`.

    References
    ----------
    Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS 2018,
    arXiv:1810.03292.
    """
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    rules = find_rules(protocol)
    most = rules.steps if steps is None else steps
    if most < 1:
        raise InputError(f"steps is {steps}: wanted 1 or more")
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
    with scratch_model(model, probe) as spoilt:
        learned = learned_layers(spoilt, inputs, with_statistics=rules.resets == "all")
        if not learned:
            raise InputError("this model has no weights: there is nothing to randomise")
        groups = grouped(learned if order == "cascading_bottom_up" else learned[::-1], most)
        explainer = Explainer(
            spoilt,
            names_of(layers),
            methods,
            score=score,
            output=output,
            head=head,
            tokens=tokens,
            geometry=geometry,
            engine="tensorflow",  # weights change with every call: a frozen graph would not pay
            seed=seed,
            skip_refused=True,
        )
        return _Run(explainer, batch, probe, groups, rules, seed).check(order, targets)


def grouped(learned: Sequence[Learned], most: int) -> list[list[Learned]]:
    """Split layers, in order, into at most `most` groups: one layer, then even shares."""
    rest = list(learned[1:])
    if not rest or most == 1:
        return [list(learned)]
    parts = np.array_split(np.arange(len(rest)), min(most - 1, len(rest)))
    return [[learned[0]], *([rest[n] for n in part] for part in parts)]


def names_of(layers: Layers) -> list[str | int]:
    """Return layers by name: a call of the user's model is none of the copy's."""
    return [each.path if isinstance(each, LayerCall) else each for each in as_list(layers)]


@dataclass(frozen=True, eq=False)
class _Run:
    """A model to spoil, compiled, and the groups of its layers in the order of the steps."""

    explainer: Explainer
    images: Any
    probe: Any
    groups: list[list[Learned]]
    rules: SanityProtocol
    seed: int

    def check(self, order: str, targets: Targets) -> SanityCheck:
        """Randomise step by step, and compare with the heatmaps from before."""
        first = self.explainer(self.images, targets)
        trained = self._prepared(first)
        asked = first.targets if self.rules.explains == "first" else None
        kept = [weight.numpy().copy() for weight in self.explainer.model.weights]
        rows: list[dict[str, Any]] = []
        steps = []
        found = first
        for step, group in enumerate(self.groups, start=1):
            if order == "independent":
                self._restore(kept)
                found = first
            found, row = self._step(step, group, found, asked)
            unchanged = row.pop("unchanged")
            rows += similarity_rows(trained, self._prepared(found), step=step, unchanged=unchanged)
            steps.append(row)
        return SanityCheck(
            name=f"parameter randomisation ({order.replace('_', ' ')})",
            frame=pd.DataFrame(rows),
            floors=floor_frame(trained, self.images, self.seed),
            steps=pd.DataFrame(steps),
            pairs=self._pairs(asked),
            seed=self.seed,
            protocol=self.rules.name,
            targets=tuple(first.targets.tolist()),
        )

    def _step(
        self, step: int, group: list[Learned], before: Heatmaps, asked: Any
    ) -> tuple[Heatmaps, dict[str, Any]]:
        live = answers_of(self.explainer.model, self.probe)
        has_changed = self._randomise(group, draw=step)
        after = self.explainer(self.images, asked)
        moved = _moved(before, after)
        if _differ(live, answers_of(self.explainer.model, self.probe)) and not moved[0]:
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

    def _randomise(self, group: list[Learned], *, draw: int) -> bool:
        """Give a group new weights; the same ones for the same draw, whatever was done before."""
        generator = np.random.default_rng([self.seed, draw])
        changed = [reinitialise(each, generator) for each in group]  # all of them, whatever comes
        return any(changed)

    def _restore(self, kept: list[Any]) -> None:
        for weight, value in zip(self.explainer.model.weights, kept, strict=True):
            weight.assign(value)

    def _pairs(self, asked: Any) -> pd.DataFrame:
        """Compare the heatmaps of two models without anything learned."""
        one, other = (self._unlearned(asked, start) for start in (10_000, 20_000))
        return pd.DataFrame(similarity_rows(one, other, step=0))

    def _unlearned(self, asked: Any, start: int) -> Prepared:
        for n, group in enumerate(self.groups):
            self._randomise(group, draw=start + n)
        return self._prepared(self.explainer(self.images, asked))

    def _prepared(self, heatmaps: Heatmaps) -> Prepared:
        return Prepared.of(stacks_of(heatmaps), self.rules)


def _moved(before: Heatmaps, after: Heatmaps) -> Any:
    """Return for each image whether the model's answer changed, bool (N,)."""
    by_class = (before.predictions != after.predictions).any(axis=1)
    return by_class | (before.scores != after.scores)


def _differ(ones: Sequence[Any], others: Sequence[Any]) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


def _label(group: list[Learned]) -> str:
    first, last = group[0].path, group[-1].path
    return first if len(group) == 1 else f"{first} … {last}"
