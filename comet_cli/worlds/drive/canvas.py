"""A camera in a car, and a canvas that remembers for each pixel which surface it shows.

Coordinates are in metres: x to the right, y up, z ahead, with the camera at (0, EYE, 0). Places in
the picture are (u, v), to the right and down, each from 0 to 1.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

FOCAL = 0.85
HORIZON = 0.46
EYE = 1.75
NEAR = 0.8


class Part(IntEnum):
    """Mask numbers."""

    SKY = 0
    ROAD = 1
    MARK = 2
    LAND = 3
    TREE = 4
    HOUSE = 5
    CAR = 6


class Stuff(IntEnum):
    """What a surface is made of."""

    LAND = 0
    LEAF = 1
    BARK = 2
    WALL = 3
    ROOF = 4
    PAINT = 5
    DARK = 6
    GLASS = 7
    PANE = 8
    LAMP = 9
    BRAKE = 10
    LIT = 11


class Face(NamedTuple):
    """A surface that is drawn.

    Attributes:
        part: mask number.
        stuff: what it is made of.
        colour: sRGB in [0, 255].
        plane: p with p · (x, y - EYE, z) = 1 on the surface.
        normal: unit vector towards the outside.
        ball: u, v of the centre and the two radii if it is shaded as a rounded body.
    """

    part: Part
    stuff: Stuff
    colour: tuple[float, float, float]
    plane: Sequence[float]
    normal: Sequence[float]
    ball: Sequence[float] = (0.5, 0.5, 0.0, 0.0)


class Canvas:
    """Faces drawn one over the other, farthest first."""

    def __init__(self, side: int):
        """An empty canvas of `side` pixels."""
        self.side = side
        self.faces: list[Face] = []
        self._image = Image.new("I", (side, side), 0)
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, outline: list[float], face: Face) -> None:
        """Draw a polygon, given by its corners in pixels, x0, y0, x1, y1 ... (see `pixels`)."""
        self.faces.append(face)
        self._draw.polygon(outline, fill=len(self.faces))

    def numbers(self) -> np.ndarray:
        """(S, S) int32: 0 where nothing was drawn, i the i-th face, from 1."""
        return np.asarray(self._image)


def pixels(outlines: np.ndarray, side: int) -> list:
    """Outlines (..., n, 2) of places (u, v) as lists of 2n pixels for Pillow."""
    # For Pillow the middle of pixel i is i.
    return (outlines * side - 0.5).reshape(*outlines.shape[:-2], 2 * outlines.shape[-2]).tolist()


def project(points: np.ndarray) -> np.ndarray:
    """(..., 3) points before the camera to (..., 2) places (u, v)."""
    scale = FOCAL / points[..., 2]
    u = 0.5 + points[..., 0] * scale
    return np.stack([u, HORIZON - (points[..., 1] - EYE) * scale], axis=-1)


def clip_near(corners: np.ndarray) -> np.ndarray:
    """The part of a polygon (n, 3) that lies before the camera: (m, 3), m = 0 if there is none."""
    inside = corners[:, 2] >= NEAR
    if inside.all():
        return corners
    kept = []
    for one, other, in_one, in_other in zip(
        corners, np.roll(corners, -1, 0), inside, np.roll(inside, -1), strict=True
    ):
        if in_one:
            kept.append(one)
        if in_one != in_other:
            kept.append(one + (NEAR - one[2]) / (other[2] - one[2]) * (other - one))
    return np.array(kept).reshape(-1, 3)


def average(picture: np.ndarray, by: int) -> np.ndarray:
    """The means of blocks of `by` x `by` pixels of (S, S, 3)."""
    rows = picture[::by].copy()
    for i in range(1, by):
        rows += picture[i::by]
    means = rows[:, ::by].copy()
    for i in range(1, by):
        means += rows[:, i::by]
    return means / np.float32(by * by)


def ground_below(side: int) -> tuple[int, np.ndarray, np.ndarray]:
    """The ground of a picture of `side` pixels.

    Returns:
        The first row below the horizon, and x (rows, S) and z (rows, 1) of each pixel's middle.
    """
    first = int(np.ceil(HORIZON * side - 0.5 + 1e-6))
    v = (np.arange(first, side, dtype=np.float32)[:, None] + 0.5) / side
    z = FOCAL * EYE / (v - np.float32(HORIZON))
    u = (np.arange(side, dtype=np.float32)[None, :] + 0.5) / side
    return first, (u - np.float32(0.5)) * z / np.float32(FOCAL), z
