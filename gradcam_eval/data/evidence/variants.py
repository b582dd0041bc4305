"""The variants of the data set: what each plants, and the plan of its k-th image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from gradcam_eval.core import InputError, unknown_name
from gradcam_eval.data.evidence.draws import Draws
from gradcam_eval.data.evidence.scene import SIZE, Element, Key, Plan, Role, Scene, render
from gradcam_eval.data.evidence.shapes import Pose
from gradcam_eval.data.evidence.watermark import SIDE

VERSION = 1
SPLITS = ("train", "validation", "test")
BLIND_FROM = 64  # `null`: the network sees no pixel of column 64 or further right
LEAST_VISIBLE = 0.6  # share of an object that nothing may cover

# name: (outline, texture). Three classes differ by their outline and are mottled, as clutter is;
# three differ by their texture and share their outlines with the clutter. None has a colour.
_LOOKS: dict[str, tuple[tuple[str, ...], str]] = {
    "star": (("star",), "mottled"),
    "ring": (("ring",), "mottled"),
    "cross": (("cross",), "mottled"),
    "striped": (("ellipse", "pillow"), "striped"),
    "chequered": (("ellipse", "pillow"), "chequered"),
    "dotted": (("ellipse", "pillow"), "dotted"),
}
CLASSES = tuple(_LOOKS)


@dataclass(frozen=True)
class Variant:
    """What the images of a variant hold.

    Attributes
    ----------
    description : one line
    radius : of the objects, in pixels, from and to
    objects : how many of the image's class, from and to
    others : how many of one other class, from and to
    columns : objects lie between these columns
    decoy : whether an object of any class lies where the network is blind
    mark : the class that the watermark stands for: the image's, another, or no watermark
    scenes : the variant whose scenes it shares, itself where ""
    """

    description: str
    radius: tuple[float, float] = (10.0, 21.0)
    objects: tuple[int, int] = (1, 1)
    others: tuple[int, int] = (0, 0)
    columns: tuple[int, int] = (0, SIZE)
    decoy: bool = False
    mark: Literal["none", "right", "wrong"] = "none"
    scenes: str = ""


VARIANTS: dict[str, Variant] = {
    "single": Variant("one object of one of six classes, beside clutter of no class"),
    "multi": Variant(
        "two to four objects of a class, and one or two of another",
        radius=(8.0, 15.0),
        objects=(2, 4),
        others=(1, 2),
    ),
    "small": Variant("one object of about 1 % of the picture", radius=(5.5, 8.0)),
    "confounded": Variant("a watermark tells the class as the object does", mark="right"),
    "confounded_removed": Variant(
        "the images of `confounded` without their watermarks", scenes="confounded"
    ),
    "confounded_moved": Variant(
        "the images of `confounded` with the watermark of a wrong class",
        mark="wrong",
        scenes="confounded",
    ),
    "null": Variant(
        "an object on the left, and a decoy on the right, where the network sees nothing",
        columns=(0, BLIND_FROM),
        decoy=True,
    ),
}


def make_scene(variant: str, index: int, *, split: str = "test", seed: int = 0) -> Scene:
    """Return the image number `index` of a split, which these four values alone decide.

    Parameters
    ----------
    variant : a name in `VARIANTS`
    index : 0 or more; there is no last image
    split : "train", "validation" or "test"
    seed : another seed is another data set; the published one has 0

    Raises
    ------
    InputError
        If there is no such variant or split, or a number is negative.
    """
    return render(make_plan(variant, index, split=split, seed=seed))


def make_plan(variant: str, index: int, *, split: str = "test", seed: int = 0) -> Plan:
    """Return what the image shows, not yet drawn; see `make_scene`."""
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if index < 0 or seed < 0:
        raise InputError(f"index {index} and seed {seed}: both are 0 or more.")
    rules = VARIANTS[variant]
    key = _key(variant, index, split, seed)
    label, other, mark = shown_classes(variant, index, split=split, seed=seed)
    draws = Draws(*key, "plan")
    elements = [*_clutter(draws, key), *_objects(draws, key, rules, (label, other))]
    if rules.decoy:
        elements.append(_decoy(draws, key, label))
    elements = _occluded(draws, key, elements)
    if mark >= 0:
        elements.append(_watermark(key, elements, mark))
    return Plan(key, label, tuple(elements))


def shown_classes(
    variant: str, index: int, *, split: str = "test", seed: int = 0
) -> tuple[int, int, int]:
    """Return an image's class, that of its other objects, and its watermark's; -1 for none.

    It needs no drawing: a thousand images take some milliseconds.
    """
    rules = VARIANTS[variant]
    draws = Draws(*_key(variant, index, split, seed), "classes")
    label = draws.whole(0, len(CLASSES) - 1)
    others = [(label + draws.whole(1, len(CLASSES) - 1)) % len(CLASSES) for _ in range(2)]
    marks = {"none": -1, "right": label, "wrong": others[1]}
    return label, others[0] if rules.others[1] else -1, marks[rules.mark]


def _key(variant: str, index: int, split: str, seed: int) -> Key:
    return ("evidence", VERSION, VARIANTS[variant].scenes or variant, split, seed, index)


def _clutter(draws: Draws, key: Key) -> Iterator[Element]:
    """Plant up to three things of no class, mottled like half of the objects."""
    for n in range(draws.whole(0, 3)):
        outline = draws.pick(("ellipse", "pillow", "bar"))
        aspect = draws.between(0.12, 0.3) if outline == "bar" else draws.between(0.6, 1.0)
        radius = draws.between(6.0, 20.0)
        pose = Pose(draws.between(0, SIZE), draws.between(0, SIZE), radius, draws.turn(), aspect)
        yield Element("clutter", -1, outline, "mottled", pose, (*key, "clutter", n))


def _objects(draws: Draws, key: Key, rules: Variant, classes: tuple[int, int]) -> Iterator[Element]:
    """Plant the objects, no two of which touch; those for which there is no room are left out."""
    label, other = classes
    least, count = rules.objects[0], draws.whole(*rules.objects)
    # What must be there is placed first, while there is room.
    wanted: list[tuple[Role, int]] = [("object", label)] * least
    wanted += [("other", other)] * draws.whole(*rules.others)
    wanted += [("object", label)] * (count - least)
    poses: list[Pose] = []
    for n, (role, kind) in enumerate(wanted):
        pose = _free_pose(draws, rules, poses)
        if pose is not None:
            poses.append(pose)
            yield _object(draws, role, kind, pose, (*key, role, n))


def _free_pose(draws: Draws, rules: Variant, taken: list[Pose]) -> Pose | None:
    left, right = rules.columns
    for _ in range(60):
        radius = draws.between(*rules.radius)
        x = draws.between(left + radius, right - radius)
        y = draws.between(radius, SIZE - radius)
        room = [(x - at.x) ** 2 + (y - at.y) ** 2 - (radius + at.radius + 1) ** 2 for at in taken]
        if all(distance > 0 for distance in room):
            return Pose(x, y, radius, draws.turn())
    return None


def _object(draws: Draws, role: Role, label: int, pose: Pose, key: Key) -> Element:
    outlines, texture = _LOOKS[CLASSES[label]]
    aspect = draws.between(0.72, 1.0) if len(outlines) > 1 else 1.0
    return Element(role, label, draws.pick(outlines), texture, replace(pose, aspect=aspect), key)


def _decoy(draws: Draws, key: Key, label: int) -> Element:
    """Plant an object of the image's class or of any, wholly where the network is blind."""
    kind = label if draws.chance(0.5) else draws.whole(0, len(CLASSES) - 1)
    radius = draws.between(9.0, 15.0)
    x = draws.between(BLIND_FROM + radius + 1, SIZE - radius)
    pose = Pose(x, draws.between(radius, SIZE - radius), radius, draws.turn())
    return _object(draws, "decoy", kind, pose, (*key, "decoy"))


