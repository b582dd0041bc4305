"""Facts about the machine and the versions that numbers were made with. Plain data, for JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

_PACKAGES = (
    "gradcam-eval",
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "scikit-image",
    "pandas",
    "pillow",
)


def describe_environment() -> dict[str, Any]:
    """Return machine, Python, packages and devices; a fact that cannot be had is None.

    TensorFlow's devices are listed only where TensorFlow is loaded already.
    """
    return {
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "architecture": platform.machine(),
            "processor": _processor(),
            "cores": _usable_cores(),
            "memory_gib": _memory_gib(),
        },
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "tensorflow": _tensorflow(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str | None:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or None


def _usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_gib() -> float | None:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    return round(pages * size / 2**30, 1)


def _tensorflow() -> dict[str, Any] | None:
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return None
    return {
        "devices": [
            {"name": device.name, "type": device.device_type, **_device_details(tf, device)}
            for device in tf.config.list_physical_devices()
        ],
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "float": tf.keras.config.floatx(),
        "onednn": uses_onednn(),
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }


def uses_onednn() -> bool | None:
    """Return whether TensorFlow computes with oneDNN, or None where it does not say."""
    try:
        from tensorflow.python.util import _pywrap_util_port

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):  # it is no public name
        return None


def _device_details(tf: Any, device: Any) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(device)
    return {key: str(value) for key, value in details.items()}
