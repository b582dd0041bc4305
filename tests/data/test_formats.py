"""Each format on a data set of two or three images, with boxes and masks worked out by hand."""

import json

import numpy as np
import pytest
import tiny_sets
from PIL import Image
from tiny_sets import CLASSES, GOLDFISH, INSTANCES, SIZE, TENCH, TRIMAP

from gradcam_eval.core import InputError
from gradcam_eval.data.readers.coco import read_coco
from gradcam_eval.data.readers.cub import read_cub
from gradcam_eval.data.readers.imagenet import read_imagenet
from gradcam_eval.data.readers.pets import read_pets
from gradcam_eval.data.readers.voc import read_voc
from gradcam_eval.data.readers.wsol import read_wsol


def read(name, root):
    reader, options = tiny_sets.WRITERS[name](root)
    return reader(root, **options)


def mask_of(rows, columns):
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("name", tiny_sets.WRITERS)
def test_names_are_stable_and_files_are_there(name, tmp_path):
    entries = read(name, tmp_path)
    assert [entry.name for entry in entries] == [entry.name for entry in read(name, tmp_path)]
    for entry in entries:
        assert entry.file.is_file()
        annotation = entry.annotate(SIZE)
        assert annotation.size in (None, SIZE)
        for drawn in annotation.objects:
            assert drawn.mask is None or (drawn.mask.shape == SIZE and drawn.mask.dtype == bool)


def test_imagenet_corners_count_from_0_and_include_both_ends(tmp_path):
    first, second = read("imagenet", tmp_path)
    assert (first.name, first.labels) == ("ILSVRC2012_val_00000001.JPEG", (TENCH,))
    boxes = [drawn.box for drawn in first.annotate(SIZE).objects]
    # 0..3 are 4 pixels, [0, 4); 1..4 are [1, 5); 7 is the last column of 8, 5 the last row of 6
    assert boxes == [(0, 1, 4, 5), (5, 0, 8, 6)]
    (only,) = second.annotate(SIZE).objects
    assert only.box == (2, 2, 3, 3)  # one pixel
    assert (second.labels, only.label) == ((GOLDFISH,), GOLDFISH)


def test_imagenet_in_synset_folders_needs_no_xml(tmp_path):
    tiny_sets.photo(tmp_path / GOLDFISH / "ILSVRC2012_val_00000002.JPEG")
    tiny_sets.photo(tmp_path / TENCH / "ILSVRC2012_val_00000009.JPEG")
    tiny_sets.photo(tmp_path / "notes" / "x.JPEG")
    entries = read_imagenet(tmp_path)
    assert [(entry.name, entry.labels) for entry in entries] == [
        (f"{TENCH}/ILSVRC2012_val_00000009.JPEG", (TENCH,)),
        (f"{GOLDFISH}/ILSVRC2012_val_00000002.JPEG", (GOLDFISH,)),
    ]
    assert entries[0].annotate(SIZE).objects == ()
    tiny_sets.xml(tmp_path / "xml" / TENCH / "ILSVRC2012_val_00000009.xml", (TENCH, 0, 1, 1, 2, 2))
    (drawn,) = read_imagenet(tmp_path, annotations=tmp_path / "xml")[0].annotate(SIZE).objects
    assert drawn.box == (1, 1, 3, 3)


@pytest.mark.parametrize(
    "lines",
    [
        f"ImageId,PredictionString\nILSVRC2012_val_00000001,{GOLDFISH} 85 1 499 272 \n",
        f"ILSVRC2012_val_00000001.JPEG {GOLDFISH}\n",
        f"val/ILSVRC2012_val_00000001.JPEG,{GOLDFISH}",
    ],
)
def test_imagenet_lists_of_synsets(tmp_path, lines):
    tiny_sets.photo(tmp_path / "ILSVRC2012_val_00000001.JPEG")
    tiny_sets.photo(tmp_path / "ILSVRC2012_val_00000002.JPEG")
    tiny_sets.text(tmp_path / "list.txt", lines)
    listed, other = read_imagenet(tmp_path, labels=tmp_path / "list.txt")
    assert (listed.labels, other.labels) == ((GOLDFISH,), ())
    with pytest.raises(InputError, match=r"nothing says the class of ILSVRC2012_val_00000002"):
        other.annotate(SIZE)


