import pytest

from gradcam_eval.metrics import METRICS


@pytest.fixture
def registered():
    """Let a test register metrics, and take them out again."""
    known = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(known)
