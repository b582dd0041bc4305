"""Damage to a ledger: found when it is opened, said in a sentence, and repaired image by image.

`python tests/test_ledger_damage.py 2000 7` tries 2,000 mutations of seed 7.
"""

import contextlib
import random
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gradcam_eval import cli
from gradcam_eval.core import Curve, InputError, Record, Tally, TieOrders
from gradcam_eval.ledger_repair import check_ledger, repair_ledger
from gradcam_eval.store import LEDGER, Ledger, check_unused

IMAGES, CELLS = 12, 9
TABLES = ("images", "records", "curves", "tallies", "cost")


@dataclass(frozen=True)
class Cost:
    layer: str
    median: float


def fill(path):
    """A ledger with every kind of row: curves, ties, tallies, a failed image, replaced rows."""
    rng = np.random.default_rng(0)
    points = np.linspace(0, 1, 40)
    with Ledger(path, "f1") as ledger:
        for turn in range(IMAGES + 1):
            n = turn % IMAGES  # the first is judged twice: its rows are not the first any more
            sample = f"photo {n} é.png"
            row = {
                "model": "net",
                "sample": sample,
                "id": f"{n:016x}",
                "status": "ok",
                "reason": "",
            }
            if n == 5:
                ledger.write_image(row | {"status": "failed", "reason": "broken"}, [])
                continue
            ledger.write_image(row, [("cam", each) for each in records(sample, points, rng)])
        ledger.write_cost("net", [Cost("block_1", 1.5)])
    return path


def records(sample, points, rng):
    for cell in range(CELLS):
        curve = Curve(points, rng.random(40), TieOrders(0.5, (0.25, float(rng.random()))))
        tally = Tally(0.5, rng.integers(0, 9, (2, 3)).astype(float))
        key = ("net", f"block_{cell}", "grad_cam", sample)
        yield Record(*key, "deletion", "rise2018", "value", float(rng.random()), curve=curve)
        yield Record(*key, "pxap", "choe2020", "value", 0.5, tally=tally)
        yield Record(*key, "pointing_game", "pointing2018", "undefined", reason="no truth")


def tables_of(path):
    with Ledger(path, "f1") as ledger:
        return {name: getattr(ledger, name)() for name in TABLES}


def same_images(found, expected):
    """Whether every finished image of `found` has exactly the rows it had, and none has others."""
    images = found["images"]
    ok = images[images["status"] == "ok"]["sample"] if len(images) else []
    for name in ("records", "curves", "tallies"):
        mine, theirs = found[name], expected[name][expected[name]["sample"].isin(list(ok))]
        order = list(dict.fromkeys(mine["sample"]))
        theirs = pd.concat([theirs[theirs["sample"] == each] for each in order] or [theirs[:0]])
        pd.testing.assert_frame_equal(
            mine.reset_index(drop=True), theirs.reset_index(drop=True), check_dtype=False
        )
    if len(images):
        theirs = expected["images"].set_index("sample").loc[images["sample"]].reset_index()
        pd.testing.assert_frame_equal(images, theirs[images.columns], check_dtype=False)
    assert found["cost"].empty or found["cost"].equals(expected["cost"])
    return len(ok)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = fill(tmp_path_factory.mktemp("ledger") / LEDGER)
    return path.read_bytes(), tables_of(path)


