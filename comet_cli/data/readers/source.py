"""What a reader of published data sets gives: pictures one after the other, with their facts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.dataset_folder import find_pictures
from comet_cli.errors import CometError, MissingInputError
from comet_cli.formats.files import read_file, show


@dataclass(frozen=True)
class SourcePicture:
    """One picture of a source, not yet read.

    Attributes:
        name: unique in the source, without the source's own path; recorded as `source`.
        read: returns the bytes of an image file, or (H, W, 3) uint8; may raise CometError.
        facts: further metadata, as JSON values.
        objects: what is in the picture, in the order of the mask's numbers from 1; a `pixel` is
            (x, y) in the picture as published.
        mask: (H, W) uint8, 0 the background; None if there is none.
        group: pictures of one group are all in the same split; None for one that stands alone.
    """

    name: str
    read: Callable[[], bytes | np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)
    objects: list[dict[str, Any]] | None = None
    mask: np.ndarray | None = None
    group: str | None = None


@dataclass(frozen=True)
class Reader:
    """A published data set that can be imported.

    Attributes:
        name: the word after `comet data import`.
        expects: the layout of the source, for `comet data list --readers`.
        pictures: from the source (a path, or a name) to its pictures in a fixed order; raises
            CometError at once, not at the first picture, if the source has another layout.
    """

    name: str
    expects: str
    pictures: Callable[[str], Iterable[SourcePicture]]


def from_file(root: Path, file: Path, **more: Any) -> SourcePicture:
    """A picture that is a file below `root`; `more` are further attributes."""
    name = file.relative_to(root).as_posix()
    return SourcePicture(name, lambda: read_file(file), **more)


def open_source(source: str, expected: str) -> Path:
    """Return a source that must be a folder.

    Raises:
        MissingInputError: there is no such folder; the sentence says what was `expected` in it.
    """
    folder = Path(source)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise MissingInputError(
            f"the source '{show(folder)}' {found}; expected a folder with {expected}"
        )
    return folder


def pictures_in(folder: Path, source: Path, expected: str) -> list[Path]:
    """Return the picture files of a folder and below, sorted; at least one.

    Raises:
        CometError: there is none; the sentence names the source and what was `expected` in it.
    """
    files = find_pictures(folder) if folder.is_dir() else []
    if not files:
        raise wrong_layout(source, expected)
    return files


def wrong_layout(source: Path, expected: str) -> CometError:
    """Return the error of a source that holds no picture where one was expected."""
    return CometError(f"there is no picture to import in '{show(source)}'; expected {expected}")
