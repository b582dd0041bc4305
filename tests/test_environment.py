import json
import os
import subprocess
import sys

import numpy as np

from gradcam_eval.environment import describe_environment


def test_the_facts_are_those_of_this_process_and_fit_in_json():
    import keras  # noqa: F401 - TensorFlow's own facts are wanted too

    facts = json.loads(json.dumps(describe_environment()))
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["machine"]["cores"] >= 1
    assert facts["machine"]["memory_gib"] is None or facts["machine"]["memory_gib"] > 0.1
    assert "CPU" in [device["type"] for device in facts["tensorflow"]["devices"]]
    assert facts["tensorflow"]["float"] == "float32"
    assert facts["tensorflow"]["TF_ENABLE_ONEDNN_OPTS"] == os.environ["TF_ENABLE_ONEDNN_OPTS"]
    if os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0":
        assert facts["tensorflow"]["onednn"] is False


def test_without_tensorflow_its_facts_are_none_and_it_is_not_imported():
    code = (
        "import sys\nfrom gradcam_eval.environment import describe_environment\n"
        "print(describe_environment()['tensorflow'], 'tensorflow' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["None", "False"]


def test_a_package_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr("gradcam_eval.environment._PACKAGES", ("numpy", "no-such-package"))
    assert describe_environment()["packages"] == {"numpy": np.__version__, "no-such-package": None}
