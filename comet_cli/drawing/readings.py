"""What each component tells of each factor, as a matrix to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from comet_cli.drawing.layout import CAPTION, EDGE, Box, beside, blank, font_of, stack, text

HEIGHT = 36  # pixels of a line
DARK = np.array([28, 77, 140])  # of a factor that is read without error


def reading_matrix(
    readings: Mapping[str, Sequence[float]], components: Sequence[str], width: int
) -> Box:
    """Return a matrix with a line a factor and a column a component, the darker the better read.

    Args:
        readings: factor -> a value from 0 to 1 for each component.
        components: their names.
        width: of a column in pixels.
    """
    names = [text(name, size=CAPTION, align="l") for name in readings]
    room = max(name.width for name in names)
    heads = [text(name, size=CAPTION, width=width) for name in components]
    lines = [beside([blank(room, 1), *heads])]
    for name, values in zip(names, readings.values(), strict=True):
        label = blank(room, HEIGHT)
        label.paste(name, (0, (label.height - name.height) // 2))
        lines.append(beside([label, *(_cell(value, width) for value in values)]))
    return stack(lines, align="start")


def _cell(value: float, width: int) -> Box:
    colour = 255 + (DARK - 255) * min(max(value, 0.0), 1.0)
    box = Image.new("RGB", (width, HEIGHT), tuple(int(c) for c in colour))
    draw = ImageDraw.Draw(box)
    draw.rectangle((0, 0, box.width - 1, box.height - 1), outline=EDGE)
    ink = "white" if value > 0.5 else "black"
    middle = (box.width / 2, box.height / 2)
    draw.text(middle, f"{value:.2f}", ink, font_of(CAPTION), anchor="mm")
    return box
