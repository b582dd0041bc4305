"""What an explanation returns: heatmaps by layer and method, and what the model said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import place, resize
from gradcam_eval.core import Heatmap, InputError, Undefined, unknown_name

Key = tuple[str, str]
Centres: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]  # of rows, of columns
Geometry: TypeAlias = Literal["stretch", "receptive_field"]


@dataclass(frozen=True, eq=False)
class Heatmaps(Mapping[Key, Heatmap]):
    """Heatmaps by (layer path, method name), each float32 (N, h, w) on its method's own scale.

    A key may also be written as it was asked for: a layer's name, role or index that stands for one
    layer, and a method with its options in any spelling, as in ``maps["last", "rise(p=0.50)"]``.

    Attributes
    ----------
    scores : float32 (N,), the explained score of each image
    image_size : (H, W) of the images
    classes : the explained class of each image, int64 (N,), and the class probabilities, float32
        (N, K), of the same pass; None for a score function, which knows no classes
    refused : why a heatmap that was asked for is not there, by (layer path, method name); only
        where an `Explainer` was told to skip what a method refuses
    find_centres : returns where each layer's rows and columns lie on the image, in pixels, or why
        that is not known; called only when a map is to be placed so
    in_pixels : heatmaps whose positions are the image's pixels where they are as many, although
        they are of a layer, such as Guided Grad-CAM
    layer_names : the paths that each name and index stands for that the layers were named by
    """

    maps: Mapping[Key, Heatmap]
    scores: NDArray[np.float32]
    image_size: tuple[int, int]
    classes: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
    refused: Mapping[Key, str] = field(default_factory=dict)
    find_centres: Callable[[], Mapping[str, Centres | Undefined]] = dict
    in_pixels: frozenset[Key] = frozenset()
    layer_names: Mapping[str | int, Sequence[str]] = field(default_factory=dict)

    @property
    def targets(self) -> NDArray[np.int64]:
        """The class that was explained, int64 (N,)."""
        return self._of_classes()[0]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """What the model said of each image in the same pass, float32 (N, K)."""
        return self._of_classes()[1]

    def _of_classes(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if self.classes is None:
            raise InputError("a score function was explained, and it knows no classes")
        return self.classes

    def __getitem__(self, key: Key) -> Heatmap:
        """Return the maps of one (layer, method).

        Raises
        ------
        KeyError : there are none; the message says why, or which there are
        """
        if key in self.maps:
            return self.maps[key]
        meant = self._meant(key)
        if len(meant) == 1 and meant[0] in self.maps:
            return self.maps[meant[0]]
        if len(meant) > 1:
            paths = ", ".join(layer for layer, _ in meant)
            raise KeyError(f"{key[0]!r} stands for {len(meant)} layers: name one of {paths}")
        if meant and meant[0] in self.refused:
            raise KeyError(f"no heatmap {key!r}: {self.refused[meant[0]]}")
        known = ", ".join(f"{layer} / {method}" for layer, method in self.maps)
        raise KeyError(f"no heatmap {key!r}: there are {known}")

    def _meant(self, key: object) -> list[Key]:
        """Return the keys that a key stands for, with the layers' paths and the method's label."""
        from gradcam_eval.methods import find_methods  # TensorFlow: not to be imported early

        if not isinstance(key, tuple) or len(key) != 2 or not isinstance(key[0], str | int):
            return []
        try:
            (method,) = find_methods(key[1])
        except (InputError, ValueError):  # no method's name, or several
            return []
        if key[0] in self.layer_names and method.kind in ("input", "fusion"):  # of no one layer
            return [each for each in (*self.maps, *self.refused) if each[1] == method.label]
        paths = self.layer_names.get(key[0], [str(key[0])])
        return [(path, method.label) for path in paths]

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the (layer, method) keys, layers first, in the order asked."""
        return iter(self.maps)

    def __len__(self) -> int:
        """Return the number of (layer, method) pairs."""
        return len(self.maps)

    def resized(
        self, size: tuple[int, int] | None = None, geometry: Geometry = "stretch"
    ) -> Heatmaps:
        """Return the same heatmaps at (H, W), bilinearly.

        Parameters
        ----------
        size : (H, W); by default the images' size
        geometry : "stretch", corner to corner; or "receptive_field": each value at the middle of
            the pixels that its position sees by local paths if the image had no border, which is
            elsewhere wherever convolutions are not padded evenly, and nearest beyond the outermost

        Raises
        ------
        InputError : an unknown geometry, or a layer whose receptive field is not computed
        """
        if geometry not in get_args(Geometry):
            raise unknown_name("geometry", geometry, get_args(Geometry))
        wanted = size or self.image_size
        if geometry == "stretch":
            return replace(self, maps={key: resize(maps, wanted) for key, maps in self.items()})
        centres = self.find_centres()
        return replace(
            self,
            maps={
                key: resize(maps, wanted)
                if maps.shape[-2:] == self.image_size
                and (key in self.in_pixels or key[0] not in centres)
                else place(maps, _centres_of(key, maps, centres), self.image_size, wanted)
                for key, maps in self.items()
            },
        )


def _centres_of(key: Key, maps: Heatmap, known: Mapping[str, Centres | Undefined]) -> Centres:
    layer, method = key
    centres = known.get(layer, Undefined("it is not one layer's, as this model calls it"))
    if not isinstance(centres, Undefined) and tuple(map(len, centres)) != maps.shape[-2:]:
        centres = Undefined(f"{method} gave it another size ({maps.shape[-2]}×{maps.shape[-1]})")
    if isinstance(centres, Undefined):
        raise InputError(
            f"the map of {layer!r} cannot be placed by its receptive field: {centres.reason}; "
            "use geometry='stretch'"
        )
    return centres
