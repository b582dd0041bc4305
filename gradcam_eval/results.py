"""One handle on a results folder: run a study, then ask for its rows, summary and report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_eval import comparison
from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.data.groups import GROUPS
from gradcam_eval.files import replacing, write_table
from gradcam_eval.metrics.agreement import Agreement, agreement
from gradcam_eval.records import Cell
from gradcam_eval.report.agreement import cell_maps
from gradcam_eval.report.folder import Folder, read_folder
from gradcam_eval.report.html import write_report
from gradcam_eval.report.power import power_table
from gradcam_eval.report.rankings import Ranks, compare_rankings
from gradcam_eval.report.recommend import Recommendation, recommend
from gradcam_eval.report.rows import summary_of
from gradcam_eval.report.split import split_by
from gradcam_eval.report.verdict import (
    Verdict,
    design_of,
    primary_metric,
    references_of,
    verdicts_of,
)
from gradcam_eval.statistics.design import Alternative
from gradcam_eval.statistics.tables import compare_scores

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
        """Return mean, interval and difference to the random control of each cell.

        Intervals and bounds have the level that the study declares, and count its clusters.

        Parameters
        ----------
        by : "subset", "class", "size", "hard" or "difficult": a summary of each group of images,
            with its value in a column of that name in front ("unknown" where nobody knows)
        """
        return summary_of(read_folder(self.folder), by)

    @property
    def clusters(self) -> dict[str, str]:
        """The cluster of each sample that is not independent of another one.

        Those that the study declares, and the records of one image in a study of every label.
        """
        return read_folder(self.folder).clusters

    def compare(self, a: Cell, b: Cell, metric: str) -> comparison.Comparison:
        """Compare two (model, layer, method) cells by one metric, paired by image."""
        found = read_folder(self.folder)
        return comparison.compare(found.records, a, b, metric, design=design_of(found))

    def compare_all(
        self,
        metric: str | None = None,
        *,
        reference: Cell | None = None,
        alternative: Alternative = "better",
        model: str | None = None,
    ) -> pd.DataFrame:
        """Compare all competing cells of a model with references, each in a family of its own.

        Parameters
        ----------
        metric : of the study, by default its primary one
        reference : (model, layer, method), layer "" for a control; by default each reference that
            the study declares
        alternative : "better" (than the reference), "worse", or "two-sided"
        model : may be left out where the study has one

        Returns
        -------
        The tables of `gradcam_eval.statistics.compare_all`, one below the other

        Raises
        ------
        InputError : no such metric, reference or model, or several models and none named
        """
        import pandas as pd

        found = read_folder(self.folder)
        verdict = self._verdict(found, metric, model)
        references = references_of(found, verdict) if reference is None else [reference]
        parts = [verdict.against(each, alternative) for each in references]
        return pd.concat(parts, ignore_index=True) if parts else compare_scores(verdict.scores, [])

    def best_set(self, metric: str | None = None, *, model: str | None = None) -> pd.DataFrame:
        """Return the cells that the data cannot tell from the best one, the best mean first.

        Parameters and errors are those of `compare_all`; see `gradcam_eval.statistics.best_set`.
        """
        table = self._verdict(read_folder(self.folder), metric, model).table
        chosen = table[table["is_in"]].drop(columns="is_in").reset_index(drop=True)
        return chosen.astype({"mean": "Float64"})

    def power(self, metric: str | None = None, *, model: str | None = None) -> pd.DataFrame:
        """Return what the study's images can show against each reference, and between cells.

        Returns
        -------
        DataFrame with a row for each reference ("" for all pairs of cells): reference, images,
        smallest_difference (shown in 80 % of such studies, for the median cell; NA where it would
        be larger than the metric's range), and images_0.01, images_0.02 and images_0.05: how many
        images would show such a difference, in the metric's unit (NA where that is within the
        tolerance of curves at adaptive points). Empty below 6 independent images. Parameters and
        errors are those of `compare_all`.
        """
        found = read_folder(self.folder)
        return power_table(found, self._verdict(found, metric, model))

    def ranks(self, metric: str | None = None, *, by: str = "method") -> Ranks:
        """Compare how the study's models and protocols rank methods, or layers by depth.

        Parameters and errors are those of `compare_ranks`, which takes several folders.
        """
        return compare_ranks([self], metric, by=by)

    def recommend(self, *, model: str | None = None) -> Recommendation:
        """Return what the study recommends for a model, or why it recommends nothing.

        Of the best set's cells that beat every layer-free control, and that no other metric
        excludes, the cheapest. Measured times are noisy: cells tie with the fastest whose time
        beside the forward pass is at most 25 % longer, or whose quartiles overlap. Of these, and
        without times, the one with the fewest model calls, then the one with the best mean.

        Raises
        ------
        InputError : no such model, or several and none named
        """
        found = read_folder(self.folder)
        return recommend(found, _one_of(found.models, model, "model"))

    @staticmethod
    def _verdict(found: Folder, metric: str | None, model: str | None) -> Verdict:
        """Return the tests of one model by one metric."""
        name = _one_of(found.models, model, "model")
        verdicts = verdicts_of(found, name)
        names = {each.metric["name"]: each for each in reversed(verdicts)}
        known = {each.label: each for each in verdicts} | names
        wanted = primary_metric(found)["name"] if metric is None else metric
        if wanted not in known:
            raise unknown_name("metric", wanted, known)
        return known[wanted]

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
            summary split by each as well, and summary_by_<name>.csv holds it; such files of an
            earlier report are removed

        Raises
        ------
        InputError : the images have no such group, or the path cannot be written
        """
        names = [by] if isinstance(by, str) else list(dict.fromkeys(by or ()))
        found = read_folder(self.folder)
        splits = [split_by(found, name) for name in names]
        write_table(self.folder / "summary.csv", summary_of(found))
        for name in GROUPS:  # one of an earlier report may be of other images
            (self.folder / f"summary_by_{name}.csv").unlink(missing_ok=True)
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


