"""`[analysis]` of a study: what is tested against what, declared before the scores are seen."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

LAST = "last:grad_cam"
NEAR_DUPLICATES = "near_duplicates"


class Analysis(BaseModel):
    """How the report turns scores into claims; it changes no score.

    Attributes
    ----------
    references : what cells are compared with, each in a family of its own: names of controls,
        "controls" (each control of the study that looks at no layer and knows no truth), and
        "LAYER:METHOD", where "last" is the last layer
    metric : the primary metric, by default the study's first; claims by others are exploratory
    level : error rate of a family of tests
    smallest_difference : of interest, in the primary metric's unit; without it no two cells are
        called equivalent
    cluster : a group of the images ("class", "subset", …) whose members are not independent, or
        "near_duplicates": images whose perceptual hashes are alike (`data.near_duplicates`). Tests
        and intervals flip and resample whole clusters
    choose : whether one "half" of the images chooses the best cell and the other half gives its
        number, or "all" do both; "auto": half from 24 images on
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    references: tuple[str, ...] = ("controls", LAST)
    metric: str = ""
    level: float = Field(default=0.05, gt=0, lt=1)
    smallest_difference: float | None = Field(default=None, gt=0)
    cluster: Literal["", "subset", "class", "size", "hard", "difficult", "near_duplicates"] = ""
    choose: Literal["auto", "half", "all"] = "auto"
