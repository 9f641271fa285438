"""``comet compose``: compositions rendered into files, one picture, a sheet, or a file a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from comet_cli.drawing.animations import Trace, check_trace
from comet_cli.energy.descent import Callback
from comet_cli.errors import Interrupted, SelectionError, UsageError
from comet_cli.formats.files import check_inputs, read_input, show, write_output
from comet_cli.formats.images import encode_png, load_image, to_bytes, write_png
from comet_cli.formats.picture_recipe import ModelReference, PictureRecipe, RecipeTerm, Setting
from comet_cli.inputs.modifiers import Region, split_blend, split_region
from comet_cli.inputs.opening import RecipeDraft, open_selections
from comet_cli.inputs.seed_lists import parse_seeds
from comet_cli.inputs.session import Progress, Session
from comet_cli.models.card import STARTS
from comet_cli.verbs.compose_recipe import (
    blend,
    check_settings,
    compose_recipe,
    counting,
    descent_settings,
    finish_composition,
    finish_compositions,
)

Ingredient = tuple[RecipeTerm, Region | None]


def compose_picture(
    selections: Sequence[str],
    output: str,
    session: Session,
    *,
    trace: str | None = None,
    metadata: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> PictureRecipe:
    """Render selections and write the picture, whole or not at all.

    Args:
        selections: see :mod:`comet_cli.inputs.selection`.
        output: the PNG; ``-`` for standard output.
        session: the models.
        trace: an ``.apng``, ``.gif``, ``.webp`` or ``.mp4`` for the descent as an animation.
        metadata: write the recipe into the picture.
        progress: called with (done, total) steps.
        settings: see :func:`plan_composition`.

    Returns:
        The recipe.
    """
    _check_trace(trace, settings.get("seeds"))
    recipe = plan_composition(selections, session, **settings)
    frames = Trace() if trace is not None else None
    count = _progress(recipe, progress)
    callbacks = [callback for callback in (frames, count) if callback is not None]

    def follow(n: int, x: torch.Tensor) -> None:
        for callback in callbacks:
            callback(n, x)

    pixels, recipe = finish_composition(recipe, session, follow if callbacks else None)
    embedded = recipe if metadata else None
    write_png(pixels, output, embedded)
    if trace is not None and frames is not None:
        write_output(trace, frames.encode(trace, pixels, embedded))
    return recipe


def compose_pictures(
    selections: Sequence[str],
    outputs: Sequence[str],
    session: Session,
    *,
    seeds: str,
    trace: str | None = None,
    metadata: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> list[PictureRecipe]:
    """Render selections with several seeds and write a file each, as soon as it is there.

    Each is, byte for byte, what :func:`compose_picture` writes with that seed.

    Args:
        selections: see :func:`plan_composition`.
        outputs: a PNG a seed.
        session: the models.
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
    recipe = plan_composition(selections, session, seeds=seeds, **settings)
    count = _progress(recipe, progress)
    recipes: list[PictureRecipe] = []
    every = parse_seeds(seeds)
    drawn = finish_compositions(recipe, session, every, count)
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


def _progress(recipe: PictureRecipe, progress: Progress | None) -> Callback | None:
    pictures = str(recipe.settings.get("seeds", "")).count(",") + 1
    return counting(progress, (descent_settings(recipe)[1] or 1) * pictures)


def open_ingredients(
    texts: Sequence[str], session: Session, *, literal: bool = False
) -> tuple[list[ModelReference], list[Ingredient]]:
    """Open the files of ``compose``'s arguments.

    Returns:
        The models, and the terms whose weight is not 0, each with its region.

    Raises:
        SelectionError: nothing selected, or a blend of different numbers of components.
        UsageError, FileFormatError: files that are not there, or not what they should be.
    """
    split = [split_region(text, literal=literal) for text in texts]
    check_inputs(dict.fromkeys(r.path for _, r in split if r is not None and r.path is not None))
    blends = [split_blend(text, literal=literal) for text, _ in split]
    flat = [text for first, second, _ in blends for text in (first, second) if text is not None]
    opened = iter(open_selections(session, flat, literal=literal))
    draft = RecipeDraft()
    found: list[Ingredient] = []
    for (_, region), (first, second, part) in zip(split, blends, strict=True):
        source, picked = next(opened)
        terms = [draft.term(source, k, w) for k, w in picked]
        if second is not None:
            source, picked = next(opened)
            others = [draft.term(source, k, w) for k, w in picked]
            if len(others) != len(terms):
                raise SelectionError(
                    f"a blend is between as many components: '{show(first)}' selects {len(terms)}, "
                    f"'{show(second)}' {len(others)}"
                )
            terms = [blend(a, b, part) for a, b in zip(terms, others, strict=True)]
        found += [(term, region) for term in terms if term.weight]
    if not found:
        raise SelectionError("nothing is selected: every weight is 0; give at least one component")
    return draft.models, found