def mutated(content, rng):
    """The bytes of a file after an accident: noise, zeros, a flipped bit, a cut, a lost block."""
    kind = rng.choice(["noise", "zeros", "bit", "bits", "cut", "lost", "page", "rows"])
    start = rng.randrange(len(content))
    length = rng.choice([1, 2, 16, 100, 4096, len(content) // 3])
    if kind == "noise":
        return kind, content[:start] + rng.randbytes(length) + content[start + length :]
    if kind == "zeros":
        return kind, content[:start] + bytes(length) + content[start + length :]
    if kind == "cut":
        return kind, content[: max(start, 1)]
    if kind == "lost":
        return kind, content[:start] + content[start + length :]
    if kind == "page":  # an old or foreign page in the place of another
        pages = [content[n : n + 4096] for n in range(0, len(content), 4096)]
        pages[rng.randrange(len(pages))] = rng.choice(pages)
        return kind, b"".join(pages)
    changed = bytearray(content)
    for _ in range(1 if kind == "bit" else 8):
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return kind, bytes(changed)


def delete_rows(path, rng):
    """What a clumsy hand in a database browser does: rows gone or changed, the file in order."""
    table = rng.choice(["images", "records", "tallies", "ties", "cost", "meta"])
    column = {"images": "content", "records": "value", "tallies": "parts", "ties": "shift"}
    column |= {"cost": "rows", "meta": "value"}
    share = rng.choice(["rowid % 2", f"rowid = {rng.randrange(1, 40)}", "1"])
    change = rng.choice(
        [f"DELETE FROM {table}", f"UPDATE {table} SET {column[table]} = '{{no json'"]
    )
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"{change} WHERE {share}")


def survive(path, whole, rng):
    """Damage the ledger once: whatever is read is as it was, before and after a repair."""
    content, expected = whole
    kind, changed = mutated(content, rng)
    path.write_bytes(content if kind == "rows" else changed)
    if kind == "rows":
        delete_rows(path, rng)
    try:
        same_images(tables_of(path), expected)
        state = "unharmed"
    except InputError:
        state = "refused"
    with contextlib.suppress(InputError):  # no SQLite file any more, say
        repair_ledger(path, "f1")
        same_images(tables_of(path), expected)
        assert check_ledger(path).is_whole
    for file in path.parent.iterdir():
        file.unlink()
    return kind, state


def test_no_mutation_gives_another_number(tmp_path, whole):
    rng = random.Random(1)
    for _ in range(10):
        survive(tmp_path / LEDGER, whole, rng)


def test_a_whole_ledger_is_whole(tmp_path, whole):
    path = tmp_path / LEDGER
    path.write_bytes(whole[0])
    health = check_ledger(path)
    assert (health.is_whole, health.images, health.records) == (True, 12, 11 * CELLS * 3)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM records WHERE rowid % 2", "rows of 11 of its images are gone or changed"),
        ("DELETE FROM ties", "rows of 11 of its images"),
        ("DELETE FROM tallies WHERE rowid = 20", "rows of 1 of its images"),
        ("UPDATE images SET row = '{' WHERE rowid = 3", "rows of 1 of its images"),
        ("UPDATE records SET value = 0.75 WHERE rowid = 30", "rows of 1 of its images"),
        (
            "DELETE FROM images WHERE rowid = 3",
            "records has rows of an image whose own row is gone",
        ),
        ("UPDATE cost SET rows = '[1]'", "the cost of a model is gone or changed"),
    ],
)
def test_rows_that_are_gone_or_changed_are_said_and_the_others_kept(tmp_path, whole, damage, said):
    path = tmp_path / LEDGER
    path.write_bytes(whole[0])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    with pytest.raises(
        InputError, match=r"is damaged: .*ledger repair .*keeps what is whole"
    ) as error:
        Ledger(path, "f1")
    assert said in str(error.value)
    lost = len(check_ledger(path).lost)
    repair_ledger(path, "f1")
    gone = 1 if damage.startswith("DELETE FROM images") else lost
    assert len(tables_of(path)["images"]) == IMAGES - gone
    assert same_images(tables_of(path), whole[1]) == IMAGES - 1 - gone


def test_noise_over_the_last_third_loses_what_lay_there_alone(tmp_path, whole):
    path = tmp_path / LEDGER
    third = len(whole[0]) // 3
    path.write_bytes(whole[0][:-third] + random.Random(0).randbytes(third))
    run = CliRunner().invoke
    checked = run(cli.app, ["ledger", "check", str(tmp_path)])
    assert checked.exit_code == 1
    assert "is damaged: " in checked.output
    assert "ledger repair" in checked.output
    with pytest.raises(InputError, match="is damaged"):
        Ledger(path, "f1")
    (tmp_path / "study.json").write_text('{"fingerprint": "f1"}')
    repaired = run(cli.app, ["ledger", "repair", str(tmp_path)])
    assert repaired.exit_code == 0, repaired.output
    assert "the damaged file is " in repaired.output
    assert (tmp_path / "ledger.damaged-1.sqlite").stat().st_size == len(whole[0])
    assert 2 <= same_images(tables_of(path), whole[1]) < IMAGES
    assert run(cli.app, ["ledger", "check", str(tmp_path)]).exit_code == 0
    assert "is whole" in run(cli.app, ["ledger", "repair", str(tmp_path)]).output


