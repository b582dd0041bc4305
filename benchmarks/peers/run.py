"""Compare last-layer Grad-CAM with other libraries, in virtual environments beside the project's.

Run: ``python benchmarks/peers/run.py [--environments FOLDER] [--only NAME …]``. Needs the network
and 8 GB (on Linux, PyTorch comes with CUDA, which is not used); nothing of it is a dependency of
the project or of its tests. Writes `results/peers.json`. A peer that does not install or run, or
returns no heatmap of the class asked for, becomes a row with the reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# environment → what pip installs, all pinned; requirements agree, so a framework's peers share one
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "tensorflow": (
        "tensorflow==2.15.1",
        "tf-keras-vis==0.8.7",
        "xplique==1.4.0",
    ),  # not for Keras 3
    "pytorch": (
        "torch==2.14.1",
        "torchvision==0.29.1",
        "captum==0.9.0",
        "grad-cam==1.5.7",
        "torchcam==0.5.0",
    ),
}

# peer → its environment. None: the one that runs this script.
PEERS: dict[str, str | None] = {
    "gradcam-eval": None,
    "gradcam-eval-openvino": None,
    "tutorial": None,
    "tf-keras-vis": "tensorflow",
    "xplique": "tensorflow",
    "captum": "pytorch",
    "torch-cam": "pytorch",
    "pytorch-grad-cam": "pytorch",
}


def measure(name: str, environments: Path) -> dict[str, Any]:
    """Install a peer where it is not yet, measure it, and return its row."""
    try:
        python = python_of(name, environments)
        script = [str(python), str(HERE / "measure.py"), name]
        done = subprocess.run(script, capture_output=True, text=True, check=True, cwd=ROOT)
        return {"peer": name, "status": "ok", **json.loads(done.stdout.splitlines()[-1])}
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stderr or "").splitlines() if line.strip()]
        return {"peer": name, "status": "failed", "reason": lines[-1] if lines else str(error)}


def python_of(name: str, environments: Path) -> Path:
    """Return the Python that has a peer, once its environment is installed."""
    environment = PEERS[name]
    if environment is None:
        return Path(sys.executable)
    folder = environments / environment
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", *ENVIRONMENTS[environment]]
        subprocess.run(pip, capture_output=True, text=True, check=True)
        (folder / "installed").touch()
    return python


def show(row: dict[str, Any]) -> None:
    """Print a row."""
    if row["status"] != "ok":
        print(f"{row['peer']:<23}{row['status']}: {row['reason']}")
        return
    cells = []
    for size in (1, 16):
        found = row[f"batch_{size}"]
        low, high = found["ratio_quartiles"]
        each = f"{found['heatmap_ms'] / size:.1f} ms an image"
        cells.append(f"batch {size}: {found['ratio']:5.2f} [{low:.2f}, {high:.2f}], {each}")
    print(f"{row['peer']:<23}{'   '.join(cells)}   {row['package']}")


def main() -> None:
    """Measure the peers that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--environments", type=Path, help="folder that keeps the environments")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = []
        for name in asked.only:
            rows.append(measure(name, asked.environments or Path(scratch)))
            show(rows[-1])
    (ROOT / "results").mkdir(exist_ok=True)
    (ROOT / "results" / "peers.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
