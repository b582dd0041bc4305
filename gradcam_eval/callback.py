"""`HeatmapCallback`: watch where a model looks while it trains."""

from __future__ import annotations

import inspect
import os
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from gradcam_eval.arrays import degenerate_reason
from gradcam_eval.core import Heatmap, InputError, is_whole, unknown_name
from gradcam_eval.files import replacing
from gradcam_eval.methods.batch import as_batch
from gradcam_eval.methods.explainer import Explainer, Layers
from gradcam_eval.methods.first_images import first_images
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.methods.targets import Targets
from gradcam_eval.models.tap import kept
from gradcam_eval.report.look import Look
from gradcam_eval.report.overlay import overlay

_TILE = 160  # pixels that an image's shorter side has at least in the picture
_GAP, _LINE = 8, 18  # pixels between tiles, and of a line of text
_LOOK = Look()  # that of `gradcam-eval explain`


class HeatmapCallback(keras.callbacks.Callback):
    """Write heatmaps of some images before the first epoch and after every one, as pictures.

    `epoch_0003.png` is the state after three epochs: a row for each image, with the image, its
    heatmaps, and the explained class with its probability. One `Explainer` is made when the
    training begins and reads the weights of the moment; the training itself is as without it, bit
    for bit: no weight, random state or `trainable` is touched, and what a layer counts or draws
    while it is explained is put back.

    Parameters
    ----------
    images : as the model takes them: float (N, H, W, C) or (H, W, C); for a model with several
        inputs a dict or list of them. Or as `fit` takes them: (x, y), or a `tf.data.Dataset` or
        `PyDataset`, whose first batch is watched; labels are left out
    layer, method : as `Explainer` takes them; several of either give a column each
    every : epochs from one picture to the next
    folder : where the pictures are written; it is made if it does not exist
    targets : as `Explainer` takes them; None for each image's predicted class, which may change
        from epoch to epoch
    tensorboard : a log folder to which the pictures are written as an image summary as well
    options : further ones of `Explainer`, such as `head`, `tokens`, `image_input` or `score`

    Raises
    ------
    InputError : when the training begins, for whatever could not be explained or written later

    Warns
    -----
    UserWarning : once, where a picture cannot be made or written, for whatever reason; the training
        goes on

    Examples
    --------
    >>> watch = HeatmapCallback(images, every=2, folder="runs/heatmaps")  # doctest: +SKIP
    >>> model.fit(x, y, epochs=10, callbacks=[watch])  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913 - what is watched, how, and where it goes
        self,
        images: Any,
        layer: Layers = "last",
        method: str | list[str] = "grad_cam",
        *,
        every: int = 1,
        folder: str | Path = "heatmaps",
        targets: Targets = None,
        tensorboard: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if not is_whole(every) or every < 1:
            raise InputError(f"every is {every!r}: wanted a whole number of epochs, 1 or more")
        _check_options(options)
        self.images = images
        self.layer = layer
        self.method = method
        self.every = every
        self.folder = Path(folder)
        self.targets = targets
        self.options = options
        self.tensorboard = None if tensorboard is None else Path(tensorboard)
        self._explainer: Explainer | None = None
        self._taken: Any = None  # of `images`, without labels
        self._shown: NDArray[np.uint8] = np.zeros((0, 0, 0, 3), np.uint8)
        self._before: Heatmaps | None = None  # what the first epoch began with
        self._writer: Any = None
        self._has_warned = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Compile the explainer and explain once, so that whatever is wrong is said now."""
        if self._explainer is None or self._explainer.model is not self.model:
            # weights that change from epoch to epoch are not worth folding into a graph
            options = {"engine": "tensorflow", **self.options}
            self._explainer = Explainer(self.model, self.layer, self.method, **options)
        if self._taken is None:  # once, so that a shuffled data set shows the same images each time
            self._taken = first_images(self.model, self.images)
        batch = as_batch(self.model, self._taken, self.options.get("image_input"))
        self._shown = as_rgb(batch.images)
        self._before = self._explain()
        _make_folder(self.folder)
        if self.tensorboard is not None:
            _make_folder(self.tensorboard)
            self._writer = tf.summary.create_file_writer(str(self.tensorboard))
        self._has_warned = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Write what the training starts from, under the number of the epochs done before."""
        if self._before is not None:
            self._show(epoch, self._before)
            self._before = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the heatmaps of the weights as they are now."""
        if (epoch + 1) % self.every == 0:
            self._show(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Close the summary's file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _explain(self) -> Heatmaps:
        if self._explainer is None:
            raise RuntimeError("the callback explains only after `on_train_begin`")
        with kept(self.model):
            return self._explainer(self._taken, self.targets)

    def _show(self, epochs: int, heatmaps: Heatmaps | None = None) -> None:
        try:
            if heatmaps is None:
                heatmaps = self._explain()
            picture = draw(self._shown, heatmaps)
            _save(picture, self.folder / f"epoch_{epochs:04d}.png")
            if self._writer is not None:
                _summarise(self._writer, picture, epochs)
        except Exception as error:  # a full disk or memory, or our own mistake, costs no training
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"the heatmaps after {epochs} epochs could not be written to {self.folder} "
                    f"({type(error).__name__}: {error}): the training goes on, and later failures "
                    "are not reported",
                    stacklevel=2,
                )


