"""A furnished room under one movable lamp, the counterpart of Falcor3D."""

from typing import Any

import numpy as np

from comet_cli.errors import MissingExtraError, UsageError
from comet_cli.worlds.factor_grid import GridGenerator
from comet_cli.worlds.generator import check_object_range
from comet_cli.worlds.mitsuba import load_mitsuba
from comet_cli.worlds.room import pixels as room_pixels
from comet_cli.worlds.room.scene import View


class Room(GridGenerator):
    """Factors: intensity and place of the lamp, place of the camera, with Falcor3D's counts.

    Places are in metres: x to the right, y away from the camera, z upwards from the floor. The mask
    numbers parts: 1 floor, 2 walls, 3 ceiling, 4 window, 5 rug, 6 sofa, 7 table, 8 shelf, 9 plant,
    10 picture, 11 cat, 12 lamp.
    """

    name = "room"
    version = 1
    default_size = 64
    summary = "a furnished room under a lamp, 64x64, masks of parts (needs mitsuba)"
    # The lamp stays clear of the furniture, and between the camera's places and the back wall.
    factors = {
        "light_intensity": (0.4, 0.63, 1.0, 1.6, 2.5),
        "light_x": (-1.6, -0.96, -0.32, 0.32, 0.96, 1.6),
        "light_y": (-1.4, -0.9, -0.4, 0.1, 0.6, 1.1),
        "light_z": (1.15, 1.41, 1.67, 1.93, 2.19, 2.45),
        "camera_x": (-1.5, -0.9, -0.3, 0.3, 0.9, 1.5),
        "camera_y": (-4.3, -4.0, -3.7, -3.4, -3.1, -2.8),
        "camera_z": (0.7, 1.0, 1.3, 1.6, 1.9, 2.2),
    }

    def __init__(self, size: int | None = None, objects: tuple[int, int] = (1, 1)):
        """Check the settings.

        Args:
            size: picture size in pixels, 16..512 (default 64).
            objects: (1, 1), since there is always one room.

        Raises:
            UsageError: a size outside these bounds, or more than one object.
        """
        self.size = self.default_size if size is None else size
        self.objects = check_object_range(objects, most=1)
        if not 16 <= self.size <= 512:
            raise UsageError(f"--size is {self.size}, expected 16 to 512 pixels for a room picture")

    def prepare(self) -> None:
        """Check that mitsuba is installed."""
        try:
            load_mitsuba()
        except MissingExtraError as error:
            raise MissingExtraError(
                "rendering the room needs mitsuba, which is not installed; "
                "install it: pip install mitsuba"
            ) from error

    def draw(self, values: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Render the room of these values."""
        light, camera = (
            tuple(values[f"{name}_{axis}"] for axis in "xyz") for name in ("light", "camera")
        )
        return room_pixels.render(View(values["light_intensity"], light, camera), self.size)
