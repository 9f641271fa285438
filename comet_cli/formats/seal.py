"""A seal in a file: a hash of the rest, which tells whether it is as comet wrote it."""

from __future__ import annotations

import hashlib

SEAL = b"comet-seal:"
OPEN = SEAL + b"0" * 64  # stands where the seal will be


def sealed(data: bytes) -> bytes:
    """Return a file whose open seal is closed."""
    return data.replace(OPEN, SEAL + hashlib.sha256(data).hexdigest().encode(), 1)


def is_sealed(data: bytes) -> bool:
    """Say whether comet sealed a file and nobody has changed it since."""
    at = data.find(SEAL) + len(SEAL)
    opened = data[: at - len(SEAL)] + OPEN + data[at + 64 :]
    return at >= len(SEAL) and sealed(opened) == data
