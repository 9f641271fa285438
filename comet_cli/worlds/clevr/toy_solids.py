"""Closed smooth surfaces out of triangles: surfaces of revolution, lofts, rounded boxes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Between two control points of a profile.
_STEPS = 2


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed surface.

    Attributes:
        vertices: (V, 3) float64.
        triangles: (T, 3) int, numbers of vertices, counter-clockwise as seen from outside.
        faces: (T,) int: triangles of one number look smooth together.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    faces: np.ndarray

    @cached_property
    def normals(self) -> np.ndarray:
        """(V, 3) unit vectors outwards: the mean of the triangles around, weighted by area."""
        crosses = _crosses(self.vertices, self.triangles)
        total = np.zeros_like(self.vertices)
        for corner in range(3):
            np.add.at(total, self.triangles[:, corner], crosses)
        return total / np.linalg.norm(total, axis=1, keepdims=True)

    def moved(self, x: float, y: float, z: float) -> Solid:
        """The same, translated."""
        return Solid(self.vertices + (x, y, z), self.triangles, self.faces)

    def turned(self, axis: int, degrees: float) -> Solid:
        """The same, turned about the axis 0 (x), 1 (y) or 2 (z) through the origin."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = np.eye(3)
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn[one, one], turn[one, other], turn[other, one], turn[other, other] = c, -s, s, c
        return Solid(self.vertices @ turn.T, self.triangles, self.faces)


@dataclass(frozen=True)
class Ring:
    """A horizontal ellipse at the height z, centred on (x, 0); without extent it is a point."""

    z: float
    x: float
    length: float
    width: float


def loft(rings: Sequence[Ring], around: int, sides: bool = False) -> Solid:
    """A surface through horizontal ellipses.

    Args:
        rings: from one pole to the other; both ends are points. The inside lies to the left of
            the profile seen as (radius, z) from its first to its last point.
        around: vertices of a ring.
        sides: whether caps and flanks are faces of their own.
    """
    angle = np.arange(around) * 2 * math.pi / around
    body = [
        np.stack(
            [
                ring.x + ring.length * np.cos(angle),
                ring.width * np.sin(angle),
                np.full(around, ring.z),
            ],
            axis=1,
        )
        for ring in rings[1:-1]
    ]
    poles = [[ring.x, 0.0, ring.z] for ring in (rings[0], rings[-1])]
    vertices = np.concatenate([*body, np.array(poles)])
    this = np.arange(around)
    following = np.roll(this, -1)
    bottom, top = len(vertices) - 2, len(vertices) - 1
    triangles = [np.stack([np.full(around, bottom), following, this], axis=1)]
    for start in range(0, bottom - around, around):
        low, low_next = this + start, following + start
        high, high_next = low + around, low_next + around
        triangles += [
            np.stack([low, low_next, high_next], axis=1),
            np.stack([low, high_next, high], axis=1),
        ]
    last = bottom - around
    triangles.append(np.stack([this + last, following + last, np.full(around, top)], axis=1))
    return _solid(vertices, np.concatenate(triangles), sides)


def revolve(profile: Sequence[tuple[float, float]], around: int, sides: bool = False) -> Solid:
    """The surface of revolution of points (radius, z), from the lower pole to the upper one."""
    return loft([Ring(z, 0.0, radius, radius) for radius, z in profile], around, sides)


def ellipsoid(radii: tuple[float, float, float], around: int) -> Solid:
    """An ellipsoid around the origin."""
    angles = np.linspace(-math.pi / 2, math.pi / 2, around // 2 + 1)
    rings = [
        Ring(radii[2] * math.sin(a), 0.0, radii[0] * math.cos(a), radii[1] * math.cos(a))
        for a in angles
    ]
    return loft(rings, around)


def disc(radius: float, thickness: float, bevel: float, around: int) -> Solid:
    """A flat round body around the origin with its axis along y, such as a wheel."""
    half = thickness / 2
    flank = [(radius - bevel, -half), (radius, bevel - half)]
    profile = [(0.0, -half), *flank, *[(r, -z) for r, z in reversed(flank)], (0.0, half)]
    return revolve(profile, around, sides=True).turned(0, 90)


def box(low: tuple[float, float, float], high: tuple[float, float, float], bevel: float) -> Solid:
    """A box between two corners with rounded edges."""
    # A cube's surface on a grid of four planes an axis: between the outer two at either end it is
    # bent into the bevel, an eighth of a circle; the other eighth is its neighbour's.
    grid = 4
    index: dict[tuple[int, int, int], int] = {}
    triangles = []
    for axis, end in itertools.product(range(3), (0, grid - 1)):
        for u, v in itertools.product(range(grid - 1), repeat=2):
            corners = [(u, v), (u + 1, v), (u + 1, v + 1), (u, v + 1)]
            if end == 0:
                corners.reverse()
            ring = [
                index.setdefault(_cell(axis, end, one, other), len(index)) for one, other in corners
            ]
            triangles += [ring[:3], [ring[0], ring[2], ring[3]]]
    cells = np.array(list(index))
    outwards = np.array([-1.0, 0.0, 0.0, 1.0])[cells]
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    inner = np.where(cells < grid // 2, np.asarray(low) + bevel, np.asarray(high) - bevel)
    return _solid(inner + bevel * outwards, np.array(triangles), sides=True)


def _cell(axis: int, end: int, one: int, other: int) -> tuple[int, int, int]:
    place = [0, 0, 0]
    place[axis], place[(axis + 1) % 3], place[(axis + 2) % 3] = end, one, other
    return place[0], place[1], place[2]


def smooth(points: Sequence[Sequence[float]], steps: int = _STEPS) -> np.ndarray:
    """Points on a curve through `points` (N, D) that does not overshoot.

    Returns:
        ((N - 1) steps + 1, D) points of a cubic Hermite curve whose slopes are those of a monotone
        interpolation (Fritsch and Butland 1984): harmonic means, zero at extremes.
    """
    p = np.asarray(points, float)
    rise = np.diff(p, axis=0)
    product = rise[1:] * rise[:-1]
    total = rise[1:] + rise[:-1]
    inner = np.where(product > 0, 2 * product / np.where(total == 0, 1, total), 0)
    slope = np.concatenate([rise[:1], inner, rise[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [
        p[i] + rise[i] * (3 - 2 * t) * t**2 + slope[i] * t * (1 - t) ** 2
        - slope[i + 1] * t**2 * (1 - t)
        for i in range(len(p) - 1)
    ]  # fmt: skip
    return np.concatenate([*pieces, p[-1:]])


def _solid(vertices: np.ndarray, triangles: np.ndarray, sides: bool) -> Solid:
    """With `sides`, a face for each of the six directions along the axes."""
    if not sides:
        return Solid(vertices, triangles, np.zeros(len(triangles), int))
    crosses = _crosses(vertices, triangles)
    axis = np.abs(crosses).argmax(1)
    ahead = np.take_along_axis(crosses, axis[:, None], 1)[:, 0] > 0
    return Solid(vertices, triangles, 2 * axis + ahead)


def _crosses(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T, 3) vectors outwards, of twice the triangle's area."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)
