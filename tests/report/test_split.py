"""The summary split by groups of images, on the page and in its files."""

import re

import pandas as pd
import pytest
from study_folder import Plan, grouped
from typer.testing import CliRunner

from gradcam_eval import stats
from gradcam_eval.cli import app
from gradcam_eval.core import InputError
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.split import MOST, split_by, split_tables
from gradcam_eval.results import Results

SIZES = {"disc_0": "large", "disc_1": "small", "disc_2": "large", "disc_3": "", "disc_4": "small"}
SPLIT = Plan(layers=("top",), methods=("grad_cam", "eigen_cam"))
NASTY = "<img src=x onerror=window.pwned=1>"


def tables(folder, by):
    found = read_folder(folder)
    split = split_by(found, by)
    whole = stats.summarise(found.records, seed=found.seed)
    return split, split_tables(split, whole, found.study["metrics"])


def test_each_column_is_the_mean_of_its_own_images(tmp_path):
    folder = grouped(tmp_path / "toy", SPLIT, size=SIZES)
    split, (deletion, *_) = tables(folder, "size")
    assert split.values == (("small", 2), ("large", 2), ("unknown", 1))  # small before large
    assert deletion["usual"] == [5, 2, 2, 1]
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    mine = records[(records["metric"] == "deletion") & (records["method"] == "eigen_cam")]
    values = dict(zip(mine["sample"], mine["value"].astype(float), strict=True))
    (row,) = [row for row in deletion["rows"]["cam"] if row["method"] == "eigen_cam"]
    assert [entry["value"]["mean"] for entry in row["entries"]] == pytest.approx(
        [
            sum(values.values()) / 5,
            (values["disc_1"] + values["disc_4"]) / 2,
            (values["disc_0"] + values["disc_2"]) / 2,
            values["disc_3"],
        ]
    )
    assert [row["method"] for row in deletion["rows"]["control"]][:2] == [
        "random", "centre_gaussian",
    ]  # fmt: skip


def test_no_cell_of_a_group_is_marked_as_the_best(tmp_path):
    _, found = tables(grouped(tmp_path / "toy", SPLIT, size=SIZES), "size")
    rows = [row for table in found for row in table["rows"]["cam"]]
    assert rows
    assert not any(entry["is_best"] for row in rows for entry in row["entries"])


def test_of_many_groups_the_largest_are_shown_and_the_file_has_all(tmp_path):
    samples = tuple(f"disc_{n:02d}" for n in range(MOST + 4))
    # two images of class k, none known of the first, and one image of every other class
    classes = {name: "k" if n in (3, 9) else f"c{n:02d}" for n, name in enumerate(samples)}
    classes["disc_00"] = ""
    plan = Plan(layers=("top",), methods=("grad_cam",), samples=samples, cost=False)
    folder = grouped(tmp_path / "toy", plan, **{"class": classes})
    split, _ = tables(folder, "class")
    assert dict(split.values)["k"] == 2
    assert len(split.values) == MOST
    assert "unknown" not in dict(split.values)
    assert split.left_out == len(set(classes.values())) - MOST == 3
    page = Results(folder).report(by="class").read_text(encoding="utf-8")
    assert f"Shown are the {MOST} groups with most images; summary_by_class.csv holds 3" in page
    written = pd.read_csv(folder / "summary_by_class.csv")
    assert set(written["class"]) == {*classes.values()} - {""} | {"unknown"}


def test_a_page_shows_the_splits_that_were_asked_for_and_escapes_their_values(tmp_path):
    parts = dict.fromkeys(SIZES, NASTY) | {"disc_0": "val"}
    plan = Plan(models=("one", "two"), layers=("top",), methods=("grad_cam",), cost=False)
    folder = grouped(tmp_path / "toy", plan, size=SIZES, subset=parts)
    done = CliRunner().invoke(app, ["report", str(folder), "--by", "size", "--by", "subset"])
    assert done.exit_code == 0, done.output
    page = (folder / "report.html").read_text(encoding="utf-8")
    sections = re.findall(r'<h2 id="([\w-]+)"', page)
    assert sections[1:6] == ["models", "summary", "by-size", "by-subset", "matrix"]
    assert '<a href="#by-size">By size</a>' in page
    assert page.count('<table class="split">') == 2 * 2 * 3  # splits × models × metrics
    assert "<img src=x" not in page
    assert "subset: &lt;img src=x onerror" in page
    assert (folder / "summary_by_subset.csv").is_file()
    old = folder / "curves" / "one" / "of_an_earlier_report.png"
    old.write_bytes(b"")
    assert "By size" not in Results(folder).report().read_text(encoding="utf-8")
    assert not list(folder.glob("summary_by_*.csv"))
    assert not old.exists()
    assert list(old.parent.glob("*.png"))


def test_a_group_that_there_is_not_is_refused_and_nothing_is_written(tmp_path):
    folder = grouped(tmp_path / "toy", SPLIT, size=SIZES)
    with pytest.raises(InputError, match="unknown group of images 'sise': did you mean 'size'"):
        Results(folder).report(by=["size", "sise"])
    assert not list(folder.glob("summary*.csv"))


def test_a_study_without_a_value_is_split_all_the_same(tmp_path):
    plan = Plan(layers=("top",), methods=("grad_cam",), everything_undefined=True, cost=False)
    folder = grouped(tmp_path / "toy", plan, size=SIZES)
    _, (deletion, *_) = tables(folder, "size")
    assert deletion["usual"] == [0, 0, 0, 0]
    page = Results(folder).report(by="size").read_text(encoding="utf-8")
    assert "size: large<small>n = 0 of 2</small>" in page