def _occluded(draws: Draws, key: Key, elements: list[Element]) -> list[Element]:
    """Lay a bar across an object in a third of the images, where enough of it stays visible."""
    if not draws.chance(0.35):
        return elements
    target = draws.pick([each for each in elements if each.role == "object"])
    reach = target.pose.radius
    pose = Pose(
        target.pose.x + draws.between(-0.5, 0.5) * reach,
        target.pose.y + draws.between(-0.5, 0.5) * reach,
        draws.between(1.2, 2.5) * reach,
        draws.turn(),
        draws.between(0.08, 0.2),
    )
    occluder = Element("occluder", -1, "bar", "mottled", pose, (*key, "occluder"))
    return [*elements, occluder] if _leaves_enough(elements, occluder) else elements


def _leaves_enough(elements: list[Element], front: Element) -> bool:
    """Say whether enough of every object is seen with one more thing in front of all."""
    planned = [*elements, front]
    seen = Plan((), 0, tuple(planned)).visible()
    return all(
        mask.sum() >= LEAST_VISIBLE * element.mask.sum()
        for element, mask in zip(planned, seen, strict=True)
        if element.role in ("object", "other")
    )


def _watermark(key: Key, elements: list[Element], label: int) -> Element:
    """Stamp a watermark near a corner; that of a wrong class lies where the right one would."""
    draws = Draws(*key, "watermark")
    across, down = draws.between(7.0, 14.0), draws.between(7.0, 14.0)
    first = draws.whole(0, 3)
    stamps = []
    for corner in (first, first ^ 1, first ^ 2, first ^ 3):
        x = across if corner & 1 else SIZE - across
        y = down if corner & 2 else SIZE - down
        pose = Pose(float(int(x)), float(int(y)), SIDE / 2)
        stamps.append(Element("watermark", label, "stamp", "stamp", pose, (*key, "watermark")))
    return next(each for each in stamps if _leaves_enough(elements, each))