def test_imagenet_refuses_the_development_kits_numbers(tmp_path):
    tiny_sets.photo(tmp_path / "ILSVRC2012_val_00000001.JPEG")
    tiny_sets.text(tmp_path / "ILSVRC2012_validation_ground_truth.txt", "490\n361\n")
    with pytest.raises(InputError, match="not the index that networks return"):
        read_imagenet(tmp_path, labels=tmp_path / "ILSVRC2012_validation_ground_truth.txt")
    with pytest.raises(InputError, match="nothing says the classes"):
        read_imagenet(tmp_path)


def test_imagenet_xml_that_is_broken_costs_its_own_image_only(tmp_path):
    reader, options = tiny_sets.imagenet(tmp_path)
    tiny_sets.text(tmp_path / "Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml", "<annotation>")
    first, second = reader(tmp_path, **options)
    assert (first.labels, second.labels) == ((), (GOLDFISH,))
    with pytest.raises(InputError, match=r"ILSVRC2012_val_00000001\.xml is not XML"):
        first.annotate(SIZE)


def test_voc_corners_count_from_1_and_include_both_ends(tmp_path):
    first = read("voc", tmp_path)[0]
    dog, person = first.annotate(SIZE).objects
    assert dog.box == (0, 0, 2, 2)  # 1..2 are the first two pixels
    assert person.box == (2, 1, 8, 6)  # 3..8 are columns 2 to 7 from 0, 2..6 rows 1 to 5
    assert first.labels == ("person", "dog"), "30 pixels before 4"


@pytest.mark.parametrize(
    ("stated", "file", "name"),
    [
        ("other.png", "other.png", "other.png"),
        ("other", "other.jpg", "other.jpg"),  # some tools leave the suffix out
        ("C:\\\\me\\\\other.png", "other.png", "other.png"),  # or write a path
        ("/home/me/other.png", "other.png", "other.png"),
        ("gone.png", None, "000001.jpg"),
        ("..", None, "000001.jpg"),
        ("", None, "000001.jpg"),
    ],
)
def test_voc_reads_the_image_that_the_xml_names(tmp_path, stated, file, name):
    reader, _ = tiny_sets.voc(tmp_path)
    if file:
        tiny_sets.photo(tmp_path / "JPEGImages" / file, 9)
    xml = tmp_path / "Annotations" / "000001.xml"
    content = xml.read_text().replace("<annotation>", f"<annotation><filename>{stated}</filename>")
    xml.write_text(content)
    first = reader(tmp_path)[0]
    assert (first.name, first.file.name) == (name, name)
    assert first.file.is_file()
    assert first.labels == ("person", "dog")


def test_voc_difficult_objects_are_ignored_and_no_label(tmp_path):
    third = read("voc", tmp_path)[2]
    assert third.labels == ("cat",)
    assert [drawn.is_ignored for drawn in third.annotate(SIZE).objects] == [False, True]


def test_voc_masks_have_void_and_the_boxes_of_the_xml(tmp_path):
    annotation = read("voc", tmp_path)[1].annotate(SIZE)
    cat, dog = annotation.objects
    assert (cat.label, dog.label) == ("cat", "dog")
    assert np.array_equal(cat.mask, mask_of(slice(1, 4), slice(1, 3)))
    assert np.array_equal(dog.mask, mask_of(slice(1, 5), slice(4, 6)))
    assert np.array_equal(annotation.void, mask_of(slice(1, 5), 3))
    assert (cat.box, dog.box) == ((1, 1, 3, 4), (4, 1, 6, 5))


def test_voc_objects_follow_the_picture_where_the_xml_has_another_order(tmp_path):
    reader, _ = tiny_sets.voc(tmp_path)
    tiny_sets.xml(
        tmp_path / "Annotations/000002.xml", ("dog", 0, 5, 2, 6, 5), ("cat", 0, 2, 2, 3, 4)
    )
    cat, dog = reader(tmp_path)[1].annotate(SIZE).objects
    assert (cat.label, cat.box, dog.label, dog.box) == ("cat", None, "dog", None)


def test_voc_class_picture_alone_gives_one_object_a_class(tmp_path):
    reader, _ = tiny_sets.voc(tmp_path)
    (tmp_path / "SegmentationObject/000002.png").unlink()
    annotation = reader(tmp_path)[1].annotate(SIZE)
    assert [drawn.label for drawn in annotation.objects] == ["cat", "dog"]
    assert np.array_equal(annotation.objects[1].mask, CLASSES == tiny_sets.DOG)
    assert annotation.void.sum() == (INSTANCES == 255).sum() == 4


