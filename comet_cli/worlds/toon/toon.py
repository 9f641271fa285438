"""Drawn faces, the counterpart of portraits of drawn characters."""

from typing import Any

import numpy as np

from comet_cli.errors import UsageError
from comet_cli.worlds.factor_grid import GridGenerator
from comet_cli.worlds.generator import check_object_range
from comet_cli.worlds.toon import face as toon_face
from comet_cli.worlds.toon import hair as toon_hair
from comet_cli.worlds.toon.face import Face


class Toon(GridGenerator):
    """Factors: hair, skin, expression, background, direction of light, glasses.

    The mask numbers parts: 1 skin, 2 hair, 3 clothes, 4 eyes, brows and mouth, 5 glasses.
    """

    name = "toon"
    version = 1
    default_size = 64
    summary = "drawn faces, 64x64, masks of parts"
    factors = {
        "hair_colour": tuple(toon_face.HAIR_COLOURS),
        "hair_style": toon_hair.STYLES,
        "skin": tuple(toon_face.SKIN_COLOURS),
        "mouth": toon_face.MOUTHS,
        "brows": toon_face.BROWS,
        "eyes": toon_face.EYES,
        "background": tuple(toon_face.BACKGROUNDS),
        "light": tuple(range(0, 360, 45)),
        "glasses": toon_face.GLASSES,
    }

    def __init__(self, size: int | None = None, objects: tuple[int, int] = (1, 1)):
        """Check the settings.

        Args:
            size: picture size in pixels, 32..512 (default 64).
            objects: (1, 1), since there is always one face.

        Raises:
            UsageError: a size outside these bounds, or more than one object.
        """
        self.size = self.default_size if size is None else size
        self.objects = check_object_range(objects, most=1)
        if not 32 <= self.size <= 512:
            raise UsageError(f"--size is {self.size}, expected 32 to 512 pixels for a toon picture")

    def draw(self, values: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Draw the face of these values."""
        return toon_face.draw_face(Face(**values), self.size)
