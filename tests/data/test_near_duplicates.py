"""Copies of another size, compression or brightness are alike, and different pictures are not."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from gradcam_eval.data.near_duplicates import BITS, near_duplicates, perceptual_hash

NAMES = ("coffee.png", "chelsea.png", "astronaut.png", "rocket.jpg")


def shown(picture, side=96):
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32)


def compressed(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    return Image.open(file)


@pytest.fixture(scope="module")
def pictures():
    found = {}
    for name in NAMES:
        with Image.open(f"{skimage.data.data_dir}/{name}") as picture:
            found[name] = picture.convert("RGB").resize((200, 200))
    return found


def apart(one, two):
    return bin(int(one, 16) ^ int(two, 16)).count("1")


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((100, 100)),
        compressed,
        lambda picture: picture.convert("L").convert("RGB"),
        lambda picture: picture.point(lambda value: min(255, int(1.2 * value + 10))),
        lambda picture: picture.crop((3, 3, 197, 197)),
    ],
    ids=["half the size", "compressed", "grey", "brighter", "cut at the edges"],
)
def test_copies_are_alike_and_different_pictures_are_not(pictures, change):
    hashes = {name: perceptual_hash(shown(picture)) for name, picture in pictures.items()}
    assert near_duplicates(hashes) == {}
    copies = {f"copy of {name}": perceptual_hash(shown(change(pictures[name]))) for name in NAMES}
    found = near_duplicates(hashes | copies)
    assert found == {key: name for name in NAMES for key in (name, f"copy of {name}")}


def test_the_hash_has_its_bits_and_depends_on_the_pixels_alone(pictures):
    image = shown(pictures["coffee.png"])
    first = perceptual_hash(image)
    assert len(first) == BITS // 4
    assert perceptual_hash(image.copy()) == first
    assert perceptual_hash(image[..., :1].repeat(3, 2)) == perceptual_hash(image[..., :1])
    assert apart(first, perceptual_hash(image[:, ::-1])) > 60  # mirror images are not alike
    assert bin(int(first, 16)).count("1") == BITS // 2


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (64, 64), (65, 200)])
def test_any_size_has_a_hash(size):
    image = np.random.default_rng(0).uniform(0, 255, (*size, 1))
    assert len(perceptual_hash(image)) == BITS // 4


def code(*bits):
    return sum(1 << bit for bit in bits).to_bytes(BITS // 8).hex()


def test_chains_are_one_cluster_and_single_images_are_none():
    hashes = {
        "a": code(),
        "far": code(*range(100)),
        "b": code(*range(40)),
        "c": code(*range(80)),
        "z": code(*range(200, 250)),
    }
    # a–b and b–c differ by 40 bits, c and far by 20, z from a by 50
    assert near_duplicates(hashes) == dict.fromkeys(["a", "far", "b", "c"], "a")
    assert near_duplicates(hashes, threshold=20) == dict.fromkeys(["far", "c"], "far")
    assert near_duplicates({}) == near_duplicates({"a": code()}) == {}


def test_many_images_are_compared_in_blocks(monkeypatch):
    monkeypatch.setattr("gradcam_eval.data.near_duplicates._BLOCK", 7)
    generator = np.random.default_rng(0)
    hashes = {str(i): generator.bytes(BITS // 8).hex() for i in range(20)}
    hashes |= {"copy": hashes["3"], "other copy": hashes["19"]}
    assert near_duplicates(hashes) == {
        "3": "3", "copy": "3", "19": "19", "other copy": "19"
    }  # fmt: skip
