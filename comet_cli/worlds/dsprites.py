"""The factor grid of dSprites (Matthey et al., 2017), drawn anew.

As in the original, pictures are binary (a pixel is white if its centre lies inside the sprite, with
no anti-aliasing), and the grid is shape 3, scale 6, orientation 40, x 32, y 32, in this order, so
737,280 cells. Unlike in the original, the 40 orientations stop short of the full turn, which would
repeat the first; a square looks the same after a quarter turn, an ellipse after half a turn, and
such cells belong to one split.
"""

import math
from typing import Any

import numpy as np

from comet_cli.errors import UsageError
from comet_cli.worlds.factor_grid import GridGenerator
from comet_cli.worlds.generator import check_object_range

TURNS = 40
STEPS = 32
# After how many steps of orientation a shape looks the same.
PERIODS = {"square": TURNS // 4, "ellipse": TURNS // 2, "heart": TURNS}
# In pixels of a 64-pixel picture: half the side of the square, half axes of the ellipse and half
# the width of the heart at scale 1. No edge of an upright square passes through pixel centres.
_SQUARE, _ELLIPSE, _HEART = 10.5, (13.2, 6.6), 11.5
# The first centre; the others follow at distances of one pixel. No sprite leaves the picture.
_FIRST = 16.5


class DSprites(GridGenerator):
    """One white sprite on black; factors are shape, scale, orientation, x and y."""

    name = "dsprites"
    version = 1
    default_size = 64
    summary = "one white sprite on black, 64x64, the factor grid of dSprites"
    factors = {
        "shape": tuple(PERIODS),
        "scale": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        "orientation": tuple(2 * math.pi * turn / TURNS for turn in range(TURNS)),
        "x": tuple(step / (STEPS - 1) for step in range(STEPS)),
        "y": tuple(step / (STEPS - 1) for step in range(STEPS)),
    }

    def __init__(self, size: int | None = None, objects: tuple[int, int] = (1, 1)):
        """Check the settings.

        Args:
            size: picture size in pixels, 64..512 (default 64).
            objects: (1, 1), since there is always one sprite.

        Raises:
            UsageError: a size outside these bounds, or more than one object.
        """
        self.size = self.default_size if size is None else size
        self.objects = check_object_range(objects, most=1)
        if not 64 <= self.size <= 512:
            raise UsageError(
                f"--size is {self.size}, expected 64 to 512 pixels for a dsprites picture"
            )

    @classmethod
    def canonical(cls, cells: np.ndarray) -> np.ndarray:
        """For each cell number, that of the cell of least orientation with the same picture."""
        shape, scale, orientation, x, y = np.unravel_index(cells, cls.shape())
        periods = np.array([PERIODS[name] for name in cls.factors["shape"]])
        orientation = orientation % periods[shape]
        return np.ravel_multi_index((shape, scale, orientation, x, y), cls.shape())

    def draw(self, values: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """White where a pixel's centre is inside the sprite; the mask is 1 there."""
        # Steps of a whole period are left out, so that their rounding cannot move a pixel.
        turn = round(values["orientation"] * TURNS / (2 * math.pi))
        angle = self.factors["orientation"][turn % PERIODS[values["shape"]]]
        line = (np.arange(self.size) + 0.5) * 64 / self.size
        x, y = (line - _FIRST - round((STEPS - 1) * values[name]) for name in ("x", "y"))
        c, s = math.cos(angle) / values["scale"], math.sin(angle) / values["scale"]
        # Seen in the picture, whose rows go down, orientation grows counter-clockwise.
        along, across = c * x - s * y[:, None], s * x + c * y[:, None]
        mask = _INSIDE[values["shape"]](along, across).astype(np.uint8)
        return np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask


def _in_square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) < _SQUARE


def _in_ellipse(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x / _ELLIPSE[0], y / _ELLIPSE[1]) < 1


def _in_heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # The outline meets each ray from the centre of mass once, so its radius is a function.
    return np.hypot(x, y) < np.interp(np.arctan2(y, x), *_HEART_OUTLINE, period=2 * math.pi)


def _heart_outline() -> tuple[np.ndarray, np.ndarray]:
    """Angle and radius of the outline of a heart, its tip down, around its centre of mass."""
    t = np.linspace(0, 2 * math.pi, 721)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    y -= ((y[:-1] + y[1:]) * cross).sum() / (3 * cross.sum())
    x, y = x * _HEART / 16, y * _HEART / 16
    return np.arctan2(y, x)[:-1], np.hypot(x, y)[:-1]


_HEART_OUTLINE = _heart_outline()
_INSIDE = {"square": _in_square, "ellipse": _in_ellipse, "heart": _in_heart}
