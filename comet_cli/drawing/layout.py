"""What sheets and figures are set from: type, colours, labels, and boxes laid side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Box = Image.Image
INK = (38, 43, 51)
FAINT = (120, 127, 138)
EDGE = (214, 218, 224)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
TITLE, HEADING, LABEL, CAPTION = 26, 19, 18, 14  # heights of type in pixels
LINE = 1.35  # line height, in heights of type
GAP = 8


@cache
def font_of(size: int) -> Font:
    """Return the type at a height in pixels."""
    return ImageFont.load_default(size=size)


def blank(width: int, height: int) -> Box:
    """Return white space."""
    return Image.new("RGB", (width, height), "white")


def framed(pixels: np.ndarray, side: int) -> Box:
    """Return a picture (R,R,3) uint8 at ``side`` pixels, with a hairline along its edge.

    Enlarged by repeating pixels, so that what is seen is what was rendered.
    """
    larger = side >= pixels.shape[0]
    how = Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
    box = Image.fromarray(pixels).resize((side, side), how)
    ImageDraw.Draw(box).rectangle((0, 0, side - 1, side - 1), outline=EDGE)
    return box


def text(
    words: str,
    *,
    size: int = LABEL,
    width: int | None = None,
    faint: bool = False,
    align: str = "m",
) -> Box:
    """Return lines of text.

    Args:
        words: lines, separated by newlines.
        size: height of the type in pixels; smaller where a line would not fit.
        width: of the box; default that of the longest line.
        faint: in grey.
        align: ``m`` centres the lines, ``l`` puts them to the left.
    """
    lines = words.split("\n")
    height = round(size * LINE)
    if width is not None:
        while size > 9 and max(font_of(size).getlength(line) for line in lines) > width:
            size -= 1
    font = font_of(size)
    shown = [_cut(line, font, width) for line in lines]
    room = width if width is not None else int(max(font.getlength(line) for line in shown)) + 2
    box = blank(room, height * len(lines))
    draw = ImageDraw.Draw(box)
    for n, line in enumerate(shown):
        x = room / 2 if align == "m" else 0
        draw.text((x, (n + 0.5) * height), line, FAINT if faint else INK, font, anchor=f"{align}m")
    return box


def _cut(line: str, font: Font, width: int | None) -> str:
    """Cut the end off a line that does not fit."""
    if width is None or font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"


def turned(label: str, font: Font, size: tuple[int, int]) -> Box:
    """Return a faint label that reads from bottom to top, in the middle of its box.

    Args:
        label: it is not shortened.
        font: its type.
        size: of the box before it is turned.
    """
    lying = blank(*size)
    ImageDraw.Draw(lying).text((size[0] / 2, size[1] / 2), label, FAINT, font, anchor="mm")
    return lying.transpose(Image.Transpose.ROTATE_90)


def upright(words: str, height: int, width: int) -> Box:
    """Return a faint caption that reads from bottom to top, at the left of its box."""
    font = font_of(CAPTION)
    label = turned(fit_label(words, font, height), font, (height, round(CAPTION * LINE)))
    return beside([label, blank(max(0, width - label.width), 1)], gap=0)


def _place(room: int, size: int, align: str) -> int:
    return {"start": 0, "middle": (room - size) // 2, "end": room - size}[align]


def beside(boxes: Sequence[Box], *, gap: int = GAP, align: str = "start") -> Box:
    """Lay boxes from left to right; ``align`` is ``start`` (top), ``middle`` or ``end``."""
    height = max(box.height for box in boxes)
    out = blank(sum(box.width for box in boxes) + gap * (len(boxes) - 1), height)
    x = 0
    for box in boxes:
        out.paste(box, (x, _place(height, box.height, align)))
        x += box.width + gap
    return out


def stack(boxes: Sequence[Box], *, gap: int = GAP, align: str = "middle") -> Box:
    """Lay boxes from top to bottom; ``align`` is ``start`` (left), ``middle`` or ``end``."""
    width = max(box.width for box in boxes)
    out = blank(width, sum(box.height for box in boxes) + gap * (len(boxes) - 1))
    y = 0
    for box in boxes:
        out.paste(box, (_place(width, box.width, align), y))
        y += box.height + gap
    return out


def ruled(heading: str, width: int) -> Box:
    """Return a heading over a group of columns, with a line that spans them."""
    line = blank(width, 7)
    ImageDraw.Draw(line).line((0, 3, width, 3), fill=EDGE, width=2)
    return stack([text(heading, size=HEADING, width=width), line], gap=0)


def padded(box: Box, margin: int) -> Box:
    """Return a box with white space around it."""
    out = blank(box.width + 2 * margin, box.height + 2 * margin)
    out.paste(box, (margin, margin))
    return out


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
        shown = ", ".join(_shorten_middle(name, keep) for name in names)
    return shown


def _shared_words(names: Sequence[str]) -> str:
    """Return the words that all of several names begin with, up to a hyphen, point or the like."""
    shared = os.path.commonprefix(list(names)) if len(names) > 1 else ""
    return re.sub(r"[^\W_]*$", "", shared)


def _shorten_middle(name: str, keep: int) -> str:
    """Leave out the middle of a name that has more than ``keep`` characters."""
    if len(name) <= keep:
        return name
    return name[: (keep + 1) // 2] + "…" + name[len(name) - keep // 2 :]


def wrap(caption: str, font: Font, width: float) -> list[str]:
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