def test_voc_lists_and_folders(tmp_path):
    reader, _ = tiny_sets.voc(tmp_path / "VOC2012")
    names = [entry.name for entry in reader(tmp_path, split="val")]
    assert names == ["000003.jpg", "000001.jpg"]
    (only,) = reader(tmp_path, split="Segmentation/val")
    assert (only.name, only.subset) == ("000002.jpg", "Segmentation/val")
    with pytest.raises(InputError, match=r"there is no file .*tset\.txt"):
        reader(tmp_path, split="tset")
    with pytest.raises(InputError, match="no path inside"):
        reader(tmp_path, split="../../x")
    (tmp_path / "VOC2007/JPEGImages").mkdir(parents=True)
    with pytest.raises(InputError, match="2 folders with JPEGImages"):
        reader(tmp_path)


def test_voc_refuses_classes_that_it_does_not_have(tmp_path):
    reader, _ = tiny_sets.voc(tmp_path)
    tiny_sets.labels(tmp_path / "SegmentationClass/000002.png", np.where(CLASSES == 8, 21, CLASSES))
    with pytest.raises(InputError, match="pixels of class 21"):
        reader(tmp_path)[1].annotate(SIZE)
    tiny_sets.labels(tmp_path / "SegmentationClass/000002.png", CLASSES[:5])
    with pytest.raises(InputError, match="8x5 pixels and its image 8x6"):
        reader(tmp_path)[1].annotate(SIZE)


def test_coco_boxes_polygons_and_crowds(tmp_path):
    first = read("coco", tmp_path)[0]
    assert (first.name, first.labels, first.licence) == ("a.jpg", ("dog",), "CC BY 2.0")
    dog, crowd = first.annotate(SIZE).objects
    assert dog.box == (1, 1, 5, 4)  # x, y, width 4, height 3
    assert dog.polygons == (((1, 1), (5, 1), (5, 4), (1, 4)),)
    assert (dog.is_ignored, crowd.is_ignored) == (False, True)
    assert np.array_equal(crowd.mask, mask_of(slice(1, 4), 1))


def test_coco_masks_in_compressed_text(tmp_path):
    second = read("coco", tmp_path)[1]
    person, dog = second.annotate(SIZE).objects
    assert np.array_equal(person.mask, mask_of(slice(1, 3), slice(2, 4)))
    assert dog.box == (0.5, 0, 7.5, 5.25)
    assert second.labels == ("dog", "person"), "36.75 pixels before 4"
    assert second.credit == "by ann"


def test_coco_images_without_objects_are_listed(tmp_path):
    third = read("coco", tmp_path)[2]
    assert (third.name, third.labels, third.annotate(SIZE).objects) == ("c.jpg", (), ())


def changed(tmp_path, change):
    reader, _ = tiny_sets.coco(tmp_path)
    content = json.loads((tmp_path / "instances.json").read_text())
    change(content)
    tiny_sets.text(tmp_path / "instances.json", json.dumps(content))
    return reader(tmp_path)


def test_coco_box_without_area_is_left_to_the_polygons(tmp_path):
    def flatten(content):
        content["annotations"][0]["bbox"] = [1, 1, 0, 3]

    assert changed(tmp_path, flatten)[0].annotate(SIZE).objects[0].box is None


@pytest.mark.parametrize(
    ("place", "key", "value", "sentence"),
    [
        ("annotations", "segmentation", [[1, 2, 3, 4]], "a polygon of annotation 1 has 4 numbers"),
        ("annotations", "segmentation", [[1, 2, 3, 4, 5, "x"]], "wanted a number of pixels"),
        ("annotations", "segmentation", "abc", "neither polygons nor a run-length mask"),
        ("annotations", "segmentation", {"size": [6, 8], "counts": [7, 3]}, "cover 10 pixels"),
        ("annotations", "segmentation", {"size": [6, 8], "counts": [50, -2]}, "0 or more"),
        (
            "annotations",
            "segmentation",
            {"size": [5, 8], "counts": [40]},
            "8x5 pixels and the image",
        ),
        ("annotations", "segmentation", {"size": [10**5] * 2, "counts": [10**10]}, "wanted 1 to"),
        ("annotations", "bbox", [1, 2, 3], r"not \[x, y, width, height\]"),
        ("annotations", "bbox", [1, 2, 3, 1e30], "wanted a number of pixels"),
        ("annotations", "category_id", 3, "categories do not list"),
    ],
)
def test_coco_objects_that_are_wrong_cost_their_own_image_only(
    tmp_path, place, key, value, sentence
):
    entries = changed(tmp_path, lambda content: content[place][0].update({key: value}))
    with pytest.raises(InputError, match=sentence):
        entries[0].annotate(SIZE)
    assert len(entries[1].annotate(SIZE).objects) == 2


