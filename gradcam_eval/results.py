"""One handle on a results folder: run a study, then ask for its rows, summary and report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_eval import comparison, stats
from gradcam_eval.choice import choice_shares
from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.files import replacing, write_table
from gradcam_eval.metrics.agreement import Agreement, agreement
from gradcam_eval.report.agreement import cell_maps
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.html import write_report
from gradcam_eval.report.split import split_by

if TYPE_CHECKING:
    import pandas as pd

    from gradcam_eval.data import Data
    from gradcam_eval.study.config import Study
    from gradcam_eval.study.run import Progress


@dataclass(frozen=True)
class Results:
    """What a study left in its folder; nothing here needs the model.

    Attributes
    ----------
    folder : `results/<study>/`
    """

    folder: Path

    def __post_init__(self) -> None:
        """Take a path as text as well."""
        object.__setattr__(self, "folder", Path(self.folder))

    @property
    def frame(self) -> pd.DataFrame:
        """The per-image records: a row for each model × layer × method × image × metric."""
        return read_folder(self.folder).records.drop(
            columns=["aggregate", "parts"], errors="ignore"
        )

    def summary(self, *, by: str | None = None) -> pd.DataFrame:
        """Return mean, 95 % interval and difference to the random control of each cell.

        Parameters
        ----------
        by : "subset", "class", "size", "hard" or "difficult": a summary of each group of images,
            with its value in a column of that name in front ("unknown" where nobody knows)
        """
        found = read_folder(self.folder)
        if by is None:
            return stats.summarise(found.records, seed=found.seed)
        return stats.summarise_by(found.records, found.group(by), by=by, seed=found.seed)

    def compare(self, a: stats.Cell, b: stats.Cell, metric: str) -> comparison.Comparison:
        """Compare two (model, layer, method) cells by one metric, paired by image."""
        found = read_folder(self.folder)
        return comparison.compare(found.records, a, b, metric, seed=found.seed)

    def choice(
        self, metric: str, *, protocol: str | None = None, model: str | None = None
    ) -> pd.DataFrame | Undefined:
        """Return how often resamples of the images choose each cell as the best by a metric.

        Parameters
        ----------
        metric : of the study
        protocol, model : may be left out where the study has one of them

        Raises
        ------
        InputError : no such metric, protocol or model, or several and none named
        """
        found = read_folder(self.folder)
        records = _only(found.records, "metric", metric)
        records = _only(_only(records, "protocol", protocol), "model", model)
        kind = {key: records[key].iloc[0] for key in ("metric", "protocol")}
        metrics = found.study["metrics"]
        up = next(
            each["higher_is_better"]
            for each in metrics
            if (each["name"], each["protocol"]) == tuple(kind.values())
        )
        return choice_shares(records, higher_is_better=up, seed=found.seed)

    def agreement(
        self,
        measure: str = "rank_correlation",
        *,
        model: str | None = None,
        controls: bool = False,
    ) -> Agreement:
        """Return how alike the cells' heatmaps are, as a mean over the study's images.

        Parameters
        ----------
        measure : see `gradcam_eval.agreement`
        model : whose heatmaps; may be left out where the study has one model
        controls : compare the controls as well

        Raises
        ------
        InputError : an unknown measure or model, or no maps in the folder
        """
        return agreement(cell_maps(read_folder(self.folder), model, controls), measure=measure)

    def report(
        self, path: str | Path | None = None, *, by: str | Sequence[str] | None = None
    ) -> Path:
        """Write summary.csv, the pictures and report.html anew; return the page's path.

        Parameters
        ----------
        path : where a copy of the page goes; it holds all it shows, so it can go anywhere
        by : one or more of "subset", "class", "size", "hard" and "difficult": the page shows the
            summary split by each as well, and summary_by_<name>.csv holds it

        Raises
        ------
        InputError : the images have no such group, or the path cannot be written
        """
        names = [by] if isinstance(by, str) else list(dict.fromkeys(by or ()))
        found = read_folder(self.folder)
        splits = [split_by(found, name) for name in names]
        whole = stats.summarise(found.records, seed=found.seed)
        write_table(self.folder / "summary.csv", whole)
        for split in splits:
            write_table(self.folder / f"summary_by_{split.by}.csv", split.summary)
        page = write_report(self.folder, splits=splits)
        if path is None:
            return page
        try:
            with replacing(path) as copy:
                shutil.copyfile(page, copy)
            return Path(path)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _only(records: pd.DataFrame, column: str, wanted: str | None) -> pd.DataFrame:
    """Return the rows with a value in a column, by default the only one there is."""
    known = list(dict.fromkeys(records[column]))
    if wanted is None and len(known) > 1:
        raise InputError(f"the study has several: say {column}= one of {', '.join(known)}")
    if wanted is not None and wanted not in known:
        raise unknown_name(column, wanted, known)
    return records if wanted is None else records[records[column] == wanted]


def run_study(
    study: Study | str | Path | dict[str, Any],
    *,
    results: str | Path = "results",
    fresh: bool = False,
    progress: Progress | None = None,
    data: Data | None = None,
) -> Results:
    """Run a study, or go on where an earlier run of it stopped.

    Parameters
    ----------
    study : a Study, its values as a dict, or the path of its TOML file
    results : the folder in which the study's own folder lies
    fresh : start anew instead of resuming; what an earlier run left is removed
    progress : told what happens
    data : samples, entries or tensors that are in memory, instead of what the study names; see
        `data.open_source`. A dict needs no "data" then, or one without a path, as in
        {"values": [0, 1]}

    Raises
    ------
    InputError : the study is wrong, or its folder holds another study's results
    """
    from gradcam_eval.data import open_source
    from gradcam_eval.study.config import Study, load_study, make_study
    from gradcam_eval.study.run import Progress, run

    if isinstance(study, dict):
        study = make_study(study if data is None else _in_memory(study))
    elif not isinstance(study, Study):
        study = load_study(study)
    source = None
    if data is not None:
        source = open_source(data, drawn=study.data.drawing, values=study.data.within)
    progress = progress or Progress()
    folder = run(study, results=Path(results), fresh=fresh, progress=progress, data=source)
    return Results(folder)


def _in_memory(study: dict[str, Any]) -> dict[str, Any]:
    """Return a study's values, with the path of its data where it names none."""
    from gradcam_eval.data import IN_MEMORY

    named = study.get("data", IN_MEMORY)
    return {**study, "data": {"path": IN_MEMORY, **named} if isinstance(named, dict) else named}
