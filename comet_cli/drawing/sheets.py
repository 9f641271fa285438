"""Contact sheets: pictures in rows and columns with labels; gradient maps and overlays."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from comet_cli.formats.images import enlarge

CELL = 144
INK = (38, 43, 51)
FAINT = (120, 127, 138)
EDGE = (214, 218, 224)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Sheet:
    """A table of pictures.

    Attributes:
        columns: a label a column.
        rows: a label a row ("" for none).
        cells: rows of pictures (R,R,3) uint8, or None for an empty place.
        breaks: columns before which the gap is wider.
        title: a line above everything, or "".
        captions: a text under each cell, wrapped and never shortened, or nothing at all.
    """

    columns: Sequence[str]
    rows: Sequence[str]
    cells: Sequence[Sequence[np.ndarray | None]]
    breaks: frozenset[int] = field(default_factory=frozenset)
    title: str = ""
    captions: Sequence[Sequence[str]] = ()


def cell_side(cells: Sequence[Sequence[np.ndarray | None]], side: int = CELL) -> int:
    """Return the side of a cell: the largest picture, its pixels repeated up to about ``side``."""
    sizes = [cell.shape[0] for row in cells for cell in row if cell is not None]
    return max(max(1, round(side / size)) * size for size in sizes)


def draw_sheet(sheet: Sheet) -> np.ndarray:
    """Draw a sheet.

    Returns:
        (H,W,3) uint8: white, labels above and at the left, a hairline around each picture.
    """
    side = cell_side(sheet.cells)
    unit = side / 144
    text = ImageFont.load_default(size=max(14, round(15 * unit)))
    heading = ImageFont.load_default(size=round(18 * unit))
    margin, gap, wide = round(20 * unit), round(8 * unit), round(24 * unit)
    strip = round(26 * unit)
    left = margin + (strip if any(sheet.rows) else 0)
    top = margin + (round(34 * unit) if sheet.title else 0) + (strip if any(sheet.columns) else 0)
    lefts, x = [], left
    for column in range(len(sheet.columns)):
        x += 0 if column == 0 else (wide if column in sheet.breaks else gap)
        lefts.append(x)
        x += side
    small = ImageFont.load_default(size=max(11, round(12 * unit)))
    line = round(1.25 * max(11, round(12 * unit)))
    wrapped = [[_wrap(c, small, side) for c in captions] for captions in sheet.captions]
    below = max((len(lines) for row in wrapped for lines in row), default=0) * line
    pitch = side + below + (gap if below == 0 else 2 * gap)
    height = top + len(sheet.rows) * pitch - (pitch - side - below) + margin
    image = Image.new("RGB", (x + margin, height), "white")
    draw = ImageDraw.Draw(image)
    if sheet.title:
        draw.text((left, margin), sheet.title, INK, heading)
    for x, label in zip(lefts, sheet.columns, strict=True):
        fitted = fit_label(label, text, side)
        draw.text((x + side / 2, top - round(9 * unit)), fitted, INK, text, anchor="ms")
    for row, (label, cells) in enumerate(zip(sheet.rows, sheet.cells, strict=True)):
        y = top + row * pitch
        if label:
            stripe = _upright(fit_label(label, text, side), text, (side, strip))
            image.paste(stripe, (margin - round(4 * unit), y))
        for x, cell in zip(lefts, cells, strict=False):
            if cell is not None:
                image.paste(_scaled(cell, side), (x, y))
                draw.rectangle((x - 1, y - 1, x + side, y + side), outline=EDGE)
        for x, lines in zip(lefts, wrapped[row] if wrapped else (), strict=False):
            for n, words in enumerate(lines):
                draw.text((x, y + side + round(3 * unit) + n * line), words, FAINT, small)
    return np.asarray(image)


def _scaled(cell: np.ndarray, side: int) -> Image.Image:
    if side % cell.shape[0] == 0:
        return Image.fromarray(enlarge(cell, side))
    return Image.fromarray(cell).resize((side, side), Image.Resampling.BICUBIC)


def _upright(label: str, font: Font, size: tuple[int, int]) -> Image.Image:
    """Return a label that reads from bottom to top."""
    stripe = Image.new("RGB", size, "white")
    ImageDraw.Draw(stripe).text((size[0] / 2, size[1] / 2), label, FAINT, font, anchor="mm")
    return stripe.transpose(Image.Transpose.ROTATE_90)


def fit_label(label: str, font: Font, width: float) -> str:
    """Shorten a label until it fits.

    Of several names, ``face-a, face-b``, the later ones lose the words that all begin with:
    ``face-a, b``; where that is not enough, each name is shortened in its middle.
    """
    if font.getlength(label) <= width:
        return label
    names = label.split(", ")
    shared = len(_shared_words(names))
    names = [names[0], *(name[shared:] for name in names[1:])]
    keep = max(map(len, names))
    shown = ", ".join(names)
    while keep > 1 and font.getlength(shown) > width:
        keep -= 1
        shown = ", ".join(_shorten(name, keep) for name in names)
    return shown


def _shared_words(names: Sequence[str]) -> str:
    """Return the words that all of several names begin with, up to a hyphen, point or the like."""
    shared = os.path.commonprefix(list(names)) if len(names) > 1 else ""
    return re.sub(r"[^\W_]*$", "", shared)


def _shorten(name: str, keep: int) -> str:
    """Leave out the middle of a name that has more than ``keep`` characters."""
    if len(name) <= keep:
        return name
    return name[: (keep + 1) // 2] + "…" + name[len(name) - keep // 2 :]


def _wrap(caption: str, font: Font, width: float) -> list[str]:
    """Break a caption between words, and a word that is too long for a line within it."""
    lines: list[str] = []
    for word in caption.split():
        # Two spaces: one of the font's is narrower than a gap between words reads as.
        if lines and font.getlength(f"{lines[-1]}  {word}") <= width:
            lines[-1] += f"  {word}"
            continue
        while font.getlength(word) > width and len(word) > 1:
            fits = max(
                n for n in range(1, len(word)) if n == 1 or font.getlength(word[:n]) <= width
            )
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    return lines
