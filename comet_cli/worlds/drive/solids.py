"""Cars and houses as flat faces, in metres: x to the right, y up, z ahead, origin on the ground."""

import functools
from dataclasses import dataclass

import numpy as np

from comet_cli.worlds.drive.canvas import Stuff
from comet_cli.worlds.drive.layout import House

_TYRE = (30, 30, 33)
_PLATE = (232, 232, 224)
_GLASS = (62, 78, 92)
_LAMP = (240, 240, 220)
_BRAKE = (186, 26, 24)
_DOOR = (110, 72, 50)
_FRAME = (236, 234, 228)
FLOOR = 2.8


@dataclass(frozen=True)
class Solid:
    """Faces in the order in which they are drawn; those turned away are left out by the drawer.

    Attributes:
        corners: (F, 4, 3).
        normals: (F, 3), unit vectors to the outside.
        stuffs: F materials.
        colours: F colours, None for the thing's own.
        hulls: convex point sets (n, 3) that cast shadows.
    """

    corners: np.ndarray
    normals: np.ndarray
    stuffs: tuple[Stuff, ...]
    colours: tuple[tuple[int, int, int] | None, ...]
    hulls: tuple[np.ndarray, ...]


class _Builder:
    def __init__(self):
        self.rows: list = []
        self.hulls: list[np.ndarray] = []

    def frustum(self, low, high, stuff=Stuff.PAINT, colour=None) -> dict[str, np.ndarray]:
        """A box whose base and top are rectangles: (half width, z0, z1, y) each.

        Returns:
            The corners of its faces, each (4, 3): lower left, lower right, upper right, upper
            left, seen from outside.
        """
        (w, a, b, y), (p, c, d, t) = low, high
        base = [(-w, y, a), (w, y, a), (w, y, b), (-w, y, b)]
        top = [(-p, t, c), (p, t, c), (p, t, d), (-p, t, d)]
        sides = {"back": (0, 1), "right": (1, 2), "front": (2, 3), "left": (3, 0)}
        faces = {n: np.array([base[i], base[j], top[j], top[i]]) for n, (i, j) in sides.items()}
        faces["top"] = np.array([top[0], top[1], top[2], top[3]])
        for corners in faces.values():
            self.face(corners, stuff, colour)
        self.hulls.append(np.array(base + top))
        return faces

    def face(self, corners: np.ndarray, stuff: Stuff, colour=None) -> None:
        """A quadrilateral; its corners run counter-clockwise, seen from outside."""
        self.decal(corners, 0.0, 1.0, 0.0, 1.0, stuff, colour)

    def decal(self, corners: np.ndarray, left, right, low, high, stuff, colour) -> None:
        """A part of a face, in shares of its width and height."""
        self.rows.append((corners, (left, right, low, high), stuff, colour))

    def build(self) -> Solid:
        wholes, shares, stuffs, colours = zip(*self.rows, strict=True)
        whole, share = np.array(wholes), np.array(shares)
        # Bilinear weights of a whole face's corners at the four corners of its part.
        u, v = share[:, [0, 1, 1, 0]], share[:, [2, 2, 3, 3]]
        weights = np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], axis=2)
        # The diagonals' cross product; that of NumPy takes longer than all the rest.
        (a, b, c), (p, q, r) = (whole[:, 2] - whole[:, 0]).T, (whole[:, 1] - whole[:, 3]).T
        normals = np.stack([b * r - c * q, c * p - a * r, a * q - b * p], axis=1)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return Solid(weights @ whole, normals, stuffs, colours, tuple(self.hulls))


# Half width; z of the tail and the nose; height of the bonnet; then the cabin: half width, z of its
# tail and nose below and above, height of the roof.
_SHAPES = {
    "hatchback": (0.88, -1.95, 2.05, 0.95, 0.68, -1.85, 1.0, -1.5, 0.25, 1.5),
    "saloon": (0.91, -2.3, 2.4, 0.93, 0.68, -1.75, 1.1, -1.05, 0.35, 1.45),
    "van": (0.98, -2.4, 2.5, 1.1, 0.86, -2.38, 1.9, -2.3, 1.1, 2.1),
}


