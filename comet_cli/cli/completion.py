"""What may follow on a command line: models, and components of the file being typed; no torch."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from comet_cli.errors import CometError
from comet_cli.formats.files import STANDARD
from comet_cli.formats.foreign import ENDINGS
from comet_cli.models import library
from comet_cli.models.card import ModelCard
from comet_cli.models.hub_reference import PREFIX as HUB_PREFIX

MAX_FILE_BYTES = 1 << 26  # a larger file would be waited for
_WITHIN = re.compile(r".+[:\]*].*@|.*%\d*\.?\d+%")
_BLEND = re.compile(r".*%\d*\.?\d+%")
_RANGE = re.compile(r"(\d{1,4})-(\d*)")
_LABEL = re.compile(r"(?!\d)[\w.+]+(?:[ -][\w.+]+)*")  # nothing that a shell would act on
Names = tuple[int, tuple[str, ...]]  # K, and K labels or none


def complete_models(incomplete: str) -> list[str]:
    """Return the names of installed models that begin so."""
    return [e.name for e in library.list_models() if e.name.startswith(incomplete)]


def words(*choices: str) -> Callable[[str], list[str]]:
    """Return a completion of a few words."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def complete_worlds(incomplete: str) -> list[str]:
    """Return the data sets that can be made, and begin so."""
    from comet_cli.worlds.catalogue import GENERATORS

    return words(*GENERATORS)(incomplete)


def complete_readers(incomplete: str) -> list[str]:
    """Return the data sets that can be imported, and begin so."""
    from comet_cli.data.readers.catalogue import READERS

    return words(*READERS)(incomplete)


def complete_selections(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return selections of the file being typed: ``a.z:`` gives ``a.z:0``, ``a.z:lighting`` ….

    Nothing for a name without a colon: files are the shell's own to complete, but for a mask
    (``b.z:1@``) and the second file of a blend (``a.z:1%0.5%``), which no shell looks for.
    """
    file = selected_file(incomplete)
    if file is None:
        within = _WITHIN.match(incomplete)
        return [] if within is None else _files(within[0], incomplete[within.end() :])
    start, path = file
    names = names_in(path, _model(ctx))
    head, listing = incomplete[:start], incomplete[start:]
    return [head + end for end in complete_listing(listing, names)]


def _files(head: str, begun: str) -> list[str]:
    folder = os.path.dirname(begun)
    try:
        names = sorted(os.listdir(os.path.expanduser(folder) or "."))
    except OSError:
        return []
    endings = ENDINGS if head.endswith("@") else (*ENDINGS, ".z")
    found = [os.path.join(folder, name) for name in names if name.lower().endswith(endings)]
    return [head + path for path in found if path.startswith(begun)]


def complete_components(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return values of ``--components``: components of the first input."""
    # Typer has not told words apart yet where the option's value is what is missing.
    inputs = ctx.params.get("inputs") or ctx.args
    return complete_listing(incomplete, names_in(inputs[0], _model(ctx)) if inputs else None)


def selected_file(text: str) -> tuple[int, str] | None:
    """Return where the list of a selection begins, and its file; None where there is no list."""
    blend = _BLEND.match(text)
    first = blend.end() if blend else 0
    colon = text.rfind(":", first)
    if colon <= first or set("/\\@*") & set(text[colon:].rpartition(",")[2]):
        return None
    return colon + 1, text[first:colon]


def complete_listing(listing: str, names: Names | None) -> list[str]:
    """Return the lists that begin so: its last item is completed."""
    if names is None:
        return []
    count, labels = names
    done, comma, last = listing.rpartition(",")
    begun = _RANGE.fullmatch(last)
    if begun is not None:
        first = int(begun[1])
        items = [f"{first}-{k}" for k in range(first + 1, count)]
    else:
        items = [*map(str, range(count)), *filter(_LABEL.fullmatch, labels)]
    return [done + comma + item for item in items if item.startswith(last)]


def names_in(path: str, model: str) -> Names | None:
    """Return how many components a file has, and their labels; None for what has none.

    Args:
        path: a ``.z``, or a picture.
        model: that would encode the picture, or ``auto``.
    """
    from comet_cli.formats.components import MAX_HEADER_BYTES, is_components, parse_components

    path = os.path.expanduser(path)
    try:
        # A pipe would be waited for, a file of gigabytes too.
        if path == STANDARD or not os.path.isfile(path) or os.path.getsize(path) > MAX_FILE_BYTES:
            return None
        with open(path, "rb") as file:
            data = file.read(MAX_HEADER_BYTES)
            if path.endswith(".z") or is_components(data):
                found = parse_components(data + file.read())
                return len(found), found.labels
            data += file.read()
        return _names_of_picture(path, data, model)
    except (CometError, OSError, ValueError):
        return None


def _names_of_picture(path: str, data: bytes, model: str) -> Names | None:
    from comet_cli.formats.images import image_facts
    from comet_cli.inputs.reuse import path_beside, read_beside

    image_facts(data)
    if model.startswith(HUB_PREFIX):
        return None  # a Tab key downloads nothing
    if model != "auto":
        return _names_on(ModelCard.read(library.find(model)))
    beside = path_beside(path)
    found = None if beside is None or not _is_small(beside) else read_beside(beside)
    if found is not None and found.source_sha256 == hashlib.sha256(data).hexdigest():
        return len(found), found.labels
    cards = [entry.card for entry in library.list_models()]
    if len(cards) == 1:
        return _names_on(cards[0])
    # Which model it will be is not known yet: what any of them has.
    return (min(card.components for card in cards), ()) if cards else None


def _is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MAX_FILE_BYTES


def _names_on(card: ModelCard) -> Names:
    return card.components, card.names_of(card.components)


def _model(ctx: Any) -> str:
    return str(ctx.params.get("model") or "auto")
