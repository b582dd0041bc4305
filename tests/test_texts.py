"""Names from files and models: what is kept, what a terminal is shown, and what a page is."""

import ast
import io
import os
import pickle
import sys
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

import gradcam_eval
from gradcam_eval.cli import terminal
from gradcam_eval.core import InputError, Sample, Truth, reason_of, unknown_name
from gradcam_eval.progress import _say
from gradcam_eval.texts import is_writable, isolated, one_line, printable, shortened, writable

ANY = st.text(st.characters() | st.sampled_from("\0\x1b\n\r\u202e\u2067\u2069\udce9\ud800א"))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("café.png", "café.png"),
        (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"),
        ("\ud800", r"\ud800"),
        ("a\0b", r"a\x00b"),
    ],
)
def test_what_utf_8_cannot_write_is_kept_as_escapes(text, kept):
    assert writable(text) == kept
    assert is_writable(text) == (text == kept)


@given(ANY)
def test_what_is_kept_can_be_encoded(text):
    assert "\0" not in writable(text).encode().decode()
    assert is_writable(writable(text))


@given(ANY)
def test_no_text_steers_a_terminal(text):
    shown = printable(text)
    shown.encode()
    assert not any(unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs") for each in shown)
    assert not {"RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI"} & {
        unicodedata.bidirectional(each) for each in shown
    }


def test_what_needs_no_escape_stays():
    for text in ("", "naïve 写真 👩‍👩‍👧.png", "0.5\u202fms, 1\u00a0%", "שלום"):
        assert printable(text) == text


@given(ANY)
def test_an_isolated_text_closes_what_it_opens_and_nothing_else(text):
    shown = isolated(text)
    if shown == text:
        return
    assert (shown[0], shown[-1]) == ("\u2068", "\u2069")
    depth = 0
    for each in shown[:-1]:  # never back at the level of the text around it
        depth += (each in "\u2066\u2067\u2068") - (each == "\u2069")
        assert depth >= 1
    assert depth == 1


def test_only_what_turns_the_direction_is_isolated():
    assert isolated("cat.png") == "cat.png"
    assert isolated("a\u202egpj.exe") == "\u2068a\u202egpj.exe\u2069"
    assert isolated("א\u2069b") == "\u2068אb\u2069"


@given(ANY, st.integers(5, 60))
def test_a_shortened_text_keeps_both_ends(text, most):
    shown = shortened(text, most)
    assert len(shown) <= most
    if len(text) > most:
        head, tail = shown.split(" … ", 1)[0], shown.rsplit(" … ", 1)[-1]
        assert text.startswith(head)
        assert text.endswith(tail)


def test_an_error_is_one_bounded_line_that_keeps_its_cause():
    error = InputError("before " + "x" * 10_000 + "\n\x1b[31mthe cause")
    assert str(error).startswith("before xxx")
    assert str(error).endswith(r"\x1b[31mthe cause")
    assert len(str(error)) <= 500
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert len(reason_of(RuntimeError("y" * 10_000 + " at last"))) <= 500
    assert reason_of(RuntimeError("y" * 10_000 + " at last")).endswith(" at last")
    assert reason_of(ValueError("a\nb")) == "ValueError: a b"
    assert one_line(" a \n\tb ") == "a b"


def test_a_long_name_hides_neither_the_hint_nor_the_valid_ones():
    said = str(unknown_name("method", "x" * 10_000, ["grad_cam"]))
    assert len(said) < 200
    assert said.endswith("Valid: grad_cam.")


def test_a_sample_whose_texts_cannot_be_kept_is_refused():
    truth = Truth((1, 1))
    with pytest.raises(InputError, match="which UTF-8 cannot write"):
        Sample("id", "caf\udce9", None, (), truth, truth)


CLI = Path(gradcam_eval.__file__).parent / "cli"


@pytest.mark.parametrize("file", sorted(CLI.glob("*.py")), ids=lambda file: file.name)
def test_commands_write_through_the_terminal_alone(file):
    """What a name could steer goes through `say`, `cell` or `write_csv`; JSON escapes by itself."""
    if file.name == "terminal.py":
        return
    allowed = ("json.dumps", "version(", "card", "\\n{facts")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            is_plain = any(each in ast.unparse(node) for each in allowed)
            assert called not in ("typer.echo", "Text", "sys.stdout.write"), ast.unparse(node)
            assert called != "print" or is_plain, ast.unparse(node)


@pytest.mark.parametrize("way", ["say", "cell", "csv", "progress"])
def test_no_name_reaches_the_terminal_raw(monkeypatch, way):
    name = "cat\x1b[2J\u202e\udce9\n.png"
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", stream)
    if way == "say":
        terminal.say(f"image {name}")
    elif way == "cell":
        table = Table()
        table.add_column("name", no_wrap=True)
        table.add_row(terminal.cell(name))
        Console(file=stream, width=200, force_terminal=False).print(table)
    elif way == "csv":
        terminal.write_csv(pd.DataFrame({"path": [name]}))
    else:
        _say(Console(file=stream, width=200), name)
    stream.flush()
    written = stream.buffer.getvalue().decode()
    assert r"cat\x1b[2J\u202e\xe9\n.png" in written.replace("\\\\", "\\")
    assert not {"\x1b", "\u202e"} & set(written)
