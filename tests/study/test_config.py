import pytest
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.study.config import Study, load_study, make_study

WHOLE = {"name": "toy", "models": ["efficientnet_lite0"], "data": "photos"}


def refused(tmp_path, text):
    """The sentence that a study file with this text gives."""
    path = tmp_path / "toy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_study(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(path) in sentence
    return sentence.removeprefix(f"{path}: ")


def toml(**changes):
    import json

    values = {**WHOLE, **changes}
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())


def test_a_short_file_is_filled_with_defaults(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(toml())
    study = load_study(path)
    assert study.models[0].name == "efficientnet_lite0"
    assert (study.layers, study.methods) == (("last",), ("grad_cam",))
    assert study.metrics == ("deletion", "insertion", "pointing_game")
    assert study.controls == ("random", "centre_gaussian", "edges", "oracle")
    assert (study.target, study.score, study.seed) == ("predicted", "logit", 0)
    assert study.protocols_of("deletion") == ("rise2018",)


def test_a_metric_may_have_several_protocols():
    names = ["gaussian_clean", "rise2018"]
    study = make_study({**WHOLE, "protocols": {"deletion": names, "insertion": "rise2018_batch"}})
    assert study.measures == [
        ("deletion", "gaussian_clean"),
        ("deletion", "rise2018"),
        ("insertion", "rise2018_batch"),
        ("pointing_game", "pointing2018"),
    ]
    for wrong, sentence in (
        ([], "wanted at least one protocol for 'deletion'"),
        (["rise2018", "rise2018"], "'rise2018' is named 2 times"),
        (["rise2018", "drop2018"], "unknown protocol of the metric 'deletion' 'drop2018'"),
    ):
        with pytest.raises(InputError, match=sentence):
            make_study({**WHOLE, "protocols": {"deletion": wrong}})


def test_one_name_may_stand_without_its_list():
    study = make_study({**WHOLE, "models": "efficientnet_lite0", "layers": "stages"})
    assert study == make_study({**WHOLE, "layers": ["stages"]})
    assert study.layers == ("stages",)


def test_a_study_cannot_be_changed():
    study = make_study(WHOLE)
    with pytest.raises(ValueError, match="frozen"):
        study.seed = 1


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        # a misspelt field hides the one that it should have been
        ('name="a"\nmodls=["vgg16"]', "unknown field 'modls': did you mean 'models'?"),
        (toml() + "\nmetods = ['grad_cam']", "unknown field 'metods': did you mean 'methods'?"),
        (toml() + "\n[cost]\nronds = 3", "unknown field 'cost.ronds': did you mean 'rounds'? "
         "Valid: batch_sizes, rounds."),
        (toml() + "\n[cost]\nseeds = 3", "unknown field 'cost.seeds'. Valid: batch_sizes, rounds."),
        (toml(models=[]).replace("models = []", 'models = [{name="a.keras", class="x"}]'),
         "field 'models.0.class': did you mean 'classes'? Valid: name, preprocess, classes, "),
        (toml() + "\nint = 3", "unknown field 'int'. Valid: name"),
        ('name="a"\nmodels=["vgg16"]', "the field 'data' is missing"),
        (toml(name="../up"), "name = '../up': wanted a folder's name"),
        (toml(name=".hidden"), "name = '.hidden': wanted a folder's name"),
        (toml(name="a/b"), "name = 'a/b': wanted a folder's name"),
        (toml(name=""), "name = '': wanted a folder's name"),
        (toml(name="x" * 101), "wanted a folder's name, at most 100 letters"),
        (toml(name=3), "name = 3: wanted text in quotes"),
        (toml(layers=[]), "layers = []: wanted at least one"),
        (toml(models=[]), "models = []: wanted at least one"),
        (toml(layers=3), 'layers = 3: wanted a list, as in ["a", "b"]'),
        (toml(methods=[1]), "methods.0 = 1: wanted text in quotes"),
        (toml(methods=["a", "a"]), "methods = ['a', 'a']: 'a' is named 2 times: name it once"),
        (toml(seed=-1), "seed = -1: input should be greater than or equal to 0"),
        (toml(seed=True), "seed = True: wanted a whole number"),
        (toml(seed="x"), "seed = 'x': wanted a whole number"),
        (toml(target=1.5), "target = 1.5: wanted 'predicted', 'label', 'every label', a cl"),
        (toml(target=True), "target = True: wanted 'predicted'"),
        (toml(score="logits"), "score = 'logits': input should be 'logit', 'probability'"),
        (toml(cost=5), "cost = 5: wanted a table"),
        (toml() + "\n[cost]\nrounds = -1", "cost.rounds = -1: input should be greater"),
        (toml() + "\n[cost]\nrounds = 1.5", "cost.rounds = 1.5: wanted a whole number"),
        (toml() + "\n[cost]\nbatch_sizes = [4, 0]", "cost.batch_sizes = [4, 0]: wanted whole"),
        (toml() + "\n[cost]\nbatch_sizes = [4, 4]", "batch_sizes = [4, 4]: wanted each size once"),
        (toml(protocols="x"), "protocols = 'x': wanted a table"),
        (toml(models=["m.keras", "a/m.keras"]), "2 models are called 'm', and results are kept"),
        ("name = ", "is not TOML"),
        ("name = " + "[" * 5000 + "]" * 5000, "is not TOML: maximum recursion depth"),
        ("seed = " + "9" * 5000, "is not TOML: Exceeds the limit"),
    ],
)  # fmt: skip
def test_a_wrong_field_or_value_is_one_sentence(tmp_path, written, sentence):
    assert sentence in refused(tmp_path, written)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"models": ["resnet05"]}, "unknown model 'resnet05': did you mean 'resnet50'?"),
        ({"models": ["gone.keras"]}, "the model file gone.keras does not exist"),
        ({"models": [{"name": "vgg16", "preprocess": "cafe"}]}, "'cafe': did you mean 'caffe'?"),
        ({"models": [{"name": "vgg16", "classes": "gone.txt"}]}, "cannot be read from gone.txt"),
        ({"data": "photo"}, "unknown data set, folder or image 'photo': did you mean 'photos'?"),
        ({"methods": ["gradcam"]}, "unknown method 'gradcam': did you mean 'grad_cam'?"),
        ({"methods": ["random"]}, "'random' is a control"),
        ({"controls": ["rnadom"]}, "unknown control 'rnadom': did you mean 'random'?"),
        ({"metrics": ["deletoin"]}, "unknown metric 'deletoin': did you mean 'deletion'?"),
        ({"protocols": {"deletion": "rise2008"}}, "unknown protocol of the metric 'deletion' "
         "'rise2008': did you mean 'rise2018'?"),
        ({"protocols": {"insertoin": "rise2018"}}, "unknown metric in protocols 'insertoin': did "
         "you mean 'insertion'?"),
        ({"metrics": ["deletion"], "protocols": {"insertion": "rise2018"}}, "unknown metric in "
         "protocols 'insertion'"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_found_before_anything_is_loaded(changes, sentence):
    with pytest.raises(InputError) as caught:
        make_study({**WHOLE, **changes}, source="toy.toml")
    assert str(caught.value).startswith("toy.toml: ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_data_only_with_an_image_in_it(tmp_path):
    with pytest.raises(InputError, match=r"the folder .* has no image"):
        make_study({**WHOLE, "data": str(tmp_path)})
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert make_study({**WHOLE, "data": str(tmp_path)}).data.path == str(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the study .*gone\.toml: No such file"):
        load_study(tmp_path / "gone.toml")
    with pytest.raises(InputError, match=r"cannot read the study .*: Is a directory"):
        load_study(tmp_path)
    (tmp_path / "b.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match=r"b\.toml is not TOML"):
        load_study(tmp_path / "b.toml")


BASE = Study.model_validate(WHOLE).fingerprint("v1", "digest")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"models": ["vgg16"]},
        {"models": [{"name": "efficientnet_lite0", "preprocess": "tf"}]},
        {"data": "elsewhere"},
        {"layers": ["stages"]},
        {"methods": ["layer_cam"]},
        {"controls": []},
        {"metrics": ["deletion"]},
        {"protocols": {"deletion": "rise2018_batch"}},
        {"target": 0},
        {"target": "0"},
        {"score": "probability"},
        {"seed": 1},
        {"cost": {"rounds": 3}},
    ],
)
def test_the_fingerprint_changes_with_whatever_decides_the_results(changes):
    assert Study.model_validate({**WHOLE, **changes}).fingerprint("v1", "digest") != BASE


def test_the_fingerprint_is_that_of_the_results_alone():
    asked = Study.model_validate({**WHOLE, "question": "Which layer is best?"})
    spelt = Study.model_validate({**WHOLE, "layers": ["last"], "seed": 0, "cost": {"rounds": 10}})
    assert asked.fingerprint("v1", "digest") == spelt.fingerprint("v1", "digest") == BASE
    assert asked.fingerprint("v2", "digest") != BASE
    assert asked.fingerprint("v1", "other weights") != BASE
    assert len({asked.fingerprint("ab", "c"), asked.fingerprint("a", "bc")}) == 2


def test_a_model_is_known_by_its_name_or_by_the_name_of_its_file():
    models = ["vgg16", {"name": "nets/cats.v2.keras"}]
    study = Study.model_validate({**WHOLE, "models": models})
    assert [model.label for model in study.models] == ["vgg16", "cats.v2"]


def test_a_field_whose_name_is_no_unicode_is_said():
    with pytest.raises(InputError, match=r"study: a field's name cannot be kept .*Valid: name"):
        make_study({"\ud800": 1})
    with pytest.raises(InputError, match=r"study: data"):
        make_study({"name": "a", "models": ["x.keras"], "data": {"path": "a", "\ud800": 1}})


def test_the_analysis_is_declared_and_decides_no_score(values):
    plain = make_study(values)
    assert plain.analysis.references == ("controls", "last:grad_cam")
    table = {"metric": "insertion", "references": ["random"], "smallest_difference": 0.02}
    declared = make_study(values | {"analysis": table})
    assert declared.analysis.smallest_difference == 0.02
    assert declared.fingerprint() == plain.fingerprint()


@pytest.mark.parametrize(
    ("analysis", "message"),
    [
        ({"metrik": "x"}, "did you mean 'metric'"),
        ({"metric": "road"}, "unknown metric in analysis 'road'"),
        ({"references": ["noise"]}, "unknown reference 'noise'"),
        ({"level": 5}, "analysis.level = 5"),
        ({"cluster": "scene"}, "analysis.cluster = 'scene'"),
    ],
)
def test_a_wrong_analysis_is_refused(values, analysis, message):
    with pytest.raises(InputError, match=message):
        make_study(values | {"analysis": analysis})