def _check_options(options: dict[str, Any]) -> None:
    known = list(inspect.signature(Explainer).parameters)[3:]  # behind what the callback names
    for name in options:
        if name not in known:
            raise unknown_name("option", name, known)


def as_rgb(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what a person can look at of images (N, H, W, C) in any range: uint8 (N, H, W, 3).

    One or two channels are shown grey by the first, more by the first three. Values within 0..255
    stay, those within 0..1 are multiplied by 255, others stretched from their least to their
    greatest over all images.
    """
    channels = images[..., :3] if images.shape[-1] >= 3 else np.repeat(images[..., :1], 3, axis=-1)
    low, high = float(channels.min()), float(channels.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    return np.rint((channels - low) / ((high - low) or 1.0) * 255).astype(np.uint8)


def draw(images: NDArray[np.uint8], heatmaps: Heatmaps) -> NDArray[np.uint8]:
    """Return a picture, uint8 (h, w, 3): a row for each image, a column for each heatmap.

    Small images are enlarged by a whole factor. Each map is coloured by `overlay`, scaled to its
    own maximum: colours of two epochs do not compare.
    """
    factor = -(-_TILE // min(images.shape[1:3]))
    tiles = images.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = tiles.shape[1:3]
    step = (height + _LINE + _GAP, width + _GAP)
    size = ((1 + len(heatmaps)) * step[1] + _GAP, _LINE + _GAP + len(tiles) * step[0])
    sheet = PillowImage.new("RGB", size, "white")
    for i, (layer, method) in enumerate(heatmaps, 1):
        _write(sheet, (_GAP + i * step[1], 0), f"{layer} · {method}", width)
    for n, tile in enumerate(tiles):
        top = _LINE + _GAP + n * step[0]
        sheet.paste(PillowImage.fromarray(tile), (_GAP, top))
        _write(sheet, (_GAP, top + height), _explained(heatmaps, n), width)
        for i, maps in enumerate(heatmaps.values(), 1):
            place = (_GAP + i * step[1], top)
            coloured = overlay(tile, maps[n], alpha=_LOOK.alpha, cmap=_LOOK.cmap)
            sheet.paste(PillowImage.fromarray(coloured), place)
            _write(sheet, (place[0], top + height), _note(maps[n]), width)
    return np.asarray(sheet)


def _explained(heatmaps: Heatmaps, n: int) -> str:
    if heatmaps.output is None:
        return f"score {heatmaps.scores[n]:.3g}"
    target, name = heatmaps.targets[n], heatmaps.output.name_of(heatmaps.targets[n])
    if not heatmaps.output.has_probabilities:
        return f"{name} {heatmaps.predictions[n, target]:.4g}"
    return f"{name}, probability {heatmaps.probabilities[n, target]:.2f}"


def _note(heatmap: Heatmap) -> str:
    reason = degenerate_reason(heatmap)
    if reason is None and heatmap.max() <= 0:
        reason = "nothing positive"
    return reason or ""


def _write(sheet: PillowImage.Image, place: tuple[int, int], text: str, width: int) -> None:
    """Write a line of text at a place, its beginning left out where it is wider than a tile."""
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    shown = text
    while len(shown) > 1 and pen.textlength(shown, font) > width:
        shown = "…" + shown.lstrip("…")[1:]
    pen.text((place[0], place[1] + 2), shown, "black", font)


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with replacing(path) as file:
        PillowImage.fromarray(picture).save(file, format="PNG")


def _summarise(writer: Any, picture: NDArray[np.uint8], step: int) -> None:
    """Write an image summary as TensorBoard's image plugin reads it; its package is not needed."""
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="images")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=3)  # a blob sequence
    height, width = picture.shape[:2]
    values = [str(width).encode(), str(height).encode(), tf.io.encode_png(picture).numpy()]
    with writer.as_default():
        tf.summary.write("heatmaps", tf.constant(values), step=step, metadata=metadata)
    writer.flush()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write into the folder {folder}: give another one with folder=…")
