"""Pixels of the furnished room: path tracing with mitsuba, smoothed along surfaces."""

import math
import zlib
from typing import Any

import numpy as np

from comet_cli.worlds.mitsuba import load_mitsuba, to_srgb
from comet_cli.worlds.room.finish import finish
from comet_cli.worlds.room.furniture import furniture
from comet_cli.worlds.room.geometry import Surfaces, meet
from comet_cli.worlds.room.scene import FIELD_OF_VIEW, LAMP_RADIUS, TARGET, Piece, View
from comet_cli.worlds.room.smoothing import smooth

# Rays are traced on a finer grid, 3 by 3 a pixel: the middle one is the pixel's centre.
SUPERSAMPLING = 3
# Edges of a path that comes straight from the lamp, and of one with two more reflections.
DIRECT, ALL = 2, 4
# One path that reflects near the lamp must not outweigh its neighbours.
BRIGHTEST = 2.0
# Power of the lamp at intensity 1, over pi. The sky of an evening adds nothing beside it.
LAMP = (22.0, 17.3, 12.6)


def render(view: View, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Render the room by path tracing.

    The random numbers depend on the camera alone, and every step is monotone in the light: more
    intensity makes no pixel darker, and what differs between two lamps is their light, not noise.

    Args:
        view: lamp and camera.
        size: R, pixels a side.

    Returns:
        (R, R, 3) uint8 sRGB, and the (R, R) uint8 mask of parts (`room_scene.Part`).

    Raises:
        MissingExtraError: mitsuba is not installed.
    """
    mi = load_mitsuba()
    fine = size * SUPERSAMPLING
    pieces = (*furniture(), *view.lamp())
    world = mi.load_dict(_describe(mi, pieces, view, fine), parallel=False, optimize=False)
    seen = meet(pieces, view, fine)
    colours = np.array([piece.colour for piece in pieces], np.float32)[seen.piece]
    # A pixel on an edge also holds light of its neighbours: over a dark colour it would be a spark.
    colours = _greatest_near(colours)
    direct, both = (_trace(mi, world, view, depth) / colours for depth in (DIRECT, ALL))
    # The same random numbers make the first part of each path, so the difference is what the
    # reflections bring, and never negative.
    reflected = np.clip(both - direct, 0, BRIGHTEST)
    arriving = view.intensity * smooth(direct, reflected, seen)
    shown = finish(arriving, seen, pieces, view)
    shown = shown.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean((1, 3))
    # The shoulder of a film's curve: bright light never clips.
    return to_srgb(1 - np.exp(-shown)), mask(seen, pieces)


def mask(seen: Surfaces, pieces: tuple[Piece, ...]) -> np.ndarray:
    """The part at each pixel's centre, of surfaces seen on the fine grid."""
    parts = np.array([piece.part for piece in pieces], np.uint8)
    middle = slice(SUPERSAMPLING // 2, None, SUPERSAMPLING)
    return parts[seen.piece[middle, middle]]


def _greatest_near(image: np.ndarray) -> np.ndarray:
    """For each pixel, the greatest value of each channel among it and its eight neighbours."""
    for axis in (0, 1):
        wide = np.pad(image, [(1, 1) if axis == each else (0, 0) for each in range(3)], "edge")
        wide = wide.swapaxes(0, axis)
        image = np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:]).swapaxes(0, axis)
    return image


def _trace(mi: Any, world: Any, view: View, depth: int) -> np.ndarray:
    """(R, R, 3) linear light on paths of up to `depth` edges, one path a pixel."""
    path = {"type": "path", "max_depth": depth, "hide_emitters": True}
    image = mi.render(world, integrator=mi.load_dict(path), seed=_seed(view), spp=1)
    return np.array(image, dtype=np.float32)[..., :3]


def _seed(view: View) -> int:
    """That of the sampler: pictures that differ in the lamp alone share their noise."""
    return zlib.crc32(np.array(view.camera, "<f8").tobytes())


def _describe(mi: Any, pieces: tuple[Piece, ...], view: View, size: int) -> dict[str, Any]:
    transform = mi.ScalarTransform4f
    world: dict[str, Any] = {
        "type": "scene",
        "sensor": {
            "type": "perspective",
            "fov": FIELD_OF_VIEW,
            "fov_axis": "y",
            "to_world": transform().look_at(list(view.camera), list(TARGET), [0, 0, 1]),
            "sampler": {"type": "independent"},
            # The box filter keeps every sample in its own pixel.
            "film": {
                "type": "hdrfilm",
                "width": size,
                "height": size,
                "pixel_format": "rgb",
                "component_format": "float32",
                "rfilter": {"type": "box"},
            },
        },
    }
    for number, piece in enumerate(pieces):
        world.update(_shape(transform, piece, f"piece{number}"))
        if piece.finish == "lantern":
            area = 4 * math.pi * LAMP_RADIUS**2
            lamp = tuple(channel / area for channel in LAMP)
            world[f"piece{number}"]["emitter"] = {"type": "area", "radiance": _rgb(lamp)}
    return world


def _shape(transform: Any, piece: Piece, name: str) -> dict[str, Any]:
    """The mitsuba shapes of a piece; a can needs its lid."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = piece.rotation, piece.at
    place = transform(matrix)
    surface = {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": _rgb(piece.colour)}}
    if piece.shape == "box":
        edges = [edge / 2 for edge in piece.size]
        return {name: {"type": "cube", "to_world": place.scale(edges), "bsdf": surface}}
    if piece.shape == "ball":
        ball = place.scale(piece.size[0])
        return {name: {"type": "sphere", "to_world": ball, "bsdf": surface}}
    if piece.shape == "can":
        radius, height = piece.size
        lid = place.translate([0, 0, height]).scale(radius)
        side = {"type": "cylinder", "p0": [0, 0, 0], "p1": [0, 0, height], "radius": radius}
        return {
            name: {**side, "to_world": place, "bsdf": surface},
            name + "lid": {"type": "disk", "to_world": lid, "bsdf": surface},
        }
    # A rectangle of mitsuba faces +z.
    place = place.rotate([1, 0, 0], 90)
    width, height = (edge / 2 for edge in piece.size)
    if piece.shape == "leaf":
        place = place.scale([width / math.sqrt(2), height / math.sqrt(2), 1])
        place = place.rotate([0, 0, 1], 45)
    else:
        place = place.scale([width, height, 1])
    return {name: {"type": "rectangle", "to_world": place, "bsdf": surface}}


def _rgb(values: tuple[float, ...]) -> dict[str, Any]:
    return {"type": "rgb", "value": list(values)}
