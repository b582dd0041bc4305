"""Contracts: what every heatmap method must keep, checked on a small model.

The toolkit's own tests run them over every registered method, and a method's author runs
`check_method("my_method")`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS, find_methods
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.methods.registry import Method, signature_of

_SIZE = (24, 20)
_MAPS = {"low": (22, 18), "high": (9, 7)}  # of its layers


class ContractError(AssertionError):
    """A method does not keep a contract; the message says which, and how."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A method on a small model: convolutions with ReLU, a mean over positions and a dense layer.

    Attributes
    ----------
    method : the one that is checked
    model : every kind of method works on it
    layers : at which it is explained: all that the method does not refuse
    images : float32 (5, 24, 20, 3), 0..255
    """

    method: Method
    model: keras.Model
    layers: tuple[str, ...]
    images: NDArray[np.float32]

    @cached_property
    def explainer(self) -> Explainer:
        """One `Explainer` of the method, for contracts that need no new one."""
        return self.make_explainer()

    @cached_property
    def again(self) -> tuple[dict[str, object], Heatmaps, dict[str, object]]:
        """The model's state, the heatmaps of another explainer, and the state behind it."""
        before = _state(self)
        return before, self.make_explainer()(self.images), _state(self)

    def make_explainer(self) -> Explainer:
        """Make an `Explainer` of the method, whose maps are as the method made them."""
        return Explainer(self.model, self.layers, self.method.label, geometry="stretch")


def gives_finite_float32_maps(subject: Subject) -> None:
    """A map for each image: float32, finite, not constant, of the layer's or the image's size."""
    for (layer, _), maps in subject.explainer(subject.images).items():
        _check(maps.dtype == np.float32, f"maps are {maps.dtype}, not float32")
        _check(np.isfinite(maps).all(), "a map has values that are not finite")
        _check(
            len(maps) == len(subject.images), f"{len(maps)} maps for {len(subject.images)} images"
        )
        allowed = _allowed_sizes(subject, layer)
        sizes = " or ".join(map(str, allowed))
        _check(maps.shape[1:] in allowed, f"maps are {maps.shape[1:]}: wanted {sizes}")
        _check(any(each.max() > each.min() for each in maps), "every map is constant")


def _check(is_kept: bool | np.bool, problem: str) -> None:
    """Raise ContractError unless a contract is kept; `python -O` drops `assert`, but not this."""
    if not is_kept:
        raise ContractError(problem)


def _allowed_sizes(subject: Subject, layer: str) -> list[tuple[int, int]]:
    """Return the sizes that a map at this layer may have."""
    at_layer = _MAPS.get(layer, max(_MAPS[each] for each in subject.layers))
    allowed = {"cam": [at_layer], "fusion": [at_layer], "input": [_SIZE]}
    return allowed.get(subject.method.kind, [at_layer, _SIZE])


def is_finite_where_nothing_is_to_be_seen(subject: Subject) -> None:
    """Black, white and constant images give finite maps: no 0/0."""
    flat = np.stack([np.full_like(subject.images[0], value) for value in (0, 127.5, 255)])
    for maps in subject.explainer(flat).values():
        _check(np.isfinite(maps).all(), "a constant image gives values that are not finite")


def does_not_depend_on_the_batch(subject: Subject) -> None:
    """An image alone has the map that it has among others, to 1e-5 of the map's largest value.

    A map may also be a difference of scores, each of which float32 rounds: 16 roundings of the
    score are allowed, however small their difference is.
    """
    together, rounding = subject.explainer(subject.images), np.finfo(np.float32).eps
    for n in (0, len(subject.images) - 1):
        alone = subject.explainer(subject.images[n])
        for key, maps in together.items():
            allowed = 1e-5 * np.abs(maps[n]).max() + 16 * rounding * abs(together.scores[n])
            difference = np.abs(alone[key][0] - maps[n]).max()
            _check(difference <= allowed, f"alone and in a batch differ by {difference:g}")


def gives_the_same_again(subject: Subject) -> None:
    """Two explainers with one seed give the same maps, bit for bit."""
    first = subject.explainer(subject.images)
    _, second, _ = subject.again
    for key, maps in first.items():
        _check(np.array_equal(maps, second[key]), "the same seed gives other maps")


def leaves_the_images(subject: Subject) -> None:
    """The array of images that was given is as it was."""
    given = subject.images.copy()
    subject.explainer(given)
    _check(np.array_equal(given, subject.images), "the images were changed")


def leaves_the_model(subject: Subject) -> None:
    """Weights, layers, `trainable`, `call` and `predict` are the same after as before."""
    before, _, after = subject.again
    _assert_same(before, after)


