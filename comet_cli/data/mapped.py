"""Pictures mapped into memory from the cache, where they are put once, as raw bytes.

An entry of the cache is a folder: `images` (N·R·R·3 bytes), `masks` (N·R·R bytes, if every
picture has one), `metadata.jsonl`, and `entry.json` with N, R and the names that were skipped.
"""

import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.dataset_folder import (
    LoadedPictures,
    list_pictures,
    load_folder,
    nothing_readable,
    read_pictures,
    splits_in,
    warn_skipped,
)
from comet_cli.data.pack import is_pack
from comet_cli.errors import CometWarning
from comet_cli.formats.cache import Fingerprints, cache_home, discard, make_entry
from comet_cli.formats.files import show

FORMAT_VERSION = 1
# A folder that changes while it is read is read again, a few times.
_ATTEMPTS = 3


def map_pictures(
    path: str | os.PathLike[str], split: str | None = None, size: int | None = None
) -> LoadedPictures:
    """Load a data set as `load_folder` does, decoding each picture once and for all.

    The pictures lie in the cache under a hash of the files' content, and stay on disk until they
    are used. Changed files give another hash; the pictures of the old one are then removed. Where
    the cache cannot be written, pictures are loaded into memory, with a warning.

    Args:
        path: as for `load_folder`; arrays are used where they are.
        split: as for `load_folder`.
        size: as for `load_folder`.

    Raises:
        CometError: as `load_folder`.
    """
    path = Path(path)
    if path.is_file() and not is_pack(path):
        return load_folder(path, split, size)
    known = Fingerprints(path, f"pictures of {split or 'all'}")
    try:
        for _ in range(_ATTEMPTS):
            digest = _digest(known, path, split, size)
            entry = cache_home() / "pictures" / digest
            loaded = _open(entry)
            if loaded is None:
                discard(entry)
                make_entry(entry, lambda folder: _fill(folder, path, split, size))
                if _digest(known, path, split, size) != digest:
                    discard(entry)
                    continue
                loaded = _open(entry)
            if loaded is not None:
                known.remember(f"{size}", entry)
                warn_skipped(path, loaded.skipped)
                return loaded
    except OSError as error:
        warnings.warn(
            f"the cache '{show(cache_home())}' cannot be used ({error.strerror}); the pictures "
            f"of '{show(path)}' are loaded into memory; set COMET_CACHE to another folder",
            CometWarning,
            stacklevel=2,
        )
    return load_folder(path, split, size)


def pictures_digest(path: Path, split: str | None) -> str:
    """Return a hash of everything that pictures, masks and labels of a data set depend on.

    Two sets of the same content have the same, wherever they are. Files that did not change since
    the last call are not read again.

    Args:
        path: as for :func:`map_pictures`.
        split: as for :func:`map_pictures`.

    Raises:
        CometError: there is no such folder or split.
    """
    known = Fingerprints(path, f"digest of {split or 'all'}")
    digest = _digest(known, path, split, None)
    known.keep()
    return digest


def _digest(known: Fingerprints, path: Path, split: str | None, size: int | None) -> str:
    return known.digest(_files(path, split), "pictures", FORMAT_VERSION, split, size)


def _files(path: Path, split: str | None) -> Iterable[Path]:
    """Everything that the loaded pictures depend on."""
    if path.is_file():
        yield path
        return
    for each in [split] if split else splits_in(path) or [""]:
        if (path / each / "metadata.jsonl").is_file():
            yield path / each / "metadata.jsonl"
    for file, entry in list_pictures(path, split):
        yield file
        if entry.get("mask"):
            yield path / entry["mask"]


def _fill(folder: Path, path: Path, split: str | None, size: int | None) -> None:
    """Decode the pictures of `path` into the files of an entry."""
    count, side, complete, skipped = 0, 0, True, []
    with (
        open(folder / "images", "wb") as images,
        open(folder / "masks", "wb") as masks,
        open(folder / "metadata.jsonl", "w", encoding="utf-8") as metadata,
    ):
        for name, sample in read_pictures(path, split, size):
            if sample is None:
                skipped.append(name)
                continue
            count, side = count + 1, len(sample.image)
            images.write(sample.image.tobytes())
            complete = complete and sample.mask is not None
            if sample.mask is not None:
                masks.write(sample.mask.tobytes())
            metadata.write(json.dumps(sample.factors) + "\n")
        if not count:
            warn_skipped(path, skipped)
            raise nothing_readable(path, split)
        for file in (images, masks, metadata):
            file.flush()
            os.fsync(file.fileno())
    if not complete:
        (folder / "masks").unlink()
    facts = {"count": count, "size": side, "masks": complete, "skipped": skipped}
    (folder / "entry.json").write_text(json.dumps(facts), encoding="utf-8")


def _open(entry: Path) -> LoadedPictures | None:
    """Map an entry; None if it is not there, or damaged."""
    try:
        facts = json.loads((entry / "entry.json").read_bytes())
        count, size = facts["count"], facts["size"]
        images = _map(entry / "images", (count, size, size, 3))
        masks = _map(entry / "masks", (count, size, size)) if facts["masks"] else None
        lines = (entry / "metadata.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        metadata: list[dict[str, Any]] = [json.loads(line) for line in lines]
        if len(metadata) != count:
            return None
        return LoadedPictures(images, masks, metadata, tuple(facts["skipped"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _map(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    if file.stat().st_size != int(np.prod(shape)):
        raise ValueError(f"{file.name} is cut off")
    return np.memmap(file, np.uint8, "r", shape=shape)