@pytest.mark.parametrize(
    "name", ["../x.jpg", "/etc/passwd", "a/../../x.jpg", "..\\x.jpg", "C:/x.jpg", " ", "a\0b"]
)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"no path inside|wanted a text"):
        changed(tmp_path, lambda content: content["images"][0].update(file_name=name))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 100_000, "not JSON that can be read"),
        ('{"images": NaN}', "NaN is not a JSON number"),
        ('{"images": 1' + "0" * 5000 + "}", "not JSON that can be read"),
        ("{}", "no list 'images'"),
        ('{"images": [3], "annotations": [], "categories": []}', "no list 'images' of objects"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no image"),
    ],
)
def test_json_that_is_wrong_or_hostile_is_one_sentence(tmp_path, content, sentence):
    tiny_sets.text(tmp_path / "x.json", content)
    with pytest.raises(InputError, match=sentence):
        read_coco(tmp_path, annotations=tmp_path / "x.json")


def test_an_image_is_listed_once(tmp_path):
    with pytest.raises(InputError, match=r"lists the image 'c\.jpg' twice"):
        changed(tmp_path, lambda content: content["images"][0].update(file_name="c.jpg"))


def test_which_json_file(tmp_path):
    reader, _ = tiny_sets.coco(tmp_path / "images")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images/instances.json").rename(tmp_path / "annotations/instances.json")
    assert len(reader(tmp_path / "images")) == 3
    tiny_sets.text(tmp_path / "annotations/captions.json", "{}")
    with pytest.raises(InputError, match=r"2 JSON files \(captions\.json, instances\.json"):
        reader(tmp_path / "images")


def test_pets_trimap(tmp_path):
    cat, dog = read("pets", tmp_path)
    assert (cat.labels, dog.labels) == (("Abyssinian",), ("great_pyrenees",))
    assert (cat.subset, dog.subset) == ("trainval", "test")
    annotation = cat.annotate(SIZE)
    assert np.array_equal(annotation.objects[0].mask, mask_of(slice(2, 4), slice(3, 5)))
    assert np.array_equal(annotation.void, TRIMAP == 3)
    assert annotation.void.sum() == 16 - 4


def test_pets_heads_and_splits(tmp_path):
    tiny_sets.pets(tmp_path)
    (cat,) = read_pets(tmp_path, split="trainval", part="head")
    (head,) = cat.annotate(SIZE).objects
    assert head.box == (2, 1, 5, 4)  # 3..5 from 1 are columns 2 to 4
    (dog,) = read_pets(tmp_path, split="test", part="head")
    with pytest.raises(InputError, match="there is no file"):
        dog.annotate(SIZE)
    with pytest.raises(InputError, match="unknown part 'tail'"):
        read_pets(tmp_path, part="tail")
    with pytest.raises(InputError, match="unknown split 'val'"):
        read_pets(tmp_path, split="val")


def test_pets_refuse_a_mask_that_is_no_trimap(tmp_path):
    reader, _ = tiny_sets.pets(tmp_path)
    tiny_sets.labels(tmp_path / "annotations/trimaps/Abyssinian_1.png", TRIMAP * 85)
    with pytest.raises(InputError, match="other values than 1, 2 and 3"):
        reader(tmp_path)[0].annotate(SIZE)


def test_cub_boxes_and_the_majority_of_masks(tmp_path):
    first, second = read("cub", tmp_path)
    assert (first.labels, first.subset, second.subset) == (("001.Albatross",), "test", "train")
    (bird,) = first.annotate(SIZE).objects
    assert bird.box == (2, 1, 5, 4)  # x, y, width, height 2 1 3 3
    expected = mask_of(slice(1, 4), slice(2, 5))
    expected[1, 2] = False  # 102 of 255: two annotators of five
    assert np.array_equal(bird.mask, expected)
    assert second.annotate(SIZE).objects[0].box == (0, 0, 7.5, 6)


def test_cub_without_masks_and_one_split(tmp_path):
    reader, _ = tiny_sets.cub(tmp_path / "CUB_200_2011")
    (tmp_path / "CUB_200_2011/segmentations").rename(tmp_path / "segmentations")
    (test,) = reader(tmp_path / "CUB_200_2011", split="test")
    assert test.annotate(SIZE).objects[0].mask is not None, "masks beside the folder are found"
    (tmp_path / "segmentations").rename(tmp_path / "elsewhere")
    (test,) = reader(tmp_path / "CUB_200_2011", split="test")
    assert test.annotate(SIZE).objects[0].mask is None


