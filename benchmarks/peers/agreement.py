"""Compare our Grad-CAM with PyTorch libraries' on the same trained weights and photographs.

Run: ``python benchmarks/peers/agreement.py [--environments FOLDER]``. The weights are torchvision's
MobileNetV2 of the model `mobilenet_v2_torchvision`, the images the set `photos`, the class of each
the one that our model predicts. A check for the curious: like `run.py` it needs the network, and
nothing depends on it. Maps are compared at 224×224, from 0 to 1, since pytorch-grad-cam returns
them so; ours are resized by `Heatmaps.resized` and Captum's and TorchCAM's like ours.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from run import HERE, PEERS, python_of

from gradcam_eval.arrays import min_max, resize
from gradcam_eval.core import Sample
from gradcam_eval.data import load_samples
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.models.preprocess import PREPROCESSING
from gradcam_eval.models.weights import MOBILENET_V2, locate
from gradcam_eval.models.zoo import load_model

SIZE = (224, 224)


def write_cases(path: Path) -> Heatmaps:
    """Explain the photographs, and write them as the network takes them, for the peers."""
    samples = load_samples("photos", SIZE)
    images = np.stack([sample.image for sample in samples if isinstance(sample, Sample)])
    found = Explainer(load_model("mobilenet_v2_torchvision"), "out_relu")(images)
    scaled = PREPROCESSING["torch"](images)
    np.savez(path, images=scaled, classes=found.targets, weights=str(locate(MOBILENET_V2)))
    return found


def peer_maps(name: str, environments: Path, cases: Path) -> tuple[Any, Any]:
    """Return a peer's maps and its network's scores of the cases."""
    made = cases.with_name(f"{name}.npz")
    script = [str(python_of(name, environments)), str(HERE / "measure.py"), name]
    subprocess.run([*script, str(cases), str(made)], check=True)
    with np.load(made) as found:
        return found["maps"], found["scores"]


def show(name: str, ours: Heatmaps, maps: Any, scores: Any) -> None:
    """Print how far a peer's maps and class probabilities are from ours, over the photographs."""
    pairs = [
        (min_max(one), min_max(resize(other, SIZE)))
        for one, other in zip(ours.resized(SIZE)["out_relu", "grad_cam"], maps, strict=True)
    ]
    apart = max(float(np.abs(one - other).max()) for one, other in pairs)
    alike = min(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) for one, other in pairs)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    wrong = np.abs(odds / odds.sum(axis=1, keepdims=True) - ours.probabilities).max()
    print(
        f"{name:<18}{len(maps)} photographs: largest difference {apart:.1e}, "
        f"least correlation {alike:.7f}; of probabilities {wrong:.1e}"
    )


def main() -> None:
    """Compare with each library on PyTorch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--environments", type=Path, help="folder that keeps the environments")
    environments = parser.parse_args().environments
    with tempfile.TemporaryDirectory() as scratch:
        cases = Path(scratch) / "cases.npz"
        ours = write_cases(cases)
        for name in (peer for peer, environment in PEERS.items() if environment == "pytorch"):
            show(name, ours, *peer_maps(name, environments or Path(scratch), cases))


if __name__ == "__main__":
    main()
