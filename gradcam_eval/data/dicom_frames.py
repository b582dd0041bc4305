"""Enhanced multi-frame DICOM files: what a frame says of its values, where classic files say it.

Such files keep rescaling and window in functional groups: those that all frames share, and those of
each frame (PS3.3 C.7.6.16). The first frame is the one that is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_KEPT = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}


def of_first_frame(header: Dataset) -> Dataset:
    """Return a header with the rescaling and the window of its first frame; the given one changes.

    A classic file's header is returned as it is. What the frame says itself comes before what all
    frames share.
    """
    for name in GROUPS:
        groups = _first(header, name)
        for sequence, keywords in _KEPT.items():
            values = _first(groups, sequence)
            for keyword in keywords:
                if values is not None and values.get(keyword) is not None:
                    setattr(header, keyword, values.get(keyword))
    return header


def has_groups(header: Dataset) -> bool:
    """Whether a file is of the enhanced kind."""
    return any(name in header for name in GROUPS)


def _first(dataset: Dataset | None, name: str) -> Any:
    """Return the first item of a sequence, or None where there is none."""
    items = dataset.get(name) if dataset is not None else None
    return items[0] if items else None
