"""From a folder to a pack."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from comet_cli.data.dataset_folder import read_pictures, splits_in, warn_skipped
from comet_cli.data.pack import PackFacts, write_pack
from comet_cli.errors import UsageError
from comet_cli.worlds.generator import Sample


@dataclass(frozen=True)
class Packed:
    """What was done.

    Attributes:
        file: the pack.
        bytes: its size.
        facts: what its header says.
        skipped: names of the files that could not be read.
    """

    file: Path
    bytes: int
    facts: PackFacts
    skipped: tuple[str, ...]


def pack_dataset(
    path: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    size: int | None = None,
    split: str | None = None,
    lossless: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Packed:
    """Write a data set as one file that loads and trains like its folder.

    Args:
        path: a data-set folder, a folder of pictures, or another pack.
        file: the pack to write.
        size: R in pixels; None for that of the first picture.
        split: "train" or "test"; None for all there are.
        lossless: keep every pixel, however large the pack becomes.
        progress: called with the pictures done and None, for their number is not known.

    Raises:
        UsageError: a size out of range.
        CometError: as `load_folder`, or the file cannot be written.
    """
    path, file = Path(path), Path(file)
    if size is not None and not 8 <= size <= 1024:
        raise UsageError(f"--size is {size}, expected 8 to 1024 pixels")
    skipped: list[str] = []
    done = itertools.count(1)
    splits = [split] if split else list(splits_in(path)) or [""]

    def readable(each: str) -> Iterator[Sample]:
        nonlocal size
        for name, sample in read_pictures(path, each or None, size):
            if sample is None:
                skipped.append(name)
                continue
            size = len(sample.image)
            if progress is not None:
                progress(next(done), None)
            yield sample

    facts = write_pack(file, {each: readable(each) for each in splits}, lossless=lossless)
    warn_skipped(path, skipped)
    return Packed(file, facts.bytes, facts, tuple(skipped))
