"""The selection grammar: which components of a file, and how strongly.

    a.z             all components
    a.z:0,2         components 0 and 2
    a.z:0-2         components 0, 1 and 2
    a.z:lighting    the component labelled so
    a.z:1*0.5       component 1 with weight 0.5; a weight may be negative (a.z:1*-0.5)
    a.z*0.5         all components with weight 0.5
    a.z[0,2]        exactly a.z:0,2; a.z[0,2]*0.5 weighs both

Inside a list a weight belongs to its own item: in ``a.z:0,2-3*0.5`` component 0 keeps weight 1.
``-`` is standard input. An image may stand wherever a ``.z`` may.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from comet_cli.errors import SelectionError
from comet_cli.formats.files import show

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_BARE = re.compile(r"[\w./][\w@%+=:,./-]*")  # what no shell takes for its own
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class Item:
    """One item of a list: a range of indices, or a label; with its weight."""

    first: int | None
    last: int | None
    label: str | None
    weight: float


@dataclass(frozen=True)
class Selection:
    """A parsed selection.

    Attributes:
        text: what was typed.
        path: the file, ``-`` for standard input.
        items: what is selected of it, or None for everything.
        weight: multiplies every item's weight.
        note: something the user should know (a file of literally that name exists), or "".
    """

    text: str
    path: str
    items: tuple[Item, ...] | None = None
    weight: float = 1.0
    note: str = ""

    @property
    def weighted(self) -> bool:
        """Whether a weight other than 1 was typed."""
        return self.weight != 1 or any(item.weight != 1 for item in self.items or ())

    def pick(self, count: int, labels: Sequence[str] = ()) -> list[tuple[int, float]]:
        """Return the selected (index, weight) pairs, in the order they were typed.

        Args:
            count: K, how many components the file has.
            labels: K names, or none.

        Raises:
            SelectionError: an index that does not exist (says how many there are), or an unknown
                label (says which exist).
        """
        if self.items is None:
            return [(k, self.weight) for k in range(count)]
        picked: list[tuple[int, float]] = []
        for item in self.items:
            picked += [(k, item.weight * self.weight) for k in self._indices(item, count, labels)]
        return picked

    def _indices(self, item: Item, count: int, labels: Sequence[str]) -> range:
        where = f"'{show(self.text)}'"
        if item.label is not None:
            if item.label in labels:
                k = list(labels).index(item.label)
                return range(k, k + 1)
            known = (
                f"its labels are {', '.join(labels)}"
                if labels
                else f"its {count} components have no labels, only numbers from 0 to {count - 1}"
            )
            hint = "; only comet compose takes regions" if "@" in item.label else ""
            raise SelectionError(f"{where} asks for '{show(item.label)}', but {known}{hint}")
        assert item.first is not None and item.last is not None
        if item.last >= count:
            raise SelectionError(
                f"{where} asks for component {item.last}, but there are {count}, "
                f"numbered from 0 to {count - 1}"
            )
        return range(item.first, item.last + 1)


def parse_selection(
    text: str, *, literal: bool = False, exists: Callable[[str], bool] = os.path.exists
) -> Selection:
    """Parse one selection argument.

    Args:
        text: what was typed.
        literal: the whole text is a file's name.
        exists: says whether a file exists (replaced in tests).

    Raises:
        SelectionError: not a selection, or a file has literally that name and the file that the
            selection speaks of does not exist (``--literal`` opens it).
    """
    if not text:
        raise SelectionError("an empty argument selects nothing; expected a file such as a.z:0,2")
    if literal:
        return Selection(text, "./-" if text == "-" else text)
    try:
        selection = _parse(text)
    except SelectionError as error:
        if exists(text):
            raise SelectionError(_literal_hint(text)) from None
        raise error from None
    if selection.path == text or not exists(text):
        return selection
    if selection.path == "-" or exists(selection.path):
        note = (
            f"a file is literally named '{show(text)}'; read as a selection of "
            f"'{show(selection.path)}', --literal opens the file"
        )
        return Selection(text, selection.path, selection.items, selection.weight, note)
    raise SelectionError(_literal_hint(text))


def parse_selections(texts: Sequence[str], *, literal: bool = False) -> tuple[Selection, ...]:
    """Parse several arguments; see :func:`parse_selection`."""
    return tuple(parse_selection(text, literal=literal) for text in texts)


def parse_listing(listing: str, where: str) -> Selection:
    """Parse the list of a selection alone: ``0,2``, ``0-2``, ``lighting``.

    Args:
        listing: what was typed.
        where: the option that it was given to, for messages.

    Raises:
        SelectionError: not a list, or a weight in it.
    """
    items = _parse_items(listing, f"{where} {listing}")
    if "*" in listing:
        raise SelectionError(f"'{where} {show(listing)}' takes components without weights")
    return Selection(f"{where} {listing}", "", items)


def write_selection(path: str, picked: Sequence[tuple[int, float]]) -> str:
    """Return the selection that picks these (component, weight) pairs, as it is typed in a shell.

    Three or more neighbours of weight 1 become a range; weight 1 is left away.
    """
    parts: list[str] = []
    run: list[int] = []
    for k, weight in sorted(picked):
        if weight == 1 and run and k == run[-1] + 1:
            run.append(k)
            continue
        parts += _write_run(run)
        run = [k] if weight == 1 else []
        parts += [] if weight == 1 else [f"{k}*{weight!r}"]
    parts += _write_run(run)
    text = f"{path}:{','.join(parts)}"
    return text if _BARE.fullmatch(text) else shlex.quote(text)


def _write_run(run: Sequence[int]) -> list[str]:
    return [f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(k) for k in run]


def _literal_hint(text: str) -> str:
    return (
        f"'{show(text)}' reads as a selection, but a file has literally that name; "
        "give --literal to open it"
    )


def _parse(text: str) -> Selection:
    body, weight = text, 1.0
    head, star, tail = text.rpartition("*")
    in_list = _split_items(head)[1] is not None and not head.endswith("]")
    if star and not tail.endswith("]") and not in_list and not set("/\\") & set(tail):
        body, weight = head, _parse_weight(tail, text)
    path, listing = _split_items(body)
    if not path:
        raise SelectionError(f"'{show(text)}' names no file; expected one such as a.z:0,2")
    items = None if listing is None else _parse_items(listing, text)
    return Selection(text, path, items, weight)


def _split_items(body: str) -> tuple[str, str | None]:
    """Split ``a.z:0,2`` or ``a.z[0,2]`` into path and list; a list never holds a slash."""
    if body.endswith("]") and "[" in body:
        path, _, listing = body[:-1].rpartition("[")
        if not set("/\\") & set(listing):
            return path, listing
    start = 2 if _DRIVE.match(body) else 0
    cut = body.rfind(":", start)
    if cut < 0 or set("/\\") & set(body[cut:]):
        return body, None
    return body[:cut], body[cut + 1 :]


def _parse_items(listing: str, text: str) -> tuple[Item, ...]:
    if not listing.strip():
        raise SelectionError(
            f"'{show(text)}' selects nothing; name components (a.z:0,2) or leave the colon away"
        )
    return tuple(_parse_item(part.strip(), text) for part in listing.split(","))


def _parse_item(part: str, text: str) -> Item:
    name, star, tail = part.partition("*")
    weight = _parse_weight(tail, text) if star else 1.0
    if not name:
        raise SelectionError(
            f"'{show(text)}' has an empty item; expected numbers, ranges or labels, as in a.z:0,2-3"
        )
    if re.fullmatch(r"-\d+", name):
        raise SelectionError(
            f"'{show(text)}': components are numbered from 0, there is no component {name}; "
            f"for a negative weight write a.z:{name[1:]}*-1"
        )
    match = _RANGE.fullmatch(name)
    if match is None:
        return Item(None, None, name, weight)
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    if last < first:
        raise SelectionError(f"'{show(text)}': the range {name} is empty; write {last}-{first}")
    return Item(first, last, None, weight)


def _parse_weight(tail: str, text: str) -> float:
    if not _NUMBER.fullmatch(tail):
        raise SelectionError(
            f"'{show(text)}': the weight '{show(tail)}' is not a number; write, say, a.z:1*0.5"
        )
    weight = float(tail)
    if not math.isfinite(weight):
        raise SelectionError(f"'{show(text)}': the weight '{show(tail)}' is too large")
    return weight
