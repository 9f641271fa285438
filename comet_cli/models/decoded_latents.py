"""What energy networks made of latents, kept while there is room.

Of 40 pictures with 5 components thousands of pictures are put together; what a quadratic energy is
made of follows from one latent alone, so each latent is decoded once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor

from comet_cli.networks.base import BoundEnergy

MOST_BYTES = 640 << 20  # 5 components of 1,000 pictures of 64 pixels, and more
Decoded = tuple[type[BoundEnergy], tuple[Tensor, ...]]


class DecodedLatents:
    """The last decoded latents, by whatever they follow from. Copies begin empty."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Hold nothing yet, and never more than ``most_bytes``."""
        self.most_bytes = most_bytes
        self.bytes = 0
        self._held: OrderedDict[Hashable, Decoded] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[DecodedLatents], tuple[int]]:
        """Copy and pickle without what is held."""
        return DecodedLatents, (self.most_bytes,)

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    def of(self, key: Hashable, decode: Callable[[], Decoded | None]) -> Decoded | None:
        """Return what is held under a key, else decode it; None (not held) if there is no such."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = decode()
        if made is None:
            return None
        with self._lock:
            if key not in self._held:
                self._held[key] = made
                self.bytes += _bytes(made)
            while self.bytes > self.most_bytes and self._held:
                self.bytes -= _bytes(self._held.popitem(last=False)[1])
        return made


def _bytes(decoded: Decoded) -> int:
    return sum(part.untyped_storage().nbytes() for part in decoded[1])
