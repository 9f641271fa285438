"""Contact sheets: pictures in rows and columns with labels; gradient maps and overlays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from comet_cli.drawing.layout import EDGE, FAINT, INK, Font, fit_label, font_of, wrap
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
    text = font_of(max(14, round(15 * unit)))
    heading = font_of(round(18 * unit))
    margin, gap, wide = round(20 * unit), round(8 * unit), round(24 * unit)
    strip = round(26 * unit)
    left = margin + (strip if any(sheet.rows) else 0)
    top = margin + (round(34 * unit) if sheet.title else 0) + (strip if any(sheet.columns) else 0)
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
