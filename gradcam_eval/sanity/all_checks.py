"""All checks of one model on one set of images: what `gradcam-eval sanity` does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.arrays import Geometry
from gradcam_eval.core import BadSample, InputError
from gradcam_eval.data import load_samples
from gradcam_eval.data.depth import Pixels
from gradcam_eval.files import replacing, write_table, write_text
from gradcam_eval.models.catalogue import ANY_SIZE
from gradcam_eval.models.described import describe_output
from gradcam_eval.models.identity import load_with_spec
from gradcam_eval.models.inputs import input_shape
from gradcam_eval.models.output import OutputKind
from gradcam_eval.models.target import Score
from gradcam_eval.protocols import describe
from gradcam_eval.protocols.sanity import DEFAULT
from gradcam_eval.sanity.check import SanityCheck
from gradcam_eval.sanity.classes import class_sensitivity
from gradcam_eval.sanity.invariance import input_invariance
from gradcam_eval.sanity.randomisation import parameter_randomisation
from gradcam_eval.values import LEVELS, Values


@dataclass(frozen=True)
class Asked:
    """A model by name or file, what is explained of it, and by which protocol it is measured.

    Attributes
    ----------
    model, preprocess, classes : as of `load_with_spec`
    layers, methods, score, output, head, tokens, geometry : as of `Explainer`
    protocol : of the checks
    values : the range that a model file takes
    pixels : how deep and very large image files are read
    """

    model: str
    preprocess: str
    layers: tuple[str, ...]
    methods: tuple[str, ...]
    protocol: str = DEFAULT
    classes: Path | None = None
    score: Score = "logit"
    output: OutputKind | None = None
    head: str | None = None
    tokens: str | None = None
    geometry: Geometry = "auto"
    values: Values = LEVELS
    pixels: Pixels = field(default_factory=Pixels)

    def explained(self) -> dict[str, Any]:
        """Return what every check is told, by keyword."""
        return {
            "layers": list(self.layers),
            "methods": list(self.methods),
            "score": self.score,
            "output": self.output,
            "head": self.head,
            "tokens": self.tokens,
            "geometry": self.geometry,
        }


@dataclass(frozen=True, eq=False)
class Checked:
    """What came of the checks.

    Attributes
    ----------
    checks : parameter randomisation and class sensitivity; the first alone where the model has no
        two classes
    invariance : as `input_invariance` returns it; empty where the model has no twin
    names : of the images, by index
    notes : what a person should know, in lines
    explained : the name of the class that is explained of the trained model, by image
    """

    checks: tuple[SanityCheck, ...]
    invariance: pd.DataFrame
    names: tuple[str, ...]
    notes: tuple[str, ...]
    explained: tuple[str, ...]


def run_checks(
    asked: Asked, source: str, *, order: str | None = None, steps: int | None = None, seed: int = 0
) -> Checked:
    """Load the model and the images, and run every check.

    Raises
    ------
    InputError : an unknown name, no image that can be read, and what the checks raise
    """
    model, spec = load_with_spec(
        asked.model,
        preprocess=asked.preprocess,
        classes=asked.classes,
        values=asked.values,
        output=asked.output,
    )
    *size, channels = input_shape(model, spec.input_size or ANY_SIZE)
    shape = (size[0], size[1])
    samples = load_samples(source, shape, channels=channels, pixels=asked.pixels)
    good = [each for each in samples if not isinstance(each, BadSample)]
    if not good:
        first = next((each for each in samples if isinstance(each, BadSample)), None)
        why = f"; the first, {first.name!r}: {first.reason}" if first else ""
        raise InputError(f"none of the {len(samples)} images of {source!r} can be read{why}")
    notes = [f"left out {e.name}: {e.reason}" for e in samples if isinstance(e, BadSample)]
    notes += [f"pixels of {each.name}: {each.applied}" for each in good if each.applied]
    images = np.stack([each.image for each in good])
    explained = {**asked.explained(), "seed": seed}
    measured = {**explained, "protocol": asked.protocol}
    checks = [parameter_randomisation(model, images, order=order, steps=steps, **measured)]
    try:
        checks.append(class_sensitivity(model, images, **measured))
    except InputError as error:
        notes.append(f"class sensitivity was not tested: {error}")
    try:
        shifted = input_invariance(model, images, **explained)
    except InputError as error:
        notes.append(f"input invariance was not tested: {error}")
        shifted = pd.DataFrame()
    notes += [
        f"step {row['step']} ({row['changed']}) changed no weight: it is undefined"
        for row in checks[0].steps.to_dict("records")
        if not row["weights_changed"]
    ]
    names = tuple(each.name for each in good)
    kind = describe_output(model, (size[0], size[1]), declared=asked.output, head=asked.head)
    notes.append(f"output: {kind}")
    known = tuple(kind.name_of(target, spec.class_names) for target in checks[0].targets)
    return Checked(tuple(checks), shifted, names, tuple(notes), known)


def write_checks(found: Checked, folder: str | Path, measure: str) -> list[Path]:
    """Write every table as CSV, the curves as PNG, and the protocol; return the paths."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tables = _write_tables(found, folder)
        return [*tables, _write_figure(found, folder, measure), _write_protocol(found, folder)]
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error


def _write_tables(found: Checked, folder: Path) -> list[Path]:
    conclusions = pd.concat(
        [
            each.conclusions(name).assign(check=each.name, measure=name, protocol=each.protocol)
            for each in found.checks
            for name in each.rules.measures
        ]
    )
    rows = pd.concat(
        [each.frame.assign(check=each.name, protocol=each.protocol) for each in found.checks]
    )
    tables = {
        "conclusions": conclusions,
        "similarities": rows,
        "steps": found.checks[0].steps,
        "complexity": found.checks[0].complexity_rises(),
    }
    if not found.invariance.empty:
        tables["invariance"] = found.invariance
    paths = []
    for name, table in tables.items():
        if "image" in table:
            table = table.assign(explained=[found.explained[n] for n in table["image"]])
            table = table.assign(image=[found.names[n] for n in table["image"]])
        paths.append(folder / f"{name}.csv")
        write_table(paths[-1], table)
    return paths


def _write_figure(found: Checked, folder: Path, measure: str) -> Path:
    path = folder / "randomisation.png"
    with replacing(path) as file:
        found.checks[0].figure(measure).savefig(file, dpi=160)
    return path


def _write_protocol(found: Checked, folder: Path) -> Path:
    path = folder / "protocol.json"
    said = json.dumps(describe(found.checks[0].protocol), indent=2, ensure_ascii=False)
    write_text(path, said + "\n")
    return path
