import pytest
from study_folder import Plan, make_study

from gradcam_eval.report.html import write_report

NASTY = "<img src=x onerror=window.pwned=1>"
SMALL = Plan(
    layers=("block2_expand", "top_activation"),
    methods=("grad_cam", "eigen_cam"),
    samples=("disc_0", "disc_1", NASTY, "disc_3"),
    failed=("disc_3",),
    credit="<script>window.pwned=1</script>",
)


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The page of a small study, with markup in an image's name and in a credit."""
    return write_report(make_study(tmp_path_factory.mktemp("results") / "toy", SMALL))


@pytest.fixture(autouse=True)
def no_figures(request):
    """Draw no figures but in the session's page and where pictures are what is tested."""
    if request.path.stem not in ("test_browser", "test_overlay", "test_plots", "test_single"):
        request.getfixturevalue("plain_figures")