@functools.lru_cache(maxsize=8)
def car_solid(kind: str, oncoming: bool) -> Solid:
    """A car that drives ahead, its middle at the origin; `oncoming` if one sees its nose."""
    build = _Builder()
    if kind == "lorry":
        _wheels(build, 1.15, (-2.6, 2.5))
        # Both are convex, so the one behind is drawn first.
        for draw in (_box, _cab) if oncoming else (_cab, _box):
            draw(build)
        _hubs(build, 1.2, (-2.6, 2.5))
        return build.build()
    half, tail, nose, bonnet, *cabin_shape = _SHAPES[kind]
    _wheels(build, half, (tail + 0.75, nose - 0.8))
    body = build.frustum((half, tail, nose, 0.28), (half * 0.95, tail + 0.06, nose - 0.1, bonnet))
    _ends(build, body)
    _hubs(build, half, (tail + 0.75, nose - 0.8))
    roof_half, low_tail, low_nose, top_tail, top_nose, roof = cabin_shape
    low = (half * 0.93, low_tail, low_nose, bonnet)
    cabin = build.frustum(low, (roof_half, top_tail, top_nose, roof))
    for name in ("front", "back"):
        build.decal(cabin[name], 0.07, 0.93, 0.12, 0.88, Stuff.GLASS, _GLASS)
    for name in ("left", "right"):
        for start, end in ((0.08, 0.48), (0.53, 0.92)):
            build.decal(cabin[name], start, end, 0.1, 0.84, Stuff.GLASS, _GLASS)
    return build.build()


def _cab(build: _Builder) -> None:
    cab = build.frustum((1.15, 1.7, 3.6, 0.5), (1.1, 1.7, 3.4, 2.7))
    build.decal(cab["front"], 0.06, 0.94, 0.5, 0.9, Stuff.GLASS, _GLASS)
    for name in ("left", "right"):
        build.decal(cab[name], 0.25, 0.75, 0.5, 0.88, Stuff.GLASS, _GLASS)
    _ends(build, {"front": cab["front"]}, share=0.42)


def _box(build: _Builder) -> None:
    box = build.frustum((1.22, -3.6, 1.5, 0.75), (1.22, -3.6, 1.5, 3.3), colour=(214, 214, 210))
    build.decal(box["back"], 0.49, 0.51, 0.0, 1.0, Stuff.DARK, (120, 120, 120))
    for name in ("left", "right"):
        build.decal(box[name], 0.0, 1.0, 0.4, 0.62, Stuff.PAINT, None)
    build.decal(box["back"], 0.0, 1.0, 0.0, 0.12, Stuff.DARK, (52, 52, 56))
    for start in (0.03, 0.85):
        build.decal(box["back"], start, start + 0.12, 0.02, 0.1, Stuff.BRAKE, _BRAKE)


def _ends(build: _Builder, body: dict[str, np.ndarray], share: float = 1.0) -> None:
    """Lights, plates, bumpers and grille, in the lower `share` of a body's ends."""
    for name, stuff, colour in (("back", Stuff.BRAKE, _BRAKE), ("front", Stuff.LAMP, _LAMP)):
        if name not in body:
            continue
        build.decal(body[name], 0.0, 1.0, 0.0, 0.26 * share, Stuff.DARK, (44, 45, 48))
        build.decal(body[name], 0.36, 0.64, 0.2 * share, 0.42 * share, Stuff.PAINT, _PLATE)
        for start in (0.02, 0.78):
            low, high = 0.5 * share, 0.82 * share
            build.decal(body[name], start, start + 0.2, low, high, stuff, colour)
    build.decal(body["front"], 0.28, 0.72, 0.48 * share, 0.74 * share, Stuff.DARK, (34, 35, 38))


def _wheels(build: _Builder, half: float, axles: tuple[float, float]) -> None:
    """Tyres, seen below the body."""
    for z in axles:
        for side in (-1, 1):
            left, right = sorted((side * (half - 0.24), side * (half - 0.01)))
            for end in (-1, 1):
                row = [(left, 0.0), (right, 0.0), (right, 0.4), (left, 0.4)]
                corners = np.array([(x, y, z + 0.3 * end) for x, y in row])
                build.face(corners if end < 0 else corners[::-1], Stuff.DARK, _TYRE)


