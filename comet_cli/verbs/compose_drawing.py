"""The recipe of a composition, rendered: one picture, a sheet of seeds, or a picture a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from comet_cli.drawing.scale import scaled
from comet_cli.drawing.sheets import Sheet, draw_sheet
from comet_cli.energy.composition import Composition, compose
from comet_cli.energy.descent import Callback, Tolerance
from comet_cli.energy.render import render
from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.images import decode_png, from_bytes, to_bytes
from comet_cli.formats.picture_recipe import PictureRecipe
from comet_cli.inputs.seed_lists import parse_seeds
from comet_cli.inputs.session import Progress, Session
from comet_cli.models.card import STARTS
from comet_cli.verbs.compose_recipe import (
    MAX_SIZE,
    MAX_STEPS,
    chosen_solver,
    descent_settings,
)


def all_of(*callbacks: Callback | None) -> Callback | None:
    """Return a descent's callback that calls all that there are."""
    called = [callback for callback in callbacks if callback is not None]

    def follow(n: int, x: torch.Tensor) -> None:
        for callback in called:
            callback(n, x)

    return follow if called else None


def draw_composition(
    recipe: PictureRecipe, session: Session, callback: Callback | None = None
) -> np.ndarray:
    """Render a ``compose`` recipe.

    Args:
        recipe: from :func:`compose_recipe`, or read back from a picture.
        session: the models.
        callback: see :func:`comet_cli.energy.descent.descend`.

    Returns:
        (R,R,3) uint8, or the sheet of a recipe with several seeds.

    Raises:
        DivergenceError: the descent diverged.
        FileFormatError: a recipe that cannot be.
    """
    seeds = recipe.settings.get("seeds")
    if seeds is None:
        ((_, pixels, _),) = finish_compositions(recipe, session, None, callback)
        return pixels
    if not isinstance(seeds, str):
        raise FileFormatError("the recipe's setting 'seeds' is no list of seeds")
    return finish_sheet(recipe, session, parse_seeds(seeds), callback)[0]


def finish_sheet(
    recipe: PictureRecipe,
    session: Session,
    seeds: Sequence[int],
    callback: Callback | None = None,
) -> tuple[np.ndarray, PictureRecipe]:
    """Render a ``compose`` recipe with several seeds onto one sheet.

    Returns:
        The sheet, (H,W,3) uint8, and the recipe with the steps that a tolerance left.
    """
    drawn = list(finish_compositions(recipe, session, seeds, callback))
    columns = math.ceil(math.sqrt(len(seeds)))
    lines = [drawn[n : n + columns] for n in range(0, len(drawn), columns)]
    sheet = Sheet(
        columns=[""] * columns,
        rows=[""] * len(lines),
        cells=[[pixels for _, pixels, _ in line] for line in lines],
        captions=[[f"seed {seed}" for seed, _, _ in line] for line in lines],
    )
    taken = [finished.settings.get("steps_taken") for _, _, finished in drawn]
    if taken[0] is not None:
        recipe = replace(
            recipe, settings={**recipe.settings, "steps_taken": ",".join(map(str, taken))}
        )
    return draw_sheet(sheet), recipe


def finish_compositions(
    recipe: PictureRecipe,
    session: Session,
    seeds: Sequence[int] | None,
    callback: Callback | None = None,
) -> Iterator[tuple[int, np.ndarray, PictureRecipe]]:
    """Render a ``compose`` recipe with one seed after the other, its energy composed once.

    Args:
        recipe: the recipe.
        session: the models.
        seeds: default the recipe's own.
        callback: called with the steps of all seeds counted on.

    Yields:
        The seed, its picture (R,R,3) uint8 and the recipe of that picture alone, with the steps
        that a tolerance left.
    """
    terms = session.terms(recipe, recipe.rows[0])
    seed, steps, step_size = descent_settings(recipe)
    steps = steps or max(t.model.card.render_steps for t in terms)
    size = recipe.setting("size", int, low=1, high=MAX_SIZE)
    solver = chosen_solver(recipe)
    every = [seed] if seeds is None else list(seeds)
    taken = _steps_taken(recipe, len(every))
    energy: Composition | None = None
    for n, one in enumerate(every):
        tolerance = None
        if "tolerance" in recipe.settings and taken is None:
            tolerance = Tolerance(recipe.setting("tolerance", float, low=0, high=1))
        follow = None if callback is None else _counted_on(callback, n * steps)
        with session.arithmetic():
            # Inside, because what a composition computes once is part of the arithmetic too.
            energy = compose(terms, size=size) if energy is None else energy
            image = render(
                terms,
                seed=one,
                num_steps=steps if taken is None else taken[n],
                step_size=step_size,
                size=size,
                init=recipe_start(recipe, size),
                callback=follow,
                solver=solver,
                tolerance=tolerance,
                energy=energy,
            )
        settings = {k: v for k, v in recipe.settings.items() if k not in ("seeds", "steps_taken")}
        settings["seed"] = one
        if tolerance is not None:
            settings["steps_taken"] = tolerance.steps[0]
        elif taken is not None:
            settings["steps_taken"] = taken[n]
        yield one, scaled(to_bytes(image[0]), recipe), replace(recipe, settings=settings)


def recipe_start(recipe: PictureRecipe, size: int) -> str | torch.Tensor:
    """Return where a ``compose`` recipe starts: a word, or its picture as (1,3,R,R)."""
    init = recipe.choice("init", (*STARTS, "picture"))
    if init != "picture":
        return init
    pixels = decode_png(recipe.rows[0].picture, "the start in the recipe")
    if pixels.shape[:2] != (size, size):
        raise UsageError("the start in the recipe does not have the recipe's size")
    return torch.from_numpy(from_bytes(pixels))[None]


def _steps_taken(recipe: PictureRecipe, count: int) -> list[int] | None:
    """Return how many steps a finished recipe with a tolerance took, one number a picture."""
    found = recipe.settings.get("steps_taken")
    if found is None:
        return None
    parts = str(found).split(",")
    fits = all(part.isdecimal() and int(part) <= MAX_STEPS for part in parts)
    if not fits or len(parts) != count:
        raise FileFormatError(
            f"the recipe's setting 'steps_taken' is {found!r:.40}, expected {count} numbers"
        )
    return [int(part) for part in parts]


def _counted_on(callback: Callback, before: int) -> Callback:
    return lambda n, x: callback(before + n, x)


def counting(progress: Progress | None, total: int) -> Callback | None:
    """Return a descent callback that reports progress."""
    if progress is None:
        return None
    return lambda n, x: progress(n, total)
