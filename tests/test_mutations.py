"""Short form of benchmarks/mutations.py: damaged files of all kinds, and what is said."""

import subprocess
import sys
from pathlib import Path

import mutations
import pytest

COUNT, SEED = 24, 14
TEXTS = {**dict.fromkeys((*mutations.DATA_SETS, "classes", "study", "maps"), COUNT), "results": 5}
# Read by libraries written in C, a crash of which would end the whole run of tests.
IN_C = ("pictures", "reduced", "masks", "dicom", "models", "architectures")


@pytest.mark.parametrize("target", TEXTS)
def test_damaged_files_are_read_or_refused_in_a_sentence(target):
    assert list(mutations.faults(target, TEXTS[target], SEED)) == []


@pytest.mark.slow
def test_nor_do_damaged_pictures_and_models_crash_a_library():
    script = (
        "import sys, mutations\n"
        f"lines = [line for name in {IN_C} for line in mutations.faults(name, {COUNT}, {SEED})]\n"
        "print(*lines, 'done', sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script],
        cwd=Path(mutations.__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.split() == ["done"], done.stdout + done.stderr[-2000:]
