"""What must not happen to a process: a fork under TensorFlow, and moved random states."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from gradcam_eval.core import InputError

_is_forked = False


def _note_fork() -> None:
    """Remember in a new process that TensorFlow had started in the one that it was forked from."""
    global _is_forked
    eager = sys.modules.get("tensorflow.python.eager.context")
    context = eager.context_safe() if eager else None
    _is_forked = _is_forked or bool(getattr(context, "_initialized", False))


os.register_at_fork(after_in_child=_note_fork)


def check_process() -> None:
    """Raise InputError in a process whose TensorFlow would wait for ever.

    The threads of TensorFlow do not come along when a process is forked after its first operation,
    and the first operation of the new process that needs one waits for it without a word.
    """
    if _is_forked:
        raise InputError(
            "this process was forked after TensorFlow had started, whose threads did not come "
            "along: start processes by multiprocessing.get_context('spawn')"
        )


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Put Python's and NumPy's global random states back when the block ends.

    Keras draws the seeds of layers that were given none (Dropout, initialisers) from Python's
    `random`, so that whoever loads a model would draw other numbers afterwards. It is a decorator
    as well.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
