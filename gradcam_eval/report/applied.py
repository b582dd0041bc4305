"""What the decoder noticed about the values of a study's files, as a warning of its report."""

from __future__ import annotations

from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import plural
from gradcam_eval.texts import isolated

_WARNING = "warning: "
_NARROW = "under a sixteenth"


def narrow(folder: Folder, model: str) -> str:
    """Warn where images use a narrow part of the range that becomes 0 to 255; "" where none does.

    Such images are all but black, or grey without contrast, to the model.
    """
    images = folder.images[folder.images["model"] == model]
    if "applied" not in images:  # a folder of an earlier version
        return ""
    images = images[images["status"] == "ok"]
    said = {row["sample"]: _narrow(row["applied"]) for row in images.to_dict("records")}
    dark = {sample: warning for sample, warning in said.items() if warning}
    if not dark:
        return ""
    first = next(iter(dark))
    return (
        f"The values of {len(dark)} of {plural(len(images), 'image')} use under a sixteenth of the "
        "range that becomes black to white, and show the model little contrast "
        f"({isolated(first)}: {dark[first]}). Say which values are black and white, as in bits = "
        "12 or window = [low, high]."
    )


def _narrow(applied: str) -> str:
    """Return which values an image uses, of which range."""
    for part in applied.split("; "):
        if part.startswith(_WARNING) and _NARROW in part:
            values, _, rest = part.removeprefix(_WARNING).partition(f" use {_NARROW}")
            return values + rest.partition(": say")[0]
    return ""
