"""``comet compose``: compositions rendered into files, one picture, a sheet, or a file a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from comet_cli.drawing.animations import Trace, check_trace, encode_animation
from comet_cli.drawing.scale import check_scale, scale_setting
from comet_cli.energy.descent import Callback
from comet_cli.errors import Interrupted, SelectionError, UsageError
from comet_cli.formats.files import (
    Told,
    check_inputs,
    read_input,
    show,
    tell_nobody,
    write_output,
)
from comet_cli.formats.frames import tell_first
from comet_cli.formats.images import encode_png, load_image, to_bytes, write_png
from comet_cli.formats.picture_recipe import (
    ModelReference,
    PictureRecipe,
    RecipeTerm,
    Setting,
    check_readable,
)
from comet_cli.inputs.compose_request import ComposeRequest
from comet_cli.inputs.modifiers import Argument, Region
from comet_cli.inputs.opening import RecipeDraft, open_selections
from comet_cli.inputs.session import Opened, Progress, Session
from comet_cli.verbs.compose_drawing import all_of, counting, finish_compositions, finish_sheet
from comet_cli.verbs.compose_recipe import (
    blend,
    check_settings,
    compose_recipe,
    descent_settings,
    fast_settings,
)

Ingredient = tuple[RecipeTerm, Region | None]


def write_composition(
    request: ComposeRequest,
    session: Session,
    *,
    recipe: PictureRecipe | None = None,
    progress: Progress | None = None,
    told: Told = tell_nobody,
) -> list[PictureRecipe]:
    """Render a composition and write its pictures, each whole or not at all.

    A file a seed is, byte for byte, what that seed gives alone; each is written as soon as it is
    there.

    Args:
        request: what is put together, and where it goes.
        session: the models.
        recipe: from :func:`plan_composition`, where the request is planned already.
        progress: called with (done, total) steps.
        told: called with each file as soon as it is written, and a picture's settings.

    Returns:
        The recipes of ``request.paths``.

    Raises:
        Interrupted: from the keyboard, with a file a seed; what is written stays, and the seeds
            that lack are named.
    """
    if request.trace is not None:
        check_trace(request.trace)
    recipe = plan_composition(request, session) if recipe is None else recipe
    steps = descent_settings(recipe)[1] or 1
    count = counting(progress, steps * len(request.every_seed))
    if request.files:
        return _write_files(request, recipe, session, count, told)
    frames = Trace() if request.trace is not None else None
    follow = all_of(frames, count)
    if request.seeds:
        pixels, recipe = finish_sheet(recipe, session, request.seeds, follow)
    else:
        ((_, pixels, recipe),) = finish_compositions(recipe, session, None, follow)
    embedded = recipe if request.metadata else None
    write_png(pixels, request.output, embedded)
    told(request.output, **recipe.settings)
    if request.trace is not None and frames is not None:
        animation = encode_animation(request.trace, *frames.animation(pixels), embedded)
        write_output(request.trace, animation)
        told(request.trace)
    return [recipe]


def _write_files(
    request: ComposeRequest,
    recipe: PictureRecipe,
    session: Session,
    count: Callback | None,
    told: Told,
) -> list[PictureRecipe]:
    recipes: list[PictureRecipe] = []
    drawn = finish_compositions(recipe, session, request.seeds, count)
    try:
        for path, (_, pixels, finished) in zip(request.files, drawn, strict=True):
            write_png(pixels, path, finished if request.metadata else None)
            recipes.append(finished)
            told(path, **finished.settings)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {len(recipes)} of {len(request.files)} pictures are written and kept, "
            f"the others are made with --seeds {_listed(request.seeds[len(recipes) :])}"
        ) from None
    return recipes


def _listed(seeds: Sequence[int]) -> str:
    """Return seeds as ``--seeds`` takes them, neighbours as a range."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def plan_composition(
    request: ComposeRequest,
    session: Session,
    *,
    opened: dict[str, Opened] | None = None,
    start: bytes | None = None,
) -> PictureRecipe:
    """Return the recipe of a composition's picture; encodes pictures, but renders nothing.

    Args:
        request: what is put together.
        session: the models.
        opened: see :func:`comet_cli.inputs.opening.open_selections`.
        start: the file ``request.start``, where it was read already.

    Raises:
        UsageError: settings out of range, nothing selected, files that do not exist.
    """
    scale_setting(request.scale)
    for seed in request.every_seed:
        check_settings(
            seed=seed,
            steps=request.steps,
            step_size=request.step_size,
            size=request.size,
            solver=request.solver,
            tolerance=request.tolerance,
            fast=request.fast,
        )
    if request.start is not None:
        check_inputs([request.start])
    models, ingredients = open_ingredients(request.arguments, session, opened)
    size = request.size
    cards = [session.model_of(m.name, m.sha256, "an input").card for m in models]
    if size is None:
        size = max(card.image_size for card in cards)
    check_scale(request.scale, size)
    picture = b""
    if request.start is not None:
        # Eight bits a channel, so that the recipe holds exactly what was used.
        data = read_input(request.start) if start is None else start
        tell_first(data, f"'{show(request.start)}'")
        picture = encode_png(to_bytes(load_image(data, size, where=f"'{show(request.start)}'")))
    further: dict[str, Setting] = {}
    if request.seeds:
        further["seeds"] = ",".join(map(str, request.seeds))
    if request.solver not in (None, "gd"):
        further["solver"] = str(request.solver)
    if request.tolerance is not None:
        further["tolerance"] = float(request.tolerance)
    if request.fast:
        used = [cards[n] for n in {term.model for term, _ in ingredients}]
        further |= fast_settings(used, session)
    further |= scale_setting(request.scale)
    recipe = compose_recipe(
        models,
        [t if r is None else replace(t, mask=draw_mask(r, size)) for t, r in ingredients],
        session,
        seed=request.every_seed[0],
        steps=request.steps,
        step_size=request.step_size,
        size=size,
        init=request.init,
        picture=picture,
        further=further,
    )
    if recipe.settings["init"] != "noise" and request.solver != "langevin":
        no_noise = "not start from noise; --solver langevin makes"
        if len(request.every_seed) > 1:
            session.note_once(
                f"the pictures of all seeds are the same: they do {no_noise} them differ"
            )
        elif request.every_seed[0]:
            session.note_once(f"--seed changes nothing: the picture does {no_noise} it matter")
    if request.metadata:
        check_readable(recipe)
    return recipe


