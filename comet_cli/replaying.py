"""``comet replay``: a picture made again from the recipe that it carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from comet_cli import __version__
from comet_cli.attribution import attribute_rows, draw_gradients
from comet_cli.decomposition import draw_decomposition
from comet_cli.files import read_input, show
from comet_cli.images import decode_png
from comet_cli.recipes import Recipe, read_recipe
from comet_cli.recombination import draw_recombination
from comet_cli.resolution import AUTO, PRECISIONS, Bench, Note, Progress
from comet_cli.synthesis import counting, descent_settings, draw_composition


@dataclass(frozen=True)
class Replay:
    """A picture made again.

    Attributes:
        recipe: what it was made from.
        pixels: (H,W,3) uint8.
        difference: largest difference to the picture that the recipe came from, in units of
            1/255; None if their sizes differ.
        changes: what is not as it was when the recipe was written.
    """

    recipe: Recipe
    pixels: np.ndarray
    difference: int | None
    changes: tuple[str, ...]

    def verdict(self) -> str:
        """Return one sentence: is it the same picture."""
        if self.difference == 0:
            return "the replay has the same pixels"
        if self.difference is None:
            return "the replay has another size"
        return f"the replay differs by at most {self.difference}/255"


def draw(recipe: Recipe, bench: Bench, progress: Progress | None = None) -> np.ndarray:
    """Make the picture of a recipe, whatever its verb: (H,W,3) uint8.

    Every verb that writes a picture makes it through here, so a replay takes the same path.
    """
    if recipe.verb == "compose":
        steps = descent_settings(recipe)[1] or 1
        return draw_composition(recipe, bench, counting(progress, steps))
    if recipe.verb == "decompose":
        return draw_decomposition(recipe, bench, progress)
    if recipe.verb == "gradients":
        return draw_gradients(recipe, attribute_rows(recipe, bench, progress))
    return draw_recombination(recipe, bench, progress)


def replay_picture(
    path: str,
    *,
    model: str = AUTO,
    device: str = "auto",
    precision: str = "auto",
    note: Note | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Make the picture of a PNG's recipe again, and compare.

    Args:
        path: the PNG; ``-`` for standard input.
        model: a model folder to look in as well.
        device: see :class:`comet_cli.resolution.Bench`.
        precision: ``auto`` for the recipe's own.
        note: told what was chosen.
        progress: called with (done, total).

    Raises:
        UsageError: no such file.
        FileFormatError: no recipe in it, or a model whose weights have changed.
        UnknownModelError: a model that is not installed.
    """
    where = f"'{show(path)}'"
    data = read_input(path)
    recipe = read_recipe(data, where)
    if precision == "auto":
        precision = recipe.choice("precision", PRECISIONS)
    bench = Bench(model=model, device=device, precision=precision, note=note)
    now = {"comet": __version__, "torch": str(torch.__version__), **bench.environment()}
    was = {**recipe.settings, **recipe.versions}
    changes = [
        f"{name} is {now[name]}, was {was.get(name)}" for name in now if was.get(name) != now[name]
    ]
    for reference in recipe.models:
        bench.model_of(reference.name, reference.sha256, where)
    pixels = draw(recipe, bench, progress)
    before = decode_png(data, where)
    difference = None
    if before.shape == pixels.shape:
        difference = int(np.abs(before.astype(int) - pixels.astype(int)).max())
    return Replay(recipe, pixels, difference, tuple(changes))
