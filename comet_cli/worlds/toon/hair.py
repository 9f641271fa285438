"""Hair of drawn faces: for each style what is behind the face, and what is before it."""

import math
from collections.abc import Callable

from comet_cli.worlds.toon.drawing import (
    Colour,
    Drawing,
    Part,
    Point,
    blend,
    curve,
    ellipse,
    mirror,
)

STYLES = ("short", "bob", "long", "twin tails", "bun", "curly", "spiky")
_CROWN = [(23.5, 52), (22, 42), (25.5, 30), (33, 21.5), (43, 17), (50, 16)]
_TIE = (236, 96, 112)


def draw_back(drawing: Drawing, style: str, colour: Colour) -> None:
    """Draw the hair behind the face, darker than that before it."""
    back, ink = blend(colour, (40, 20, 60), 0.28), _ink(colour)
    for outline in _BACK[style]():
        drawing.fill(outline, back, Part.HAIR, ink)


def draw_front(drawing: Drawing, style: str, colour: Colour) -> None:
    """Draw the hair before the face."""
    ink = _ink(colour)
    for outline in _FRONT[style]():
        drawing.fill(outline, colour, Part.FRINGE, ink)
    if style == "curly":
        # One body out of many balls: their inner outlines are painted over.
        for outline in (*_balls(0.86), _cap()):
            drawing.fill(outline, colour, Part.FRINGE)
        for x, y, r in _CURLS:
            arc = ellipse((x, y), (0.5 * r, 0.5 * r), 150, 330)
            drawing.stroke(arc, blend(colour, ink, 0.45), Part.FRINGE, 0.8)
    for outline in _strands(style):
        drawing.stroke(outline, blend(colour, ink, 0.55), Part.FRINGE, 0.8)
    if style == "twin tails":
        for side in (ellipse((20.5, 36), (3.2, 4.2)), ellipse((79.5, 36), (3.2, 4.2))):
            drawing.fill(side, _TIE, Part.CLOTHES, blend(_TIE, (60, 10, 40), 0.5))
    if style == "bun":
        tie = curve([(43, 17.5), (50, 15.6), (57, 17.5)], closed=False)
        drawing.stroke(tie, _TIE, Part.CLOTHES, 2.4)


def _ink(colour: Colour) -> Colour:
    return blend(colour, (34, 16, 44), 0.62)


def _crown(*fringe: Point) -> list[Point]:
    """The crown from the left temple over the top to the right one, and a fringe back."""
    top = curve([*_CROWN, *mirror(_CROWN)[1:]], closed=False)
    return [*top, *fringe]


def _scallops(edge: list[Point], depth: float) -> list[Point]:
    """Locks that hang between neighbouring points of a fringe's edge."""
    points: list[Point] = []
    for (x0, y0), (x1, y1) in zip(edge, edge[1:], strict=False):
        for t in (0.0, 0.2, 0.4, 0.6, 0.8):
            hang = depth * math.sin(math.pi * t) ** 0.7
            points.append((x0 + t * (x1 - x0), y0 + t * (y1 - y0) + hang))
    return [*points, edge[-1]]


def _swept() -> list[list[Point]]:
    locks = curve(
        [(76.5, 54), (73.5, 46), (70, 38.5), (62, 32), (55, 37), (45, 41), (35, 42.5), (29, 46),
         (26.5, 54)],
        closed=False,
    )  # fmt: skip
    return [_crown(*locks)]


def _bangs() -> list[list[Point]]:
    edge = [(69.5, 40), (62, 39.5), (54, 39), (46, 39), (38, 39.5), (30.5, 40)]
    return [_crown((74.5, 58), (72, 50), *_scallops(edge, 3.0), (28, 50), (25.5, 58))]


def _curtain() -> list[list[Point]]:
    right = curve([(50, 24), (55, 32), (63, 38), (70, 44), (72.5, 56), (73.5, 68)], closed=False)
    return [_crown((77, 66), *reversed(right), *mirror(right)[::-1], (23, 66))]


