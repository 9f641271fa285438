"""A canvas for drawn faces: flat shapes on a square of 100 units, and which part each belongs to.

Shapes are drawn without anti-aliasing on a canvas finer than the picture; `toon_light` shades it
and averages it down.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]
UNITS = 100.0


class Part(IntEnum):
    """Mask numbers; `FRINGE`, the hair before the face, becomes `HAIR` in the end."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    CLOTHES = 3
    FEATURES = 4
    GLASSES = 5
    FRINGE = 6


class Drawing:
    """Colours and parts of a picture that is being drawn.

    Attributes:
        colours: RGB image, the flat colours.
        parts: L image of `Part` numbers.
        unit: pixels of these images to one unit.
    """

    def __init__(self, side: int, background: Colour):
        """An empty canvas of `side` pixels."""
        self.colours = Image.new("RGB", (side, side), background)
        self.parts = Image.new("L", (side, side), int(Part.BACKGROUND))
        self.unit = side / UNITS
        self._draws = (ImageDraw.Draw(self.colours), ImageDraw.Draw(self.parts))

    def fill(
        self,
        outline: Sequence[Point],
        colour: Colour,
        part: Part | None,
        ink: Colour | None = None,
        width: float = 0.9,
    ) -> None:
        """Fill a polygon, and draw its outline if there is an ink; a part of None changes none."""
        points = self._pixels(outline)
        for draw, value in self._layers(colour, part):
            draw.polygon(points, fill=value)
        if ink is not None:
            self.stroke([*outline, outline[0], outline[1]], ink, part, width)

    def stroke(
        self, line: Sequence[Point], colour: Colour, part: Part | None, width: float
    ) -> None:
        """Draw a line with round ends."""
        points, reach = self._pixels(line), width * self.unit / 2
        for draw, value in self._layers(colour, part):
            draw.line(points, fill=value, width=max(1, round(2 * reach)), joint="curve")
            for x, y in (points[0], points[-1]):
                draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=value)

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.unit, y * self.unit) for x, y in points]

    def _layers(self, colour: Colour, part: Part | None) -> list[tuple[Any, Any]]:
        """What to draw on, and with what."""
        layers = [(self._draws[0], colour), (self._draws[1], part)]
        return layers if part is not None else layers[:1]


def ellipse(centre: Point, radii: Point, start: float = 0, end: float = 360) -> list[Point]:
    """Points of an ellipse from one angle to another, in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, end, 49))
    x, y = centre[0] + radii[0] * np.cos(angles), centre[1] + radii[1] * np.sin(angles)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def curve(points: Sequence[Point], closed: bool = True) -> list[Point]:
    """A smooth line through points (a uniform Catmull-Rom spline, twelve steps a piece)."""
    p = np.asarray(points, float)
    if closed:
        p = np.concatenate([p[-1:], p, p[:2]])
    else:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    pieces = [
        (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        / 2
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    line = np.concatenate([*pieces, p[-2:-1]])
    return [(x, y) for x, y in line.tolist()]


def mirror(points: Sequence[Point]) -> list[Point]:
    """The points on the other side of the face, in the opposite order."""
    return [(UNITS - x, y) for x, y in reversed(points)]


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with a share of `other`."""
    r, g, b = (round(p + share * (q - p)) for p, q in zip(one, other, strict=True))
    return r, g, b
