"""What CONTRIBUTING.md shows works, in the order in which it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import small_network

from gradcam_eval.contracts import CONTRACTS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_a_new_method_takes_15_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 15


def test_the_methods_work_as_shown(tmp_path):
    assert len(BLOCKS) == 4
    code = "\n".join([small_network.PUT_IN, *BLOCKS])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shapes, keys = done.stdout.splitlines()
    assert "'top_activation': (1, 7, 7)" in shapes
    assert shapes.count("(1, ") == 5
    assert keys == str(
        [
            ("top_activation", "tempered_evidence"),
            ("top_activation", "tempered_evidence(power=0.25)"),
        ]
    )


def test_every_contract_is_told():
    told = " ".join(TEXT.split())
    for said in (
        "finite float32",
        "constant images",
        "in a batch",
        "thread",
        "same seed",
        "exception",
        "as often as",
    ):
        assert said in told
    assert len(CONTRACTS) == 9  # a new one wants its words in the guide


def test_the_files_it_names_exist():
    for name in re.findall(r"`((?:methods|metrics|tests|benchmarks)/[\w/]+\.py)`", TEXT):
        assert (ROOT / name).exists() or (ROOT / "gradcam_eval" / name).exists(), name
