"""Each part of the package imports only what stands above it in this table.

Imports inside functions count as well; those for type checkers alone do not. Parts in one row do
not know each other.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import gradcam_eval

ROWS = """
texts
core
aggregates arrays files jit resources values
intervals
records
statistics
stats
protocols
models perturb data
methods metrics
ledger_rows
ledger_header
ledger_health
ledger_repair
contracts timing store environment
study
comparison
report
results
picture_files
picture progress callback sanity meta_evaluation
cli
__main__
"""
LEVEL = {part: level for level, row in enumerate(ROWS.split("\n")) for part in row.split()}
ROOT = Path(gradcam_eval.__file__).parent
FACADE = "__init__"  # names every public thing, when it is asked for; nothing inside leans on it
UPWARD = {("study", FACADE): "run_study, for Study(...).run(), a convenience for users"}


class Import(NamedTuple):
    target: str  # a part of the package, or FACADE for a public name taken from the top
    is_lazy: bool
    line: int


def part_of(file: Path) -> str:
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports(source: str) -> list[Import]:
    return list(_walk(ast.parse(source), is_lazy=False))


def _walk(node: ast.AST, is_lazy: bool) -> Iterator[Import]:
    for module in _modules(node):
        yield Import(_target(module), is_lazy, node.lineno)
    is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in node.orelse if is_for_types else ast.iter_child_nodes(node):
        yield from _walk(child, is_lazy or is_function)


def _modules(node: ast.AST) -> list[str]:
    """The modules of ours that an import statement names."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level:
        names = ["gradcam_eval.relative"]  # not in the table: it fails, and says where
    elif isinstance(node, ast.ImportFrom) and node.module == "gradcam_eval":
        names = [f"gradcam_eval.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module]
    return [name for name in names if name.split(".")[0] == "gradcam_eval"]


def _target(module: str) -> str:
    inner = module.split(".")[1:]
    return inner[0] if inner and inner[0] in {*LEVEL, "relative"} else FACADE


def complaints(part: str, source: str) -> list[str]:
    """What in a module of a part breaks the order."""
    found = []
    for target, is_lazy, line in imports(source):
        is_own = target == part
        is_below = target in LEVEL and LEVEL[target] < LEVEL[part]
        is_excused = is_lazy and (part, target) in UPWARD
        if not (is_own or is_below or is_excused):
            found.append(f"line {line}: {part} imports {target}")
        elif (part, target) == ("metrics", "models") and not is_lazy:
            found.append(f"line {line}: metrics imports models before it must")
    return found


FILES = sorted(file for file in ROOT.rglob("*.py") if part_of(file) != FACADE)


def test_every_part_stands_in_the_table_and_every_entry_exists():
    assert {part_of(file) for file in FILES} == set(LEVEL)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_imports_go_one_way(file):
    assert complaints(part_of(file), file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("part", "source", "is_allowed"),
    [
        ("metrics", "from gradcam_eval.core import Case", True),
        ("metrics", "from gradcam_eval.metrics.inputs import Request", True),
        ("metrics", "import gradcam_eval.methods.cam", False),
        ("metrics", "from gradcam_eval import methods", False),
        ("metrics", "def f():\n    from gradcam_eval.methods import METHODS", False),
        ("methods", "from gradcam_eval.metrics import METRICS", False),
        ("metrics", "from gradcam_eval.models.engine import Predictor", False),
        ("metrics", "def f():\n    from gradcam_eval.models.engine import Predictor", True),
        ("core", "import numpy\nfrom typing import Any", True),
        ("core", "from gradcam_eval import arrays", False),
        ("arrays", "from gradcam_eval.resources import datasets_root", False),
        ("store", "if TYPE_CHECKING:\n    from gradcam_eval.study.run import run", True),
        ("store", "if TYPE_CHECKING:\n    pass\nelse:\n    import gradcam_eval.study", False),
        ("store", "try:\n    import gradcam_eval.study\nexcept ImportError:\n    pass", False),
        ("cli", "from gradcam_eval import explain", False),
        ("cli", "import gradcam_eval", False),
        ("study", "from .judge import judge", False),
        ("study", "from gradcam_eval import run_study", False),
        ("study", "def f():\n    from gradcam_eval import run_study", True),
        ("study", "def f():\n    from gradcam_eval.results import run_study", False),
    ],
)
def test_the_rule_itself_finds_what_it_should(part, source, is_allowed):
    assert (complaints(part, source) == []) == is_allowed


@pytest.mark.parametrize(
    "module",
    [
        "gradcam_eval",
        "gradcam_eval.cli",
        "gradcam_eval.data",
        "gradcam_eval.metrics",
        "gradcam_eval.picture",
        "gradcam_eval.report.html",
        "gradcam_eval.results",
        "gradcam_eval.stats",
        "gradcam_eval.store",
        "gradcam_eval.study.config",
        "gradcam_eval.timing",
    ],
)
def test_what_must_start_quickly_does_not_import_tensorflow(module):
    code = (
        f"import sys, {module}\n"
        "print(*[name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