def open_ingredients(
    arguments: Sequence[Argument], session: Session, opened: dict[str, Opened] | None = None
) -> tuple[list[ModelReference], list[Ingredient]]:
    """Open the files of ``compose``'s arguments; see :func:`.inputs.opening.open_selections`.

    Returns:
        The models, and the terms whose weight is not 0, each with its region.

    Raises:
        SelectionError: nothing selected, or a blend of different numbers of components.
        UsageError, FileFormatError: files that are not there, or not what they should be.
    """
    check_inputs(dict.fromkeys(a.mask for a in arguments if a.mask is not None))
    selections = [s for a in arguments for s in a.selections]
    found_in = iter(open_selections(session, selections, opened=opened))
    draft = RecipeDraft()
    found: list[Ingredient] = []
    for argument in arguments:
        source, picked = next(found_in)
        terms = [draft.term(source, k, w) for k, w in picked]
        if argument.second is not None:
            source, picked = next(found_in)
            others = [draft.term(source, k, w) for k, w in picked]
            if len(others) != len(terms):
                first, second = (show(s.text) for s in argument.selections)
                raise SelectionError(
                    f"a blend is between as many components: '{first}' selects {len(terms)}, "
                    f"'{second}' {len(others)}"
                )
            terms = [blend(a, b, argument.part) for a, b in zip(terms, others, strict=True)]
        found += [(term, argument.region) for term in terms if term.weight]
    if not found:
        raise SelectionError("nothing is selected: every weight is 0; give at least one component")
    return draft.models, found


def draw_mask(region: Region, size: int) -> bytes:
    """Return a region of a canvas of ``size`` pixels as a PNG: white where it acts.

    Where a mask is transparent it does not act.

    Raises:
        UsageError: a rectangle that leaves the canvas, or a mask that is black everywhere.
    """
    if region.path is not None:
        data = read_input(region.path)
        tell_first(data, f"'{show(region.path)}'")
        picture = load_image(data, size, where=f"'{show(region.path)}'", behind="black")
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
