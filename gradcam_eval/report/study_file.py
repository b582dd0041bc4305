"""What the report reads of study.json, and that it is what a study writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError
from pydantic import field_validator as validator

from gradcam_eval.aggregates import AGGREGATES, MEAN
from gradcam_eval.core import InputError
from gradcam_eval.ledger_rows import FORMAT
from gradcam_eval.texts import shortened


class _Metric(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: StrictStr
    protocol: StrictStr
    higher_is_better: StrictBool
    aggregate: StrictStr = MEAN
    unit: StrictStr = ""
    description: StrictStr = ""
    parameters: dict[str, Any] = {}

    @validator("aggregate")
    @classmethod
    def _is_known(cls, aggregate: str) -> str:
        if aggregate not in AGGREGATES:
            raise ValueError(f"expected one of {', '.join(AGGREGATES)}")
        return aggregate


class _StudyFile(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: StrictStr
    models: list[StrictStr]
    metrics: list[_Metric] = Field(min_length=1)


def check_study(path: Path, study: dict[str, Any]) -> None:
    """Raise InputError unless a results folder's study.json is of this version and well formed.

    Parameters
    ----------
    path : the file, for messages
    study : its JSON object
    """
    if study.get("format") != FORMAT:
        raise InputError(
            f"{path} has format {shortened(repr(study.get('format')), 40)}: this version reads "
            f"format {FORMAT}; run the study again or use the version that wrote it."
        )
    if missing := [key for key in ("name", "models", "metrics") if key not in study]:
        raise InputError(f"{path} lacks {', '.join(missing)}: run the study again.")
    try:
        _StudyFile.model_validate(study)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path} is not what a study writes ({place}: {first['msg']}): run the study again."
        ) from error
