"""What the camera's rays meet in the room, in closed form: the mask, and guides for the filter."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from comet_cli.worlds.room.scene import FIELD_OF_VIEW, Piece, View


@dataclass(frozen=True)
class Surfaces:
    """What is seen at the centre of each pixel of a picture of R by R pixels.

    Attributes:
        piece: (R, R) the index of the piece.
        place: (R, R, 3) the point, in the room.
        normal: (R, R, 3) the unit normal, towards the camera.
        local: (R, R, 3) the point in the piece's own axes, from its `at`.
    """

    piece: np.ndarray
    place: np.ndarray
    normal: np.ndarray
    local: np.ndarray


def meet(pieces: tuple[Piece, ...], view: View, size: int) -> Surfaces:
    """Intersect the ray through each pixel's centre with the pieces; the nearest is seen.

    Args:
        pieces: solids that leave no gap: every ray meets one.
        view: the camera.
        size: R, pixels a side.
    """
    right, up, forward = view.axes()
    line = ((np.arange(size) + 0.5) / size - 0.5) * _height(1.0)
    rays = forward + line[None, :, None] * right - line[:, None, None] * up
    # Single precision halves the time, and is exact to micrometres.
    rays = rays.astype(np.float32)
    camera = np.asarray(view.camera, np.float32)
    nearest = np.full((size, size), np.inf, np.float32)
    piece = np.zeros((size, size), np.intp)
    windows = _windows(pieces, view, size)
    for index, (solid, window) in enumerate(zip(pieces, windows, strict=True)):
        rotation = solid.rotation
        start = (camera - np.asarray(solid.at, np.float32)) @ rotation
        distance = _distance(solid, start, rays[window] @ rotation)
        closer = distance < nearest[window]
        nearest[window][closer] = distance[closer]
        piece[window][closer] = index
    place = camera + nearest[..., None] * rays
    normal, local = np.zeros((2, size, size, 3), np.float32)
    for index, (solid, window) in enumerate(zip(pieces, windows, strict=True)):
        here = piece[window] == index
        if not here.any():
            continue
        point = (place[window][here] - np.asarray(solid.at, np.float32)) @ solid.rotation
        outward = _outward(solid, point) @ solid.rotation.T
        behind = (outward * rays[window][here]).sum(1, keepdims=True) > 0
        local[window][here] = point
        normal[window][here] = np.where(behind, -outward, outward)
    return Surfaces(piece, place, normal, local)


def _height(depth: Any) -> Any:
    """How high (and wide) the square view is at a depth."""
    return 2 * math.tan(math.radians(FIELD_OF_VIEW) / 2) * depth


def _windows(pieces: tuple[Piece, ...], view: View, size: int) -> list[tuple[slice, slice]]:
    """Rows and columns that surely hold all of each piece."""
    rays = np.stack([piece.corners for piece in pieces]) - view.camera
    right, up, forward = view.axes()
    depth = np.maximum(rays @ forward, 1e-3)
    places = np.stack([-(rays @ up), rays @ right], -1) / _height(depth)[..., None] + 0.5
    # What reaches behind the camera can be anywhere.
    places[depth.min(1) < 0.1] = [[0, 0], *[[1, 1]] * 7]
    first = np.clip(np.floor(places.min(1) * size), 0, size).astype(int).tolist()
    last = np.clip(np.ceil(places.max(1) * size), 0, size).astype(int).tolist()
    return [
        (slice(top, bottom), slice(left, end))
        for (top, left), (bottom, end) in zip(first, last, strict=True)
    ]


def _distance(piece: Piece, start: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Along each ray, in the piece's own axes, to the piece; infinite where it is missed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if piece.shape in ("panel", "leaf"):
            near = -start[1] / rays[..., 1]
            across, along = (
                np.abs(start[axis] + near * rays[..., axis]) / (piece.size[axis // 2] / 2)
                for axis in (0, 2)
            )
            inside = across + along < 1 if piece.shape == "leaf" else np.maximum(across, along) < 1
            return np.where(inside & (near > 0), near, np.inf)
        if piece.shape == "ball":
            spans = [_roots(rays, start, piece.size[0])]
        elif piece.shape == "can":
            radius, height = piece.size
            spans = [
                _roots(rays[..., :2], start[:2], radius),
                _slab(rays[..., 2], start[2] - height / 2, height / 2),
            ]
        else:
            spans = [_slab(rays[..., i], start[i], edge / 2) for i, edge in enumerate(piece.size)]
        # Inside all spans at once is inside the solid.
        near = np.max([span[0] for span in spans], axis=0)
        far = np.min([span[1] for span in spans], axis=0)
        return np.where((near < far) & (near > 0), near, np.inf)


def _outward(piece: Piece, points: np.ndarray) -> np.ndarray:
    """Unit normals at points on a piece, in its own axes."""
    if piece.shape in ("panel", "leaf"):
        return np.broadcast_to(np.array([0.0, -1.0, 0.0]), points.shape)
    if piece.shape == "ball":
        return points / piece.size[0]
    if piece.shape == "can":
        radius, height = piece.size
        lid = np.abs(points[:, 2:] - height) < 1e-4
        side = points * [1, 1, 0] / radius
        return np.where(lid, (0.0, 0.0, 1.0), side)
    scaled = points / (np.array(piece.size) / 2)
    face = np.abs(scaled).argmax(1)
    normal = np.zeros_like(points)
    rows = np.arange(len(points))
    normal[rows, face] = np.sign(scaled[rows, face])
    return normal


def _roots(rays: np.ndarray, start: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the sphere (or, in two dimensions, the circle) |p| = radius."""
    a = (rays * rays).sum(-1)
    b = rays @ start
    root = np.sqrt(b * b - a * (start @ start - radius * radius))
    return (-b - root) / a, (-b + root) / a


def _slab(rays: np.ndarray, start: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the layer in which one coordinate is within +-reach."""
    one, other = (-reach - start) / rays, (reach - start) / rays
    return np.minimum(one, other), np.maximum(one, other)
