"""A layout drawn as surfaces: what each pixel shows, without colour or light."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from comet_cli.worlds.drive import canvas as drive_canvas
from comet_cli.worlds.drive.canvas import EYE, FOCAL, HORIZON, NEAR, Canvas, Face, Stuff
from comet_cli.worlds.drive.canvas import Part as P
from comet_cli.worlds.drive.layout import (
    CAR_COLOURS,
    ROOF_COLOURS,
    WALL_COLOURS,
    Car,
    House,
    Layout,
    Tree,
)
from comet_cli.worlds.drive.solids import Solid, car_solid, house_solid

# Canvas pixels to one pixel of the picture, along each axis.
FINE = 3
_BARK = (92, 70, 52)
_HILL = (92, 118, 112)
_WOOD = (58, 88, 52)
_HILL_DISTANCE, _WOOD_DISTANCE = 1500.0, 320.0


@dataclass(frozen=True)
class Placed:
    """A thing in the camera's coordinates; `solid` is None for a tree."""

    thing: Tree | House | Car
    where: tuple[float, float, float]
    part: P
    solid: Solid | None

    @property
    def order(self) -> float:
        """Greater is drawn earlier."""
        # Whatever stands beside a house stands between it and the road, so before it.
        return self.where[1] + (self.thing.length / 2 if isinstance(self.thing, House) else 0)

    def turned(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the thing's own axes in the camera's."""
        x, z, heading = self.where
        if isinstance(self.thing, Car) and self.thing.oncoming:
            heading += math.pi
        cos, sin = math.cos(heading), math.sin(heading)
        px, py, pz = points[..., 0], points[..., 1], points[..., 2]
        return np.stack([x + px * cos + pz * sin, py, z + pz * cos - px * sin], axis=-1)


@dataclass(frozen=True)
class Scene:
    """What a canvas of S pixels a side shows.

    Attributes:
        layout: what it was made from.
        placed: the things that stand in it.
        faces: of the things and the skyline.
        numbers: (S, S) int32, the face of each pixel, from 1; 0 for road, land and sky.
        first: the first row below the horizon.
        along: (S - first, S) float32, of the ground: metres along the road.
        lateral: the same, metres to the right of its centre line.
        x: the same, metres to the right of the camera.
        z: (S - first, 1) float32, metres ahead.
        ground: (S - first, S) uint8, the part that the ground is: road, mark or land.
        mask: (R, R) uint8, the part that most of a pixel of the picture shows.
    """

    layout: Layout
    placed: tuple[Placed, ...]
    faces: tuple[Face, ...]
    numbers: np.ndarray
    first: int
    along: np.ndarray
    lateral: np.ndarray
    x: np.ndarray
    z: np.ndarray
    ground: np.ndarray
    mask: np.ndarray


def draw_scene(layout: Layout, size: int) -> Scene:
    """Draw a layout for a picture of `size` pixels."""
    side = FINE * size
    canvas = Canvas(side)
    _draw_skyline(canvas, layout)
    things: list[Tree | House | Car] = [*layout.houses, *layout.trees, *layout.cars]
    placed = tuple(_place(layout, thing) for thing in things)
    for each in sorted(placed, key=lambda p: -p.order):
        if each.solid is not None:
            _draw_solid(canvas, each)
        else:
            _draw_tree(canvas, each)
    first, x, z = drive_canvas.ground_below(side)
    along, lateral = layout.road.coordinates(x, z)
    ground = _ground_parts(layout, along, lateral)
    numbers = canvas.numbers()
    parts = np.array([0, *(face.part for face in canvas.faces)], np.uint8)[numbers]
    below = parts[first:]
    parts[first:] = np.where(numbers[first:] == 0, ground, below)
    return Scene(
        layout=layout,
        placed=placed,
        faces=tuple(canvas.faces),
        numbers=numbers,
        first=first,
        along=along,
        lateral=lateral,
        x=x,
        z=z,
        ground=ground,
        mask=_majority(parts, size),
    )


def _majority(parts: np.ndarray, size: int) -> np.ndarray:
    """The part that has most of the canvas pixels of each pixel."""
    line = np.arange(FINE * size) // FINE
    bins = (line[:, None] * size + line[None, :]) * len(P) + parts
    counts = np.bincount(bins.ravel(), minlength=size * size * len(P))
    return counts.reshape(size, size, len(P)).argmax(2).astype(np.uint8)


def _ground_parts(layout: Layout, along: np.ndarray, lateral: np.ndarray) -> np.ndarray:
    road = layout.road
    parts = np.where(np.abs(lateral) < road.half, np.uint8(P.ROAD), np.uint8(P.LAND))
    marked = np.zeros(parts.shape, bool)
    dash = (along + road.phase) % 9.0 < 4.0
    for lane in range(1, road.lanes):
        line = road.lane_middle(lane) - (road.lane_middle(1) - road.lane_middle(0)) / 2
        away = np.abs(lateral - line)
        if lane != road.lanes // 2 or road.marks == "dashed":
            marked |= (away < 0.09) & dash
        elif road.marks == "solid":
            marked |= away < 0.09
        else:
            marked |= (away > 0.07) & (away < 0.21)
    # A pavement has its kerb instead.
    if road.verge != "pavement":
        marked |= np.abs(np.abs(lateral) - (road.half - 0.28)) < 0.09
    parts[marked] = P.MARK
    return parts


def _place(layout: Layout, thing: Tree | House | Car) -> Placed:
    road = layout.road
    if isinstance(thing, Tree):
        where = road.place(thing.distance, thing.lateral)
        return Placed(thing, where, P.TREE, None)
    if isinstance(thing, House):
        where = road.place(thing.distance, thing.lateral)
        wall, roof = WALL_COLOURS[thing.wall], ROOF_COLOURS[thing.roof]
        facing = 1 if thing.lateral > 0 else -1
        return Placed(thing, where, P.HOUSE, house_solid(thing, facing, wall, roof))
    where = road.place(thing.distance, road.lane_middle(thing.lane))
    return Placed(thing, where, P.CAR, car_solid(thing.kind, thing.oncoming))


def _draw_solid(canvas: Canvas, placed: Placed) -> None:
    solid = placed.solid
    assert solid is not None
    corners = placed.turned(solid.corners)
    if corners[..., 2].max() < NEAR:
        return
    origin = np.zeros(3)
    normals = placed.turned(solid.normals) - placed.turned(origin)
    from_eye = corners - (0.0, EYE, 0.0)
    distances = np.einsum("fi,fi->f", normals, from_eye[:, 0])
    planes = normals / np.where(np.abs(distances) < 1e-6, 1e-6, distances)[:, None]
    clipped = np.any(corners[..., 2] < NEAR, axis=1)
    flat = drive_canvas.project(np.where(clipped[:, None, None], 1.0, corners))
    outside = (flat[..., 0].max(1) < 0) | (flat[..., 0].min(1) > 1)
    own = CAR_COLOURS[placed.thing.colour] if isinstance(placed.thing, Car) else (0, 0, 0)
    shown = np.flatnonzero((distances < -1e-6) & (clipped | ~outside))
    outlines = drive_canvas.pixels(flat[shown], canvas.side)
    rows = zip(shown.tolist(), planes[shown].tolist(), normals[shown].tolist(), strict=True)
    for (i, plane, normal), outline in zip(rows, outlines, strict=True):
        if clipped[i]:
            before = drive_canvas.clip_near(corners[i])
            if len(before) < 3:
                continue
            outline = drive_canvas.pixels(drive_canvas.project(before), canvas.side)
        colour = solid.colours[i] or own
        canvas.fill(outline, Face(placed.part, solid.stuffs[i], colour, plane, normal))


def _draw_tree(canvas: Canvas, placed: Placed) -> None:
    x, z, _ = placed.where
    tree = placed.thing
    assert isinstance(tree, Tree)
    if z < 3 or abs(x) > (0.5 / FOCAL) * z + 4:
        return
    plane = (0.0, 0.0, 1 / z)
    scale = FOCAL / z
    u0, v0 = 0.5 + x * scale, HORIZON + EYE * scale
    trunk = trunk_height(tree)
    if trunk:
        wide = (0.022 * tree.height + 0.06) * scale
        top = v0 - (trunk + 0.15 * tree.height) * scale
        outline = np.array([(-1, v0), (1, v0), (0.7, top), (-0.7, top)]) * (wide, 1) + (u0, 0)
        bark = Face(P.TREE, Stuff.BARK, _BARK, plane, (0.0, 0.0, -1.0), (u0, v0, wide, 9.0))
        canvas.fill(drive_canvas.pixels(outline, canvas.side), bark)
    colour = leaf_colour(tree)
    for cx, cy, rx, ry, shape in crown(tree):
        u, v = u0 + cx * scale, v0 - cy * scale
        ball = (u, v, rx * scale, ry * scale)
        # The part of the crown that a clump is on tells how much light it gets from where.
        nx, ny = cx / crown_radius(tree), (cy - (trunk + tree.height) / 2) / (tree.height - trunk)
        ny = 1.6 * ny + 0.15
        length = math.sqrt(nx * nx + ny * ny + 0.25)
        normal = (nx / length, ny / length, -0.5 / length)
        outline = shape * (rx * scale, -ry * scale) + (u, v)
        face = Face(P.TREE, Stuff.LEAF, colour, plane, normal, ball)
        canvas.fill(drive_canvas.pixels(outline, canvas.side), face)


def trunk_height(tree: Tree) -> float:
    """Height of the crown's lowest leaves above the ground."""
    return {"broadleaf": 0.28, "poplar": 0.12, "conifer": 0.1, "bush": 0.0}[tree.kind] * tree.height


def crown_radius(tree: Tree) -> float:
    """Half the width of a crown."""
    shares = {"broadleaf": 0.36, "poplar": 0.14, "conifer": 0.24, "bush": 0.7}
    return shares[tree.kind] * tree.height


def leaf_colour(tree: Tree) -> tuple[float, float, float]:
    """Between bluish (hue 0) and yellowish green (hue 1)."""
    cold, warm = ((36, 76, 52), (64, 96, 44)) if tree.kind == "conifer" else _LEAVES
    r, g, b = (p + tree.hue * (q - p) for p, q in zip(cold, warm, strict=True))
    return r, g, b


_LEAVES = ((46, 96, 46), (122, 142, 46))


def crown(tree: Tree):
    """Clumps of leaves, farthest first: x, y of the centre and radii in metres, and an outline."""
    low, radius = trunk_height(tree), crown_radius(tree)
    height = tree.height - low
    if tree.kind == "conifer":
        tiers = 4
        for tier in range(tiers):
            base = low + height * tier / (tiers + 0.6)
            wide = radius * (1 - 0.2 * tier)
            tall = height * (1.6 - 0.12 * tier) / (tiers + 0.6)
            yield 0.0, base + tall / 2, wide, tall / 2, _TIER
        return
    middle = low + height / 2
    yield 0.0, middle, 0.84 * radius, 0.46 * height, _outlines()[0]
    for number, (x, y, reach) in enumerate(_CLUMPS[tree.kind]):
        size = reach * min(radius, height / 2)
        outline = _outlines()[(number + int(97 * tree.hue)) % len(_outlines())]
        yield x * radius, middle + y * height / 2, size, size, outline


_TIER = np.array(
    [(-1, -0.86), (-0.6, -1), (0, -0.9), (0.6, -1), (1, -0.86), (0.5, 0), (0, 1), (-0.5, 0)]
)
_ROUND = [(0.0, 0.62, 0.5), (-0.6, 0.25, 0.46), (0.6, 0.3, 0.44), (-0.42, -0.42, 0.46)]
_ROUND += [(0.45, -0.4, 0.48), (0.0, 0.05, 0.55)]
_CLUMPS = {
    "broadleaf": _ROUND,
    "bush": _ROUND,
    "poplar": [(0.12 * (-1) ** i, 0.8 - 0.2 * i, 0.55 + 0.12 * min(i, 3)) for i in range(9)],
}


@functools.lru_cache(maxsize=1)
def _outlines() -> np.ndarray:
    """Lobed outlines of radius about 1: (8, 22, 2)."""
    rng = np.random.default_rng(1)
    turns = np.linspace(0, 2 * np.pi, 22, endpoint=False)
    radii = 1 + rng.uniform(-0.13, 0.13, (8, len(turns), 1))
    return radii * np.stack([np.cos(turns), np.sin(turns)], axis=1)


def _draw_skyline(canvas: Canvas, layout: Layout) -> None:
    """Hills, and the wood before them."""
    rng = np.random.default_rng([layout.details, 1])
    u = np.linspace(-0.02, 1.02, 53)
    for height, distance, colour, rough in (
        (layout.hills, _HILL_DISTANCE, _HILL, 0.0),
        (0.012 + 0.25 * layout.hills, _WOOD_DISTANCE, _WOOD, 0.35),
    ):
        phases = rng.uniform(0, 2 * np.pi, 3)
        waves = (np.sin(f * u + p) for f, p in zip((3.0, 7.1, 15.3), phases, strict=True))
        profile = sum(w * s for w, s in zip(waves, (0.45, 0.22, 0.1), strict=True))
        top = height * (0.8 + profile + rough * rng.uniform(-1, 1, len(u)))
        line = np.stack([u, HORIZON - np.maximum(top, 0)], axis=1)
        ends = [(1.02, HORIZON + 0.004), (-0.02, HORIZON + 0.004)]
        face = Face(P.LAND, Stuff.LEAF, colour, (0.0, 0.0, 1 / distance), (0.0, 0.5, -0.866))
        canvas.fill(drive_canvas.pixels(np.concatenate([line, ends]), canvas.side), face)