def _hubs(build: _Builder, half: float, axles: tuple[float, float]) -> None:
    """Wheels seen from the side: octagons of three quadrilaterals."""
    turns = np.radians(np.arange(22.5, 360, 45))
    ring = np.stack([0.34 * np.cos(turns), 0.33 + 0.34 * np.sin(turns)], axis=1)
    for z in axles:
        for side in (-1, 1):
            wheel = np.array([(side * (half + 0.01), y, z + side * x) for x, y in ring])
            for quad in ((0, 1, 2, 3), (0, 3, 4, 7), (4, 5, 6, 7)):
                build.face(wheel[list(quad)], Stuff.DARK, _TYRE)


def house_solid(house: House, facing: int, wall, roof) -> Solid:
    """A house, its middle at the origin; `facing` is the side of the road: -1 left, 1 right."""
    build = _Builder()
    half, reach = house.depth / 2, house.length / 2
    eaves = house.floors * FLOOR + 0.4
    base = (half, -reach, reach)
    walls = build.frustum((*base, 0.0), (*base, eaves), Stuff.WALL, wall)
    # The ridge runs across the road if a gable faces it, else along it.
    span = reach if house.gable else half
    rise = 0.75 * span
    slopes, gables = _roof(house, eaves, rise)
    for gable in gables:
        build.face(gable, Stuff.WALL, wall)
    street = walls["right" if facing < 0 else "left"]
    for face, breadth in ((street, house.length), (walls["back"], house.depth)):
        _windows(build, face, breadth, house, eaves, door=face is street)
    for slope in slopes:
        build.face(slope, Stuff.ROOF, roof)
    build.hulls = [np.concatenate([*build.hulls, *slopes])]
    return build.build()


def _roof(house: House, eaves: float, rise: float):
    """Two slopes with an overhang, and the two triangles below them."""
    half, reach = house.depth / 2, house.length / 2
    over, drop = 0.35, 0.26
    cross, along = (reach, half) if house.gable else (half, reach)

    def turned(points, flip: bool):
        """Points (across, y, along the ridge) in the house's own axes, normal to the outside."""
        array = np.array(points, float)
        array = array[:, [2, 1, 0]] if house.gable else array
        return array[::-1] if flip != house.gable else array

    slopes, gables = [], []
    for side in (-1, 1):
        edge = [(side * (cross + over), eaves - drop, end * (along + over)) for end in (-1, 1)]
        ridge = [(0.0, eaves + rise, end * (along + over)) for end in (1, -1)]
        slopes.append(turned([*edge, *ridge], flip=side < 0))
        low = [(end * cross, eaves, side * along) for end in (-1, 1)]
        top = (0.0, eaves + rise, side * along)
        gables.append(turned([*low, top, top], flip=side > 0))
    return slopes, gables


def _windows(build: _Builder, face, breadth: float, house: House, eaves: float, door: bool) -> None:
    """Rows of windows with frames, and a door."""
    count = max(2, round(breadth / 2.8))
    for floor in range(house.floors):
        low = (0.4 + floor * FLOOR + 0.9) / eaves
        for i in range(count):
            centre, wide = (i + 0.5) / count, 0.58 / breadth
            if door and floor == 0 and i == count // 2:
                build.decal(face, centre - wide, centre + wide, 0, 2.2 / eaves, Stuff.DARK, _DOOR)
                continue
            home = (int(10 * house.distance) + 3 * floor + 2 * i) % 5 < 3
            pane = Stuff.LIT if home else Stuff.PANE
            for grow, stuff, colour in ((0.14, Stuff.WALL, _FRAME), (0.0, pane, _GLASS)):
                build.decal(
                    face,
                    centre - wide - grow / breadth,
                    centre + wide + grow / breadth,
                    low - grow / eaves,
                    low + (1.35 + grow) / eaves,
                    stuff,
                    colour,
                )
