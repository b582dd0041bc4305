import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from gradcam_eval.core import Curve, InputError, Record, TieOrders
from gradcam_eval.store import Ledger, check_unused, map_path


def row(sample, *, model="net", status="ok", content="c1"):
    return {"model": model, "sample": sample, "id": content, "status": status, "reason": ""}


def record(sample, value=0.5, *, model="net", metric="deletion", curve=None):
    return Record(
        model, "conv", "grad_cam", sample, metric, "rise2018", "value", value=value, curve=curve
    )


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite", "f1") as opened:
        yield opened


def test_what_is_written_is_there_after_reopening(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, "f1") as ledger:
        ledger.write_image(row("a"), [("cam", record("a", 0.25))])
    with Ledger(path, "f1") as ledger:
        assert ledger.has_image("net", "a", "c1")
        assert ledger.records()["value"].tolist() == [0.25]
        assert ledger.records()["kind"].tolist() == ["cam"]


def test_only_the_same_content_of_a_judged_image_is_finished(ledger):
    ledger.write_image(row("a"), [])
    ledger.write_image(row("bad", status="failed"), [])
    assert ledger.has_image("net", "a", "c1")
    assert not ledger.has_image("net", "a", "other content")
    assert not ledger.has_image("other net", "a", "c1")
    assert not ledger.has_image("net", "bad", "c1")
    assert ledger.finished("net") == {"a"}


def test_writing_an_image_again_replaces_all_its_rows_and_no_other(ledger):
    both = [("cam", record("a", 0.1)), ("cam", record("a", 0.2, metric="insertion"))]
    ledger.write_image(row("a"), both)
    ledger.write_image(row("b"), [("cam", record("b", 0.3))])
    ledger.write_image(row("a", content="c2"), [("cam", record("a", 0.9))])
    found = ledger.records().set_index("sample")["value"].to_dict()
    assert found == {"a": 0.9, "b": 0.3}
    assert len(ledger.images()) == 2


@pytest.mark.parametrize("fault", ["a record twice", "an exception of the caller"])
def test_an_image_is_written_whole_or_not_at_all(ledger, fault):
    ledger.write_image(row("a", content="old"), [("cam", record("a", 0.1))])

    def records():
        yield "cam", record("a", 0.2)
        if fault != "a record twice":
            raise RuntimeError("stop")
        yield "cam", record("a", 0.3)

    with pytest.raises((sqlite3.IntegrityError, RuntimeError)):
        ledger.write_image(row("a", content="new"), records())
    assert ledger.records()["value"].tolist() == [0.1]
    assert ledger.has_image("net", "a", "old")


def test_a_disk_that_fills_up_says_so_and_keeps_what_is_finished(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, "f1") as ledger:
        ledger.write_image(row("a"), [("cam", record("a"))])
        pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")  # as a full disk answers
        many = [("cam", record("b", metric=f"metric_{i}")) for i in range(500)]
        with pytest.raises(InputError, match=r"ledger\.sqlite: database or disk is full; what is"):
            ledger.write_image(row("b"), many)
    with Ledger(path, "f1") as ledger:
        assert ledger.records()["sample"].tolist() == ["a"]


def test_arranged_images_stand_in_the_order_given_and_others_are_forgotten(ledger):
    for sample in ("c", "gone", "a", "b"):
        ledger.write_image(row(sample), [("cam", record(sample, curve=CURVE))])
    ledger.arrange([("net", "a"), ("net", "b"), ("net", "never seen"), ("net", "c")])
    for table in (ledger.images(), ledger.records(), ledger.curves()):
        assert list(dict.fromkeys(table["sample"])) == ["a", "b", "c"]
    ledger.write_image(row("a", content="c2"), [("cam", record("a"))])
    ledger.arrange([("net", "a"), ("net", "c"), ("net", "b")])
    assert ledger.images()["sample"].tolist() == ["a", "c", "b"]
    assert ledger.records()["sample"].tolist() == ["a", "c", "b"]


def test_a_ledger_of_another_study_is_refused_and_stays(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, "f1") as ledger:
        ledger.write_image(row("a"), [])
    with pytest.raises(InputError, match=r"holds results of another study.*--fresh.*another name"):
        Ledger(path, "f2")
    with Ledger(path, "f1") as ledger:
        assert ledger.has_image("net", "a", "c1")


