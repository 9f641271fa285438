"""``comet compose``: compositions rendered into files, one picture, a sheet, or a file a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from comet_cli.drawing.animations import Trace, check_trace
from comet_cli.energy.descent import Callback
from comet_cli.errors import Interrupted, UsageError
from comet_cli.formats.files import write_output
from comet_cli.formats.images import write_png
from comet_cli.formats.picture_recipe import Recipe
from comet_cli.inputs.seed_lists import parse_seeds
from comet_cli.inputs.session import Bench, Progress
from comet_cli.verbs.compose_recipe import (
    counting,
    descent_settings,
    finish_composition,
    finish_compositions,
    plan_composition,
)


def compose_picture(
    selections: Sequence[str],
    output: str,
    bench: Bench,
    *,
    trace: str | None = None,
    metadata: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> Recipe:
    """Render selections and write the picture, whole or not at all.

    Args:
        selections: see :mod:`comet_cli.inputs.selection`.
        output: the PNG; ``-`` for standard output.
        bench: the models.
        trace: an ``.apng``, ``.gif``, ``.webp`` or ``.mp4`` for the descent as an animation.
        metadata: write the recipe into the picture.
        progress: called with (done, total) steps.
        settings: see :func:`plan_composition`.

    Returns:
        The recipe.
    """
    _check_trace(trace, settings.get("seeds"))
    recipe = plan_composition(selections, bench, **settings)
    frames = Trace() if trace is not None else None
    count = _progress(recipe, progress)
    callbacks = [callback for callback in (frames, count) if callback is not None]

    def follow(n: int, x: torch.Tensor) -> None:
        for callback in callbacks:
            callback(n, x)

    pixels, recipe = finish_composition(recipe, bench, follow if callbacks else None)
    embedded = recipe if metadata else None
    write_png(pixels, output, embedded)
    if trace is not None and frames is not None:
        write_output(trace, frames.encode(trace, pixels, embedded))
    return recipe


def compose_pictures(
    selections: Sequence[str],
    outputs: Sequence[str],
    bench: Bench,
    *,
    seeds: str,
    trace: str | None = None,
    metadata: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> list[Recipe]:
    """Render selections with several seeds and write a file each, as soon as it is there.

    Each is, byte for byte, what :func:`compose_picture` writes with that seed.

    Args:
        selections: see :func:`plan_composition`.
        outputs: a PNG a seed.
        bench: the models.
        seeds: the list of seeds.
        trace: refused: an animation shows one descent.
        metadata: write the recipes into the pictures.
        progress: called with (done, total) steps.
        settings: see :func:`plan_composition`.

    Returns:
        The recipes.

    Raises:
        Interrupted: from the keyboard; what is written stays, and the seeds that lack are named.
    """
    _check_trace(trace, seeds)
    recipe = plan_composition(selections, bench, seeds=seeds, **settings)
    count = _progress(recipe, progress)
    recipes: list[Recipe] = []
    every = parse_seeds(seeds)
    drawn = finish_compositions(recipe, bench, every, count)
    try:
        for path, (_, pixels, finished) in zip(outputs, drawn, strict=True):
            write_png(pixels, path, finished if metadata else None)
            recipes.append(finished)
    except KeyboardInterrupt:
        rest = ",".join(map(str, every[len(recipes) :]))
        raise Interrupted(
            f"interrupted; {len(recipes)} of {len(outputs)} pictures are written and kept, the "
            f"others are made with --seeds {rest}"
        ) from None
    return recipes


def _check_trace(trace: str | None, seeds: str | None) -> None:
    if trace is None:
        return
    check_trace(trace)
    if seeds is not None:
        raise UsageError("--trace shows one descent, --seeds makes several; give one of them")


def _progress(recipe: Recipe, progress: Progress | None) -> Callback | None:
    pictures = str(recipe.settings.get("seeds", "")).count(",") + 1
    return counting(progress, (descent_settings(recipe)[1] or 1) * pictures)