def _one_of(known: Sequence[str], wanted: str | None, kind: str) -> str:
    """Return a name, by default the only one there is."""
    if wanted is None and len(known) != 1:
        raise InputError(f"the study has several: say {kind}= one of {', '.join(known)}")
    if wanted is not None and wanted not in known:
        raise unknown_name(kind, wanted, known)
    return known[0] if wanted is None else wanted


def compare_ranks(
    runs: Sequence[str | Path | Results], metric: str | None = None, *, by: str = "method"
) -> Ranks:
    """Compare how models, data sets, protocols or checkpoints rank methods, or layers by depth.

    Parameters
    ----------
    runs : results folders; each model and protocol in each of them is a ranking of its own
    metric : by which metric, by default the primary one of the first folder
    by : "method"; "depth", a layer's place among its model's layers in the study, 0 the first and 1
        the last, in as many steps as the ranking with the fewest layers has; or "cell" (both). Only
        what all rankings have is compared

    Returns
    -------
    Ranks: Kendall's W with its interval (Undefined for one ranking), each item's value,
    rank and whether it is in the best set, which items are in the best set of every ranking
    (`transfers`), and each model's top-1 beside the scores of its best set

    Raises
    ------
    InputError : no folder, one without results, an unknown metric or `by`
    """
    if not runs:
        raise InputError("no results folder is given: name one or more")
    paths = [each.folder if isinstance(each, Results) else each for each in runs]
    return compare_rankings([read_folder(path) for path in paths], metric, by=by)


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
        {"values": [0, 1]}, or {"count": 100} where the data does not say its length: the first 100
        are taken

    Raises
    ------
    InputError : the study is wrong, or its folder holds another study's results
    """
    from gradcam_eval.study.config import Study, load_study, make_study
    from gradcam_eval.study.run import Progress, run

    if isinstance(study, dict):
        study = make_study(study if data is None else _in_memory(study))
    elif not isinstance(study, Study):
        study = load_study(study)
    source = None if data is None else study.data.opened(data)
    progress = progress or Progress()
    folder = run(study, results=Path(results), fresh=fresh, progress=progress, data=source)
    return Results(folder)


def _in_memory(study: dict[str, Any]) -> dict[str, Any]:
    """Return a study's values, with the path of its data where it names none."""
    from gradcam_eval.data import IN_MEMORY

    named = study.get("data", IN_MEMORY)
    return {**study, "data": {"path": IN_MEMORY, **named} if isinstance(named, dict) else named}
