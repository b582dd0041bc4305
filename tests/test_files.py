"""Files that are whole or as they were before, whatever ends the writing."""

import ast
import os
from pathlib import Path

import pandas as pd
import pytest

import gradcam_eval
from gradcam_eval.files import clear_unfinished, is_there, replacing, write_table, write_text

PACKAGE = Path(gradcam_eval.__file__).parent
# What writes a file by its path, and what it may be called on instead: memory and standard output.
WRITERS = {"write_text", "write_bytes", "to_csv", "savefig", "save", "savez",
           "savez_compressed", "copyfile", "tofile", "dump"}  # fmt: skip
IN_MEMORY = {"buffer", "stream", "file_in_memory", "sys.stdout"}


class Stop(BaseException):
    """As a kill by Ctrl-C, which no `except Exception` sees."""


@pytest.mark.parametrize("error", [Stop, OSError(28, "No space left on device"), ValueError])
def test_what_ends_the_writing_leaves_the_earlier_file(tmp_path, error):
    path = tmp_path / "report.html"
    path.write_text("good")

    def write():
        with replacing(path) as file:
            file.write_text("ha")
            raise error

    with pytest.raises(type(error) if isinstance(error, OSError) else error):
        write()
    assert path.read_text() == "good"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_disk_that_does_not_keep_what_was_written_leaves_the_earlier_file(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(5, "Input/output error")

    (tmp_path / "a.csv").write_text("good")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "good"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_file_is_replaced_and_a_new_one_has_the_usual_permissions(tmp_path):
    path = tmp_path / ("x" * 250 + ".csv")
    write_table(path, pd.DataFrame({"a": ["one", "\udce9"]}))
    write_table(path, pd.DataFrame({"a": ["one", "\udce9"]}))
    assert path.read_text() == "a\none\n\\udce9\n"
    (tmp_path / "usual").write_text("")
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert len(os.listdir(tmp_path)) == 2


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real" / "file.txt")
    write_text(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "real" / "file.txt").read_text() == "text"
    write_text(os.devnull, "text")
    assert not Path(os.devnull).is_file()


def test_what_a_kill_left_is_removed_when_nobody_can_be_writing_it(tmp_path):
    old, new = (tmp_path / "maps" / f".unfinished-{name}.npz" for name in ("old", "new"))
    old.parent.mkdir()
    for file in (old, new, tmp_path / "kept.csv"):
        file.write_text("")
        os.utime(file, (0, 0) if file != new else None)
    clear_unfinished(tmp_path)
    assert {file.name for file in tmp_path.rglob("*.*")} == {new.name, "kept.csv"}


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800", "nothing"])
def test_a_name_that_no_file_system_takes_is_not_there(tmp_path, name):
    assert is_there(tmp_path / name) is False
    assert is_there(tmp_path)


def unsafe_writes(source):
    """What writes a file by its path outside a block of `replacing`."""
    found, safe = [], set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and "replacing(" in ast.unparse(node.items[0].context_expr):
            safe |= {id(each) for each in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in safe:
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        target = ast.unparse(node.args[0]) if node.args else ""
        is_open = name == "open" and any(
            isinstance(each, ast.Constant) and set(str(each.value)) & set("wax+")
            and set(str(each.value)) <= set("rwaxbt+")
            for each in (*node.args, *(keyword.value for keyword in node.keywords))
        )  # fmt: skip
        is_ours = isinstance(node.func, ast.Name)  # `write_text` of `files`
        if (name in WRITERS and not is_ours and target not in IN_MEMORY) or is_open:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("path.write_text(page)", 1),
        ("frame.to_csv(folder / 'a.csv')", 1),
        ("with path.open('wb') as file:\n    pass", 1),
        ("with open(path, mode='a') as file:\n    pass", 1),
        ("with replacing(path) as file:\n    figure.savefig(file)", 0),
        ("write_text(path, page)\npicture.save(buffer, 'PNG')\npath.open('rb')", 0),
    ],
)
def test_the_check_below_sees_what_it_should(source, count):
    assert len(unsafe_writes(source)) == count


ALLOWED = {
    "cli/terminal.py": "os.devnull",
    "ledger_header.py": "copy",  # of a ledger, in a folder that is removed
    "metrics/stability.py": "'JPEG', quality",  # in memory
    "picture.py": "heatmaps.save(out)",  # which uses `replacing`
}


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.relative_to(PACKAGE).as_posix()
)
def test_every_file_is_written_whole_or_not_at_all(file):
    name = file.relative_to(PACKAGE).as_posix()
    found = unsafe_writes(file.read_text(encoding="utf-8")) if name != "files.py" else []
    assert [each for each in found if ALLOWED.get(name, "\0") not in each] == []
