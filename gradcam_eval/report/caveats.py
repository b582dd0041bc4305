"""What a reader should know before relying on the answer: warnings, computed from the data."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from gradcam_eval.models.output import SATURATED
from gradcam_eval.report.applied import narrow
from gradcam_eval.report.copies import alike, copies, some
from gradcam_eval.report.engine_check import engine_warning
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.metric_check import unable_metrics
from gradcam_eval.report.text import cell_name, is_yes, number, percent, plural, signed
from gradcam_eval.report.top1 import label_warning
from gradcam_eval.report.verdict import Verdict
from gradcam_eval.statistics.units import FEWEST
from gradcam_eval.texts import isolated

_MOST_NAMED = 4  # layers
FLAT = 0.05  # of its mean, a score that hardly moves
ENERGIES = ("energy_pointing_game", "relevance_mass_accuracy")  # energy on the object


def caveats(folder: Folder, verdicts: list[Verdict], *, model: str) -> list[str]:
    """Return the warnings about one model's results.

    Parameters
    ----------
    folder : the results
    verdicts : of this model
    model : its name
    """
    texts = [
        engine_warning(folder, model),
        narrow(folder, model),
        saturated(folder, model),
        random_model(folder, model),
        label_warning(folder, model),
        _small(verdicts),
        *_controls(verdicts),
    ]
    texts.append(placed(folder, model))
    texts += [_untrained(folder, verdicts, model), _shortcut(folder, verdicts, model)]
    left_out = missing(folder, model)
    texts += [copies(folder, model), alike(folder, model)]
    texts += [*_disagreement(verdicts), left_out and f"{left_out} The reasons stand below."]
    texts += [_uneven(verdicts), *_tolerances(verdicts)]
    return [text for text in (*texts, *unable_metrics(folder)) if text]


def random_model(folder: Folder, model: str) -> str:
    """Warn of a model that draws random numbers at inference: what it returns varies by chance."""
    operation = folder.random_operation(model)
    if not operation:
        return ""
    draws = folder.study.get("draws", 1)
    made = f"the mean of {draws} runs" if draws > 1 else "of one run; draws = 20 makes it a mean"
    return (
        "The model stays random at inference (dropout or noise that is on when training=False, in "
        f"{isolated(operation)}): its scores and heatmaps differ from run to run, and no interval "
        f"contains that. Each heatmap is {made}, and each score that a metric reads is of one run."
    )


def placed(folder: Folder, model: str) -> str:
    """Say which layers' maps are not laid on the images corner to corner, and what they see."""
    layers = folder.layers[folder.layers["model"] == model]
    if "geometry" not in layers:  # a folder of an earlier version
        return ""
    rows = layers[layers["geometry"] == "receptive_field"]
    if rows.empty:
        return ""
    named = [f"{row['path']} ({row['sees']})" for row in rows.head(_MOST_NAMED).to_dict("records")]
    more = len(rows) - len(named)
    return (
        f"The maps of {plural(len(rows), 'layer')} do not fit the images corner to corner and are "
        "placed where their layer's receptive field is: "
        + "; ".join(named + ([f"and {more} more"] if more else []))
        + "."
    )


def _small(verdicts: list[Verdict]) -> str:
    """Warn where there are too few images for any claim."""
    units = min((verdict.selection.units for verdict in verdicts), default=FEWEST)
    if units >= FEWEST:
        return ""
    return (
        f"Only {plural(units, 'independent image')}: a claim needs {FEWEST}, so nothing here is "
        "more than a description of these images."
    )


def _controls(verdicts: list[Verdict]) -> list[str]:
    """Warn of controls that look at no layer and have as good a mean as the best cell."""
    texts = []
    for verdict in verdicts:
        for control in verdict.controls:
            found = verdict.against(control)
            rows = found[(found["layer"] == verdict.best[1]) & (found["method"] == verdict.best[2])]
            gain = verdict.scores.sign * rows["difference"]
            if len(gain) and pd.notna(gain.iloc[0]) and gain.iloc[0] <= 0:
                texts.append(
                    f"By {verdict.label} the control {control[2]}, which looks at no layer, has as "
                    f"good a mean as any cell ({signed(rows['difference'].iloc[0])} between it and "
                    "the best)."
                )
    return texts


def _disagreement(verdicts: list[Verdict]) -> list[str]:
    """Warn where each of two metrics shows the other's best set to be worse than its own."""
    texts = []
    for one, two in itertools.combinations(verdicts, 2):
        if not (one.is_tested and two.is_tested):
            continue
        if set(one.members) & set(two.members) or not _excludes_all(one, two):
            continue
        texts.append(
            f"The metrics disagree: {one.label} excludes the best set of {two.label} "
            f"({two.name}) from its own ({one.name}), and the other way round."
        )
    return texts


def _excludes_all(one: Verdict, two: Verdict) -> bool:
    """Whether the two metrics' best cells competed by both."""
    return set(two.members) <= set(one.values[2]) and set(one.members) <= set(two.values[2])