def _zigzag() -> list[list[Point]]:
    spikes = [(76, 54), (73, 40), (67, 46), (63, 36), (56, 45), (51, 35), (44, 44.5), (39, 35),
              (33, 46), (28, 39), (24, 54)]  # fmt: skip
    crown = [
        (22, 44), (12, 37), (23, 32), (16, 20), (29, 22), (28, 8), (40, 15.5), (47, 3), (54, 14),
        (66, 5), (67, 18), (82, 14), (76, 28), (88, 33), (78, 44),
    ]  # fmt: skip
    return [[*crown, *spikes]]


_CURLS = [
    (27, 47, 7.0), (24, 36, 8.0), (29, 26, 8.0), (38, 18.5, 8.0), (50, 15.5, 8.5),
    (62, 18.5, 8.0), (71, 26, 8.0), (76, 36, 8.0), (73, 47, 7.0), (36, 33, 7.5), (45.5, 30, 8.5),
    (55, 30, 8.5), (64, 33, 7.5),
]  # fmt: skip


def _balls(scale: float = 1.0) -> list[list[Point]]:
    return [ellipse((x, y), (scale * r, scale * r)) for x, y, r in _CURLS]


def _cap() -> list[Point]:
    """What fills the gaps between the balls of curly hair."""
    return _crown((70, 37), (60, 35), (50, 34), (40, 35), (30, 37))


def _strands(style: str) -> list[list[Point]]:
    """Lines that show how the hair lies."""
    lines: dict[str, list[list[Point]]] = {
        "short": [[(62, 32), (52, 24), (42, 21)], [(55, 37), (45, 33), (36, 31)]],
        "bun": [[(62, 32), (55, 24), (51, 19)], [(40, 41), (42, 30), (47, 20)]],
        "bob": [[(46, 39), (45.5, 33), (47, 27)], [(62, 39.5), (61, 34), (58, 29)]],
        "twin tails": [[(50, 17), (50.5, 24), (50, 30)], [(38, 39.5), (39, 33), (42, 27)]],
        "long": [[(50, 24), (50.5, 20), (50, 17)], [(31, 44), (35, 35), (43, 27)],
                 [(69, 44), (65, 35), (57, 27)]],
        "spiky": [[(47, 10), (46, 18), (42, 26)], [(66, 12), (62, 20), (60, 27)]],
    }  # fmt: skip
    return [curve(line, closed=False) for line in lines.get(style, [])]


def _skull() -> list[Point]:
    return ellipse((50, 44), (27.5, 27))


def _bob_back() -> list[list[Point]]:
    half = [(50, 15.5), (33, 20), (22, 34), (18.5, 52), (17, 66), (20, 76), (32, 79.5), (50, 80)]
    return [curve([*half, *mirror(half)[1:-1]])]


def _long_back() -> list[list[Point]]:
    half = [(50, 15.5), (33, 20), (22, 34), (19, 52), (17, 70), (12, 86), (13, 104), (50, 104)]
    return [curve([*half, *mirror(half)[1:-1]])]


def _tails_back() -> list[list[Point]]:
    tail = curve(
        [(22, 34), (12, 34), (4.5, 45), (4, 61), (9, 75), (7, 86), (17, 79), (21, 64), (20, 48)]
    )
    return [_skull(), tail, mirror(tail)]


_BACK: dict[str, Callable[[], list[list[Point]]]] = {
    "short": lambda: [_skull()],
    "bob": _bob_back,
    "long": _long_back,
    "twin tails": _tails_back,
    "bun": lambda: [ellipse((50, 11), (11, 9.5)), _skull()],
    "curly": lambda: [ellipse((50, 42), (32, 31))],
    "spiky": lambda: [_skull()],
}
_FRONT: dict[str, Callable[[], list[list[Point]]]] = {
    "short": _swept,
    "bob": _bangs,
    "long": _curtain,
    "twin tails": _bangs,
    "bun": _swept,
    "curly": _balls,
    "spiky": _zigzag,
}
