"""Which of a model's inputs holds the images, and what its inputs are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from gradcam_eval.core import InputError, is_whole
from gradcam_eval.models.structure import Key

# What an input of another rank is, and how it becomes one of images.
_OTHER_RANKS = {
    3: (
        "signals or sequences",
        "put keras.Input((1, length, channels)) and a Reshape before the model, so that a signal "
        "is an image of one row, and use methods that look at no layer, such as 'gradient'",
    ),
    5: (
        "volumes or sequences of images",
        "put an input of images and a Reshape or Permute before the model, which makes the slices "
        "or frames of rows or channels, and use methods that look at no layer, such as 'gradient'",
    ),
}


def image_key(members: Mapping[Key, Any], image_input: Key | None) -> Key:
    """Return the key of the input that holds the images.

    Parameters
    ----------
    members : the inputs by key, tensors or symbolic ones
    image_input : its key or its own name, where several could hold them

    Raises
    ------
    InputError : none could, several could and none is named, or the named one could not
    """
    ranked, names = ranked_keys(members), names_of(members)
    known = ", ".join(map(repr, said_of(ranked, names)))
    if image_input is not None:
        is_key = isinstance(image_input, str) or is_whole(image_input)
        is_member = is_key and image_input in members
        key = image_input if is_member else names.get(str(image_input), image_input)
        if not is_key or key not in ranked:
            raise InputError(
                f"image_input is {image_input!r}: this model's image inputs are {known}"
            )
        return key
    if len(ranked) != 1:
        raise InputError(
            f"this model has {len(members)} inputs, {len(ranked)} of which could be images "
            f"({known}): name one with image_input, an option of gradcam_eval.Explainer"
        )
    return ranked[0]


def said_of(keys: Sequence[Key], names: Mapping[str, Key]) -> list[Key]:
    """Return what inputs are called: by their key in a dict, in a list by their own name."""
    by_key = {key: name for name, key in names.items()}
    return [by_key.get(key, key) if isinstance(key, int) else key for key in keys]


def ranked_keys(members: Mapping[Key, Any]) -> list[Key]:
    """Return the keys of the inputs that could be images.

    Raises
    ------
    InputError : there is none
    """
    ranked = [key for key, member in members.items() if len(member.shape) == 4]
    if ranked:
        return ranked
    called = said_of(list(members), names_of(members))
    known = [_OTHER_RANKS.get(len(member.shape), ("", "")) for member in members.values()]
    listed = ", ".join(
        f"{name!r} is {tuple(member.shape)}" + (f", {what}" if what else "")
        for name, member, (what, _) in zip(called, members.values(), known, strict=True)
    )
    routes = list(dict.fromkeys(route for _, route in known if route))
    raise InputError(
        "this model takes no images (N, height, width, channels): "
        + "; ".join([listed, *(routes or ["wanted an input of four axes"])])
    )


def names_of(members: Mapping[Key, Any]) -> dict[str, Key]:
    """Return the keys of a model's symbolic inputs by their names; none where two are alike."""
    symbolic = {k: each for k, each in members.items() if isinstance(each, keras.KerasTensor)}
    names = {str(each.name): key for key, each in symbolic.items()}
    return names if len(names) == len(members) else {}
