"""Which images are explained, and into which files; no picture is read here."""

import os
from pathlib import Path

import pytest

from gradcam_eval.core import InputError
from gradcam_eval.picture_files import plan


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in ("cat.png", "pics/a.jpg", "pics/A.png", "pics/b.2.webp", "pics/sub/c.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)


def outs(*arguments):
    return [os.fspath(job.out) for job in plan(*arguments).jobs]


def test_one_image_is_written_where_one_stands_or_as_it_is_said():
    assert outs(["pics/a.jpg"], None) == ["a-cam.png"]
    assert outs(["pics/a.jpg"], None, "jpeg") == ["a-cam.jpg"]
    assert outs(["pics/a.jpg"], Path("x.WebP")) == ["x.WebP"]
    assert outs(["pics/a.jpg"], Path("x.jpeg"), "jpeg") == ["x.jpeg"]
    assert outs(["pics/a.jpg"], Path("empty"), "npz") == ["empty/a-cam.npz"]
    assert outs(["http://a.org/d/cat.jpg?w=3#x"], None) == ["cat-cam.png"]
    assert outs(["http://a.org"], None)[0].endswith("-cam.png")
    assert plan(["gone.png"], None).is_one  # reading it says what is wrong


def test_several_are_written_below_the_folder_that_is_given():
    found = plan(["pics", "cat.png"], Path("new"), "pdf")
    assert not found.is_one
    assert {job.source: os.fspath(job.out) for job in found.jobs} == {
        "pics/A.png": "new/A-cam.pdf",
        "pics/a.jpg": "new/a-cam-2.pdf",  # where case makes no difference, it would be A's
        "pics/b.2.webp": "new/b.2-cam.pdf",
        "pics/sub/c.png": "new/sub/c-cam.pdf",
        "cat.png": "new/cat-cam.pdf",
    }
    assert not Path("new").exists()
    assert outs(["cat.png", "pics/sub/c.png"], None) == ["cat-cam.png", "c-cam.png"]
    assert outs(["cat.png", "./cat.png"], None) == ["cat-cam.png", "cat-cam-2.png"]


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_what_an_earlier_call_wrote_is_not_explained(kind):
    for job in plan(["."], None, "png").jobs:
        job.out.parent.mkdir(exist_ok=True)
        job.out.touch()
    Path("pics/x.heic").touch()
    found = plan(["."], None, kind)
    assert [job.source for job in found.jobs] == [
        "cat.png", "pics/A.png", "pics/a.jpg", "pics/b.2.webp", "pics/sub/c.png",
    ]  # fmt: skip
    assert "cat-cam.png is called as the heatmaps of another image" in found.left_out
    assert "pics/x.heic is of a format that is not read" in found.left_out


@pytest.mark.parametrize(
    ("images", "output", "kind", "message"),
    [
        (["cat.png"], "x.gif", None, r"must end in \.png.*or be a folder"),
        (["cat.png"], "x", None, r"must end in \.png"),
        (["cat.png"], "x.png", "pdf", "is no pdf: leave out --format"),
        (["cat.png"], "no/x.png", None, "there is no folder no"),
        (["pics/a.jpg"], "pics/a.jpg", None, "is the image itself"),
        (["cat.png", "pics/a.jpg"], "x.png", None, "one file for several images"),
        (["pics"], "x.npz", None, "one file for several images"),
        (["pics"], "pics/b.2.webp/", None, "one file for several images"),
        (["empty"], None, None, "the folder empty has no image"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(images, output, kind, message):
    with pytest.raises(InputError, match=message):
        plan(images, output and Path(output), kind)


def test_an_image_that_another_ones_heatmaps_would_replace_is_refused():
    Path("cat-cam.png").touch()
    with pytest.raises(InputError, match=r"cat-cam\.png would be replaced"):
        plan(["cat.png", "cat-cam.png"], None)
    assert len(plan(["cat.png", "cat-cam.png"], Path("empty")).jobs) == 2
    Path("words").touch()
    with pytest.raises(InputError, match="words is not a folder"):
        plan(["pics"], Path("words"))
