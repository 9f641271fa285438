"""Toys as things of a CLEVR-like scene: where their triangles are, and which of them is seen."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from comet_cli.worlds.clevr.scene import SIZES, Layer, Thing, project
from comet_cli.worlds.clevr.toy_shapes import Model, model


@dataclass(frozen=True)
class Toy(Thing):
    """A thing whose shape is a word of `toy_shapes.SHAPES`; z of its position is `radius`."""

    @property
    def model(self) -> Model:
        """Its shape, for size 1."""
        return model(self.shape)

    @property
    def radius(self) -> float:
        """Half of its height."""
        return SIZES[self.size] * self.model.height / 2

    @property
    def reach(self) -> float:
        """Radius of the upright cylinder around it."""
        return SIZES[self.size] * self.model.reach

    def placed(self) -> tuple[np.ndarray, np.ndarray]:
        """Its vertices and their normals in the world, (V, 3) each."""
        c, s = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        vertices = SIZES[self.size] * self.model.vertices @ turn.T
        return vertices + (*self.position[:2], 0.0), self.model.normals @ turn.T

    def layer(self, camera: tuple[float, float, float], rays: np.ndarray) -> Layer:
        """As of `Thing`; `rays` are those of `face_mask`."""
        return _layer(self, camera, len(rays))


# Objects are placed one by one, and all that are there are looked at anew after each.
@functools.lru_cache(maxsize=16)
def _layer(toy: Toy, camera: tuple[float, float, float], size: int) -> Layer:
    """Fill the triangles that face the camera; at each pixel's centre the nearest one is seen."""
    vertices, _ = toy.placed()
    x, y, depth = project(vertices, camera).T
    # In pixels: pixel (i, j) has its centre at y = i, x = j.
    screen = np.stack([y * size - 0.5, x * size - 0.5, depth], axis=1)[toy.model.triangles]
    (ay, by, cy), (ax, bx, cx), _ = screen.transpose(2, 1, 0)
    # Counter-clockwise in the world is clockwise where y points downwards.
    facing = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < -1e-9
    low = np.clip(np.ceil(screen[..., :2].min(1)), 0, size).astype(int)
    extent = np.clip(np.floor(screen[..., :2].max(1)) + 1, 0, size).astype(int) - low
    kept = np.flatnonzero(facing & (extent > 0).all(1))
    if not len(kept):
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0)), np.zeros((0, 0), np.int32)
    screen, low, extent = screen[kept], low[kept], extent[kept]
    corner = low.min(0)
    height, width = ((low + extent).max(0) - corner).tolist()

    # Shares of the three corners, and the reciprocal of the depth, are affine in the picture.
    shares = _affine(screen)
    nearness = (shares / screen[..., 2, None]).sum(1)
    # One row for each pixel of each triangle's bounding rectangle.
    count = extent.prod(1)
    row = np.repeat(np.arange(len(kept)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    py, px = np.divmod(number, extent[row, 1])
    py, px = py + low[row, 0], px + low[row, 1]
    for corner_share in shares.transpose(1, 2, 0):
        one, two, three = corner_share
        inside = one[row] * py + two[row] * px + three[row] >= 0
        row, py, px = row[inside], py[inside], px[inside]
    one, two, three = nearness[row].T
    met = 1 / (one * py + two * px + three)

    order = np.argsort(-met, kind="stable")
    pixel = ((py - corner[0]) * width + px - corner[1])[order]
    distance = np.full(height * width, np.inf)
    face = np.zeros(height * width, np.int32)
    # Where a pixel is named more than once, the last value stays: the nearest.
    distance[pixel] = met[order]
    face[pixel] = toy.model.faces[kept[row[order]]]
    window = slice(corner[0], corner[0] + height), slice(corner[1], corner[1] + width)
    return window, distance.reshape(height, width), face.reshape(height, width)


def _affine(screen: np.ndarray) -> np.ndarray:
    """Barycentric coordinates as functions of the place.

    Args:
        screen: (T, 3, ...) corners, the first two of the last axis their y and x.

    Returns:
        (T, 3, 3): for each corner the factors of y, of x, and of 1.
    """
    y, x = screen[..., 0], screen[..., 1]
    following, last = [1, 2, 0], [2, 0, 1]
    factors = np.stack(
        [
            x[:, following] - x[:, last],
            y[:, last] - y[:, following],
            y[:, following] * x[:, last] - x[:, following] * y[:, last],
        ],
        axis=2,
    )
    # The constants add up to twice the triangle's area, with its sign.
    return factors / factors[..., 2].sum(1)[:, None, None]
