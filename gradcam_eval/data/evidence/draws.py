"""Random draws that are the same on every machine and in every version of NumPy.

NumPy promises the raw output of a bit generator for ever, and that of its distributions for one
version. So everything here comes from the raw 64-bit numbers of PCG64 by arithmetic that IEEE 754
defines exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Draws:
    """A stream of random numbers that a key decides: the same key, the same numbers.

    Parameters
    ----------
    key : texts and whole numbers, for example ("single", "test", 0, 17, "background")
    """

    def __init__(self, *key: str | int) -> None:
        text = "\x1f".join(map(str, key))
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
        self._bits = np.random.PCG64(seed)

    def units(self, *shape: int) -> NDArray[np.float64]:
        """Return numbers in [0, 1) of this shape, each a multiple of 2⁻⁵³."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * float(self.units(1)[0])

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self.units(1)[0] * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return float(self.units(1)[0]) < probability

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.whole(0, len(items) - 1)]

    def turn(self) -> tuple[float, float]:
        """Return the cosine and the sine of a random angle, without trigonometry.

        ``c = (1 − t²) / (1 + t²), s = 2t / (1 + t²)`` for t in [−1, 1) is a half turn; a sign
        makes it whole. Angles are nearly even, not exactly.
        """
        t = self.between(-1, 1)
        sign = 1.0 if self.chance(0.5) else -1.0
        return sign * (1 - t * t) / (1 + t * t), sign * 2 * t / (1 + t * t)
