"""Which images a study that explains labels has, and whether it has any."""

from __future__ import annotations

from gradcam_eval.core import InputError
from gradcam_eval.data import ClassMap, Source
from gradcam_eval.study.config import LABELS, Study
from gradcam_eval.study.subject import LoadedModel


def labelled(study: Study, loaded: LoadedModel, source: Source, classes: ClassMap) -> Source:
    """Return the images of a study for one model: for "every label" one for each of their labels.

    Parameters
    ----------
    classes : the data set's names → the model's indices

    Raises
    ------
    InputError : the study explains labels and no label has a class, so that every image would fail
    """
    if study.target in LABELS:
        _check_any(study, loaded, source, classes)
    return source.every_label(classes) if study.target == "every label" else source


def _check_any(study: Study, loaded: LoadedModel, source: Source, classes: ClassMap) -> None:
    labels = source.labels
    if source.has_samples or len(classes.unmapped(labels)) < len(labels):
        return
    if not labels:
        raise InputError(
            f"target = {study.target!r}, and no image of {study.data.path!r} has a label: explain "
            "target = 'predicted', or give a format or a list that says the classes."
        )
    shown = ", ".join(labels[:5]) + (", …" if len(labels) > 5 else "")
    names = (
        ""
        if loaded.spec.class_names
        else (
            "; the model has no class names: give them as classes = a file, or classes = 'imagenet'"
        )
    )
    raise InputError(
        f"target = {study.target!r}, and none of the {len(labels)} labels of {study.data.path!r} "
        f"({shown}) is a class of the model {loaded.label!r}{names}; or give the data a class_map."
    )
