"""What the guides in docs/ show works, in the order in which it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import small_network

from gradcam_eval.methods import METHODS
from gradcam_eval.models.weights import LITE0, is_installed

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "explaining.md").read_text(encoding="utf-8")


def test_the_guide_runs_as_it_stands(tmp_path):
    """On a small network under the name of the model: README's example is run on that itself."""
    code = "\n".join([small_network.PUT_IN, *re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"entropy \d\.\d\d nat", done.stdout)
    assert "top_activation score_cam(channels=16) (1, 7, 7)" in done.stdout
    assert "input rise(masks=64) (1, 224, 224)" in done.stdout
    written = sorted(path.name for path in (tmp_path / "heatmaps").iterdir())
    assert written == ["epoch_0000.png", "epoch_0002.png", "epoch_0004.png"]


# What each of the other guides prints, where anything.
SAID = {
    "judging.md": r"on the patch: deletion 0\.\d+ in \d+ calls, hit=True, mass 0\.9\d[\s\S]*"
    r"85% of the pixels are tied[\s\S]*"
    r"grad_cam: 0\.[67]\d of the energy[\s\S]*"
    r"layer_cam, disconnected: 0\.9\d, 1\.00 as a map",
    "data.md": "",
    "sanity.md": "grad_cam",
    "claims.md": r"layer_cam .* True[\s\S]*0   net   top",
}


def test_the_other_guides_run_as_they_stand(tmp_path):
    """One after another in one process, each with names of its own."""
    if not is_installed(LITE0):
        pytest.skip("the weights of EfficientNet-Lite0 are not installed")
    code = ""
    for page in SAID:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
        code += f"exec(compile({blocks!r}, {page!r}, 'exec'), {{}})\nprint('end of', {page!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rest = done.stdout
    for page, said in SAID.items():
        printed, rest = rest.split(f"end of {page}\n")
        assert re.search(said, printed), printed


def test_the_guide_names_every_method_under_its_kind():
    rows = dict(re.findall(r"^\| (\w+) \| .*? \| (.*?) \|$", TEXT, flags=re.MULTILINE))
    for kind in ("cam", "layer", "fusion", "input"):
        named = re.findall(r"`(\w+)`", rows[kind])
        assert named == [method.name for method in METHODS.values() if method.kind == kind]
