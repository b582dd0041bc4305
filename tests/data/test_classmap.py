import pytest

from gradcam_eval.core import InputError
from gradcam_eval.data.classmap import ClassMap, class_map, imagenet_map, read_mapping

MODEL = ClassMap(("tabby cat", "dog", "dog", "7", "owl"), ("n01", "n02", "n03", "n04", "n05"))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("n02", 1),
        ("tabby cat", 0),
        ("Tabby_cat", 0),
        ("owl", 4),
        ("dog", None),  # two classes are called so
        ("cow", None),
        ("do", None),  # nothing is guessed
        ("2", 2),
        ("7", 3),  # a name; 7 is no index here
        ("", None),
    ],
)
def test_a_name_means_one_class_or_none(name, index):
    assert MODEL.index(name) == index


def test_names_come_before_indices():
    assert ClassMap(("1", "2", "3")).index("1") == 0
    assert ClassMap(("1", "2", "3")).index("2") == 1
    assert ClassMap(("1", "2", "3")).index("0") == 0  # no name: an index
    assert ClassMap(("1", "1", "3")).index("1") is None
    assert ClassMap(("0", "1", "x")).index("1") == 1


def test_a_name_is_the_same_in_both_unicode_forms(tmp_path):
    assert ClassMap(("caf\u00e9",)).index("cafe\u0301") == 0
    (tmp_path / "map.csv").write_text("name,index\ncafe\u0301,4\n", encoding="utf-8")
    assert read_mapping(tmp_path / "map.csv", MODEL).index("caf\u00e9") == 4


def test_a_label_with_a_decimal_point_is_refused_with_the_cause():
    with pytest.raises(InputError, match=r"label '281\.0' has a decimal point, as pandas writes"):
        ClassMap(n_classes=1000).index("281.0")
    assert ClassMap(("1.0", "2.0")).index("2.0") == 1


@pytest.mark.parametrize("name", ["5", "-1", "1000"])
def test_a_number_outside_the_classes_is_an_error(name):
    with pytest.raises(InputError, match=rf"label {name} is outside the model's 5 classes: .*0 to"):
        MODEL.index(name)


def test_without_names_numbers_are_indices():
    assert ClassMap(n_classes=3).index("2") == 2
    assert ClassMap().index("12345") == 12345
    assert ClassMap().index("cat") is None
    with pytest.raises(InputError, match="outside the model's 3 classes"):
        ClassMap(n_classes=3).index("3")


def test_unmapped_names_are_listed_once_and_in_order():
    assert MODEL.unmapped(["cow", "owl", "9", "cow", "dog"]) == ["cow", "9", "dog"]


def test_the_classes_of_imagenet_are_the_default():
    assert class_map() is imagenet_map()
    assert imagenet_map().index("n02123045") == imagenet_map().index("tabby") == 281
    # WordNet calls the bird (134) so, too
    assert imagenet_map().index("crane") is None
    assert imagenet_map().index("n02012849") == 134
    assert class_map(["a", "b"]).index("b") == 1
    with pytest.raises(InputError, match="give a list of class names"):
        class_map("ab")


def test_a_mapping_file_comes_first(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("name,index,synset,class\nkitty,0,,\nhund,,n03,\nuhu,,,owl\nowl,1,,\n")
    found = read_mapping(path, MODEL)
    assert [found.index(name) for name in ("kitty", "hund", "uhu", "owl", "n05")] == [0, 2, 4, 1, 4]
    assert class_map(MODEL, path).index("kitty") == 0


def test_a_name_may_mean_several_classes(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text(
        "name,index,synset,class\npet,0-2;4;1,,\nboth,,n05;n01,\nbird,,,owl; tabby cat\none,3-3,,\n"
    )
    found = read_mapping(path, MODEL)
    assert [found.indices(name) for name in ("pet", "both", "bird", "one", "owl", "cow")] == [
        (0, 1, 2, 4), (4, 0), (4, 0), (3,), (4,), (),
    ]  # fmt: skip
    assert [found.index(name) for name in ("pet", "one")] == [None, 3]
    assert found.unmapped(["pet", "cow"]) == ["cow"]
    assert ClassMap(explicit={"pet": (1, 2), "cat": 1}).indices("pet") == (1, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,index\na,1;9\n", "index '9' is not a class of the model"),
        ("name,index\na,3-9\n", "index '9' is not a class of the model"),
        ("name,index\na,3-1\n", "index '3-1' is no range: wanted first and last, as 151-268"),
        ("name,index\na,3-\n", "index '3-' is no range"),
        ("name,index\na,-3\n", "index '' is not a class"),
        ("name,index\na,;\n", "wanted a name and exactly one of"),
        ("name,synset\na,n01;n99\n", "the model has no synset 'n99'"),
        ("", "has the columns none: wanted name and one or more of index, synset, class"),
        ("name\na\n", "has the columns name: wanted"),
        ("name,indx\na,1\n", "has the columns name, indx"),
        ("name,index\na,9\n", r"line 2 of the class mapping .* index '9' is not a class of the mo"),
        ("name,index\na,x\n", "index 'x' is not a class of the model: wanted 0 to 4"),
        ("name,index\na,1\na,2\n", "line 3 of .* 'a' stands in another row too"),
        ("name,index,synset\na,1,n01\n", "exactly one of index, synset and class"),
        ("name,index\na,\n", "exactly one of"),
        ("name,index\na,1,2\n", "exactly one of"),
        ("name,index\n,1\n", "wanted a name"),
        ("name,synset\na,n99\n", "the model has no synset 'n99'"),
        ("name,class\na,dog\n", "no class 'dog', or more than one so called"),
    ],
)
def test_a_wrong_mapping_file_is_refused_with_its_line(tmp_path, text, words):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_mapping(path, MODEL)


def test_a_mapping_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv cannot be read"):
        read_mapping(tmp_path / "gone.csv", MODEL)
    (tmp_path / "b.csv").write_bytes(b"name,index\n\xff,1\n")
    with pytest.raises(InputError, match=r"b\.csv cannot be read"):
        read_mapping(tmp_path / "b.csv", MODEL)
