"""The furniture of the room, built from boxes, balls, cans, panels and leaves."""

import functools
import math

import numpy as np

from comet_cli.worlds.room.scene import BACK, FRONT, HALF, HEIGHT, Colour, Part, Piece

WHITE: Colour = (0.84, 0.83, 0.80)
CREAM: Colour = (0.80, 0.71, 0.56)
SAGE: Colour = (0.34, 0.62, 0.60)
CORAL: Colour = (0.82, 0.36, 0.25)
MUSTARD: Colour = (0.88, 0.50, 0.07)
OCHRE: Colour = (0.74, 0.36, 0.05)
RED: Colour = (0.68, 0.11, 0.11)
NAVY: Colour = (0.09, 0.20, 0.44)
OAK: Colour = (0.56, 0.36, 0.19)
WALNUT: Colour = (0.30, 0.15, 0.07)
FUR: Colour = (0.045, 0.04, 0.05)


@functools.cache
def furniture() -> tuple[Piece, ...]:
    """All that is the same in every picture."""
    return (
        *_shell(),
        *_window(),
        *_picture(),
        *_rug(),
        *_sofa(),
        *_table(),
        *_shelf(),
        *_plant(),
        *_cat(),
    )


def _shell() -> list[Piece]:
    depth, y, z = BACK - FRONT, (BACK + FRONT) / 2, HEIGHT / 2
    around, beside = (2 * HALF, HEIGHT), (depth, HEIGHT)
    flat = (2 * HALF, depth)
    return [
        Piece(Part.FLOOR, "panel", (0, y, 0), flat, OAK, (-90, 0, 0), "planks"),
        Piece(Part.CEILING, "panel", (0, y, HEIGHT), flat, (0.92, 0.91, 0.87), (90, 0, 0)),
        Piece(Part.WALLS, "panel", (0, BACK, z), around, SAGE),
        Piece(Part.WALLS, "panel", (0, FRONT, z), around, CREAM, (0, 0, 180)),
        Piece(Part.WALLS, "panel", (-HALF, y, z), beside, CREAM, (0, 0, 90)),
        Piece(Part.WALLS, "panel", (HALF, y, z), beside, CORAL, (0, 0, -90)),
        # Skirting boards draw the line between floor and wall.
        Piece(Part.WALLS, "box", (0, BACK, 0.05), (2 * HALF, 0.04, 0.1), WHITE),
        Piece(Part.WALLS, "box", (-HALF, y, 0.05), (0.04, depth, 0.1), WHITE),
        Piece(Part.WALLS, "box", (HALF, y, 0.05), (0.04, depth, 0.1), WHITE),
    ]


def _window() -> list[Piece]:
    x, y, z = -HALF, 0.85, 1.6
    width, height = 1.5, 1.35
    pane = Piece(
        Part.WINDOW,
        "panel",
        (x + 0.01, y, z),
        (width, height),
        (0.08, 0.08, 0.1),
        (0, 0, 90),
        "sky",
    )
    boxes = [((x + 0.08, y, z - height / 2 - 0.05), (0.24, width + 0.2, 0.06))]
    for side in (-0.5, 0.0, 0.5):
        boxes.append(((x, y + side * width, z), (0.12, 0.08, height + 0.08)))
        boxes.append(((x, y, z + side * height), (0.12, width, 0.08)))
    return [pane, *(Piece(Part.WINDOW, "box", at, size, WHITE) for at, size in boxes)]


def _picture() -> list[Piece]:
    x, z, width, height = -0.25, 1.72, 1.25, 0.85
    frame = (width + 0.12, 0.05, height + 0.12)
    return [
        Piece(Part.PICTURE, "box", (x, BACK - 0.025, z), frame, WALNUT),
        Piece(
            Part.PICTURE,
            "panel",
            (x, BACK - 0.06, z),
            (width, height),
            (0.5, 0.4, 0.35),
            finish="art",
        ),
    ]


def _rug() -> list[Piece]:
    rings = ((1.3, CREAM), (1.12, RED), (0.9, CREAM), (0.62, NAVY))
    # Height tells the rings apart; more of it would show their sides.
    return [
        Piece(Part.RUG, "can", (0.0, -0.35, 0), (radius, 0.004 + 0.002 * step), colour)
        for step, (radius, colour) in enumerate(rings)
    ]


def _sofa() -> list[Piece]:
    boxes = [
        ((-0.25, 1.5, 0.26), (2.0, 0.9, 0.24), OCHRE),
        ((-0.72, 1.42, 0.44), (0.92, 0.8, 0.16), MUSTARD),
        ((0.22, 1.42, 0.44), (0.92, 0.8, 0.16), MUSTARD),
        ((-0.25, 1.9, 0.62), (2.0, 0.24, 0.56), MUSTARD),
        ((-1.34, 1.5, 0.40), (0.22, 0.92, 0.54), OCHRE),
        ((0.84, 1.5, 0.40), (0.22, 0.92, 0.54), OCHRE),
    ]
    pieces = [Piece(Part.SOFA, "box", at, size, colour) for at, size, colour in boxes]
    for x in (-1.3, 0.8):
        for y in (1.12, 1.85):
            pieces.append(Piece(Part.SOFA, "can", (x, y, 0), (0.04, 0.15), WALNUT))
    for x, turn, colour in ((-0.95, 12.0, RED), (0.42, -10.0, NAVY)):
        cushion = (0.44, 0.14, 0.42)
        pieces.append(Piece(Part.SOFA, "box", (x, 1.68, 0.71), cushion, colour, (-20, 0, turn)))
    return pieces


