"""How the sanity checks explain a model: one place that makes their explainers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from gradcam_eval.arrays import Geometry
from gradcam_eval.methods.explainer import Explainer, Layers
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.output import OutputKind
from gradcam_eval.models.selection import as_list
from gradcam_eval.models.tap import LayerCall
from gradcam_eval.models.target import Score


def explaining(  # noqa: PLR0913 - what is explained
    layers: Layers,
    methods: str | Sequence[str],
    *,
    score: Score,
    output: OutputKind | None,
    head: str | int | None,
    tokens: TokenGrid | str | None,
    geometry: Geometry,
    seed: int,
) -> Callable[[keras.Model], Explainer]:
    """Return what makes a model's explainer; parameters as of `Explainer`.

    Layers are named by their paths, since a call of the user's model is none of a copy's. What a
    method refuses is skipped. The engine is TensorFlow's live graph: weights change between calls,
    so a frozen graph would not pay.
    """
    names = [each.path if isinstance(each, LayerCall) else each for each in as_list(layers)]

    def make(model: keras.Model) -> Explainer:
        return Explainer(
            model,
            names,
            methods,
            score=score,
            output=output,
            head=head,
            tokens=tokens,
            geometry=geometry,
            engine="tensorflow",
            seed=seed,
            skip_refused=True,
        )

    return make
