"""What a furnished room is made of: its parts, solids, measures and view.

Metres; x grows to the right, y away from the camera, z upwards, and the floor is z = 0.
"""

import enum
import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float, float]
Colour = tuple[float, float, float]

# Walls at x = -HALF and x = HALF, y = FRONT (behind the camera) and y = BACK.
HALF, FRONT, BACK, HEIGHT = 2.4, -4.7, 2.2, 2.7
# The camera turns to look here, wherever it stands.
TARGET: Point = (0.0, 0.6, 0.95)
FIELD_OF_VIEW = 56.0
LAMP_RADIUS = 0.16


class Part(enum.IntEnum):
    """What a pixel of the mask shows; the room is closed, so no pixel is 0."""

    FLOOR = 1
    WALLS = 2
    CEILING = 3
    WINDOW = 4
    RUG = 5
    SOFA = 6
    TABLE = 7
    SHELF = 8
    PLANT = 9
    PICTURE = 10
    CAT = 11
    LAMP = 12


@dataclass(frozen=True)
class Piece:
    """A solid of one colour.

    Attributes:
        part: what it belongs to.
        shape: `box`, `ball`, `can` (an upright cylinder with a lid), `panel` (a rectangle) or
            `leaf` (a rhombus); the last two stand upright and face -y before they are turned.
        at: the centre; of a can that of its foot.
        size: of a box its edges; of a ball its radius; of a can radius and height; of a panel or a
            leaf width and height.
        colour: linear reflectance (red, green, blue).
        turns: degrees about the room's x, y and z axes, in this order.
        finish: the texture that is seen on it (`planks`, `art`), or what shines (`sky`, `lantern`).
    """

    part: Part
    shape: str
    at: Point
    size: tuple[float, ...]
    colour: Colour
    turns: Point = (0.0, 0.0, 0.0)
    finish: str = ""

    @functools.cached_property
    def rotation(self) -> np.ndarray:
        """(3, 3): from the piece's own axes to those of the room."""
        matrix = np.eye(3)
        for axis, degrees in enumerate(self.turns):
            c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            one, other = (axis + 1) % 3, (axis + 2) % 3
            turn = np.eye(3)
            turn[[one, one, other, other], [one, other, one, other]] = c, -s, s, c
            matrix = turn @ matrix
        return matrix.astype(np.float32)

    @functools.cached_property
    def corners(self) -> np.ndarray:
        """(8, 3): the corners of a box around the piece, in the room."""
        width, depth, height = {
            "box": self.size,
            "ball": (2 * self.size[0],) * 3,
            "can": (2 * self.size[0], 2 * self.size[0], self.size[-1]),
        }.get(self.shape, (self.size[0], 0.0, self.size[-1]))
        half = np.array([width, depth, height]) / 2
        signs = np.array(list(itertools.product((-1, 1), repeat=3)))
        # A can stands on its `at`.
        middle = (0, 0, half[2] if self.shape == "can" else 0)
        return (middle + signs * half) @ self.rotation.T + self.at


@dataclass(frozen=True)
class View:
    """What differs between pictures.

    Attributes:
        intensity: of the lamp, 1 for the middle of its range.
        light: the centre of the lamp.
        camera: where the camera stands; it looks at TARGET.
    """

    intensity: float
    light: Point
    camera: Point

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors right, up and forward of the camera."""
        forward = np.subtract(TARGET, self.camera)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return right, np.cross(right, forward), forward

    def lamp(self) -> tuple[Piece, Piece]:
        """The lantern and the cord that it hangs on."""
        x, y, z = self.light
        cord = (0.015, HEIGHT - z)
        return (
            Piece(Part.LAMP, "ball", self.light, (LAMP_RADIUS,), (0.5, 0.5, 0.5), finish="lantern"),
            Piece(Part.LAMP, "can", (x, y, z), cord, (0.05, 0.05, 0.05)),
        )
