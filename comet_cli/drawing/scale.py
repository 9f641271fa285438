"""Pictures enlarged after they are rendered: ``--scale 4`` and ``--scale 4:pixels``."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.files import show
from comet_cli.formats.picture_recipe import PictureRecipe, Setting

MAX_SCALE = 16
MAX_SIDE = 8192
_SCALE = re.compile(r"([0-9]{1,2})(:pixels)?")


def check_scale(scale: str | None, size: int = 1) -> None:
    """Check ``--scale``, before any work.

    Args:
        scale: what was given; None for nothing.
        size: R of what will be enlarged.

    Raises:
        UsageError: no such scale, or pictures of more than 8,192 pixels.
    """
    if scale is None:
        return
    match = _SCALE.fullmatch(scale)
    if match is None or not 1 <= int(match[1]) <= MAX_SCALE:
        raise UsageError(
            f"--scale is '{show(scale)}', expected 1 to {MAX_SCALE}, or, to repeat pixels, 4:pixels"
        )
    if int(match[1]) * size > MAX_SIDE:
        raise UsageError(
            f"--scale {scale} makes {int(match[1]) * size} pixels of {size}, at most {MAX_SIDE} "
            "are written"
        )


def scale_setting(scale: str | None) -> dict[str, Setting]:
    """Return the setting of a recipe that is to be enlarged; none for one that is not."""
    check_scale(scale)
    return {} if scale is None else {"scale": scale}


def scale_factor(scale: str | None) -> int:
    """Return how many times larger each side becomes, of a scale that is checked."""
    return 1 if scale is None else int(scale.partition(":")[0])


def scaled(pixels: np.ndarray, recipe: PictureRecipe, *, repeat: bool = False) -> np.ndarray:
    """Return a picture at the scale that its recipe asks for, if it asks for one.

    Args:
        pixels: (H,W,3) uint8.
        recipe: of the picture.
        repeat: repeat pixels in any case; otherwise the recipe says whether they are repeated or
            interpolated (Lanczos).

    Raises:
        FileFormatError: a recipe whose scale is none.
    """
    scale = recipe.settings.get("scale")
    if scale is None:
        return pixels
    try:
        check_scale(str(scale), max(pixels.shape[:2]))
    except UsageError as error:
        raise FileFormatError(f"the recipe's setting 'scale' cannot be: {error}") from None
    factor, pixelated = scale_factor(str(scale)), ":" in str(scale)
    size = (pixels.shape[1] * factor, pixels.shape[0] * factor)
    kind = Image.Resampling.NEAREST if repeat or pixelated else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize(size, kind))
