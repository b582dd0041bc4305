"""The models of a study, loaded and compiled, with what identifies each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from gradcam_eval.arrays import Placing
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.data.classmap import ClassMap
from gradcam_eval.models.catalogue import ANY_SIZE, ModelSpec
from gradcam_eval.study.config import LABELS, ModelEntry, Study
from gradcam_eval.values import ANY_VALUES, LEVELS, Values

if TYPE_CHECKING:
    import keras

    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.models.engine import Predictor
    from gradcam_eval.models.engine_choice import EngineChoice
    from gradcam_eval.models.output import Output, OutputKind


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model of the study in memory, with its spec, what identifies it, and its images' shape.

    `declared` is the kind of its output, where the study says it.
    """

    label: str
    model: keras.Model
    spec: ModelSpec
    digest: str
    size: tuple[int, int]
    tokens: str | None = None
    channels: int = 3
    declared: OutputKind | None = None
    layers: tuple[str, ...] | None = None  # instead of the study's

    @cached_property
    def _described(self) -> tuple[Output, list[str]]:
        from gradcam_eval.models.described import describe

        return describe(self.model, self.size, declared=self.declared)

    @property
    def output(self) -> Output:
        """What the model returns for an image (one trace)."""
        return self._described[0]

    @property
    def random(self) -> list[str]:
        """The model's operations that draw random numbers at inference; none as a rule."""
        return self._described[1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the model's classes by index; empty where nobody knows them."""
        return self.spec.class_names or self.output.names

    @property
    def identity(self) -> str:
        """Return a digest of all that the model brings to the results: its class names too."""
        names = hashlib.sha256("\n".join(self.spec.class_names).encode())
        return f"{self.digest} {names.hexdigest()}"

    @property
    def classes(self) -> ClassMap:
        """Return how the names of a data set's classes become the model's indices."""
        if not self.output.has_probabilities:
            return ClassMap()  # nothing is a class of a regression
        return ClassMap(self.class_names, self.spec.synsets, self.output.count)


@dataclass(frozen=True, eq=False)
class Subject:
    """One model of a study, compiled, with what all its images share.

    `layers` are the explained layers' rows of `list_layers`, in the network's order, with how their
    maps are laid on the image (`geometry`) and what of it they see where that is not all (`sees`).
    `target` is a class or a rank ("predicted:2"), or None for the prediction or the label.
    `known_engine` is the engine that the study names or an earlier run chose, None before a choice.
    """

    loaded: LoadedModel
    study: Study
    explainer: Explainer
    layers: tuple[dict[str, Any], ...]
    target: int | str | None
    known_engine: EngineChoice | None
    live: Explainer | None = None  # in TensorFlow's live graph, where maps are checked

    @property
    def label(self) -> str:
        """The model's name in the study."""
        return self.loaded.label

    @property
    def output(self) -> Output:
        """What the model returns for an image."""
        return self.loaded.output

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the model's classes by index; empty where nobody knows them."""
        return self.loaded.class_names

    @cached_property
    def _chosen(self) -> tuple[EngineChoice, Predictor]:
        from gradcam_eval.models.engine import Predictor
        from gradcam_eval.models.engine_choice import choose_engine

        model, size, declared = self.loaded.model, self.loaded.size, self.loaded.declared
        known = self.known_engine
        if known is None:
            return choose_engine(model, size, output=declared)
        return known, Predictor(model, engine=known.engine, output=declared)

    @property
    def engine(self) -> EngineChoice:
        """The engine of the metrics' forward passes, chosen here where it is not known yet."""
        return self._chosen[0]

    @property
    def predictor(self) -> Predictor:
        """The model as the metrics call it, on the engine."""
        return self._chosen[1]

    @cached_property
    def reference(self) -> Predictor:
        """The same model in TensorFlow, for an image on which the engine is too far from it."""
        return self.predictor.on("tensorflow")

    def release(self) -> None:
        """Let go of all that was compiled for the images; what is called again compiles again."""
        made = vars(self)  # a property that nobody has read has compiled nothing
        predictor = self.predictor if "_chosen" in made else None
        for each in (self.explainer, self.live, predictor, made.get("reference")):
            if each is not None:
                each.release()


def load(entry: ModelEntry, values: Values = LEVELS) -> LoadedModel:
    """Load a model of the study; of a file, `values` says what range of images it takes."""
    from gradcam_eval.models.identity import load_with_spec, model_digest
    from gradcam_eval.models.inputs import input_shape

    model, spec = load_with_spec(
        entry.name,
        preprocess=entry.preprocess,
        classes=entry.classes,
        values=values,
        output=entry.output,
    )
    height, width, channels = input_shape(model, spec.input_size or ANY_SIZE)
    return LoadedModel(
        entry.label,
        model,
        spec,
        model_digest(model),
        size=(height, width),
        tokens=entry.tokens,
        channels=channels,
        declared=entry.output,
        layers=entry.layers,
    )


def make_subject(
    study: Study, loaded: LoadedModel, *, engine: EngineChoice | None = None
) -> Subject:
    """Find the study's layers and target in a model; raises InputError where it has them not.

    Parameters
    ----------
    engine : what an earlier run of the study chose; None to choose where the study says "auto", as
        soon as the engine is needed
    """
    from gradcam_eval.methods import find_methods
    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.models.engine_choice import EngineChoice
    from gradcam_eval.models.layers import describe_call, find_layers
    from gradcam_eval.models.selection import resolve_layers
    from gradcam_eval.study.map_check import checked_methods

    target = _fixed_target(study, loaded)
    found = find_layers(loaded.model, loaded.size, tokens=loaded.tokens)
    looks_at_layers = any(method.kind != "input" for method in find_methods(study.methods))
    calls = resolve_layers(found, loaded.layers or study.layers) if looks_at_layers else []
    if study.engine != "auto":
        engine = EngineChoice(study.engine)
    elif not asks_the_model(study) or loaded.output.no_row:
        engine = EngineChoice("frozen")
    explain = partial(
        Explainer,
        loaded.model,
        calls,
        score=study.score,
        output=loaded.declared,
        seed=study.seed,
        geometry=study.geometry,
        draws=study.draws,
        skip_refused=True,
        values=ANY_VALUES,  # the images were checked when they were read
    )
    explainer = explain(study.methods)
    checked = checked_methods(study.methods) if study.check_maps else []
    placings = explainer.placings(loaded.size)
    return Subject(
        loaded=loaded,
        study=study,
        explainer=explainer,
        layers=tuple(
            {**describe_call(found, call), **_laid(placings[call.path])}
            for call in found.calls
            if call in calls
        ),
        target=target,
        known_engine=engine,
        live=explain(checked, engine="tensorflow") if checked else None,
    )


def asks_the_model(study: Study) -> bool:
    """Whether a metric of the study needs the model's scores of changed images."""
    from gradcam_eval.metrics import METRICS

    return any(METRICS[metric].needs == "predict" for metric, _ in study.measures)


def _laid(placing: Placing) -> dict[str, str]:
    if isinstance(placing, Undefined):
        return {"geometry": "undefined", "sees": placing.reason}
    if placing is None:
        return {"geometry": "stretch", "sees": ""}
    return {"geometry": "receptive_field", "sees": str(placing)}


def _fixed_target(study: Study, loaded: LoadedModel) -> int | str | None:
    from gradcam_eval.models.classes import resolve_class

    if not loaded.output.has_probabilities:
        return _fixed_value(study, loaded)
    if study.target in ("predicted", *LABELS):
        return None
    if str(study.target).startswith("predicted:"):
        return study.target
    names, synsets = loaded.class_names, loaded.spec.synsets
    return resolve_class(study.target, names, synsets, n_classes=loaded.output.count)


def _fixed_value(study: Study, loaded: LoadedModel) -> int:
    """Return which value of a regression is explained: the only one, or one named by the study."""
    from gradcam_eval.models.classes import resolve_class

    output, target = loaded.output, str(study.target)
    if study.score != "logit":
        raise InputError(
            f"the study explains the {study.score.replace('_', '-')}, and {loaded.label} returns "
            f"{output}: leave out the score to explain the value"
        )
    if target == "predicted" and output.count == 1:
        return 0
    if target == "label" or target.startswith("predicted"):
        raise InputError(
            f"the study's target is {target!r}, and {loaded.label} returns {output}, which has no "
            "classes: leave it out for the only value, or name one of several by its index or name"
        )
    return resolve_class(study.target, loaded.class_names, n_classes=output.count)
