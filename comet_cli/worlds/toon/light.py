"""Soft light on a drawn face: each part is shaded as a rounded body, and shadows fall."""

import math

import numpy as np
from PIL import Image, ImageFilter

from comet_cli.worlds.toon.drawing import UNITS, Drawing, Part

# Centre and radii, in units, of the ellipsoid that each part is shaded as.
_BODIES = {
    Part.SKIN: ((50.0, 53.0), (27.0, 33.0)),
    Part.HAIR: ((50.0, 48.0), (37.0, 42.0)),
    Part.CLOTHES: ((50.0, 112.0), (46.0, 32.0)),
}
_SHADE = np.array([0.62, 0.55, 0.70])
_LIT = np.array([1.07, 1.04, 1.00])
# How far light comes from the side (1) rather than from the viewer (0).
_SLANT = 0.82
_SHADOW_REACH = 2.6


def light(drawing: Drawing, azimuth: float) -> np.ndarray:
    """Shade a drawing.

    Args:
        drawing: flat colours and parts, S pixels a side.
        azimuth: where light comes from, in degrees: 0 from the right, 90 from above.

    Returns:
        (S, S, 3) float32 sRGB in [0, 255].
    """
    parts = np.asarray(drawing.parts)
    side = len(parts)
    colours = np.asarray(drawing.colours, np.float32)
    x, y = math.cos(math.radians(azimuth)), -math.sin(math.radians(azimuth))
    towards = (_SLANT * x, _SLANT * y, math.sqrt(1 - _SLANT**2))
    line = (np.arange(side, dtype=np.float32) + 0.5) / side * UNITS
    fringe = parts == Part.FRINGE
    hair = fringe | (parts == Part.HAIR)

    lit = np.ones((side, side), np.float32)
    for part, (centre, radii) in _BODIES.items():
        inside = hair if part == Part.HAIR else parts == part
        facing = _facing(line, centre, radii, towards)
        lit[inside] = _smooth(facing, -0.35, 0.75)[inside]
    # Behind the figure there is a wall, lighter on the side of the light.
    slope = (line[None, :] - 50) * x + (line[:, None] - 50) * y
    wall = parts == Part.BACKGROUND
    lit[wall] = np.clip(0.72 + slope / 170, 0, 1)[wall]

    shadow = np.zeros((side, side), np.float32)
    skin = parts == Part.SKIN
    shadow[skin] = 0.75 * _cast(fringe, drawing.unit, x, y, _SHADOW_REACH, 0.5)[skin]
    shadow[wall] = 0.55 * _cast(~wall, drawing.unit, x, y, 6.0, 3.5)[wall]
    lit *= 1 - shadow
    # Eyes, lines and frames take light less than what they are drawn on.
    lit[np.isin(parts, (Part.FEATURES, Part.GLASSES))] = 0.8

    shaded = colours * (_SHADE + (_LIT - _SHADE) * lit[..., None]).astype(np.float32)
    gloss = _gloss(line, x, y)
    shaded[hair] += (255 - shaded[hair]) * gloss[hair][:, None]
    return np.clip(shaded, 0, 255)


def _facing(line, centre, radii, towards) -> np.ndarray:
    """Cosine between the light and an ellipsoid's surface, in [-1, 1]."""
    u = (line[None, :] - centre[0]) / radii[0]
    v = (line[:, None] - centre[1]) / radii[1]
    w = np.sqrt(np.clip(1 - u * u - v * v, 0, None))
    length = np.sqrt(u * u + v * v + w * w)
    return (u * towards[0] + v * towards[1] + w * towards[2]) / np.maximum(length, 1e-6)


def _smooth(values: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _cast(body: np.ndarray, unit: float, x: float, y: float, reach: float, blur: float):
    """The shadow of a body in [0, 1]: moved away from the light, and blurred (units)."""
    moved = Image.fromarray(body.astype(np.uint8) * 255).transform(
        (len(body), len(body)),
        Image.Transform.AFFINE,
        (1, 0, reach * unit * x, 0, 1, reach * unit * y),
    )
    blurred = moved.filter(ImageFilter.GaussianBlur(blur * unit))
    return np.asarray(blurred, np.float32) / 255


def _gloss(line: np.ndarray, x: float, y: float) -> np.ndarray:
    """A soft bright band around the crown, on the side of the light."""
    u, v = (line[None, :] - 50) / 30, (line[:, None] - 47) / 30
    ring = np.exp(-(((np.hypot(u, v) - 0.72) / 0.09) ** 2))
    side = _smooth((u * x + v * y) / np.maximum(np.hypot(u, v), 1e-6), 0.35, 1.0)
    return (0.34 * ring * side).astype(np.float32)