def test_a_second_run_in_this_process_is_refused(tmp_path, ledger):
    with pytest.raises(InputError, match=r"another run is writing to .*ledger\.sqlite: wait"):
        Ledger(ledger.path, "f1")
    with pytest.raises(InputError, match="another run is writing to"):
        check_unused(ledger.path)


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    path = tmp_path / "ledger.sqlite"
    code = (
        "import sys\nfrom pathlib import Path\nfrom gradcam_eval.store import Ledger\n"
        "with Ledger(Path(sys.argv[1]), 'f1'):\n    print('open', flush=True)\n    input()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(InputError, match="another run is writing to"):
            Ledger(path, "f1")
        other.communicate("\n")
    Ledger(path, "f1").__exit__()
    check_unused(path)


def test_a_file_that_is_no_ledger_is_refused_and_kept(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_text("my diary, and long enough to be a page of something\n" * 40)
    with pytest.raises(InputError, match=r"is damaged: its first page.*ledger repair"):
        Ledger(path, "f1")
    assert path.read_text().startswith("my diary")
    check_unused(path, is_removed=True)
    with pytest.raises(InputError, match="is damaged"):
        check_unused(path)


def test_a_ledger_that_cannot_be_made_says_so(tmp_path):
    with pytest.raises(InputError, match=r"cannot write the ledger .*nowhere"):
        Ledger(tmp_path / "nowhere" / "ledger.sqlite", "f1")


CURVE = Curve(np.array([0.0, 1 / 3, 1.0]), np.array([0.9, 0.1 + 0.2, 1e-17]))


def test_the_export_gives_back_every_number(tmp_path, ledger):
    records = [
        ("cam", record("a", 1 / 3, curve=CURVE)),
        (
            "control",
            Record("net", "", "random", "a", "deletion", "rise2018", "undefined", reason='r, "q"'),
        ),
        ("cam", Record("net", "conv", "m", "a", "own", "own", "failed", reason="E: two\nlines")),
    ]
    ledger.write_image(row("a"), records)
    ledger.write_image(row("b", status="failed"), [])
    ledger.export(tmp_path)
    found = pd.read_csv(tmp_path / "records.csv", keep_default_na=False)
    assert found["value"].tolist() == [repr(1 / 3), "", ""]
    assert found["layer"].tolist() == ["conv", "", "conv"]
    assert found["kind"].tolist() == ["cam", "control", "cam"]
    assert found["status"].tolist() == ["value", "undefined", "failed"]
    assert found["reason"].tolist() == ["", 'r, "q"', "E: two\nlines"]
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves["fraction"].tolist() == CURVE.fraction.tolist()
    assert curves["score"].tolist() == CURVE.score.tolist()
    assert curves[
        ["model", "layer", "method", "sample", "metric"]
    ].drop_duplicates().values.tolist() == [["net", "conv", "grad_cam", "a", "deletion"]]
    assert pd.read_csv(tmp_path / "images.csv")["status"].tolist() == ["ok", "failed"]
    assert not (tmp_path / "cost.csv").exists()
    assert not list(tmp_path.glob("*.partial"))


def tied(sample, *areas):
    """A record whose curve is a mean over orders, of which the first is row-major."""
    curve = Curve(CURVE.fraction, CURVE.score, TieOrders(areas[0], areas[1:]))
    return "cam", record(sample, curve=curve)


def test_what_ties_do_stands_beside_the_value_it_does_it_to(tmp_path, ledger):
    other = record("a", metric="insertion", curve=CURVE)
    ledger.write_image(row("a"), [tied("a", 0.5, 0.25, 0.75), ("cam", other)])
    ledger.write_image(row("b"), [tied("b", 0.5, 0.125, 0.125)])
    found = ledger.records().set_index(["sample", "metric"])[["tie_shift", "tie_spread"]]
    assert found.loc["a", "deletion"].tolist() == [0, np.sqrt(0.125)]
    assert found.loc["a", "insertion"].isna().all()
    assert found.loc["b", "deletion"].tolist() == [0.375, 0]
    ledger.write_image(row("a", content="c2"), [tied("a", 1.0, 0.25, 0.75)])
    ledger.arrange([("net", "a")])
    ledger.export(tmp_path)
    written = pd.read_csv(tmp_path / "records.csv")
    assert written["tie_shift"].tolist() == [0.5]
    assert written["tie_spread"].tolist() == [np.sqrt(0.125)]


def test_a_ledger_from_before_ties_were_kept_goes_on(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, "f1") as ledger:
        ledger.write_image(row("a"), [("cam", record("a", curve=CURVE))])
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE ties")
    connection.close()
    with Ledger(path, "f1") as ledger:
        ledger.write_image(row("b"), [tied("b", 0.5, 0.25, 0.25)])
        assert ledger.records()["tie_shift"].tolist() == [pytest.approx(np.nan, nan_ok=True), 0.25]


def test_an_export_leaves_no_table_of_an_earlier_one(tmp_path, ledger):
    (tmp_path / "curves.csv").write_text("old")
    ledger.write_image(row("a"), [("cam", record("a"))])
    ledger.export(tmp_path)
    assert not (tmp_path / "curves.csv").exists()


@dataclass(frozen=True)
class Row:
    layer: str
    median: float


def test_cost_is_kept_by_model_and_replaced(ledger):
    assert not ledger.has_cost("net")
    ledger.write_cost("net", [Row("a", 1.0)])
    ledger.write_cost("other", [Row("b", 2.0)])
    ledger.write_cost("net", [Row("a", 3.0), Row("c", 4.0)])
    assert ledger.has_cost("net")
    found = json.loads(ledger.cost().sort_values("median").to_json(orient="values"))
    assert found == [["other", "b", 2.0], ["net", "a", 3.0], ["net", "c", 4.0]]


NASTY = ["..", ".", "", "../../x", "/etc/x", "a/b", "a\\b", "con:", "x" * 300, "写真" * 40, "a\0b"]


@pytest.mark.parametrize("model", NASTY)
@pytest.mark.parametrize("sample", NASTY)
def test_maps_lie_in_the_folder_of_maps_and_can_be_written(tmp_path, model, sample):
    path = map_path(tmp_path, model, sample)
    assert path.resolve().parent.parent == (tmp_path / "maps").resolve()
    path.parent.mkdir(parents=True)
    path.with_suffix(".partial").write_bytes(b"")
    path.write_bytes(b"")


def test_each_name_has_a_file_of_its_own(tmp_path):
    names = [*NASTY, "%2E%2E", "%", "x" * 301, "a b", "a_b", "a%2Fb", "写真" * 41]
    assert len({map_path(tmp_path, "net", name) for name in names}) == len(names)
    assert map_path(tmp_path, "net", "cat.jpg") == tmp_path / "maps" / "net" / "cat.jpg.npz"
