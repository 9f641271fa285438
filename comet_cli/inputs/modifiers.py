"""What ``comet compose`` understands around a selection: a blend of two, and a region.

    b.z:1@left.png          acts only where the mask is light
    b.z:1@8,8,32,32         acts only in the rectangle x,y,w,h, in pixels of the picture made
    a.z:1%0.25%b.z:1        the values a quarter of the way from a's component to b's

A region belongs to the whole argument and stands last. ``@`` and ``%`` are read so only after a
list, a weight or an ending ``.z``, so that ``photo@2x.png`` stays a name.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from comet_cli.errors import SelectionError
from comet_cli.formats.files import show
from comet_cli.formats.foreign import ENDINGS
from comet_cli.inputs.selection import Selection, parse_selection

_RECTANGLE = re.compile(r"\d{1,6}(?:,\d{1,6}){3}")
_BLEND = re.compile(r"(.+?(?::[^/\\%]+|\]|\.z))%(\d*\.?\d+)%(.+)")
_SELECTED = re.compile(r"(?:.*\.z|-|.+(?::[^/\\]+|\]|\*[^/\\]+))", re.DOTALL)


@dataclass(frozen=True)
class Region:
    """Where a term acts: a mask file, or a rectangle.

    Attributes:
        text: what was typed after the ``@``.
        rectangle: x, y, w, h in pixels from the top left; None for a mask.
    """

    text: str
    rectangle: tuple[int, int, int, int] | None = None

    @property
    def path(self) -> str | None:
        """Return the mask's file, None for a rectangle."""
        return self.text if self.rectangle is None else None


@dataclass(frozen=True)
class Argument:
    """One argument of ``compose``: a selection, or a blend of two, and where it acts.

    Attributes:
        first: the selection.
        second: what it is blended with, or None.
        part: how far the blend is from the first to the second, 0 to 1.
        region: where it acts; None for everywhere.
    """

    first: Selection
    second: Selection | None = None
    part: float = 0.0
    region: Region | None = None

    @property
    def selections(self) -> tuple[Selection, ...]:
        """The one selection, or the two of a blend."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def mask(self) -> str | None:
        """The file of the region's mask, or None."""
        return None if self.region is None else self.region.path


def split_region(
    text: str, *, literal: bool = False, exists: Callable[[str], bool] = os.path.exists
) -> tuple[str, Region | None]:
    """Return an argument without its region, and the region.

    Args:
        text: what was typed.
        literal: the whole text is a file's name.
        exists: says whether a file exists (replaced in tests).

    Raises:
        SelectionError: something stands after the ``@`` that is no region.
    """
    if literal or exists(text):
        return text, None
    for at in (n for n, c in enumerate(text) if c == "@"):
        head, tail = text[:at], text[at + 1 :]
        if not _is_selected(head):
            continue
        if tail.lower().endswith(ENDINGS):
            return head, Region(tail)
        if _RECTANGLE.fullmatch(tail):
            x, y, w, h = map(int, tail.split(","))
            if w * h == 0:
                raise SelectionError(f"'{show(text)}': the region {tail} holds no pixel")
            return head, Region(tail, (x, y, w, h))
        if not set("/\\") & set(tail):
            raise SelectionError(
                f"'{show(text)}': '{show(tail)}' is no region; expected a mask's file or x,y,w,h, "
                "as in b.z:1@left.png or b.z:1@8,8,32,32"
            )
    return text, None


def _is_selected(head: str) -> bool:
    drive = 2 if re.match(r"[A-Za-z]:[\\/]", head) else 0
    return bool(_SELECTED.fullmatch(head[drive:]))


def split_blend(text: str, *, literal: bool = False) -> tuple[str, str | None, float]:
    """Return the two selections of a blend and how far it is from the first to the second.

    Returns:
        (text, None, 0.0) for an argument that is no blend.

    Raises:
        SelectionError: a part outside 0 to 1.
    """
    match = None if literal else _BLEND.fullmatch(text)
    if match is None:
        return text, None, 0.0
    part = float(match[2])
    if part > 1:
        raise SelectionError(f"'{show(text)}': a blend's part is {match[2]}, expected 0 to 1")
    return match[1], match[3], part


def parse_argument(text: str, *, literal: bool = False) -> Argument:
    """Parse one argument of ``compose``.

    Raises:
        SelectionError: see :func:`split_region`, :func:`split_blend` and
            :func:`comet_cli.inputs.selection.parse_selection`.
    """
    rest, region = split_region(text, literal=literal)
    first, second, part = split_blend(rest, literal=literal)
    return Argument(
        parse_selection(first, literal=literal),
        None if second is None else parse_selection(second, literal=literal),
        part,
        region,
    )


def write_blend(first: str, second: str, part: float) -> str:
    """Return the argument of a blend of two typed selections."""
    return shlex.quote(f"{shlex.split(first)[0]}%{part:g}%{shlex.split(second)[0]}")
