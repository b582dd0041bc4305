"""What an explanation returns: heatmaps by layer and method, and what the model said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import Geometry, Placement, Placing, place, resize
from gradcam_eval.core import Heatmap, InputError, Undefined, unknown_name
from gradcam_eval.models.output import NO_PROBABILITIES, Output

Key = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Placed:
    """A layer's maps as the method made them, float32 (N, h, w), and where they lie."""

    maps: Heatmap
    placement: Placement


def check_geometry(geometry: str) -> None:
    """Raise InputError for an unknown geometry."""
    if geometry not in get_args(Geometry):
        raise unknown_name("geometry", geometry, get_args(Geometry))


@dataclass(frozen=True, eq=False)
class Heatmaps(Mapping[Key, Heatmap]):
    """Heatmaps by (layer path, method name), each float32 (N, h, w) on its method's own scale.

    A key may also be written as it was asked for: a layer's name, role or index that stands for one
    layer, and a method with its options in any spelling, as in ``maps["last", "rise(p=0.50)"]``.

    Each covers its image corner to corner, so that stretching it over the image is right: the maps
    of a layer that does not see all of the image, or sees it shifted, are placed on it (N, H, W).

    Attributes
    ----------
    scores : float32 (N,), the explained score of each image
    image_size : (H, W) of the images
    classes : the explained class of each image, int64 (N,), and the class probabilities or a
        regression's values, float32 (N, K), of the same pass; None for a score function, which
        knows no classes
    output : what the model returns for an image; None for a score function
    refused : why a heatmap that was asked for is not there, by (layer path, method name); only
        where an `Explainer` was told to skip what a method refuses
    layer_names : the paths that each name and index stands for that the layers were named by
    geometry : by which the maps were laid on the images
    placed : the maps that were placed by their layer's receptive field
    find_placings : a geometry → where each layer's map lies by it, by path; called only for another
        geometry than these maps have
    in_pixels : maps whose positions are the image's pixels although they are of a layer, such as
        Guided Grad-CAM
    members : of a fusion, the paths of the layers whose maps it was made from
    """

    maps: Mapping[Key, Heatmap]
    scores: NDArray[np.float32]
    image_size: tuple[int, int]
    classes: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
    refused: Mapping[Key, str] = field(default_factory=dict)
    geometry: Geometry = "auto"
    placed: Mapping[Key, Placed] = field(default_factory=dict)
    find_placings: Callable[[Geometry], Mapping[str, Placing]] = lambda geometry: {}
    in_pixels: frozenset[Key] = frozenset()
    layer_names: Mapping[str | int, Sequence[str]] = field(default_factory=dict)
    members: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    output: Output | None = None

    @property
    def targets(self) -> NDArray[np.int64]:
        """The class that was explained, or the place of a regression's value, int64 (N,)."""
        return self._of_classes()[0]

    @property
    def predictions(self) -> NDArray[np.float32]:
        """What the model said of each image in the same pass: probabilities or values, (N, K)."""
        return self._of_classes()[1]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """The class probabilities of each image in the same pass, float32 (N, K).

        Raises
        ------
        InputError : a score function or a regression was explained, which have none
        """
        if self.output is not None and not self.output.has_probabilities:
            raise InputError(f"{NO_PROBABILITIES.reason}: read `predictions`")
        return self.predictions

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

    def save(self, path: str | Path) -> None:
        """Write these heatmaps to a .npz file, from which `load_heatmaps` reads them bit by bit.

        Raises
        ------
        InputError : the path does not end in .npz, or cannot be written
        """
        from gradcam_eval.methods.heatmap_file import save_heatmaps  # it imports this module

        save_heatmaps(self, path)

    def resized(
        self, size: tuple[int, int] | None = None, geometry: Geometry | None = None
    ) -> Heatmaps:
        """Return the same heatmaps at (H, W), bilinearly.

        Parameters
        ----------
        size : (H, W); by default the images' size
        geometry : "stretch", corner to corner; "receptive_field": each value at the middle of the
            pixels that its position sees by local paths if the image had no border, nearest beyond
            the outermost, and 0 where no position sees anything; "auto": the second where an edge
            of the map is more than one stride of its layer off the image's edge, else the first.
            None: that by which the maps were made

        Raises
        ------
        InputError : an unknown geometry, a layer whose receptive field is not known, or a fusion
            whose members lie elsewhere by this geometry
        """
        wanted = size or self.image_size
        if geometry is None or geometry == self.geometry:
            placings: Mapping[str, Placing] = {}
            maps = {key: self._at(key, wanted) for key in self}
        else:
            check_geometry(geometry)
            placings = self.find_placings(geometry)
            maps = {key: self._laid(key, wanted, placings) for key in self}
        return replace(self, maps=maps, placed={}, geometry=geometry or self.geometry)

    def _at(self, key: Key, size: tuple[int, int]) -> Heatmap:
        known = self.placed.get(key)
        return (
            resize(self[key], size) if known is None else place(known.maps, known.placement, size)
        )

    def _laid(self, key: Key, size: tuple[int, int], placings: Mapping[str, Placing]) -> Heatmap:
        """Return a map as another geometry lays it."""
        known = self.placed.get(key)
        maps = self[key] if known is None else known.maps
        if key in self.in_pixels or self._is_in_place(key, placings):
            return resize(maps, size)
        elsewhere = Undefined("it is not one layer's: give the geometry to what explains")
        placement = placement_for(key, maps, placings.get(key[0], elsewhere))
        return resize(maps, size) if placement is None else place(maps, placement, size)

    def _is_in_place(self, key: Key, placings: Mapping[str, Placing]) -> bool:
        """Whether a map that is not one layer's is right as it is: a fusion, or of the pixels."""
        if key not in self.members:
            return key[0] not in placings and self[key].shape[-2:] == self.image_size
        mine = self.find_placings(self.geometry)
        paths = self.members[key]
        return all(mine.get(each) is None and placings.get(each) is None for each in paths)


def placement_for(key: Key, maps: Heatmap, placing: Placing) -> Placement | None:
    """Return where the maps (N, h, w) of one (layer, method) lie; None: corner to corner.

    Maps of another size than the layer's cover what the layer's cover.

    Raises
    ------
    InputError : that is not known
    """
    if isinstance(placing, Undefined):
        raise InputError(refusal_of(key[0], placing))
    return placing and placing.of_shape(maps.shape[-2:])


def refusal_of(layer: str, why: Undefined, *, can_stretch: bool = True) -> str:
    """Return why the map of a layer cannot be laid on the image, and what to do."""
    advice = (
        "geometry='stretch' lays it over the whole image all the same"
        if can_stretch
        else "choose another layer"
    )
    return f"the map of {layer!r} cannot be placed on the image: {why.reason}; {advice}"
