"""What the pages show beside Python: commands, studies, lists and maps of classes."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from gradcam_eval.cli import app
from gradcam_eval.data.classmap import imagenet_map, read_mapping
from gradcam_eval.data.readers.manifest import read_csv, read_jsonl
from gradcam_eval.study.config import Study, check_names

ROOT = Path(__file__).parents[1]
FOLDERS = (".", "docs", "datasets", "datasets/*", "benchmarks", "results")
PAGES = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md"))
DATA = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
BASE = {"name": "shown", "models": ["efficientnet_lite0"], "metrics": ["deletion"]}


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def shown_commands():
    """Return every command of a block, whole, and every one inside a line, which may be cut."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in blocks(text, ""):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("gradcam-eval"):
                    yield pytest.param(line, True, id=f"{page.parent.name}: {line}")
        for line in re.findall(r"`(gradcam-eval [a-z][^`]*)`", text):
            yield pytest.param(line, False, id=f"{page.parent.name}: {line}")


def parse(words):
    """Parse as the command line does, and run nothing."""
    command, name = get_command(app), "gradcam-eval"
    context = command.make_context(name, list(words), resilient_parsing=True)
    while words and words[0] == "--import":
        words = words[2:]
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, name
        command = command.commands[name]
    return command.make_context(name, list(words), parent=context)


@pytest.mark.parametrize(("line", "is_whole"), list(shown_commands()))
def test_the_command_line_takes_every_command_shown(line, is_whole):
    try:
        parse(shlex.split(line, comments=True)[1:])
    except Exception as error:
        if is_whole or type(error).__name__ != "MissingParameter":
            raise


@pytest.mark.parametrize(
    "line", ["study", "study a.toml --fast", "explain a.jpg --score loss", "sanities", "data see x"]
)
def test_a_command_that_does_not_exist_would_be_found(line):
    with pytest.raises(Exception, match=r"Missing|No such option|loss|sanities|see"):
        parse(line.split())


def test_scripts_and_studies_that_are_shown_exist():
    shown = {
        name
        for page in PAGES
        for name in re.findall(
            r"(?:python|study|-m pytest) ((?:datasets|docs|benchmarks|tests)/\S+\.\w+)",
            page.read_text(encoding="utf-8"),
        )
    }
    assert len(shown) >= 5
    for name in shown:
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", ["data.md", "protocols.md"])
def test_studies_that_are_shown_are_valid(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    shown = [tomllib.loads(block) for block in blocks(text, "toml")]
    assert shown
    for values in shown:
        study = Study.model_validate({"data": "photos"} | BASE | values)
        if study.data.path == "photos":  # another one names files that are not here
            check_names(study)


def test_lists_and_maps_of_classes_that_are_shown_are_read(tmp_path):
    csv, mapped, wide = blocks(DATA, "csv")
    (line,) = blocks(DATA, "json")
    (tmp_path / "list.csv").write_text(csv, encoding="utf-8")
    (entry,) = read_csv(tmp_path / "list.csv")
    assert entry.labels == ("tabby", "goldfish")
    (tmp_path / "list.jsonl").write_text(line, encoding="utf-8")
    (entry,) = read_jsonl(tmp_path / "list.jsonl")
    assert entry.labels == ("tabby",)
    (tmp_path / "map.csv").write_text(mapped, encoding="utf-8")
    (tmp_path / "wide.csv").write_text(wide, encoding="utf-8")
    one = read_mapping(tmp_path / "map.csv", imagenet_map())
    many = read_mapping(tmp_path / "wide.csv", imagenet_map())
    assert [one.indices(name) for name in ("Katze", "Hund")] == [(281,), (207,)]
    assert many.indices("dog") == tuple(range(151, 269))
    assert many.indices("bear") == (294, 295, 296, 297)
