"""What the README shows works: its Python example, its commands, its files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from gradcam_eval.cli import app
from gradcam_eval.models.weights import LITE0, is_installed
from gradcam_eval.study.config import make_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_runs(tmp_path):
    if not is_installed(LITE0):
        pytest.skip("the weights of EfficientNet-Lite0 are not installed")
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"class 285, area under the deletion curve 0\.\d{3}\n", done.stdout)
    with Image.open(tmp_path / "chelsea.png") as picture:
        assert picture.size == (224, 224)


def test_make_has_the_two_commands():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_the_commands_and_options_exist():
    shown = re.findall(r"^gradcam-eval ((?:data )?\w+)(.*?)(?:#|$)", README, flags=re.MULTILINE)
    known = {
        "explain",
        "layers",
        "methods",
        "metrics",
        "study",
        "report",
        "protocols",
        "ranks",
        "sanity",
        "data check",
    }
    assert {name for name, _ in shown} == known
    for name, rest in shown:
        asked = [*name.split(), "--help"]
        help_text = CliRunner().invoke(app, asked, terminal_width=200).output
        for option in re.findall(r"\s(--?[a-z-]+)", rest):
            assert option in help_text


def test_the_study_is_valid_but_for_the_files_it_names(tmp_path, monkeypatch):
    import tomllib

    (example,) = blocks("toml")
    values = tomllib.loads(example)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"my-model\.keras does not exist"):
        make_study(values)


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
