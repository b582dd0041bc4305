"""Write the digests of the published images into the manifest, or check them: pin.py [--check]."""

from __future__ import annotations

import sys

from manifest import known, write

from gradcam_eval.data.evidence.entries import COUNT, scene_digest
from gradcam_eval.data.evidence.variants import CLASSES, SIZE, VARIANTS, VERSION, make_scene


def digests() -> dict[str, list[str]]:
    """Return the digest of each published image, by variant."""
    return {
        variant: [scene_digest(make_scene(variant, index)) for index in range(COUNT)]
        for variant in VARIANTS
    }


def main() -> int:
    """Write, or compare; return the exit code."""
    manifest = known()
    found = digests()
    if "--check" in sys.argv:
        wrong = sum(
            ours != theirs
            for variant, listed in manifest["images"].items()
            for ours, theirs in zip(found[variant], listed, strict=True)
        )
        print(f"{wrong} of {COUNT * len(VARIANTS)} images differ from the manifest")
        return int(wrong > 0)
    head = {"version": VERSION, "size": [SIZE, SIZE], "classes": CLASSES, "split": "test"}
    write({**head, "seed": 0, "networks": manifest["networks"], "images": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
