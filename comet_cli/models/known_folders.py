"""Where models outside the library lie, by the hash of their weights.

A ``.z`` file names the weights that made it, never a path. So the machine remembers, in its cache,
in which folder it met which weights; where it has forgotten, ``-m`` tells.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from comet_cli.errors import CometError, FileFormatError
from comet_cli.formats.cache import cache_home
from comet_cli.formats.files import write_output
from comet_cli.models import library
from comet_cli.models.card import ModelCard


def remember(folder: Path, sha256: str) -> None:
    """Remember a folder outside the library; where the cache cannot be written, nothing is."""
    if folder.parent in (library.shipped_root(), library.local_root()):
        return
    with contextlib.suppress(CometError, OSError):
        file, place = _file(sha256), os.fsencode(folder.resolve())
        if not file.is_file() or file.read_bytes() != place:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_output(file, place)


def recall(sha256: str) -> Path | None:
    """Return the folder of weights, if it was met and still holds them."""
    with contextlib.suppress(FileFormatError, OSError, ValueError):
        folder = Path(os.fsdecode(_file(sha256).read_bytes()))
        if ModelCard.read(folder).weights_sha256 == sha256:
            return folder
    return None


def _file(sha256: str) -> Path:
    if not (sha256.isalnum() and sha256.isascii()):
        raise ValueError("no hash")
    return cache_home() / "models" / sha256
