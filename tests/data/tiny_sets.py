"""Data sets of two or three images in the formats of the field, written for tests.

Every image is 8 pixels wide and 6 high.
"""

import io
import json

import numpy as np
from PIL import Image

from gradcam_eval.data.readers.coco import read_coco
from gradcam_eval.data.readers.cub import read_cub
from gradcam_eval.data.readers.imagenet import read_imagenet
from gradcam_eval.data.readers.pets import read_pets
from gradcam_eval.data.readers.voc import read_voc
from gradcam_eval.data.readers.wsol import read_wsol

SIZE = (6, 8)


def png(pixels, orientation=1):
    """Return the bytes of a PNG, 8 or 16 bits, with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    return stream.getvalue()


TENCH, GOLDFISH = "n01440764", "n01443537"

# 0 background, 255 void, objects 1 and 2: a column of void between them
INSTANCES = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 255, 2, 2, 0, 0],
        [0, 1, 1, 255, 2, 2, 0, 0],
        [0, 1, 1, 255, 2, 2, 0, 0],
        [0, 0, 0, 255, 2, 2, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    np.uint8,
)
CAT, DOG = 8, 12  # their indices in Pascal VOC
CLASSES = np.select(
    [INSTANCES == 1, INSTANCES == 2, INSTANCES == 255], [CAT, DOG, 255], 0
).astype(np.uint8)  # fmt: skip
TRIMAP = np.full(SIZE, 2, np.uint8)
TRIMAP[1:5, 2:6] = 3
TRIMAP[2:4, 3:5] = 1


def photo(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")  # decoders go by content, not by suffix


def labels(path, values, *, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    if palette:
        picture.putpalette([value for n in range(256) for value in (255 - n, n, 7)])
    picture.save(path, format="PNG")


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def xml(path, *objects, size=SIZE):
    """Write a VOC file; an object is (name, difficult, xmin, ymin, xmax, ymax)."""
    entries = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
        f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, difficult, x0, y0, x1, y1 in objects
    )
    stated = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
    text(path, f"<annotation>{stated}{entries}</annotation>")


def imagenet(root):
    """Flat images, whose classes stand in the XML files."""
    for n in (1, 2):
        photo(root / f"Data/CLS-LOC/val/ILSVRC2012_val_0000000{n}.JPEG", n)
    boxes = root / "Annotations/CLS-LOC/val"
    xml(boxes / "ILSVRC2012_val_00000001.xml", (TENCH, 0, 0, 1, 3, 4), (TENCH, 0, 5, 0, 7, 5))
    xml(boxes / "ILSVRC2012_val_00000002.xml", (GOLDFISH, 0, 2, 2, 2, 2))
    return read_imagenet, {}


def voc(root):
    """One image with boxes alone, one with masks, one with a difficult object."""
    for n in (1, 2, 3):
        photo(root / f"JPEGImages/00000{n}.jpg", n)
    found = root / "Annotations"
    xml(found / "000001.xml", ("dog", 0, 1, 1, 2, 2), ("person", 0, 3, 2, 8, 6))
    xml(found / "000002.xml", ("cat", 0, 2, 2, 3, 4), ("dog", 0, 5, 2, 6, 5))
    xml(found / "000003.xml", ("cat", 0, 1, 1, 4, 4), ("dog", 1, 1, 1, 8, 6))
    labels(root / "SegmentationClass/000002.png", CLASSES, palette=True)
    labels(root / "SegmentationObject/000002.png", INSTANCES, palette=True)
    text(root / "ImageSets/Main/val.txt", "000003\n000001\n")
    text(root / "ImageSets/Segmentation/val.txt", "000002\n")
    return read_voc, {}


def coco(root):
    """Polygons, a crowd as run lengths, a compressed mask, and an image without objects."""
    for name in ("a", "sub/b", "c"):
        photo(root / f"{name}.jpg", len(name))
    square = [1, 1, 5, 1, 5, 4, 1, 4]
    tall = {"size": [6, 8], "counts": [7, 3, 38]}  # column 1, rows 1 to 3
    # column 2 (12 to 17) and column 3 (18 to 23), rows 1 and 2: runs 13, 2, 4, 2, 27, of which the
    # fourth and fifth are written as differences, 2 - 2 = 0 and 27 - 4 = 23:
    # 13 = '=' (61 = 48 + 13), 2 = '2', 4 = '4', 0 = '0', 23 = 23 + 32 more 'g' (103), then 0 '0'
    small = {"size": [6, 8], "counts": "=240g0"}
    content = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 8, "height": 6, "license": 1},
            {"id": 8, "file_name": "sub/b.jpg", "width": 8, "height": 6, "flickr_url": "by ann"},
            {"id": 9, "file_name": "c.jpg", "width": 8, "height": 6},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "iscrowd": 0,
             "bbox": [1, 1, 4, 3], "segmentation": [square]},
            {"id": 2, "image_id": 7, "category_id": 1, "iscrowd": 1,
             "bbox": [1, 1, 1, 3], "segmentation": tall},
            {"id": 3, "image_id": 8, "category_id": 1, "iscrowd": 0,
             "bbox": [2, 1, 2, 2], "segmentation": small},
            {"id": 4, "image_id": 8, "category_id": 2, "iscrowd": 0, "bbox": [0.5, 0, 7, 5.25]},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "licenses": [{"id": 1, "name": "CC BY 2.0"}],
    }  # fmt: skip
    text(root / "instances.json", json.dumps(content))
    return read_coco, {}


def pets(root):
    for n, name in enumerate(("Abyssinian_1", "great_pyrenees_22")):
        photo(root / f"images/{name}.jpg", n)
        labels(root / f"annotations/trimaps/{name}.png", TRIMAP)
    xml(root / "annotations/xmls/Abyssinian_1.xml", ("cat", 0, 3, 2, 5, 4))
    text(root / "annotations/list.txt", "#Image CLASS-ID SPECIES BREED ID\n"
         "Abyssinian_1 1 1 1\ngreat_pyrenees_22 16 2 8\n")  # fmt: skip
    text(root / "annotations/trainval.txt", "Abyssinian_1 1 1 1\n")
    text(root / "annotations/test.txt", "great_pyrenees_22 16 2 8\n")
    return read_pets, {}


def cub(root):
    names = ("001.Albatross/A_1.jpg", "002.Auklet/B_2.jpg")
    for n, name in enumerate(names):
        photo(root / "images" / name, n)
    mask = np.zeros(SIZE, np.uint8)
    mask[1:4, 2:5], mask[1, 2] = 204, 102
    labels(root / "segmentations/001.Albatross/A_1.png", mask)
    labels(root / "segmentations/002.Auklet/B_2.png", mask)
    text(root / "images.txt", "".join(f"{n} {name}\n" for n, name in enumerate(names, 1)))
    text(root / "classes.txt", "1 001.Albatross\n2 002.Auklet\n")
    text(root / "image_class_labels.txt", "1 1\n2 2\n")
    text(root / "bounding_boxes.txt", "1 2.0 1.0 3.0 3.0\n2 0.0 0.0 7.5 6.0\n")
    text(root / "train_test_split.txt", "1 0\n2 1\n")
    return read_cub, {}


def wsol(root):
    """Boxes, as for ILSVRC and CUB."""
    for n in (1, 2):
        photo(root / f"val/{n}.JPEG", n)
    folder = root / "metadata"
    text(folder / "image_ids.txt", "val/1.JPEG\nval/2.JPEG\n")
    text(folder / "class_labels.txt", "val/1.JPEG,65\nval/2.JPEG,970\n")
    text(folder / "image_sizes.txt", "val/1.JPEG,8,6\nval/2.JPEG,8,6\n")
    text(
        folder / "localization.txt", "val/1.JPEG,1,1,4,3\nval/1.JPEG,0,0,7,5\nval/2.JPEG,2,2,2,2\n"
    )
    return read_wsol, {"annotations": folder}


def wsol_masks(root):
    """Masks and what to ignore, as for OpenImages; the second mask is twice as large."""
    photo(root / "test/x/a.jpg")
    first, second = np.zeros(SIZE, np.uint8), np.zeros((12, 16), np.uint8)
    first[1:3, 1:3], second[8:12, 10:16] = 255, 1
    ignore = np.zeros(SIZE, np.uint8)
    ignore[0:4, 0:4] = 255
    for name, values in (("m1", first), ("m2", second), ("ignore", ignore)):
        labels(root / f"test/x/a_{name}.png", values)
    folder = root / "metadata"
    text(folder / "image_ids.txt", "test/x/a.jpg\n")
    text(folder / "class_labels.txt", "test/x/a.jpg,3\n")
    text(folder / "localization.txt", "test/x/a.jpg,test/x/a_m1.png,test/x/a_ignore.png\n"
         "test/x/a.jpg,test/x/a_m2.png,\n")  # fmt: skip
    return read_wsol, {"annotations": folder}


WRITERS = {writer.__name__: writer for writer in (imagenet, voc, coco, pets, cub, wsol, wsol_masks)}
