"""Drawn faces: head, eyes, brows, mouth and glasses, from words to pixels."""

from dataclasses import dataclass

import numpy as np

from comet_cli.worlds.toon import hair as toon_hair
from comet_cli.worlds.toon import light as toon_light
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

HAIR_COLOURS = {
    "black": (62, 56, 78),
    "brown": (124, 78, 52),
    "auburn": (170, 66, 48),
    "ginger": (240, 138, 58),
    "blond": (250, 212, 110),
    "silver": (216, 220, 232),
    "pink": (246, 142, 178),
    "blue": (84, 144, 226),
}
SKIN_COLOURS = {
    "porcelain": (255, 232, 218),
    "light": (250, 212, 182),
    "tan": (228, 176, 134),
    "brown": (178, 120, 84),
    "dark": (138, 92, 70),
}
BACKGROUNDS = {
    "cream": (250, 236, 206),
    "coral": (250, 158, 138),
    "rose": (238, 176, 200),
    "lilac": (194, 176, 236),
    "sky": (150, 204, 242),
    "mint": (158, 224, 194),
    "lemon": (248, 224, 120),
    "slate": (122, 138, 160),
}
MOUTHS = ("smile", "laugh", "sad", "surprised")
BROWS = ("level", "raised", "frown")
EYES = ("open", "happy", "sleepy", "wink")
GLASSES = ("none", "round", "square")
# Pixels are drawn finer than the picture's by this factor in both directions.
SUPERSAMPLING = 4
_DARK = (54, 36, 58)
_IRIS = (98, 64, 58)
_SHIRT = (247, 246, 240)
_EYE = (38.5, 56.5)
_FACE = [(26.2, 46), (27, 58), (31.5, 69), (39.5, 77), (50, 80.5)]


@dataclass(frozen=True)
class Face:
    """What is drawn; words are keys or members of this module's constants.

    Attributes:
        hair_colour: of HAIR_COLOURS.
        hair_style: of toon_hair.STYLES.
        skin: of SKIN_COLOURS.
        mouth: of MOUTHS.
        brows: of BROWS.
        eyes: of EYES.
        background: of BACKGROUNDS.
        light: where light comes from, in degrees: 0 from the right, 90 from above.
        glasses: of GLASSES.
    """

    hair_colour: str
    hair_style: str
    skin: str
    mouth: str
    brows: str
    eyes: str
    background: str
    light: float
    glasses: str


