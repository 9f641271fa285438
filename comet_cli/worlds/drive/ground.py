"""What covers the ground of a road picture, from the middle of the road to the fields."""

from enum import IntEnum

import numpy as np

from comet_cli.worlds.drive.canvas import Part
from comet_cli.worlds.drive.layout import GRAVEL, PAVEMENT
from comet_cli.worlds.drive.scene import Scene

KERB = 0.22
# Beyond so many metres from the road the fields begin.
STRIP = 9.0


class Cover(IntEnum):
    """What covers a place."""

    ASPHALT = 0
    PAINT = 1
    GRASS = 2
    SLABS = 3
    KERB = 4
    GRAVEL = 5
    MEADOW = 6
    WHEAT = 7
    SOIL = 8


def covers(scene: Scene) -> np.ndarray:
    """The cover of each pixel below the horizon: (rows, S) uint8."""
    road = scene.layout.road
    beyond = np.abs(scene.lateral) - np.float32(road.half)
    field = Cover[road.field.upper()]
    cover = np.where(beyond < STRIP, np.uint8(Cover.GRASS), np.uint8(field))
    if road.verge == "pavement":
        cover[beyond < PAVEMENT] = Cover.SLABS
        cover[beyond < KERB] = Cover.KERB
    elif road.verge == "gravel":
        cover[beyond < GRAVEL] = Cover.GRAVEL
    cover[scene.ground == Part.ROAD] = Cover.ASPHALT
    cover[scene.ground == Part.MARK] = Cover.PAINT
    return cover