def leaves_the_model_after_an_exception(subject: Subject) -> None:
    """So they are where the method raises in the middle of it."""
    before = _state(subject)

    def broken(*given: object, **options: object) -> object:
        subject.method.formula(*given, **options)
        raise RuntimeError("in the middle of a method")

    broken.__signature__ = signature_of(subject.method.formula)  # type: ignore[attr-defined]
    registered = METHODS[subject.method.name]
    METHODS[subject.method.name] = replace(registered, formula=broken)
    try:
        subject.make_explainer()(subject.images)
    except RuntimeError:
        pass
    else:
        raise ContractError("an exception inside the method was swallowed")
    finally:
        METHODS[subject.method.name] = registered
    _assert_same(before, _state(subject))


def works_in_a_thread(subject: Subject) -> None:
    """An explainer made in one thread explains in another, and as well."""
    explainer, found = subject.explainer, list[Heatmaps]()
    thread = threading.Thread(target=lambda: found.append(explainer(subject.images)))
    thread.start()
    thread.join()
    _check(bool(found), "it raised in a thread")
    for key, maps in explainer(subject.images).items():
        _check(np.array_equal(maps, found[0][key]), "a thread gives other maps")


def asks_as_often_as_it_says(subject: Subject) -> None:
    """The forward passes of an image are those of the method's `passes`, and the shared one."""
    count = keras.Variable(0, dtype="int64", trainable=False)

    def counted(values: object) -> object:
        count.assign_add(keras.ops.cast(keras.ops.shape(values)[0], "int64"))
        return values

    model = _small_model(keras.layers.Lambda(counted, output_shape=lambda shape: shape))
    explainer = Explainer(model, subject.layers[-1], subject.method.label, engine="tensorflow")
    (cell,) = explainer.cells()
    said = 1 + cell.passes(_SIZE).forwards
    count.assign(0)
    explainer(subject.images)
    asked = int(count.numpy()) / len(subject.images)
    _check(
        asked == said,
        f"{asked:g} forward passes an image, and {said} are said: register it with its passes=…",
    )


CONTRACTS: dict[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        gives_finite_float32_maps,
        is_finite_where_nothing_is_to_be_seen,
        does_not_depend_on_the_batch,
        gives_the_same_again,
        leaves_the_images,
        leaves_the_model,
        leaves_the_model_after_an_exception,
        works_in_a_thread,
        asks_as_often_as_it_says,
    )
}


def check_method(name: str) -> None:
    """Check a registered method against every contract.

    Parameters
    ----------
    name : of the method, with options where it has any: "rise(masks=100)"

    Raises
    ------
    ContractError : the first contract that is broken, and how; it is an AssertionError
    InputError : no such method

    Examples
    --------
    >>> check_method("layer_cam")
    """
    subject = make_subject(name)
    for contract, check in CONTRACTS.items():
        try:
            check(subject)
        except (ContractError, InputError) as error:
            raise ContractError(f"{name} breaks the contract {contract!r}: {error}") from error


def make_subject(name: str) -> Subject:
    """Make the small model, with weights that depend on nothing, and its images."""
    (method,) = find_methods(name)
    images = np.random.default_rng(2).uniform(0, 255, (5, *_SIZE, 3)).astype(np.float32)
    return Subject(method, _small_model(), ("high",) if method.refuses else ("low", "high"), images)


def _small_model(*behind: keras.layers.Layer) -> keras.Model:
    """Return the model, with these layers between its pooling and its dense layer."""
    generator = np.random.default_rng(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((*_SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, activation="relu", name="low"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="relu", name="high"),
            layers.GlobalAveragePooling2D(),
            *behind,
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax", name="head"),
        ]
    )
    # Variances must be positive, and a layer of negative weights would be dead behind its ReLU.
    model.set_weights([generator.uniform(-0.4, 0.6, w.shape) for w in model.get_weights()])
    batch_norm = model.layers[2]
    batch_norm.set_weights([np.full(6, value) for value in (1.1, 0.1, 0.2, 0.9)])
    return model


def _state(subject: Subject) -> dict[str, object]:
    predicted = subject.model.predict(subject.images, verbose=0)  # compiles, so it comes first
    layers = list(subject.model._flatten_layers())  # the model and nested ones too
    return {
        "weights": [weight.numpy() for weight in subject.model.weights],
        "layers": [id(layer) for layer in layers],
        "attributes": [sorted(vars(layer)) for layer in layers],
        "trainable": [layer.trainable for layer in layers],
        "predict": predicted,
    }


def _assert_same(before: dict[str, object], after: dict[str, object]) -> None:
    for name, value in before.items():
        pairs = zip(value, after[name], strict=True)  # type: ignore[call-overload]
        _check(all(np.array_equal(a, b) for a, b in pairs), f"the model's {name} changed")
