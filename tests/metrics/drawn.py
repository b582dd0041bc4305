"""Maps, masks and boxes that the tests of localization share."""

import numpy as np

SIZE = (12, 16)


def random_truths(generator, count=12, size=SIZE):
    """Return heatmaps with plateaus, masks, ignored pixels, and the masks' boxes."""
    maps, masks, boxes = [], [], []
    for _ in range(count):
        heatmap = generator.integers(-2, 5, size).astype(np.float32)
        row, column = generator.integers(0, 8, 2)
        mask = np.zeros(size, bool)
        mask[row : row + 4, column : column + 5] = True
        maps.append(heatmap)
        masks.append(mask)
        boxes.append(np.array([[column, row, column + 5, row + 4]], np.float32))
    ignore = generator.random((count, *size)) < 0.2
    return maps, masks, ignore, boxes


def flipped_boxes(boxes, width):
    turned = boxes.copy()
    turned[:, 0], turned[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return turned
