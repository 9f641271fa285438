"""The data sets that a recipe names: one, or several with their shares."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from comet_cli.errors import FileFormatError
from comet_cli.formats.facts import from_facts

_RESERVED = ("reconstruction", "segmentation")


@dataclass(frozen=True)
class TrainingData:
    """One data set of a recipe.

    Attributes:
        path: a data-set folder, a folder of pictures, a pack or an array file; with ``reader`` a
            published data set; ``hf:NAME`` is a data set of the Hugging Face Hub.
        share: its part of each batch, relative to the other sources'.
        name: what the card calls its figures; default the last part of the path.
        reader: how the published data set is read, as ``comet data list --readers`` has it.
        crop: with ``reader``, side of the middle square that is kept (0: the largest).
        limit: with ``reader``, the most pictures (0: all).
    """

    path: str
    share: float = 1.0
    name: str = ""
    reader: str = ""
    crop: int = 0
    limit: int = 0


def parse_sources(value: Any, key: str) -> tuple[TrainingData, ...]:
    """Read what a recipe's [data] says for ``key``: a path, a table, or a list of either.

    Raises:
        FileFormatError: another type, an unknown key, or a value out of range.
    """
    items = value if isinstance(value, list) else [value]
    if not items:
        raise _error(key, "is an empty list")
    sources = tuple(_parse(item, key) for item in items)
    names = [source.name for source in sources]
    for source in sources:
        if len(sources) > 1 and (names.count(source.name) > 1 or source.name in _RESERVED):
            raise _error(key, f"needs a name of its own for '{source.path}' (name = \"...\")")
    return sources


def one_spelling(path: str) -> str:
    """Return a path without what makes no other path of it: ``./pictures/`` is ``pictures``."""
    return str(PurePath(path)) if path and not path.startswith("hf:") else path


def _parse(item: Any, key: str) -> TrainingData:
    if isinstance(item, str):
        item = {"path": item}
    if not isinstance(item, dict):
        raise _error(key, f"must be of type str, not {item!r}, or a list of tables with a path")
    if item.get("path", "") == "":
        raise _error(key, "must name a folder")
    source = from_facts(TrainingData, item, f"recipe, [data]: {key}")
    if not 0 < source.share < math.inf:
        raise _error(key, f"has a share of {source.share}, expected a positive number")
    if source.crop < 0 or source.limit < 0:
        raise _error(key, "has a crop or limit below 0")
    if source.path.startswith("hf:") and source.reader in ("", "hf"):
        source = dataclasses.replace(source, path=source.path[3:], reader="hf")
    elif (source.crop or source.limit) and not source.reader:
        raise _error(key, "has a crop or limit without a reader")
    path = source.path if source.reader == "hf" else one_spelling(source.path)
    return dataclasses.replace(source, path=path, name=source.name or PurePath(path).stem or path)


def _error(key: str, sentence: str) -> FileFormatError:
    return FileFormatError(f"recipe, [data]: {key} {sentence}")
