"""A seal in a file: a hash of the rest, which tells whether it is as comet wrote it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

import numpy as np

SEAL = b"comet-seal:"
ARRAYS_SEAL = "comet_seal"  # the array of an .npz that holds its seal
OPEN = SEAL + b"0" * 64  # stands where the seal will be


def sealed(data: bytes) -> bytes:
    """Return a file whose open seal is closed."""
    return data.replace(OPEN, SEAL + hashlib.sha256(data).hexdigest().encode(), 1)


def is_sealed(data: bytes) -> bool:
    """Say whether comet sealed a file and nobody has changed it since."""
    at = data.find(SEAL) + len(SEAL)
    opened = data[: at - len(SEAL)] + OPEN + data[at + 64 :]
    return at >= len(SEAL) and sealed(opened) == data


def sealed_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an ``.npz`` file of arrays, and a seal of them as one more."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer) as archive:
        seal = _arrays_hash(archive)
    np.savez(buffer := io.BytesIO(), **arrays, **{ARRAYS_SEAL: np.array(seal)})  # type: ignore[arg-type]
    return buffer.getvalue()


def has_sealed_arrays(archive: zipfile.ZipFile) -> bool:
    """Say whether comet made an ``.npz`` and nobody has changed an array since."""
    name = f"{ARRAYS_SEAL}.npy"
    if name not in archive.namelist():
        return False
    try:
        seal = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    except (ValueError, EOFError):
        return False
    return str(seal) == _arrays_hash(archive)


def _arrays_hash(archive: zipfile.ZipFile) -> str:
    """Return a hash of the arrays by the checksums that the archive has of them."""
    facts = sorted(
        f"{each.filename} {each.CRC} {each.file_size}"
        for each in archive.infolist()
        if each.filename != f"{ARRAYS_SEAL}.npy"
    )
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
