"""Compare last-layer Grad-CAM with other libraries, each in a virtual environment of its own.

Run: ``python benchmarks/peers/run.py [--environments FOLDER] [--only NAME …]``. Needs the network
and some gigabytes; nothing of it is a dependency of the project or of its tests. Writes
`results/peers.json`. A peer that does not install or run becomes a row with the reason.
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
CPU_WHEELS = ("--extra-index-url", "https://download.pytorch.org/whl/cpu")
TORCH = (*CPU_WHEELS, "torch==2.13.0", "torchvision")

# peer → what pip installs. None: the environment that runs this script.
ENVIRONMENTS: dict[str, tuple[str, ...] | None] = {
    "gradcam-eval": None,
    "tutorial": None,
    "tf-keras-vis": ("tf-keras-vis==0.8.7", "tensorflow==2.15.1"),  # not for Keras 3
    "xplique": ("xplique==1.4.0", "tensorflow==2.15.1"),
    "captum": (*TORCH, "captum==0.8.0"),
    "pytorch-grad-cam": (*TORCH, "grad-cam==1.5.5"),
    "torch-cam": (*TORCH, "torchcam==0.4.0"),
}


def measure(name: str, environments: Path) -> dict[str, Any]:
    """Install a peer where it is not yet, measure it, and return its row."""
    try:
        python = _python(name, environments)
        script = [str(python), str(HERE / "measure.py"), name]
        done = subprocess.run(script, capture_output=True, text=True, check=True, cwd=ROOT)
        return {"peer": name, "status": "ok", **json.loads(done.stdout.splitlines()[-1])}
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stderr or "").splitlines() if line.strip()]
        return {"peer": name, "status": "failed", "reason": lines[-1] if lines else str(error)}


def _python(name: str, environments: Path) -> Path:
    packages = ENVIRONMENTS[name]
    if packages is None:
        return Path(sys.executable)
    folder = environments / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(pip, capture_output=True, text=True, check=True)
        (folder / "installed").touch()
    return python


def show(row: dict[str, Any]) -> None:
    """Print a row."""
    if row["status"] != "ok":
        print(f"{row['peer']:<18}{row['status']}: {row['reason']}")
        return
    cells = []
    for size in (1, 16):
        found = row[f"batch_{size}"]
        low, high = found["ratio_quartiles"]
        cells.append(f"batch {size}: {found['ratio']:5.2f} [{low:.2f}, {high:.2f}]")
    print(f"{row['peer']:<18}{'   '.join(cells)}   {row['package']}")


def main() -> None:
    """Measure the peers that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--environments", type=Path, help="folder that keeps the environments")
    parser.add_argument("--only", nargs="+", choices=ENVIRONMENTS, default=list(ENVIRONMENTS))
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
