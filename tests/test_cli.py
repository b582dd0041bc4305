import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from gradcam_eval import cli
from gradcam_eval.cli import lists
from gradcam_eval.methods import METHODS
from gradcam_eval.metrics import METRICS
from gradcam_eval.models.weights import LITE0, is_installed
from gradcam_eval.protocols import PROTOCOLS
from gradcam_eval.report.overlay import overlay

SIDE = 40
COMMANDS = (
    "explain",
    "layers",
    "methods",
    "metrics",
    "protocols",
    "sanity",
    "check-metrics",
    "study",
    "report",
    "compare",
    "ranks",
    "ledger",
    "data",
)
RUN = "from gradcam_eval.cli import main; main()"
STUDY = """
name = "toy"
question = "Which layer?"
models = ["tiny.keras"]
data = "pictures"
layers = ["stages"]
cost = { rounds = 1, batch_sizes = [1] }
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a model, a picture, a folder of pictures, and a study."""
    folder = tmp_path_factory.mktemp("a rather long name, to see what wraps")
    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="early")(x)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="late")(x)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, keras.layers.Softmax()(x)).save(folder / "tiny.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    (folder / "pictures").mkdir()
    for name in ("cat.png", "pictures/a.png", "pictures/b.png"):
        Image.fromarray(pixels).save(folder / name)
        pixels = pixels[::-1]
    (folder / "empty").mkdir()
    (folder / "broken.png").write_bytes((folder / "cat.png").read_bytes()[:900])
    (folder / "toy.toml").write_text(STUDY)
    (folder / "typo.toml").write_text(STUDY + 'metods = ["grad_cam"]')
    (folder / "layer.toml").write_text(STUDY.replace("stages", "laet"))
    (folder / "nothing.toml").write_text(STUDY.replace("pictures", "empty"))
    (folder / "names.txt").write_text("cat\ndog\nowl\n")
    return folder


@pytest.fixture
def call(workplace, monkeypatch, capfd):
    """Call the command line in this process: exit code, standard output, standard error."""
    monkeypatch.chdir(workplace)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradcam-eval", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


def start(workplace, *arguments, code=RUN):
    """Run the command line as a process of its own, as a person does."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=workplace, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_reads_well_and_needs_no_tensorflow(workplace, command):
    code = (
        "import sys\nfrom gradcam_eval.cli import main\ntry:\n    main()\nfinally:\n"
        "    heavy = {'tensorflow', 'keras', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "    print('imported:', *sorted(heavy), file=sys.stderr)\n"
    )
    found = start(workplace, *command, "--help", code=code)
    assert (found.returncode, found.stderr) == (0, "imported:\n")
    assert max(map(len, found.stdout.splitlines())) <= 80
    if command:
        assert found.stdout.splitlines()[0].startswith(
            f"Usage: gradcam-eval {command[0]} [OPTIONS]"
        )
    else:
        listed = [line.split()[0] for line in found.stdout.split("Commands:\n")[1].splitlines()]
        assert tuple(listed) == COMMANDS
        assert "..." not in found.stdout.split("Commands:\n")[1]  # no summary is cut short


WRONG = [
    (["explain", "gone.png", "-m", "tiny.keras"], "there is no file gone.png"),
    (["explain", "empty", "-m", "tiny.keras"], "empty"),
    (["explain", "broken.png", "-m", "tiny.keras"], "broken.png"),
    (["explain", "http://example.org/a.png"], "--allow-url"),
    (["explain", "cat.png", "-m", "efficientnet_lite"], "did you mean 'efficientnet_lite0'?"),
    (["explain", "cat.png", "-m", "gone.keras"], "gone.keras does not exist"),
    (["explain", "cat.png", "-m", "cat.png"], "give a .keras or .h5 file"),
    (["explain", "cat.png", "-m", "tiny.keras", "-l", "laet"], "did you mean 'late'?"),
    (["explain", "cat.png", "-m", "tiny.keras", "-l", "nothing*"], "nothing*"),
    (["explain", "cat.png", "-m", "tiny.keras", "--method", "gradcam"], "mean 'grad_cam'?"),
    (["explain", "cat.png", "-m", "tiny.keras", "--method", "random"], "'random' is a control"),
    (["explain", "cat.png", "-m", "tiny.keras", "-t", "cat"], "no class names, so give an index"),
    (["explain", "cat.png", "-m", "tiny.keras", "-t", "3"], "valid is 0 to 2"),
    (["explain", "cat.png", "-m", "tiny.keras", "--classes", "names.txt", "-t", "dgo"], "'dog'"),
    (["explain", "cat.png", "-m", "tiny.keras", "--classes", "gone.txt"], "gone.txt"),
    (["explain", "cat.png", "-m", "tiny.keras", "--preprocess", "cafe"], "did you mean 'caffe'?"),
    (
        ["explain", "cat.png", "-m", "tiny.keras", "-o", "cam.gif"],
        "cam.gif must end in .png, .jpg, .webp or .pdf, or in .npz",
    ),
    (["explain", "cat.png", "-m", "tiny.keras", "-o", "no/cam.png"], "there is no folder no"),
    (["explain", "cat.png", "-m", "tiny.keras", "-o", "cat.png"], "is the image itself"),
    (["explain", "cat.png", "-m", "tiny.keras", "-t", "predicted:4"], "has 3 classes"),
    (["explain", "cat.png", "-m", "tiny.keras", "--against", "7"], "valid is 0 to 2"),
    (["explain", "cat.png", "-m", "tiny.keras", "--head", "aux"], "unknown head 'aux'"),
    (["explain", "cat.png", "-m", "tiny.keras", "--tokens", "7"], "tokens = '7': wanted rows"),
    (["explain", "cat.png", "-m", "tiny.keras", "-l=-9"], "-9"),
    (["explain", "cat.png", "-m", "tiny.keras", "--method", "rise(mask=3)"], "mean 'masks'?"),
    (["explain", "cat.png", "-m", "tiny.keras", "--method", "rise(masks="], "cannot be read"),
    (["explain", "cat.png", "-m", "tiny.keras", "--method", "grad_cam(k=1)"], "has no options"),
    (["sanity", "tiny.keras", "pictures", "--method", "g"], "in all: gradcam-eval methods lists"),
    (["protocols", "--metric", "zzz"], "in all: gradcam-eval metrics lists them)."),
    (["--import", "gone.py", "methods"], "there is no file gone.py"),
    (["--import", "no_such_module", "methods"], "'no_such_module' cannot be imported: Module"),
    (["layers", "efficientnet_lite"], "did you mean 'efficientnet_lite0'?"),
    (["layers", "gone.keras"], "gone.keras does not exist"),
    (["study", "gone.toml"], "cannot read the study gone.toml: No such file or directory"),
    (["study", "typo.toml"], "typo.toml: unknown field 'metods': did you mean 'methods'?"),
    (["study", "layer.toml"], "did you mean 'late'?"),
    (["study", "nothing.toml"], "the folder empty has no image"),
    (["study", "toy.toml", "--results", "cat.png"], "cannot make the folder cat.png/toy"),
    (["report", "gone"], "gone is not a results folder"),
    (["report", "pictures"], "pictures is not a results folder (it has no study.json)"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=lambda x: " ".join(x)[:50])
def test_bad_input_is_one_sentence_and_exit_code_2(call, arguments, sentence):
    code, out, err = call(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("gradcam-eval: ")
    assert sentence in err
    assert err.count("\n") == 1, "one line, and no traceback"
    assert not Path("results").exists(), "and nothing is left behind"


def test_what_tensorflow_says_does_not_bury_the_sentence(workplace):
    """In a process of its own: there TensorFlow is imported while the command runs, and greets."""
    found = start(workplace, "study", "nothing.toml")
    assert (found.returncode, found.stdout) == (2, "")
    assert "the folder empty has no image" in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_onednn_is_on_unless_the_user_says_otherwise(monkeypatch, given, expected):
    monkeypatch.setattr(sys, "argv", ["gradcam-eval", "--version"])
    monkeypatch.setattr(os, "environ", {} if given is None else {"TF_ENABLE_ONEDNN_OPTS": given})
    with pytest.raises(SystemExit):
        cli.main()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == expected


@pytest.mark.parametrize(
    "arguments", [["explain"], ["study"], ["explian"], ["layers", "x", "--al"]]
)
def test_wrong_usage_points_to_the_help(call, arguments):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: gradcam-eval")
    assert "--help" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("file", "said"), [("cat-cam.png", "cat-cam.png"), (None, "make room")])
def test_what_a_full_or_locked_disk_says_is_one_line(call, monkeypatch, file, said):
    from gradcam_eval import picture

    def full(*_, **__):
        raise OSError(28, "No space left on device", file)

    monkeypatch.setattr(picture, "explain_to_file", full)
    code, _, err = call("explain", "cat.png", "-m", "tiny.keras")
    assert code == 2
    assert err.startswith(f"gradcam-eval: No space left on device: {said}")
    assert err.count("\n") == 1


def test_an_error_in_our_own_code_keeps_its_traceback(monkeypatch, workplace):
    from gradcam_eval import picture

    def broken(*_, **__):
        raise FileNotFoundError(2, "No such file", "inside")

    monkeypatch.setattr(picture, "explain_to_file", broken)
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "argv", ["gradcam-eval", "explain", "cat.png", "-m", "tiny.keras"])
    with pytest.raises(FileNotFoundError):
        cli.main()


@pytest.fixture(scope="module")
def one_output(workplace):
    """Files of models with one sigmoid and with one number, and two class names."""
    for activation in ("sigmoid", None):
        keras.utils.set_random_seed(3)
        layers = [
            keras.layers.Conv2D(4, 3, activation="relu", name="late"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation, bias_initializer="ones"),
        ]
        model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers])
        model.save(workplace / f"{activation or 'value'}.keras")
    (workplace / "two.txt").write_text("healthy\nill\n")


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["sigmoid.keras", "--classes", "two.txt", "-t", "healthy", "--against", "ill"],
            ["explained class: healthy (index 0), ", "output: 2 classes by one sigmoid, negative"],
        ),
        (["sigmoid.keras", "-t", "positive"], ["explained class: positive (index 1), probability"]),
        (["value.keras"], ["explained: value (index 0), ", "output: one value (regression)"]),
        (
            ["value.keras", "--output-kind", "binary", "-t", "1"],
            ["explained class: positive (index 1), ", "by one logit", "(binary, declared)"],
        ),
    ],
)
def test_explain_says_what_one_output_is(call, one_output, tmp_path, arguments, lines):
    code, said, err = call("explain", "cat.png", "-m", *arguments, "-o", tmp_path / "out.png")
    assert (code, err) == (0, "")
    for line in lines:
        assert line in said


def test_what_one_output_is_not_ends_explain(call, one_output, tmp_path):
    cases = {
        ("sigmoid.keras", "--output-kind", "multi_label", "-t", "1"): "index 1 is out of range",
        ("value.keras", "-t", "positive"): "unknown class 'positive'",
        ("value.keras", "--score", "probability"): "the model is a regression",
        ("value.keras", "--classes", "two.txt"): "returns one value (regression)",
        ("tiny.keras", "--output-kind", "binary"): "output='binary' is for one number",
    }
    for arguments, message in cases.items():
        code, _, err = call("explain", "cat.png", "-m", *arguments, "-o", tmp_path / "out.png")
        assert code == 2
        assert message in err, arguments


def test_layers_says_what_the_model_returns(call, one_output):
    code, said, _ = call("layers", "sigmoid.keras")
    assert code == 0
    assert said.splitlines()[-1].startswith("output: 2 classes by one sigmoid, negative and pos")
    assert "output" not in call("layers", "sigmoid.keras", "--csv")[1]


def test_explain_writes_the_overlay_and_says_what_it_shows(call, workplace, tmp_path):
    out = tmp_path / ("a long name that no terminal should wrap " * 3 + ".png")
    arguments = ["cat.png", "-m", "tiny.keras", "--classes", "names.txt", "-t", "owl", "-o", out]
    code, said, err = call("explain", *arguments, "--method", "layer_cam")
    assert (code, err) == (0, "")
    lines = said.splitlines()
    assert lines[0].startswith("explained class: owl (index 2), probability 0.")
    assert lines[1].startswith("the model's answer: ")
    assert "explained score (logit) " in lines[0]
    assert lines[2] == "output: 3 classes by a softmax (classes)"
    assert lines[3] == "preprocessing of the picture: none (RGB, 0 to 255)"
    assert lines[4:] == ["layer late, method layer_cam: 20×20 map", f"written to {out}"]
    written = np.asarray(Image.open(out))
    assert written.shape == (60, 50, 3), "the photograph's own size"
    from gradcam_eval import explain, load_image, load_model

    image = load_image(workplace / "cat.png", (SIDE, SIDE))
    model = load_model(workplace / "tiny.keras")
    maps = explain(model, image, methods="layer_cam", targets=2)
    photo, heatmap = load_image(workplace / "cat.png"), maps["late", "layer_cam"][0]
    assert (written == overlay(photo, heatmap, alpha=0.55, cmap="inferno")).all()


@pytest.mark.parametrize("fit", ["crop", "letterbox"])
def test_explain_undoes_the_frame(call, workplace, tmp_path, fit):
    out, look = tmp_path / "x.png", ["--alpha", 0.3, "--colormap", "viridis"]
    code, _, err = call("explain", "cat.png", "-m", "tiny.keras", "--frame", fit, *look, "-o", out)
    assert (code, err) == (0, "")
    import gradcam_eval as ge

    photo = ge.load_image(workplace / "cat.png")
    frame = ge.Framing(fit).frame(photo.shape[:2], (SIDE, SIDE))
    image = ge.load_image(workplace / "cat.png", (SIDE, SIDE), framing=fit)
    (heatmap,) = ge.explain(ge.load_model(workplace / "tiny.keras"), image).values()
    expected = ge.overlay(photo, heatmap[0], alpha=0.3, cmap="viridis", frame=frame)
    assert (np.asarray(Image.open(out)) == expected).all()


def test_evidence_on_the_padding_is_said():
    from gradcam_eval.data.geometry import Framing
    from gradcam_eval.picture import on_padding

    frame = Framing("letterbox").frame((10, 20), (8, 8))  # rows 0, 1, 6 and 7 are padding
    heatmap = np.zeros((8, 8), np.float32)
    heatmap[4, 4], heatmap[0, 0], heatmap[1, 1] = 3, 1, -9
    maps = {("top", "cam"): heatmap, ("top", "inside"): np.abs(heatmap) * (heatmap > 1)}
    maps["top", "none"] = 0 * heatmap
    assert on_padding(maps, frame) == ["warning: 25% of layer top, method cam is on the padding"]
    assert on_padding(maps, Framing("crop").frame((10, 20), (8, 8))) == []


def test_a_bad_image_among_several_is_a_line_and_an_exit_code(call, tmp_path):
    images = ["pictures", "broken.png", "gone.png", "cat.png"]
    options = ["-m", "tiny.keras", "-o", tmp_path / "new", "--format", "webp", "--bar"]
    code, said, err = call("explain", *images, *options)
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("gradcam-eval: broken.png ")
    assert "there is no file gone.png" in lines[1]
    assert lines[2] == "gradcam-eval: 2 of 5 images were not explained"
    written = ["a-cam.webp", "b-cam.webp", "cat-cam.webp"]
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == written
    assert [line for line in said.splitlines() if line.startswith("written to")] == [
        f"written to {tmp_path / 'new' / name}" for name in written
    ]
    with Image.open(tmp_path / "new" / "cat-cam.webp") as picture:
        assert picture.size == (160, 90)  # 50×60, and the bar's words


def test_what_is_wrong_with_the_question_is_said_once(call):
    code, said, err = call("explain", "pictures", "-m", "tiny.keras", "-l", "laet", "-o", "gone")
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert not Path("gone").exists()


def test_explain_writes_the_numbers(call, workplace, tmp_path):
    out = tmp_path / "maps.npz"
    code, said, err = call(
        "explain", "cat.png", "-m", "tiny.keras", "-l", "stages", "-t", "2", "-o", out
    )
    assert (code, err) == (0, "")
    assert said.endswith(f"written to {out}\n")
    from gradcam_eval import explain, load_heatmaps, load_image, load_model

    image = load_image(workplace / "cat.png", (SIDE, SIDE))
    maps = explain(load_model(workplace / "tiny.keras"), image, layers="stages", targets=2)
    found = load_heatmaps(out)
    assert list(found) == list(maps)
    assert all(found[key].tobytes() == maps[key].tobytes() for key in maps)


def test_several_layers_and_methods_make_a_grid_in_the_folder_where_one_stands(call):
    arguments = ["-l", "stages", "--method", "grad_cam", "--method", "layer_cam"]
    try:
        code, said, _ = call("explain", "cat.png", "-m", "tiny.keras", *arguments)
        assert code == 0
        pairs = [line for line in said.splitlines() if line.startswith("layer ")]
        assert [pair.split(": ")[0] for pair in pairs] == [
            f"layer {layer}, method {method}"
            for layer in ("early", "late")
            for method in ("grad_cam", "layer_cam")
        ]
        with Image.open("cat-cam.png") as grid:
            assert min(grid.size) > 400
    finally:
        Path("cat-cam.png").unlink(missing_ok=True)


def test_a_map_that_shows_nothing_is_said(call, workplace, tmp_path):
    model = keras.models.load_model(workplace / "tiny.keras")
    model.get_layer("late").set_weights([np.zeros((3, 3, 4, 6)), np.zeros(6)])
    model.save(tmp_path / "dead.keras")
    code, said, _ = call(
        "explain", "cat.png", "-m", tmp_path / "dead.keras", "-o", tmp_path / "x.png"
    )
    assert code == 0
    assert "20×20 map, but the heatmap is all zero: the picture shows no heatmap" in said


@pytest.mark.skipif(
    not is_installed(LITE0), reason="the weights of efficientnet_lite0 are not installed"
)
def test_the_default_model_sees_an_egyptian_cat(call, tmp_path):
    photograph = tmp_path / "chelsea.png"
    Image.fromarray(skimage.data.chelsea()).save(photograph)
    code, said, err = call("explain", photograph, "-o", tmp_path / "cam.png")
    assert (code, err) == (0, "")
    assert said.startswith("explained class: Egyptian cat (index 285), probability 0.79")
    assert "layer top_activation, method grad_cam: 7×7 map" in said
    with Image.open(tmp_path / "cam.png") as written:
        assert written.size == (451, 300)


def test_layers_are_a_table_of_what_can_carry_a_heatmap(call):
    code, said, err = call("layers", "tiny.keras")
    assert (code, err) == (0, "")
    rows = [line.split() for line in said.splitlines()]
    assert rows[0] == ["tiny.keras:", "2", "layers"]
    assert rows[1] == [
        "path", "type", "shape", "stride", "receptive", "field", "params", "roles",
    ]  # fmt: skip
    assert rows[2] == ["early", "Conv2D", "40×40×4", "1", "3", "112", "stages,all"]
    assert rows[3] == ["late", "Conv2D", "20×20×6", "2", "5", "222", "last,stages,all"]
    everything = call("layers", "tiny.keras", "--all")[1]
    assert "GlobalAveragePooling2D" in everything
    assert "Dense" in everything
    assert "nan" not in everything


def test_csv_stands_alone_on_standard_output(call):
    code, out, err = call("layers", "tiny.keras", "--csv")
    assert (code, err) == (0, "")
    table = pd.read_csv(io.StringIO(out))
    assert table["path"].tolist() == ["early", "late"]
    assert table["stride"].tolist() == [1, 2]


def test_names_in_brackets_are_not_markup(capfd):
    frame = pd.DataFrame(
        [{"path": "[red]x[/red]", "type": ":cat:", "shape": (2, None, 3), "stride": float("nan"),
          "receptive_field": None, "params": 1234, "roles": "", "note": "[i]"}]
    )  # fmt: skip
    lists._print_layers("[b]", frame)
    said = capfd.readouterr().out
    assert said.split() == ["[b]:", "1", "layers", "path", "type", "shape", "stride",
                            "receptive", "field", "params", "roles", "note", "[red]x[/red]",
                            ":cat:", "2×any×3", "1,234", "[i]"]  # fmt: skip


def test_a_study_from_one_command_to_its_report(workplace, call, tmp_path):
    found = start(workplace, "study", "toy.toml", "--results", tmp_path)
    assert found.returncode == 0, found.stderr
    page = tmp_path / "toy" / "report.html"
    lines = found.stdout.splitlines()
    assert lines[0].strip() == "Which layer?"
    assert lines[-1] == f"Report: {page}"
    for name in ("deletion", "insertion", "pointing_game", "late", "random", "oracle"):
        assert name in found.stdout
    said = found.stderr.splitlines()
    assert said[0].startswith("tiny: 2 images × (2 layer × method cells + 4 controls): about ")
    stages = [line for line in said[1:] if line.endswith(" steps")]  # a slow machine says more
    assert stages == ["tiny: images: 2 steps", "tiny: cost: 2 steps"]
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert "Which layer?" in html
    assert "deletion ↓" in found.stdout
    # nobody annotated these two: neither pointing nor the oracle has a value
    assert lines[-2].startswith("tiny: Left out: ")
    assert lines[-2].endswith(" undefined values. The report says why.")
    assert len(list((tmp_path / "toy" / "overlays").rglob("*.png"))) == 2

    page.unlink()
    code, said, err = call("report", tmp_path / "toy")
    assert (code, said, err) == (0, f"Report: {page}\n", "")
    assert page.read_text(encoding="utf-8") == html


@pytest.mark.usefixtures("plain_figures")
def test_a_study_warns_of_images_that_are_the_same_picture(call, workplace, tmp_path):
    (tmp_path / "copied").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(workplace / "pictures" / name, tmp_path / "copied" / name)
    Image.open(workplace / "pictures" / "a.png").save(tmp_path / "copied" / "other.bmp")
    study = STUDY.replace('"pictures"', json.dumps(str(tmp_path / "copied")))
    cheap = 'metrics = ["entropy_complexity"]\ncost = { rounds = 0 }'
    study = study.replace("cost = { rounds = 1, batch_sizes = [1] }", cheap)
    (tmp_path / "copies.toml").write_text(study)
    code, said, _ = call("study", tmp_path / "copies.toml", "--results", tmp_path)
    assert code == 0
    warning = "Of 3 images only 2 differ: a.png = other.bmp. Each copy counts"
    assert f"tiny: {warning}" in said
    assert warning in (tmp_path / "toy" / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("plain_figures")
def test_a_log_file_is_told_how_far_a_study_is(call, monkeypatch, tmp_path):
    from gradcam_eval import progress

    monkeypatch.setattr(progress, "_LONGEST", 0.0)  # a line a step, however quick
    code, _, err = call("study", "toy.toml", "--results", tmp_path)
    assert code == 0
    lines = err.splitlines()
    assert lines[1].startswith("tiny: the metrics' forward passes run on frozen")
    at = lines.index("tiny: images: 2 steps")
    assert lines[at + 1] == "tiny: images: 1 of 2 done"
    assert lines[at + 2].startswith("tiny: images: all 2 done in ")
    assert sum(line.startswith("tiny: cost: ") for line in lines) == 3


@pytest.mark.parametrize("options", [[], ["--resume"], ["--fresh", "--results", "elsewhere"]])
def test_a_study_that_is_stopped_says_how_to_go_on(call, monkeypatch, options):
    asked = {}

    def stopped(study, **given):
        asked.update(given, name=study.name)
        raise KeyboardInterrupt

    monkeypatch.setattr("gradcam_eval.results.run_study", stopped)
    code, out, err = call("study", "toy.toml", *options)
    assert (code, out) == (130, "")
    assert err == (
        "gradcam-eval: stopped; what is finished is kept, and the same command without --fresh "
        "goes on from here\n"
    )
    assert asked["name"] == "toy"
    assert asked["fresh"] == ("--fresh" in options)
    assert asked["results"] == Path("elsewhere" if options[1:] else "results")


def test_methods_are_a_table_with_their_options(call):
    code, out, _ = call("methods")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert set(METHODS) < set(lines)
    assert "masks=4000" in lines["rise"]
    assert lines["grad_cam"].split()[1] == "cam"


def test_metrics_are_a_table_with_their_direction_and_what_they_need(call):
    code, out, err = call("metrics")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: " ".join(line.split()) for line in out.splitlines()}
    assert set(METRICS) < set(lines)
    assert lines["deletion"].startswith(
        "deletion faithfulness lower probability, 0..1 the model rise2018 Mean probability"
    )
    assert lines["energy_pointing_game"].startswith(
        "energy_pointing_game localization higher share of energy, 0..1 boxes, else masks energy"
    )


def test_metrics_leave_their_summaries_out_where_there_is_no_room(call, monkeypatch):
    monkeypatch.setattr(lists, "console", lambda: Console(width=100))
    _, out, _ = call("metrics")
    assert "summary" not in out
    assert {line.split()[0] for line in out.splitlines()} > set(METRICS), "no name is broken in two"


def test_metrics_are_csv_with_those_of_a_plugin(workplace):
    (workplace / "peaks.py").write_text(METRIC)
    found = start(workplace, "--import", "peaks.py", "metrics", "--csv")
    assert (found.returncode, found.stderr) == (0, "")
    table = pd.read_csv(io.StringIO(found.stdout), keep_default_na=False).set_index("metric")
    assert list(table.index)[-1] == "peak"
    assert table.loc["peak"].to_dict() == {
        "family": "own", "better": "higher", "unit": "grey levels", "range": "0..255",
        "needs": "nothing", "protocol": "own", "protocols": "own", "summary": "The highest value.",
    }  # fmt: skip
    assert table.loc["iou", "protocols"] == "iou_half_max, iou_otsu, iou_top_fifth"


METRIC = """
from gradcam_eval import register_metric

@register_metric(
    "peak", needs="heatmap", unit="grey levels", higher_is_better=True, bounds="0..255"
)
def peak(cases, predict, protocol):
    \"\"\"The highest value.\"\"\"
    return [float(case.heatmap.max()) for case in cases]
"""


def test_protocols_are_a_table_or_json(call):
    code, out, _ = call("protocols")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines() if line[1:2] != " "} > set(PROTOCOLS)
    code, out, _ = call("protocols", "--metric", "deletion", "--json")
    found = json.loads(out)
    assert [each["name"] for each in found] == list(METRICS["deletion"].protocols)
    assert found[0]["step_pixels"] == 224
    code, out, err = call("protocols", "--metric", "deletoin")
    assert (code, out) == (2, "")
    assert "unknown metric 'deletoin': did you mean 'deletion'?" in err


PROTOCOL = """
from dataclasses import replace

from gradcam_eval import register_protocol
from gradcam_eval.protocols import PROTOCOLS

rise = replace(PROTOCOLS["rise2018"], metrics=("deletion",), source="ours")
register_protocol(replace(rise, name="coarse", step_pixels={}))
"""


@pytest.fixture
def restored_tables():
    """Leave the tables of methods, metrics and protocols as they were, and forget the module."""
    tables = (METHODS, METRICS, PROTOCOLS)
    before = [dict(table) for table in tables]
    yield
    sys.modules.pop("mine", None)
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


@pytest.mark.usefixtures("restored_tables")
def test_a_users_own_protocol_is_imported_listed_and_checked(call, workplace):
    (workplace / "coarse.py").write_text(PROTOCOL.format(4096))
    code, out, err = call("--import", "coarse.py", "protocols", "--metric", "deletion", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)[-1]["name"] == "coarse"
    assert json.loads(out)[-1]["step_pixels"] == 4096
    (workplace / "none.py").write_text(PROTOCOL.format(0).replace("coarse", "none"))
    code, out, err = call("--import", "none.py", "metrics")
    assert (code, out) == (2, "")
    assert err == "gradcam-eval: the protocol 'none', step_pixels = 0: expected 1 or more\n"


PLUGIN = """
from gradcam_eval import register_method

@register_method
def first_channel(activations, gradients):
    \"\"\"The first channel alone.\"\"\"
    return activations[..., 0]
"""


@pytest.mark.parametrize("named", ["mine.py", "mine"])
@pytest.mark.usefixtures("restored_tables")
def test_a_users_own_method_is_imported_and_used(call, workplace, tmp_path, named):
    (workplace / "mine.py").write_text(PLUGIN)
    out = tmp_path / "cam.png"
    code, said, err = call(
        "--import", named, "explain", "cat.png", "-m", "tiny.keras",
        "--method", "first_channel", "-o", out,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "method first_channel" in said
    assert out.exists()
    assert "first_channel,cam,,The first channel alone." in call("methods", "--csv")[1]


def test_a_plugin_that_fails_is_one_sentence(call, workplace):
    (workplace / "fails.py").write_text("raise ValueError('one\\ntwo')")
    code, _, err = call("--import", "fails.py", "methods")
    assert (code, err) == (
        2, "gradcam-eval: 'fails.py' cannot be imported: ValueError: one two\n",
    )  # fmt: skip


def test_the_second_best_class_and_why_not_the_first(call, workplace, tmp_path):
    out = tmp_path / "cam.png"
    code, said, _ = call(
        "explain", "cat.png", "-m", "tiny.keras", "-t", "predicted:2", "--against", "predicted",
        "--score", "log_odds", "-o", out,
    )  # fmt: skip
    assert code == 0
    assert "explained score (log-odds) -" in said  # the second has lower odds than the first
    assert out.exists()


def test_version():
    found = CliRunner().invoke(cli.app, ["--version"])
    assert found.exit_code == 0
    assert found.output == f"gradcam-eval {importlib.metadata.version('gradcam-eval')}\n"
