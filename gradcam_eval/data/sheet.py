"""A contact sheet: boxes and masks drawn on the pictures of a data set, to be looked at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from gradcam_eval.core import Mask, Truth
from gradcam_eval.data.annotation import Entry
from gradcam_eval.data.depth import Pixels
from gradcam_eval.data.geometry import Frame, Framing
from gradcam_eval.data.opening import open_entry
from gradcam_eval.data.placement import Placement, annotation_of
from gradcam_eval.data.truth import truth_in_frame

TILE = 300  # pixels of a picture's longer side
GAP, LINE, TEXT = 14, 16, 11
PAPER, INK, ALARM = (255, 255, 255), (26, 26, 26), (190, 20, 20)
# told apart on photographs and by most colour-blind eyes (Okabe and Ito)
COLOURS = ((0, 158, 115), (230, 159, 0), (86, 180, 233), (213, 94, 0), (204, 121, 167))
IGNORED = (0, 0, 0)


def contact_sheet(  # noqa: PLR0913 - what is drawn, and how
    entries: Sequence[Entry],
    problems: Mapping[str, str] | None = None,
    *,
    called: Callable[[str], str] = str,
    columns: int = 4,
    tiles: int = 24,
    pixels: Pixels | None = None,
) -> Pillow.Image:
    """Draw some images of a data set with all that is annotated on them.

    Parameters
    ----------
    entries : the data set; those with problems are drawn first, then others at even distances
    problems : an image's name → what is wrong with it
    called : a label → what the caption says
    columns, tiles : how many pictures stand side by side, and how many there are at most
    pixels : how deep and very large files are read

    Returns
    -------
    RGB picture. An object's pixels are tinted and its box is drawn in the same colour, with its
    label where an image has objects of several; ignored pixels are hatched. What is drawn has gone
    through the transform that a study uses.
    """
    problems = problems or {}
    chosen = choose(entries, problems, tiles)
    columns = max(1, min(columns, len(chosen)))
    drawn = [_tile(entry, problems.get(entry.name, ""), called, pixels) for entry in chosen]
    rows = [drawn[n : n + columns] for n in range(0, len(drawn), columns)]
    heights = [max(tile.height for tile in row) + GAP for row in rows]
    sheet = Pillow.new("RGB", (columns * (TILE + GAP) + GAP, sum(heights) + GAP), PAPER)
    y = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (GAP + column * (TILE + GAP), y))
        y += height
    return sheet


def choose(entries: Sequence[Entry], problems: Mapping[str, str], count: int) -> list[Entry]:
    """Return at most `count` entries: those with problems first, the rest evenly spread."""
    bad = [entry for entry in entries if entry.name in problems][:count]
    good = [entry for entry in entries if entry.name not in problems]
    wanted = min(count - len(bad), len(good))
    places = np.linspace(0, len(good) - 1, wanted).round().astype(int)
    return bad + [good[place] for place in places]


def _tile(
    entry: Entry, problem: str, called: Callable[[str], str], rules: Pixels | None
) -> Pillow.Image:
    picture, found = _picture(entry, rules)
    labels = ", ".join(map(called, entry.labels)) or "no label"
    said = f"{labels}; {found}"
    lines = [(line, INK) for line in _wrapped(entry.name, 2)]
    lines += [(line, INK) for line in _wrapped(said, 2)]
    lines += [(line, ALARM) for line in _wrapped(problem, 3)]
    tile = Pillow.new("RGB", (TILE, picture.height + len(lines) * LINE + 4), PAPER)
    tile.paste(picture, (0, 0))
    pen = ImageDraw.Draw(tile)
    for number, (line, colour) in enumerate(lines):
        y = picture.height + 4 + number * LINE
        pen.text((0, y), line, fill=colour, font=_font())
    return tile


def _picture(entry: Entry, rules: Pixels | None) -> tuple[Pillow.Image, str]:
    """Return the picture with its truth, and a line about it; a grey field for a bad file."""
    try:
        opened = open_entry(entry, rules)
    except Exception:  # the report says why; the sheet shows that there is nothing to see
        return Pillow.new("RGB", (TILE, TILE // 2), (225, 225, 225)), "the picture cannot be read"
    original = opened.place.size
    scale = TILE / max(original)
    size = (max(1, round(original[0] * scale)), max(1, round(original[1] * scale)))
    frame = Framing().frame(original, size)
    pixels = frame.picture(opened.rgb())
    try:
        truth, labels = _truth(entry, opened.place, frame)
    except Exception:
        return _as_picture(pixels), "its annotation cannot be used"
    masks = f", {_share(truth.mask)} % masked" if truth.mask is not None else ""
    n = len(truth.boxes)
    names = labels if len({*labels}) > 1 else []
    return _draw(pixels, truth, names), f"{n} object{'s' * (n != 1)}{masks}"


def _truth(entry: Entry, place: Placement, frame: Frame) -> tuple[Truth, list[str]]:
    """Return the truth and the label of each of its boxes, "" where it has none of its own."""
    annotation = annotation_of(entry, place)
    truth = truth_in_frame(annotation, frame, range(len(annotation.objects)))
    shown = [annotation.objects[n] for n in truth.classes if isinstance(n, int)]
    return truth, [drawn.label or "" for drawn in shown]


def _share(mask: Mask) -> str:
    return f"{100 * mask.mean():.3g}"


def _draw(pixels: NDArray[np.float32], truth: Truth, names: Sequence[str]) -> Pillow.Image:
    masks = truth.instances or (() if truth.mask is None else (truth.mask,))
    for number, mask in enumerate(masks):
        colour = COLOURS[number % len(COLOURS)]
        pixels = np.where(mask[..., None], 0.55 * pixels + 0.45 * np.array(colour), pixels)
        pixels = np.where(_edge(mask)[..., None], np.array(colour, np.float32), pixels)
    if truth.ignore is not None:
        rows, columns = np.indices(truth.size)
        hatch = truth.ignore & ((rows + columns) % 6 < 2)
        pixels = np.where(hatch[..., None], np.array(IGNORED, np.float32), pixels)
    picture = _as_picture(pixels)
    pen = ImageDraw.Draw(picture)
    for number, box in enumerate(truth.boxes):
        x0, y0, x1, y1 = (int(side) for side in np.rint(box))
        corners = (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0))  # Pillow draws the last pixel too
        pen.rectangle(corners, outline=COLOURS[number % len(COLOURS)], width=2)
    for number, (box, name) in enumerate(zip(truth.boxes, names, strict=False)):
        _write(pen, name, box, COLOURS[number % len(COLOURS)])
    return picture


def _write(pen: ImageDraw.ImageDraw, name: str, box: NDArray, colour: tuple[int, ...]) -> None:
    """Write an object's name above its box, as much as the picture has room for."""
    font, room = _font(), pen.im.size[0] - 4
    while name and font.getlength(name) > room:
        name = name[:-1]
    if name:
        length = font.getlength(name)
        x, y = min(int(box[0]), int(room - length)), max(0, int(box[1]) - TEXT - 3)
        pen.rectangle((x, y, x + length + 3, y + TEXT + 3), fill=colour)
        pen.text((x + 2, y + 1), name, fill=PAPER, font=font)


def _edge(mask: Mask) -> Mask:
    """Return the pixels of a mask with a neighbour outside it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _as_picture(pixels: NDArray) -> Pillow.Image:
    return Pillow.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """Return a font with more letters than Pillow's own: matplotlib brings DejaVu Sans."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, TEXT)


def _wrapped(text: str, most: int) -> list[str]:
    """Break a text to the width of a tile, within words that are longer, into `most` lines."""
    font, lines, line = _font(), [], ""
    for character in " ".join(text.split()):
        if font.getlength(line + character) > TILE:
            kept, space, rest = line.rpartition(" ")
            lines.append(kept if space else line)
            line = rest if space else ""
        line += character
    lines = [*lines, line] if line.strip() else lines
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1][:-1] + "…"]