@pytest.mark.parametrize("lost", [1, 16, 100, 4096], ids="{} bytes".format)
def test_a_ledger_that_has_lost_its_first_page_is_repaired_whole(tmp_path, whole, lost):
    path = tmp_path / LEDGER
    path.write_bytes(random.Random(0).randbytes(lost) + whole[0][lost:])
    (tmp_path / "study.json").write_text('{"fingerprint": "f1"}')
    with pytest.raises(InputError, match=r"is damaged: its first page.*ledger repair") as error:
        Ledger(path, "f1")
    assert len(str(error.value)) < 500
    run = CliRunner().invoke
    checked = run(cli.app, ["ledger", "check", str(tmp_path)])
    assert (checked.exit_code, f"damaged: {IMAGES} images" in checked.output) == (1, True)
    assert run(cli.app, ["ledger", "repair", str(tmp_path)]).exit_code == 0
    assert same_images(tables_of(path), whole[1]) == IMAGES - 1


def test_another_size_of_pages_in_the_header_loses_nothing(tmp_path, whole):
    path = tmp_path / LEDGER
    path.write_bytes(whole[0][:16] + (8192).to_bytes(2, "big") + whole[0][18:])
    repair_ledger(path, "f1")
    assert same_images(tables_of(path), whole[1]) == IMAGES - 1


@pytest.mark.parametrize("left", [0, 1, 4096])
def test_a_ledger_that_is_cut_to_nothing_does_not_start_anew(tmp_path, whole, left):
    path = tmp_path / LEDGER
    path.write_bytes(whole[0][:left])
    (tmp_path / "study.json").write_text('{"fingerprint": "f1"}')
    with pytest.raises(InputError, match=r"is damaged.*ledger repair"):
        Ledger(path, "f1")
    repaired = CliRunner().invoke(cli.app, ["ledger", "repair", str(tmp_path)])
    assert repaired.exit_code == 0, repaired.output
    assert "0 images with 0 records" in repaired.output
    assert tables_of(path)["images"].empty
    path.unlink()
    with pytest.raises(InputError, match=r"results of a study and no ledger\.sqlite.*--fresh"):
        Ledger(path, "f1")


def test_a_new_ledger_of_a_run_that_was_killed_at_once_starts(tmp_path):
    path = tmp_path / LEDGER
    path.write_bytes(b"")
    check_unused(path)
    assert tables_of(path)["images"].empty
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")  # as far as a run comes that is killed then
        connection.commit()
    assert path.stat().st_size == 4096
    assert tables_of(path)["images"].empty


def test_an_empty_folder_has_no_ledger_and_a_run_holds_its_own(tmp_path):
    run = CliRunner().invoke
    for command in ("check", "repair"):
        error = run(cli.app, ["ledger", command, str(tmp_path)]).exception
        assert isinstance(error, InputError)
        assert "there is no ledger" in str(error)
    with Ledger(tmp_path / LEDGER, "f1"):
        for do in (check_ledger, repair_ledger):
            with pytest.raises(InputError, match="another run is writing"):
                do(tmp_path / LEDGER)


def test_a_ledger_of_an_earlier_version_is_adopted(tmp_path, whole):
    path = tmp_path / LEDGER
    path.write_bytes(whole[0])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE images DROP COLUMN content")
        connection.execute("ALTER TABLE cost DROP COLUMN sha256")
    assert same_images(tables_of(path), whole[1]) == IMAGES - 1
    assert check_ledger(path).is_whole


if __name__ == "__main__":
    import collections
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        made = fill(Path(place) / LEDGER)
        original = made.read_bytes(), tables_of(made)
        dice = random.Random(int(sys.argv[2]))
        counts = collections.Counter(survive(made, original, dice) for _ in range(int(sys.argv[1])))
    for (kind, state), count in sorted(counts.items()):
        print(f"{kind:6} {state:9} {count}")