def draw_mask(region: Region, size: int) -> bytes:
    """Return a region of a canvas of ``size`` pixels as a PNG: white where it acts.

    Raises:
        UsageError: a rectangle that leaves the canvas, or a mask that is black everywhere.
    """
    if region.path is not None:
        picture = load_image(read_input(region.path), size, where=f"'{show(region.path)}'")
        # Eight bits, so that the recipe holds exactly what was used.
        grey = to_bytes(np.repeat(picture.mean(0, keepdims=True), 3, 0))
        if not grey.any():
            raise UsageError(f"the mask '{show(region.path)}' is black everywhere")
        return encode_png(grey)
    assert region.rectangle is not None
    x, y, w, h = region.rectangle
    if x + w > size or y + h > size:
        raise UsageError(
            f"the region {region.text} leaves the picture, which is {size} pixels wide and high"
        )
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[y : y + h, x : x + w] = 255
    return encode_png(pixels)


def plan_composition(
    selections: Sequence[str],
    session: Session,
    *,
    seed: int = 0,
    seeds: str | None = None,
    steps: int | None = None,
    step_size: float = 1.0,
    size: int | None = None,
    init: str | None = None,
    solver: str = "gd",
    tolerance: float | None = None,
    literal: bool = False,
) -> PictureRecipe:
    """Turn selection arguments into the recipe of their picture; encodes, but renders nothing.

    Args:
        selections: see :mod:`comet_cli.inputs.selection` and :mod:`comet_cli.inputs.modifiers`.
        session: the models.
        seed: of the noise.
        seeds: a list such as ``0-15``: one sheet of a picture a seed.
        steps: N; default the largest that the models' cards recommend.
        step_size: multiplies every model's own λ.
        size: R of the canvas; default the largest of the models.
        init: ``noise``, ``grey``, ``black``, or an image file to start from.
        solver: see :func:`comet_cli.energy.descent.descend`.
        tolerance: stop when the energy has settled (:class:`comet_cli.energy.descent.Tolerance`).
        literal: the arguments are file names.

    Raises:
        UsageError: settings out of range, nothing selected, files that do not exist.
    """
    every = [seed] if seeds is None else parse_seeds(seeds)
    for one in every:
        check_settings(
            seed=one,
            steps=steps,
            step_size=step_size,
            size=size,
            solver=solver,
            tolerance=tolerance,
        )
    if init is not None and init not in STARTS:
        check_inputs([init])
    models, ingredients = open_ingredients(selections, session, literal=literal)
    if size is None:
        size = max(session.model_of(m.name, m.sha256, "an input").card.image_size for m in models)
    picture = b""
    if init is not None and init not in STARTS:
        # Eight bits a channel, so that the recipe holds exactly what was used.
        data = read_input(init)
        picture = encode_png(to_bytes(load_image(data, size, where=f"'{show(init)}'")))
    further: dict[str, Setting] = {}
    if seeds is not None:
        further["seeds"] = ",".join(map(str, every))
    if solver != "gd":
        further["solver"] = solver
    if tolerance is not None:
        further["tolerance"] = float(tolerance)
    return compose_recipe(
        models,
        [
            t if region is None else replace(t, mask=draw_mask(region, size))
            for t, region in ingredients
        ],
        session,
        seed=every[0],
        steps=steps,
        step_size=step_size,
        size=size,
        init=init,
        picture=picture,
        further=further,
    )
