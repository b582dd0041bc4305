"""Load the weights of a model file into an architecture that is mended in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras

from gradcam_eval.models.keras2 import application_layers, keep_settings, mend
from gradcam_eval.models.keras2_graph import Order, check_functions, check_order, order_of


def load_mended(path: Path, config: Any, *, is_of_keras2: bool) -> keras.Model:
    """Load a file in Keras' safe mode, into an architecture that is mended where it has to be.

    Parameters
    ----------
    path : a `.keras` or an HDF5 file, in which nothing unsafe was seen
    config : the architecture in it, parsed; it is changed
    is_of_keras2 : whether Keras 2 or 1 wrote the file
    """
    custom_objects = application_layers()
    is_zip = path.suffix.lower() == ".keras"
    if is_of_keras2:
        mend(config)
        check_functions(config)
    has_lost = keep_settings(config)
    if not is_of_keras2 and not has_lost:
        return keras.models.load_model(
            path, custom_objects=custom_objects, safe_mode=True, compile=False
        )
    order = order_of(config)  # loading takes the configuration apart
    if is_zip:
        return _load_weights(path, config, order)
    # Keras has no public function for an architecture and weights that are read apart.
    from keras.src.legacy.saving.legacy_h5_format import load_model_from_hdf5

    with _Mended(path, config) as file:
        model = load_model_from_hdf5(
            file, custom_objects=custom_objects, compile=False, safe_mode=True
        )
    check_order(model, order)
    return model


def _load_weights(path: Path, config: Any, order: Order) -> keras.Model:
    """Load the weights of a `.keras` file into another architecture."""
    from keras.src.saving.serialization_lib import ObjectSharingScope  # as Keras' own loading does

    config["compile_config"] = None
    with ObjectSharingScope():
        model = keras.saving.deserialize_keras_object(
            config, custom_objects=application_layers(), safe_mode=True
        )
    check_order(model, order)
    model.load_weights(path)
    return model


class _Mended(h5py.File):
    """A file that is open for reading, with another architecture."""

    def __init__(self, path: Path, config: Any) -> None:
        super().__init__(path, "r")
        self._config = json.dumps(config)

    @property
    def attrs(self) -> dict[str, str]:
        """All that Keras reads of them."""
        return {"model_config": self._config}
