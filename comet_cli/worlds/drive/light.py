"""Geometry of light: how it falls on faces, and which ground lies in shadow."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from comet_cli.worlds.drive import canvas as drive_canvas
from comet_cli.worlds.drive.canvas import EYE, FOCAL, HORIZON
from comet_cli.worlds.drive.layout import Car, Tree
from comet_cli.worlds.drive.scene import Placed, Scene, crown_radius, trunk_height


@dataclass(frozen=True)
class Surfaces:
    """The pixels of a scene's things, one after another.

    Attributes:
        places: (N,) where they are on the flattened canvas.
        stuff: (N,) what they are made of.
        colour: (N, 3) float32 sRGB in [0, 1].
        depth: (N,) float32 metres ahead.
        x: (N,) float32 metres to the right.
        y: (N,) float32 metres above the ground.
        facing: (N,) float32 cosine between surface and sun, in [-1, 1].
        upward: (N,) float32 how far the surface looks at the sky, in [-1, 1].
    """

    places: np.ndarray
    stuff: np.ndarray
    colour: np.ndarray
    depth: np.ndarray
    x: np.ndarray
    y: np.ndarray
    facing: np.ndarray
    upward: np.ndarray


def surfaces(scene: Scene, towards: np.ndarray) -> Surfaces:
    """The things of a scene under a sun in direction `towards`."""
    side = scene.numbers.shape[0]
    numbers = scene.numbers.ravel()
    places = np.flatnonzero(numbers)
    which = numbers[places] - 1
    u = ((places % side).astype(np.float32) + np.float32(0.5)) / side
    v = ((places // side).astype(np.float32) + np.float32(0.5)) / side
    faces = scene.faces
    planes = np.array([face.plane for face in faces], np.float32)
    normals = np.array([face.normal for face in faces], np.float32)
    balls = np.array([face.ball for face in faces], np.float32)
    rayx, rayy = (u - np.float32(0.5)) / np.float32(FOCAL), (HORIZON - v) / np.float32(FOCAL)
    px, py, pz = planes.T
    depth = 1 / np.maximum(px[which] * rayx + py[which] * rayy + pz[which], np.float32(1e-4))
    facing = (normals @ towards.astype(np.float32))[which]
    upward = normals[:, 1][which]
    round_ones = np.flatnonzero(balls[which, 2] > 0)
    if len(round_ones):
        ball = balls[which[round_ones]]
        nx = np.clip((u[round_ones] - ball[:, 0]) / ball[:, 2], -1, 1)
        ny = np.clip((ball[:, 1] - v[round_ones]) / ball[:, 3], -1, 1)
        nz = -np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
        own = nx * towards[0] + ny * towards[1] + nz * towards[2]
        facing[round_ones] = 0.5 * facing[round_ones] + 0.5 * own
        upward[round_ones] = 0.5 * upward[round_ones] + 0.5 * ny
    return Surfaces(
        places=places,
        stuff=np.array([face.stuff for face in faces], np.uint8)[which],
        colour=(np.array([face.colour for face in faces], np.float32) / 255)[which],
        depth=depth,
        x=rayx * depth,
        y=np.float32(EYE) + rayy * depth,
        facing=facing.astype(np.float32),
        upward=upward.astype(np.float32),
    )


def shadow_image(scene: Scene, towards: np.ndarray, side: int) -> Image.Image:
    """Where things keep the sun from the ground: an L image of `side` pixels, 255 in shadow."""
    image = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(image)
    for placed in scene.placed:
        for body in _bodies(placed, towards):
            _fill_ground(draw, cast(body, towards), side)
    return image


def contact_image(scene: Scene, side: int) -> Image.Image:
    """The ground below cars and at the foot of other things, which little of the sky lights."""
    image = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(image)
    for placed in scene.placed:
        if isinstance(placed.thing, Car):
            assert placed.solid is not None
            low, high = placed.solid.hulls[0].min(0), placed.solid.hulls[-1].max(0)
            high = np.maximum(high, placed.solid.hulls[0].max(0))
            low = np.minimum(low, placed.solid.hulls[-1].min(0))
            ring = _ring() * (np.array([high[0] - low[0], high[2] - low[2]]) * (0.62, 0.56))
        elif isinstance(placed.thing, Tree):
            ring = _ring() * (0.45 * crown_radius(placed.thing))
        else:
            ring = _ring() * np.array([placed.thing.depth, placed.thing.length]) * 0.66
        flat = np.stack([ring[:, 0], np.zeros(len(ring)), ring[:, 1]], axis=1)
        _fill_ground(draw, placed.turned(flat), side)
    return image


def cast(points: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """The outline (m, 3) of the shadow that the hull of points (n, 3) casts on the ground."""
    fall = points[:, 1:2] / towards[1]
    ground = points - fall * towards
    ground[:, 1] = 0
    return ground[hull(ground[:, [0, 2]])]


def hull(points: np.ndarray) -> list[int]:
    """Indices of the convex hull's corners, in order (Andrew's monotone chain)."""
    rows = points.tolist()
    order = sorted(range(len(rows)), key=rows.__getitem__)

    def chain(indices):
        kept: list[int] = []
        for i in indices:
            while len(kept) > 1 and _turn(rows[kept[-2]], rows[kept[-1]], rows[i]) <= 0:
                kept.pop()
            kept.append(i)
        return kept[:-1]

    return chain(order) + chain(reversed(order))


def _turn(a, b, c) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _bodies(placed: Placed, towards: np.ndarray) -> list[np.ndarray]:
    """Convex point sets (n, 3) that stand for a thing."""
    if placed.solid is not None:
        return [placed.turned(body) for body in placed.solid.hulls]
    tree = placed.thing
    assert isinstance(tree, Tree)
    low, radius, height = trunk_height(tree), crown_radius(tree), tree.height
    x, z, _ = placed.where
    wide = 0.022 * height + 0.06
    trunk = [(x + a, y, z + b) for a in (-wide, wide) for b in (-wide, wide) for y in (0, low + 1)]
    bodies = [np.array(trunk)] if low else []
    ring = _ring() * radius
    if tree.kind == "conifer":
        foot = np.stack([x + ring[:, 0], np.full(len(ring), low), z + ring[:, 1]], axis=1)
        return [*bodies, np.concatenate([foot, [(x, height, z)]])]
    # Points of the ellipsoid where light grazes it.
    axes = np.array([radius, (height - low) / 2, radius])
    a, b, c = (towards / axes / np.linalg.norm(towards / axes)).tolist()
    flat = math.hypot(a, c)
    across, other = np.array([c, 0.0, -a]) / flat, np.array([-a * b / flat, flat, -b * c / flat])
    grazed = _ring()[:, :1] * across + _ring()[:, 1:] * other
    return [*bodies, np.array([x, (low + height) / 2, z]) + grazed * axes]


@functools.lru_cache(maxsize=1)
def _ring() -> np.ndarray:
    """Points of a circle of radius 1: (16, 2)."""
    turns = np.linspace(0, 2 * math.pi, 16, endpoint=False)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def _fill_ground(draw: ImageDraw.ImageDraw, outline: np.ndarray, side: int) -> None:
    before = drive_canvas.clip_near(outline)
    if len(before) > 2:
        draw.polygon(drive_canvas.pixels(drive_canvas.project(before), side), fill=255)
