"""Read and write `manifest.json`: the published images, and what is said of the networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MANIFEST = Path(__file__).with_name("manifest.json")


def known() -> dict[str, Any]:
    """Return the manifest as it is."""
    if not MANIFEST.exists():
        return {"networks": {}}
    return json.loads(MANIFEST.read_text(encoding="utf-8"))


def record(name: str, entry: dict[str, object], *, anew: bool = False) -> None:
    """Add to what is said of one network, or say it anew: what was measured is of older weights."""
    manifest = known()
    said = {} if anew else manifest["networks"].get(name, {})
    manifest["networks"][name] = said | entry
    write(manifest)


def write(manifest: dict[str, Any]) -> None:
    """Write the manifest whole."""
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
