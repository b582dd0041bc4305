import gc
import itertools
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does
if "PYTEST_XDIST_WORKER" in os.environ:  # a worker has a core: more threads would wait in turns
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import pytest

# Trained models, pages, documents and processes of their own, which `make test-quick` leaves out.
SLOW = (
    *(
        "test_cli.py",
        "test_cli_data.py",
        "test_contributing.py",
        "test_guides.py",
        "test_readme.py",
    ),
    *("test_results.py", "test_docs_commands.py", "report/test_browser.py", "report/test_html.py"),
    *("report/test_split.py", "report/test_metric_check.py", "report/test_engine_check.py"),
    *("methods/test_recipe.py", "methods/test_tokens.py", "methods/test_memory.py"),
    *("models/test_openvino.py", "models/test_every_classifier.py", "models/test_zoo.py"),
    *("models/test_evidence_models.py", "models/test_offline.py", "models/test_onednn.py"),
    *("study/test_run.py", "study/test_ties.py", "study/test_aggregates.py", "data/test_photos.py"),
    *(
        "meta_evaluation/test_check_metrics.py",
        "sanity/test_command.py",
        "sanity/test_classes.py",
        "sanity/test_calibrated.py",
    ),
)

# Each takes more than 4 s of a core: left out of `make test-quick` as well.
LONG = {
    "": "callback layering ledger_damage timing",
    "data": "evidence formats_fuzz",
    "methods": "asking_methods contracts draws explainer fused gradient guided head inputs "
    "objectives occlusion placement rise score_cam smooth",
    "metrics": "faithfulness_twins metric_contracts outputs",
    "models": "cut engine engine_choice fold frozen half inputs_and_ranks keras2 layers live "
    "receptive_field tap watch",
    "report": "rankings",
    "sanity": "randomisation",
    "study": "data disturbed forecast geometry judge one_channel outputs",
}


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    long = {Path(folder, f"test_{name}.py") for folder in LONG for name in LONG[folder].split()}
    for item in items:
        if not item.path.is_relative_to(here):
            continue  # a benchmark
        path = item.path.relative_to(here)
        if path.as_posix() in SLOW:
            item.add_marker(pytest.mark.slow)
        if path in long:
            item.add_marker(pytest.mark.long)


def pytest_collection_finish():
    """Let collections look at what tests make: all that was imported takes half a second each."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    if item.get_closest_marker("onednn") and not _computes_channels_first():
        pytest.skip("TensorFlow has no channels-first convolution here: oneDNN is off, and no GPU")


def _computes_channels_first():
    import tensorflow as tf

    from gradcam_eval.environment import uses_onednn

    return uses_onednn() or bool(tf.config.list_physical_devices("GPU"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def plain_figures(monkeypatch):
    """Save a small grey picture in place of each figure, which takes a third of a second to draw.

    For tests of what a page says.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    shades = itertools.cycle(range(256))  # no two alike, as figures are

    def save(self, file, **_):
        Image.new("L", (8, 8), next(shades)).save(file, "PNG")

    monkeypatch.setattr(Figure, "savefig", save)
