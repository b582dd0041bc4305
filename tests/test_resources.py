import pytest

from gradcam_eval.core import InputError
from gradcam_eval.resources import _first_folder, datasets_root


def test_the_checkout_has_the_class_list():
    assert (datasets_root() / "imagenet" / "classes.csv").is_file()


def test_a_wheel_comes_before_a_folder_that_happens_to_lie_beside_it(tmp_path):
    package = tmp_path / "gradcam_eval"
    (tmp_path / "datasets").mkdir()
    package.mkdir()
    assert _first_folder(package) == tmp_path / "datasets"
    (package / "_datasets").mkdir()
    assert _first_folder(package) == package / "_datasets"


def test_neither_is_there(tmp_path):
    with pytest.raises(InputError, match="install the package again"):
        _first_folder(tmp_path / "gradcam_eval")
