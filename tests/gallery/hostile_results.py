"""What a folder of results may hold, meant well or not."""

import numpy as np
from PIL import Image

from comet_cli.formats.images import encode_png
from comet_cli.formats.picture_recipe import ModelReference, PictureRecipe, RecipeRow, RecipeTerm

ATTACK = "</script><img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"
HOSTILE_NAME = "<img src=x onerror=window.pwned=1>.png"
SHELL_NAME = "it's $(touch pwned) `id`; rm -rf ~.png"
SCHEME_NAME = "javascript:window.pwned=1.png"


def pixels(value: int, size: int = 24) -> np.ndarray:
    shade = np.arange(size, dtype=np.uint8)[:, None, None] * 4
    return np.broadcast_to(shade + np.uint8(value), (size, size, 3)).copy()


def recipe(text: str = "fine", seed: int = 0, verb: str = "compose") -> PictureRecipe:
    z = np.ones(4, np.float32)
    rows = (
        RecipeRow(text, (RecipeTerm(0, z, 0.5, 1, text),), encode_png(pixels(3))),
        RecipeRow("other", (RecipeTerm(0, z, -1.0, 0),)),
    )
    settings = {"seed": seed, "note": text, text: 1}
    return PictureRecipe(verb, (ModelReference(text, "a" * 64),), rows, settings, {"comet": text})


def rotated() -> Image.Exif:
    """Return the EXIF entry of a photo to be turned by 90°."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif
