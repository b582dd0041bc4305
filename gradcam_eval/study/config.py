"""A study as its author writes it: one TOML file, checked at once, every name and every field."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator

from gradcam_eval.arrays import Geometry
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.models.output import OutputKind
from gradcam_eval.study.analysis import Analysis
from gradcam_eval.study.dataset import HOW, DataEntry

if TYPE_CHECKING:
    from gradcam_eval.data import Data
    from gradcam_eval.results import Results

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # a folder: nothing that leaves `results/`
LABELS = ("label", "every label")  # targets that come from the data set
CONTROLS = ("random", "centre_gaussian", "edges", "oracle")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(_Strict):
    """A model of the zoo, or a local file with what the file does not say about itself.

    Attributes
    ----------
    name : zoo name, or path of a .keras or .h5 file
    preprocess : how the file's model wants 0-255 RGB images changed first; zoo models know
    classes : path of a text file with one class name a line, for a local model; or "imagenet"
    layers : of this model, instead of the study's
    tokens : how a transformer's tokens lie on the image, as in "14x14+1"
    output : what the model returns, where it has to be said: "binary" for one logit of two classes,
        "regression" for values, "classes" or "multi_label"
    """

    name: str
    preprocess: str = "none"
    classes: str | None = None
    tokens: str | None = None
    output: OutputKind | None = None
    layers: tuple[str, ...] | None = Field(default=None, min_length=1)

    @field_validator("layers", mode="before")
    @classmethod
    def _one_to_list(cls, names: Any) -> Any:
        return [names] if isinstance(names, str) else names

    @property
    def label(self) -> str:
        """The name under which results are kept: the zoo name, or the file's name."""
        path = Path(self.name)
        return path.stem if path.suffix else self.name