def _table() -> list[Piece]:
    x, y = 0.1, -0.35
    pieces = [Piece(Part.TABLE, "can", (x, y, 0.38), (0.52, 0.05), WALNUT)]
    for angle in (30, 150, 270):
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        pieces.append(
            Piece(Part.TABLE, "can", (x + 0.38 * c, y + 0.38 * s, 0), (0.03, 0.38), WALNUT)
        )
    book = (0.34, 0.24, 0.06)
    pieces.append(Piece(Part.TABLE, "can", (x - 0.2, y + 0.05, 0.43), (0.1, 0.17), WHITE))
    pieces.append(Piece(Part.TABLE, "box", (x + 0.2, y - 0.08, 0.46), book, CORAL, (0, 0, 20)))
    return pieces


def _shelf() -> list[Piece]:
    """Against the right wall, open towards the room."""
    x, y, width, height, depth = HALF - 0.19, 0.8, 1.15, 1.75, 0.36
    levels = [0.06 + step * (height - 0.09) / 4 for step in range(5)]
    boxes = [((x, y + side * width / 2, height / 2), (depth, 0.05, height)) for side in (-1, 1)]
    boxes += [((x, y, level), (depth, width, 0.05)) for level in levels]
    boxes.append(((HALF - 0.02, y, height / 2), (0.02, width, height)))
    pieces = [Piece(Part.SHELF, "box", at, size, OAK) for at, size in boxes]
    spines = (RED, NAVY, MUSTARD, WHITE, (0.12, 0.40, 0.28))
    rng = np.random.default_rng(5)
    for level in levels[:-1]:
        place, number = y - width / 2 + 0.05, int(rng.integers(5))
        while place < y + width / 2 - 0.2:
            thick, tall = (float(edge) for edge in rng.uniform((0.09, 0.24), (0.15, 0.34)))
            at = (x - 0.04, place + thick / 2, level + 0.025 + tall / 2)
            number += 1 + int(rng.integers(4))
            book = (0.24, thick * 0.95, tall)
            pieces.append(Piece(Part.SHELF, "box", at, book, spines[number % 5]))
            place += thick if rng.random() < 0.8 else thick + 0.15
    return pieces


def _plant() -> list[Piece]:
    x, y, foot = 1.42, 1.68, 0.36
    pieces = [Piece(Part.PLANT, "can", (x, y, 0), (0.2, 0.38), WHITE)]
    for count, tilt, length in ((7, 52.0, 0.62), (6, 30.0, 0.82), (3, 10.0, 0.95)):
        for step in range(count):
            turn = 360 * (step + 0.3) / count
            reach = length / 2 * math.sin(math.radians(tilt))
            way = math.radians(turn)
            at = (
                x + reach * math.sin(way),
                y - reach * math.cos(way),
                foot + length / 2 * math.cos(math.radians(tilt)),
            )
            shade = step % 3
            green = (0.08 + 0.05 * shade, 0.34 + 0.09 * shade, 0.12)
            pieces.append(Piece(Part.PLANT, "leaf", at, (0.22, length), green, (tilt, 0, turn)))
    return pieces


def _cat() -> list[Piece]:
    """It sits on the rug beside the table and looks at the camera."""
    x, y = -0.95, -0.55
    pieces = [
        Piece(Part.CAT, "ball", (x, y + 0.04, 0.15), (0.15,), FUR),
        Piece(Part.CAT, "ball", (x, y, 0.27), (0.11,), FUR),
        Piece(Part.CAT, "ball", (x, y - 0.03, 0.42), (0.105,), FUR),
        Piece(Part.CAT, "ball", (x, y - 0.10, 0.25), (0.05,), WHITE),
    ]
    for side in (-1, 1):
        ear = (x + side * 0.065, y - 0.03, 0.52)
        pieces.append(Piece(Part.CAT, "leaf", ear, (0.09, 0.16), FUR))
        eye = (x + side * 0.045, y - 0.115, 0.435)
        pieces.append(Piece(Part.CAT, "ball", eye, (0.024,), (0.75, 0.80, 0.15)))
    for step in range(5):
        angle = math.radians(-20 + 38 * step)
        at = (x + 0.10 + 0.13 * math.sin(angle), y + 0.12 - 0.13 * math.cos(angle), 0.05)
        pieces.append(Piece(Part.CAT, "ball", at, (0.042,), FUR))
    return pieces
