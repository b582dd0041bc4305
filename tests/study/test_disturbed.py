"""Studies whose files, names and disks misbehave: nothing finished is lost, nothing stays."""

import errno
import os
from pathlib import Path

import pytest

from gradcam_eval.data import decode
from gradcam_eval.report.folder import read_folder
from gradcam_eval.results import run_study
from gradcam_eval.study.run import Progress

GOOD = ["a.png", "c.png", "d.png", "more/a.png"]
QUICK = {"metrics": ["pointing_game"], "methods": ["layer_cam"], "layers": ["last"]}


@pytest.fixture
def quick(values):
    return values | QUICK


def run(values, results):
    said = []
    done = run_study(values, results=results, progress=Progress(say=said.append))
    return read_folder(done.folder), said, done


def finished(found):
    return found.images[found.images["status"] == "ok"]["sample"].tolist()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_an_image_that_cannot_be_read_now_keeps_its_results(quick, tmp_path, monkeypatch, code):
    before = run(quick, tmp_path)[0]

    def read_bytes(path):
        if path.name == "c.png":
            raise OSError(code, os.strerror(code), str(path))
        return original(path)

    original = Path.read_bytes
    monkeypatch.setattr(decode.Path, "read_bytes", read_bytes)
    found, said, _ = run(quick, tmp_path)
    assert finished(found) == finished(before) == GOOD
    assert found.records.equals(before.records)
    assert any(
        "c.png cannot be read now, and its results are kept" in line and os.strerror(code) in line
        for line in said
    )


def test_a_full_memory_is_as_passing_as_a_disk(quick, tmp_path, monkeypatch):
    run(quick, tmp_path)

    def decode_nothing(*_, **__):
        raise MemoryError

    monkeypatch.setattr("gradcam_eval.data.opening.decode_file", decode_nothing)
    found, said, _ = run(quick, tmp_path)
    assert finished(found) == GOOD
    assert sum("its results are kept" in line for line in said) == len(GOOD)


def test_a_file_that_is_no_image_any_more_is_another_image(quick, tmp_path):
    run(quick, tmp_path)
    (Path(quick["data"]) / "c.png").write_bytes(b"no image")
    found, said, _ = run(quick, tmp_path)
    assert finished(found) == ["a.png", "d.png", "more/a.png"]
    assert not any("kept" in line for line in said)


def test_an_unreadable_image_without_results_is_a_row(quick, tmp_path):
    (Path(quick["data"]) / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found, _, _ = run(quick, tmp_path)
    rows = found.images.set_index("sample")
    assert "there is no file" in rows.loc["gone.png", "reason"]


def test_a_folder_that_fails_for_a_while_ends_the_run_and_loses_nothing(
    quick, tmp_path, monkeypatch
):
    before = run(quick, tmp_path)[0]

    def scandir(path="."):
        if str(path).endswith("more"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return original(path)

    original = os.scandir
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        with pytest.raises(ValueError, match=r"more cannot be listed \(Input/output error\)"):
            run(quick, tmp_path)
    found, _, _ = run(quick, tmp_path)
    assert found.records.equals(before.records)


def test_maps_and_overlays_leave_with_their_images(quick, tmp_path):
    folder = run(quick, tmp_path)[2].folder
    run(quick, tmp_path)[2].report()
    (folder / "maps" / "mine.txt").write_text("a note")

    def files(kind):
        root = folder / kind
        return sorted(file.relative_to(root).as_posix() for file in root.rglob("*.png"))

    assert len(files("overlays")) == 4
    (Path(quick["data"]) / "c.png").unlink()
    (Path(quick["data"]) / "d.png").write_bytes(b"no image")
    run(quick, tmp_path)
    left = ["tiny/a.png.png", "tiny/more%2Fa.png.png"]
    assert files("overlays") == left
    maps = sorted(path.name for path in (folder / "maps").rglob("*"))
    assert maps == ["a.png.npz", "mine.txt", "more%2Fa.png.npz", "tiny"]


def test_an_image_with_a_name_that_is_not_utf_8_is_a_row_at_each_run(quick, tmp_path):
    pictures = Path(quick["data"])
    (pictures / os.fsdecode(b"caf\xe9.png")).write_bytes((pictures / "a.png").read_bytes())
    for _ in range(2):
        found, _, done = run(quick, tmp_path)
        assert finished(found) == GOOD
        row = found.images.set_index("sample").loc[r"caf\xe9.png"]
        assert "cannot be kept as UTF-8 text" in row["reason"]
    assert r"caf\xe9.png" in done.report().read_text(encoding="utf-8")


def test_unusual_names_go_through_tables_and_report(quick, tmp_path):
    names = ["a\rb.png", "a\nb.png", 'a",b.png', "\x1b[2J.png", "$x^.png"]
    pictures = Path(quick["data"])
    for number, name in enumerate(names):
        (pictures / name).write_bytes((pictures / GOOD[number % 4]).read_bytes())
    found, _, done = run(quick, tmp_path)
    assert sorted(finished(found)) == sorted(names + GOOD)
    assert set(found.records["sample"]) == {*names, *GOOD}
    done.report()