class Cost(_Strict):
    """How the cost of each layer × method is measured; `rounds = 0` leaves it out."""

    batch_sizes: tuple[StrictInt, ...] = Field(default=(1, 16), min_length=1)
    rounds: StrictInt = Field(default=10, ge=0)

    @field_validator("batch_sizes")
    @classmethod
    def _positive(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if min(sizes) < 1:
            raise ValueError("wanted whole numbers from 1 up")
        if len(set(sizes)) < len(sizes):
            raise ValueError("wanted each size once")
        return sizes


class Study(_Strict):
    """What is compared, on what, and by what: frozen once it is made.

    Attributes
    ----------
    name : the folder under `results/` that it is written to
    question : what the study is to answer, one sentence for its report
    models, layers, methods : each combination is a cell
    data : a built-in data set's name, a folder, an image or a list of images; or a table that says
        how it is read, and which images: see `DataEntry`
    target : "predicted", "predicted:2" (the second best), "label" (the image's first label), "every
        label" (each label of an image is a record of its own), or a class index or name
    score : the scalar that heatmaps explain: "logit", "probability" or "log_odds"
    geometry : how a layer's map is laid on the image: "auto", by its receptive field where it would
        otherwise be off by more than one stride of the layer; "stretch"; or "receptive_field"
    engine : what computes the metrics' forward passes; see `Predictor`. "auto" takes the fastest
        that is installed and gives this model's probabilities on this processor, to 1e-5; the
        report says which. "openvino_bf16" makes no reference numbers, and the report says how far
        off it is
    protocols : a metric's protocol, or several, where it is not the metric's default alone
    check_maps : whether the heatmaps of formulas (Grad-CAM and the like) are also made by
        TensorFlow's live graph, one more pass an image; the report says how far they are off
    draws : runs over which the heatmaps of a model that stays random at inference are the mean
    analysis : what is tested against what, and by which metric
    """

    name: str
    question: str = ""
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    data: DataEntry
    layers: tuple[str, ...] = Field(default=("last",), min_length=1)
    methods: tuple[str, ...] = Field(default=("grad_cam",), min_length=1)
    controls: tuple[str, ...] = CONTROLS
    metrics: tuple[str, ...] = Field(
        default=("deletion", "insertion", "pointing_game"), min_length=1
    )
    protocols: dict[str, tuple[str, ...]] = {}
    target: str | StrictInt = "predicted"
    score: Literal["logit", "probability", "log_odds"] = "logit"
    geometry: Geometry = "auto"
    engine: Literal["auto", "tensorflow", "frozen", "openvino", "openvino_bf16"] = "auto"
    check_maps: bool = False
    seed: StrictInt = Field(default=0, ge=0)
    draws: StrictInt = Field(default=1, ge=1)
    cost: Cost = Cost()
    analysis: Analysis = Analysis()

    @field_validator("name")
    @classmethod
    def _is_folder_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                "wanted a folder's name, at most 100 letters, digits, '-', '_' and '.', that "
                "begins with a letter or a digit"
            )
        return name

    @field_validator("layers", "methods", "controls", "metrics", mode="before")
    @classmethod
    def _one_to_list(cls, names: Any) -> Any:
        return [names] if isinstance(names, str) else names

    @field_validator("protocols", mode="before")
    @classmethod
    def _one_to_list_each(cls, protocols: Any) -> Any:
        if not isinstance(protocols, dict):
            return protocols
        return {metric: cls._one_to_list(names) for metric, names in protocols.items()}

    @field_validator("protocols")
    @classmethod
    def _each_protocol_once(
        cls, protocols: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        for metric, names in protocols.items():
            if not names:
                raise ValueError(f"wanted at least one protocol for {metric!r}")
            cls._each_once(names)
        return protocols

    @field_validator("models", mode="before")
    @classmethod
    def _names_to_entries(cls, models: Any) -> Any:
        if isinstance(models, str | dict):
            models = [models]
        if isinstance(models, list | tuple):
            return [{"name": model} if isinstance(model, str) else model for model in models]
        return models

    @field_validator("layers", "methods", "controls", "metrics")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is named {names.count(name)} times: name it once")
        return names

    @field_validator("models")
    @classmethod
    def _labels_differ(cls, models: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
        labels = [model.label for model in models]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(
                    f"{labels.count(label)} models are called {label!r}, and results are kept by "
                    "name: name each once, or rename a file"
                )
        return models

    def run(
        self, *, results: str | Path = "results", fresh: bool = False, data: Data | None = None
    ) -> Results:
        """Run this study, as `gradcam_eval.run_study` does, and return its results."""
        from gradcam_eval import run_study  # a convenience: the one import that goes up

        return run_study(self, results=results, fresh=fresh, data=data)

    def strictly(self) -> Study:
        """Return the same study, which ends at the first image that cannot be read."""
        return self.model_copy(update={"data": self.data.strictly()})

    def protocols_of(self, metric: str) -> tuple[str, ...]:
        """Return the names of the protocols by which a metric is measured here, all checked."""
        from gradcam_eval.metrics import find_metric

        names = self.protocols.get(metric, (None,))
        return tuple(find_metric(metric, name)[1] for name in names)

    @property
    def measures(self) -> list[tuple[str, str]]:
        """Each metric with each of its protocols, in the study's order."""
        return [(metric, name) for metric in self.metrics for name in self.protocols_of(metric)]

    def fingerprint(self, *details: str) -> str:
        """Return a digest of all that decides the results: this study, and `details` of the run."""
        without: Any = {"question": True, "analysis": True, "check_maps": True, "data": set(HOW)}
        decides = self.model_dump(mode="json", exclude=without)
        text = json.dumps([decides, *details], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_study(path: str | Path) -> Study:
    """Read a study from a TOML file; relative paths in it hold from the working directory.

    Raises
    ------
    InputError : no such file, not TOML, a misspelt field, a wrong value, or a name that is unknown
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise InputError(f"cannot read the study {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets in brackets
        raise InputError(f"the study {path} is not TOML: {error}") from error
    return make_study(values, source=str(path))


def make_study(values: dict[str, Any], *, source: str = "study") -> Study:
    """Make a study from plain values, and check every name in it; errors name the `source`."""
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{source}: {_sentence(error)}") from error
    try:
        check_names(study)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return study


def check_names(study: Study) -> None:
    """Raise InputError for the first name in the study that nothing is registered under.

    Layers are not checked here: only the model knows them.
    """
    from gradcam_eval.methods import find_methods
    from gradcam_eval.methods.controls import CONTROLS as KNOWN_CONTROLS
    from gradcam_eval.metrics import METRICS
    from gradcam_eval.models.classes import class_names_from
    from gradcam_eval.models.layout import parse_token_grid
    from gradcam_eval.models.preprocess import preprocessing
    from gradcam_eval.models.zoo import check_model_name

    find_methods(study.methods)
    for kind, names, valid in (
        ("control", study.controls, KNOWN_CONTROLS),
        ("metric", study.metrics, METRICS),
        ("metric in protocols", study.protocols, study.metrics),
        ("metric in analysis", (study.analysis.metric or study.metrics[0],), study.metrics),
        (
            "reference",
            [name for name in study.analysis.references if ":" not in name],
            ("controls", *study.controls),
        ),
    ):
        for name in names:
            if name not in valid:
                raise unknown_name(kind, name, valid)
    for metric in study.metrics:
        study.protocols_of(metric)
    for model in study.models:
        check_model_name(model.name)
        preprocessing(model.preprocess)
        if model.classes:
            class_names_from(model.classes)
        if model.tokens is not None:
            parse_token_grid(model.tokens)
    study.data.check()


def _sentence(error: ValidationError) -> str:
    """Say the first error in one sentence; a misspelt field before the one that it leaves out."""
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    if not first["loc"]:  # a field's name that is no Unicode has no place
        valid = ", ".join(Study.model_fields)
        return f"a field's name cannot be kept as UTF-8 text. Valid: {valid}."
    # after a union's field pydantic names the member that it tried ("target.str"): nobody wrote it
    place = first["loc"][:1] if first["loc"][0] == "target" else first["loc"]
    shown = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        return _unknown_field(shown, place)
    if first["type"] == "missing":
        return f"the field {shown!r} is missing"
    wanted = _WANTED.get(first["type"], first["msg"].removeprefix("Value error, "))
    if first["type"] == "value_error" and place == ("data",):
        return f"data: {wanted}"  # of several fields together
    if shown == "data" and first["type"] == "model_type":
        wanted = "wanted a name, a path or a table"
    if shown == "target":
        wanted = "wanted 'predicted', 'label', 'every label', a class index or a class name"
    return f"{shown} = {_shown(first['input'])}: {wanted[0].lower()}{wanted[1:]}"


# What pydantic calls by Python's types, in the words of a TOML file.
_WANTED = {
    "tuple_type": 'wanted a list, as in ["a", "b"]',
    "dict_type": "wanted a table",
    "model_type": "wanted a table",
    "string_type": "wanted text in quotes",
    "bool_type": "wanted true or false",
    "int_type": "wanted a whole number",
    "int_parsing": "wanted a whole number",
    "int_from_float": "wanted a whole number",
    "too_short": "wanted at least one",
}


def _unknown_field(shown: str, place: tuple[int | str, ...]) -> str:
    tables: dict[int | str, type[BaseModel]] = {
        "analysis": Analysis,
        "cost": Cost,
        "data": DataEntry,
        "models": ModelEntry,
    }
    fields = list(tables.get(place[0], Study).model_fields)
    near = difflib.get_close_matches(str(place[-1]), fields, n=1)
    hint = f": did you mean {near[0]!r}?" if near else "."
    return f"unknown field {shown!r}{hint} Valid: {', '.join(fields)}."


def _shown(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:60]}…"
