"""A user's own methods, metrics and protocols: code that registers them, imported first."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from gradcam_eval.core import InputError


def import_plugins(names: Sequence[str]) -> None:
    """Import modules by name (from the working directory too), or .py files by path.

    Raises
    ------
    InputError : no such module or file, or an error while it was imported
    """
    for name in names:
        try:
            _import_file(Path(name)) if name.endswith(".py") else _import_module(name)
        except InputError:
            raise
        except Exception as error:  # whatever the user's own code raises
            text = " ".join(str(error).split())
            raise InputError(
                f"{name!r} cannot be imported: {type(error).__name__}: {text}"
            ) from error


def _import_module(name: str) -> None:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    importlib.import_module(name)


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # where dataclasses and pickles look it up
    spec.loader.exec_module(module)