def _untrained(folder: Folder, verdicts: list[Verdict], model: str) -> str:
    """Warn where the score that heatmaps explain hardly moves: there is little to explain."""
    images = folder.images[(folder.images["model"] == model) & (folder.images["status"] == "ok")]
    labelled = folder.labelled(model)
    primary = next((each for each in verdicts if each.is_primary), None)
    if primary is None or len(images) < FEWEST:
        return ""
    probability = images["probability"].astype(float)
    spread = float(np.ptp(primary.values[0])) if len(primary.values[0]) else 0.0
    typical = float(np.abs(primary.values[0]).mean()) or 1.0
    is_flat = spread < FLAT * typical and probability.std() < FLAT
    if not is_flat:
        return ""
    text = (
        f"The model's score hardly moves: {primary.label} ranges over {number(spread)} at a mean "
        f"of {number(typical)}. A nearly untrained model has little to explain, and no best cell "
        "means much."
    )
    if labelled.empty:
        return text
    share = percent(float(labelled["hit_top1"].map(is_yes).mean()))
    return f"{text} Its first answer is right on {share} of the labelled images."


def _shortcut(folder: Folder, verdicts: list[Verdict], model: str) -> str:
    """Suspect a shortcut: maps that deletion confirms lie off the annotated object."""
    named = {verdict.metric["name"]: verdict for verdict in verdicts}
    faithful = named.get("deletion")
    energy = next((named[name] for name in ENERGIES if name in named), None)
    random = (model, "", "random")
    if faithful is None or energy is None or random not in faithful.scores.kinds:
        return ""
    images = folder.images[(folder.images["model"] == model) & (folder.images["status"] == "ok")]
    right = set(images[images["hit_top1"].map(is_yes)]["sample"])
    on_right = energy.on(right)
    if on_right is None or random not in on_right.scores.kinds:
        return ""
    off = set(faithful.members) & faithful.shown(random) & on_right.shown(random, "worse")
    if len(off) < len(faithful.members) or not off:
        return ""
    return (
        "A shortcut is suspected: on correctly classified images the heatmaps of the best set have "
        f"less energy on the annotated object than random ones ({energy.label}), yet deletion by "
        "them beats random. The model seems to look at something else."
    )


def saturated(folder: Folder, model: str) -> str:
    """Warn where the target's probability is saturated for most images; "" where it is not."""
    images = folder.images[(folder.images["model"] == model) & (folder.images["status"] == "ok")]
    p = pd.to_numeric(images["probability"], errors="coerce").dropna()
    count = int(((p < SATURATED) | (p > 1 - SATURATED)).sum())
    if 2 * count <= len(p):
        return ""
    return (
        f"The target's probability is saturated (within {SATURATED:g} of 0 or 1) on {count} of "
        f"{plural(len(p), 'image')}: it hardly moves when pixels go or come, so metrics of it "
        "hardly tell maps apart. Use protocols that read the log-odds or the logit; if the model "
        "gives values and no probabilities, declare output = 'regression'."
    )


def missing(folder: Folder, model: str) -> str:
    """Warn where images or values are missing."""
    images = folder.images[folder.images["model"] == model]
    status = folder.records[folder.records["model"] == model]["status"]
    counts = [
        (int((images["status"] != "ok").sum()), "failed image"),
        (int((status == "failed").sum()), "failed value"),
        (int((status == "undefined").sum()), "undefined value"),
    ]
    parts = [plural(count, noun) for count, noun in counts if count]
    if not parts:
        return ""
    return f"Left out: {', '.join(parts)}."


def _tolerances(verdicts: list[Verdict]) -> list[str]:
    """Say which values come from curves with few points, and what that means for claims."""
    return [
        f"A curve of {verdict.label} has few points: its area is expected within "
        f"{number(verdict.scores.tolerance)} of that of all points. No difference below "
        f"{number(verdict.scores.design.tolerance)} is claimed, and intervals are wider by as much."
        for verdict in verdicts
        if verdict.scores.tolerance > 0
    ]


def _uneven(verdicts: list[Verdict]) -> str:
    """Say which cells do not compete, and where those that do share fewer images than they have."""
    for verdict in verdicts:
        out = [cell for cell in verdict.scores.cells if cell not in verdict.values[2]]
        parts = verdict.scores.parts[verdict.scores.cells].notna().sum()
        if out:
            return (
                f"By {verdict.label} {plural(len(out), 'cell')} with values on fewer than half of "
                f"the images {'does' if len(out) == 1 else 'do'} not compete: "
                f"{some([cell_name(*cell[1:]) for cell in out], ', ')}."
            )
        if verdict.images < int(parts.max()):
            return (
                f"Cells have values by {verdict.label} on up to {int(parts.max())} images: they "
                f"compete on the {verdict.images} that all share."
            )
    return ""