@pytest.mark.parametrize("gone", ["images", "classes", "image_class_labels", "bounding_boxes"])
def test_cub_needs_its_lists(tmp_path, gone):
    tiny_sets.cub(tmp_path)
    tiny_sets.text(tmp_path / f"{gone}.txt", "")
    with pytest.raises(InputError, match=r"not in all lists|lists no image"):
        read_cub(tmp_path)


def test_wsol_corners_include_both_ends(tmp_path):
    first, second = read("wsol", tmp_path)
    assert (first.labels, second.labels) == (("65",), ("970",))
    annotation = first.annotate(SIZE)
    assert annotation.size == SIZE, "image_sizes has width before height"
    assert [drawn.box for drawn in annotation.objects] == [(1, 1, 5, 4), (0, 0, 8, 6)]
    assert second.annotate(SIZE).objects[0].box == (2, 2, 3, 3)


def test_wsol_masks_are_brought_to_the_image_and_never_ignored(tmp_path):
    (only,) = read("wsol_masks", tmp_path)
    annotation = only.annotate(SIZE)
    first, second = (drawn.mask for drawn in annotation.objects)
    assert np.array_equal(first, mask_of(slice(1, 3), slice(1, 3)))
    # rows 8 to 11 of 12 are rows 4 and 5 of 6, columns 10 to 15 of 16 are 5 to 7 of 8
    assert np.array_equal(second, mask_of(slice(4, 6), slice(5, 8)))
    expected = mask_of(slice(0, 4), slice(0, 4))
    expected[1:3, 1:3] = False
    assert np.array_equal(annotation.void, expected)


def test_wsol_refuses_what_does_not_fit(tmp_path):
    tiny_sets.wsol_masks(tmp_path)
    (only,) = read_wsol(tmp_path, annotations=tmp_path / "metadata")
    with pytest.raises(InputError, match="wanted the same proportions"):
        only.annotate((8, 6))
    tiny_sets.text(tmp_path / "metadata/localization.txt", "test/x/a.jpg,1,2,3\n")
    with pytest.raises(InputError, match=r"line 1 of .*localization\.txt is 'test/x/a\.jpg 1 2 3'"):
        read_wsol(tmp_path, annotations=tmp_path / "metadata")
    tiny_sets.text(tmp_path / "metadata/localization.txt", "test/x/a.jpg,../m.png,\n")
    with pytest.raises(InputError, match="no path inside"):
        read_wsol(tmp_path, annotations=tmp_path / "metadata")
    tiny_sets.text(tmp_path / "metadata/localization.txt", "")
    tiny_sets.text(tmp_path / "metadata/class_labels.txt", "test/x/b.jpg,3\n")
    with pytest.raises(InputError, match="no line for"):
        read_wsol(tmp_path, annotations=tmp_path / "metadata")


ENTITIES = """<?xml version="1.0"?><!DOCTYPE a [{}]><annotation><object><name>&b;</name>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object></annotation>"""


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY b "cat">',
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">',
        '<!ENTITY b SYSTEM "file:///etc/passwd">',
        '<!ENTITY % p SYSTEM "http://localhost/x.dtd">',
    ],
)
def test_xml_with_entities_is_refused(tmp_path, declared):
    tiny_sets.voc(tmp_path)
    tiny_sets.text(tmp_path / "Annotations/000001.xml", ENTITIES.format(declared))
    entry = read_voc(tmp_path)[0]
    assert entry.labels == ()
    with pytest.raises(InputError, match="declares a document type or entities"):
        entry.annotate(SIZE)


def test_files_that_are_too_large_are_not_read(tmp_path, monkeypatch):
    reader, _ = tiny_sets.coco(tmp_path)
    monkeypatch.setattr("gradcam_eval.data.readers.files.MAX_XML_BYTES", 100)
    tiny_sets.voc(tmp_path / "voc")
    with pytest.raises(InputError, match="more than the 100 bytes"):
        read_voc(tmp_path / "voc")[0].annotate(SIZE)
    with (tmp_path / "instances.json").open("ab") as file:
        file.truncate(600 * 1024**2)  # a hole: it takes no room on the disk
    with pytest.raises(InputError, match="more than the 536870912 bytes"):
        reader(tmp_path)


def test_label_pictures_are_indices_not_colours(tmp_path):
    reader, _ = tiny_sets.voc(tmp_path)
    Image.fromarray(CLASSES).convert("RGB").save(tmp_path / "SegmentationClass/000002.png")
    with pytest.raises(InputError, match="has RGB pixels: wanted labels as a palette"):
        reader(tmp_path)[1].annotate(SIZE)