def draw_face(face: Face, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a face.

    Args:
        face: what to draw.
        size: R, pixels a side.

    Returns:
        (R, R, 3) uint8 sRGB, and (R, R) uint8 parts (`toon_drawing.Part` up to GLASSES) at the
        pixels' centres.
    """
    f = SUPERSAMPLING
    hair, skin = HAIR_COLOURS[face.hair_colour], SKIN_COLOURS[face.skin]
    drawing = Drawing(f * size, BACKGROUNDS[face.background])
    toon_hair.draw_back(drawing, face.hair_style, hair)
    _draw_body(drawing, skin)
    toon_hair.draw_front(drawing, face.hair_style, hair)
    _draw_eyes(drawing, face.eyes, skin, face.light)
    _draw_brows(drawing, face.brows, blend(hair, _DARK, 0.74))
    _draw_mouth(drawing, face.mouth, blend(skin, (88, 0, 28), 0.8))
    _draw_glasses(drawing, face.glasses)
    shaded = toon_light.light(drawing, face.light)
    image = shaded.reshape(size, f, size, f, 3).mean((1, 3))
    parts = np.array(drawing.parts)[f // 2 :: f, f // 2 :: f]
    parts[parts == Part.FRINGE] = Part.HAIR
    return np.round(image).astype(np.uint8), parts


def _draw_body(drawing: Drawing, skin: Colour) -> None:
    """Shoulders, neck, ears and an empty face."""
    ink, shade = blend(skin, (110, 30, 40), 0.5), blend(skin, (140, 50, 70), 0.3)
    half = [(9, 106), (14, 96), (24, 90.5), (38, 87.5), (50, 87)]
    shirt = [*curve([*half, *mirror(half)[1:]], closed=False)]
    drawing.fill(shirt, _SHIRT, Part.CLOTHES, (150, 142, 158))
    neck = [(42.5, 74), (42.5, 86), (45, 91.5), (50, 93), (55, 91.5), (57.5, 86), (57.5, 74)]
    drawing.fill(curve(neck), shade, Part.SKIN, ink)
    for side in (ellipse((26, 57), (4.2, 6)), ellipse((74, 57), (4.2, 6))):
        drawing.fill(side, skin, Part.SKIN, ink)
    for side in (ellipse((25.7, 57), (1.8, 3.2)), ellipse((74.3, 57), (1.8, 3.2))):
        drawing.fill(side, shade, None)
    brow = [(30, 33), (39, 25), (50, 22.5)]
    outline = curve([*_FACE, *mirror(_FACE)[1:], *mirror(brow), *brow[::-1][1:]])
    drawing.fill(outline, skin, Part.SKIN, ink)
    blush = blend(skin, (255, 96, 110), 0.30)
    for side in (ellipse((33.5, 66.3), (4.6, 2.7)), ellipse((66.5, 66.3), (4.6, 2.7))):
        drawing.fill(side, blush, None)
    nose = curve([(49.2, 63.6), (50.5, 64.6), (51.4, 63.6)], closed=False)
    drawing.stroke(nose, ink, None, 1.1)


def _draw_eyes(drawing: Drawing, eyes: str, skin: Colour, azimuth: float) -> None:
    for side in (-1, 1):
        closed = eyes == "happy" or (eyes == "wink" and side == 1)
        if closed:
            arc = ellipse(_at(side, *_EYE), (5.4, 4.6), 195, 345)
            arc = [(x, y + 2.0) for x, y in arc]
            drawing.stroke(arc, _DARK, Part.FEATURES, 1.9)
        else:
            _draw_open_eye(drawing, side, 0.52 if eyes == "sleepy" else 0.0, skin, azimuth)


def _draw_open_eye(drawing: Drawing, side: int, lid: float, skin: Colour, azimuth: float) -> None:
    """An eye whose upper lid covers a share of it."""
    x, y = _at(side, *_EYE)
    rx, ry = 5.6, 6.7
    part = Part.FEATURES
    drawing.fill(ellipse((x, y), (rx, ry)), (255, 255, 255), part)
    x -= 0.5 * side
    drawing.fill(ellipse((x, y + 0.4), (4.3, 5.7)), blend(_IRIS, _DARK, 0.55), part)
    drawing.fill(ellipse((x, y + 2.2), (3.3, 3.6)), blend(_IRIS, (232, 160, 110), 0.45), part)
    drawing.fill(ellipse((x, y + 0.6), (2.1, 2.9)), (36, 22, 40), part)
    # The catch light is where the light is.
    towards = np.exp(-1j * np.radians(azimuth))
    glint = (x + 1.9 * towards.real, y - 0.3 + 2.7 * towards.imag)
    drawing.fill(ellipse(glint, (1.5, 1.7)), (255, 255, 255), part)
    other = (x - 1.8 * towards.real, y + 0.8 - 2.6 * towards.imag)
    drawing.fill(ellipse(other, (0.7, 0.8)), (255, 255, 255), part)
    x += 0.5 * side
    if lid:
        bottom = y - ry + 2 * ry * lid
        cover = [*ellipse((x, y), (rx + 0.5, ry + 0.6), 180, 360)]
        reach = rx * (1 - ((bottom - y) / ry) ** 2) ** 0.5
        cover += [(x + rx + 0.5, bottom), (x - rx - 0.5, bottom)]
        drawing.fill(cover, skin, Part.SKIN)
        lash = curve([(x - reach, bottom), (x, bottom + 0.9), (x + reach, bottom)], closed=False)
    else:
        lash = ellipse((x, y + 0.3), (rx + 0.1, ry + 0.2), 198, 342)
    drawing.stroke(lash, _DARK, part, 1.8)
    tip = lash[-1] if side == 1 else lash[0]
    drawing.stroke([tip, (tip[0] + 1.6 * side, tip[1] - 0.9)], _DARK, part, 1.3)


def _draw_brows(drawing: Drawing, brows: str, colour: Colour) -> None:
    # Heights at the inner end, the middle and the outer end.
    inner, middle, outer = {
        "level": (46.2, 45.0, 46.2),
        "raised": (41.2, 38.8, 41.6),
        "frown": (49.0, 46.0, 43.6),
    }[brows]
    for side in (-1, 1):
        points = [_at(side, 43.8, inner), _at(side, 38, middle), _at(side, 32.4, outer)]
        drawing.stroke(curve(points, closed=False), colour, Part.FEATURES, 2.0)


def _draw_mouth(drawing: Drawing, mouth: str, lip: Colour) -> None:
    part = Part.FEATURES
    if mouth == "smile":
        arc = ellipse((50, 67.6), (6.6, 4.6), 20, 160)
        drawing.stroke(arc, lip, part, 1.8)
    elif mouth == "laugh":
        open_ = ellipse((50, 68.4), (7.2, 7.0), 0, 180)
        drawing.fill(open_, (150, 40, 56), part, lip, 1.3)
        drawing.fill(ellipse((50, 73.6), (3.6, 1.7)), (244, 124, 128), part)
        teeth = [(43.6, 68.7), (56.4, 68.7), (55.5, 70.5), (44.5, 70.5)]
        drawing.fill(teeth, (255, 255, 255), part)
    elif mouth == "sad":
        arc = ellipse((50, 74.4), (5.6, 4.4), 205, 335)
        drawing.stroke(arc, lip, part, 1.8)
    else:
        drawing.fill(ellipse((50, 71.6), (3.1, 3.9)), (150, 40, 56), part, lip, 1.3)
        drawing.fill(ellipse((50, 73.6), (1.9, 1.2)), (244, 124, 128), part)


def _draw_glasses(drawing: Drawing, glasses: str) -> None:
    if glasses == "none":
        return
    frame = (150, 42, 58) if glasses == "round" else (40, 46, 84)
    for side in (-1, 1):
        x, y = _at(side, *_EYE)
        if glasses == "round":
            rim = ellipse((x, y), (9.2, 9.2))
        else:
            corners: list[Point] = []
            for quarter, (dx, dy) in enumerate(
                ((7.2, 5.2), (-7.2, 5.2), (-7.2, -5.2), (7.2, -5.2))
            ):
                start = 90 * quarter
                corners += ellipse((x + dx, y + dy), (2.2, 2.2), start, start + 90)
            rim = corners
        drawing.stroke([*rim, rim[0]], frame, Part.GLASSES, 1.6)
        edge = 9.3
        temple = [_at(side, 38.5 - edge, 55), _at(side, 25.5, 53.5)]
        drawing.stroke(temple, frame, Part.GLASSES, 1.5)
    bridge = curve([(47.6, 55.6), (50, 54.4), (52.4, 55.6)], closed=False)
    drawing.stroke(bridge, frame, Part.GLASSES, 1.6)


def _at(side: int, x: float, y: float) -> Point:
    """A place on the left half of the picture (side -1), or its mirror image (side 1)."""
    return (x, y) if side == -1 else (100 - x, y)
