"""Contact sheets: pictures in rows and columns, with labels and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from comet_cli.drawing.layout import EDGE, FAINT, INK, fit_label, font_of, turned, wrap
from comet_cli.formats.images import enlarge

CELL = 144


@dataclass(frozen=True)
class Sheet:
    """A table of pictures.

    Attributes:
        columns: a label a column.
        rows: a label a row ("" for none).
        cells: rows of pictures (R,R,3) uint8, or None for an empty place.
        breaks: columns before which the gap is wider.
        captions: a text under each cell, wrapped and never shortened, or nothing at all.
    """

    columns: Sequence[str]
    rows: Sequence[str]
    cells: Sequence[Sequence[np.ndarray | None]]
    breaks: frozenset[int] = field(default_factory=frozenset)
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
    text = font_of(max(14, round(15 * unit)))
    margin, gap, wide = round(20 * unit), round(8 * unit), round(24 * unit)
    strip = round(26 * unit)
    left = margin + (strip if any(sheet.rows) else 0)
    top = margin + (strip if any(sheet.columns) else 0)
    lefts, x = [], left
    for column in range(len(sheet.columns)):
        x += 0 if column == 0 else (wide if column in sheet.breaks else gap)
        lefts.append(x)
        x += side
    small = font_of(max(11, round(12 * unit)))
    line = round(1.25 * max(11, round(12 * unit)))
    wrapped = [[wrap(c, small, side) for c in captions] for captions in sheet.captions]
    below = max((len(lines) for row in wrapped for lines in row), default=0) * line
    pitch = side + below + (gap if below == 0 else 2 * gap)
    height = top + len(sheet.rows) * pitch - (pitch - side - below) + margin
    image = Image.new("RGB", (x + margin, height), "white")
    draw = ImageDraw.Draw(image)
    for x, label in zip(lefts, sheet.columns, strict=True):
        fitted = fit_label(label, text, side)
        draw.text((x + side / 2, top - round(9 * unit)), fitted, INK, text, anchor="ms")
    for row, (label, cells) in enumerate(zip(sheet.rows, sheet.cells, strict=True)):
        y = top + row * pitch
        if label:
            stripe = turned(fit_label(label, text, side), text, (side, strip))
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
