"""``comet decompose``: each component of a picture alone, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from comet_cli.drawing.scale import scale_setting, scaled
from comet_cli.drawing.sheets import Sheet, draw_sheet
from comet_cli.energy.composition import Term
from comet_cli.energy.render import default_start, render
from comet_cli.formats.images import decode_png, to_bytes, write_png
from comet_cli.formats.picture_recipe import PictureRecipe, RecipeRow
from comet_cli.inputs.opening import RecipeDraft, open_selections
from comet_cli.inputs.selection import Selection
from comet_cli.inputs.session import Progress, Session
from comet_cli.verbs.compose_recipe import (
    check_settings,
    chosen_solver,
    descent_settings,
    fast_settings,
)
from comet_cli.verbs.sheet_parts import (
    START_CHOICES,
    check_start,
    component_labels,
    embedded_picture,
    row_label,
)


def plan_decomposition(
    inputs: Sequence[Selection],
    session: Session,
    *,
    seed: int = 0,
    steps: int | None = None,
    step_size: float = 1.0,
    init: str = "auto",
    scale: str | None = None,
    fast: bool = False,
) -> PictureRecipe:
    """Turn images and ``.z`` files (or selections) into the recipe of their sheet.

    Args:
        inputs: a row each.
        session: the models.
        seed: of the noise.
        steps: N; default each model's own recommendation.
        step_size: multiplies every model's own λ.
        init: where single components start: ``grey``, ``noise``, ``black``, or ``auto``: as the
            model's card says (:func:`comet_cli.energy.render.default_start`).
        scale: how renderings are enlarged (:mod:`comet_cli.drawing.scale`).
        fast: fewer steps; see :func:`.compose_recipe.fast_settings`.
    """
    check_settings(seed=seed, steps=steps, step_size=step_size, fast=fast)
    scale_setting(scale)  # its mistakes, before any work
    check_start(init)
    draft = RecipeDraft()
    for opened, picked in open_selections(session, inputs):
        terms = tuple(draft.term(opened, k, w) for k, w in picked)
        draft.rows.append(RecipeRow(row_label(opened.name), terms, embedded_picture(opened)))
    return draft.finish(
        "decompose",
        {
            "seed": seed,
            "steps": steps,
            "step_size": float(step_size),
            "init": init,
            **(fast_settings(draft.cards(session), session) if fast else {}),
            **scale_setting(scale),
            **session.environment(),
        },
    )


def draw_decomposition(
    recipe: PictureRecipe, session: Session, progress: Progress | None = None
) -> np.ndarray:
    """Render a ``decompose`` recipe: (H,W,3) uint8.

    Raises:
        DivergenceError: a descent diverged.
        FileFormatError: a recipe that cannot be.
    """
    rows = [session.terms(recipe, row) for row in recipe.rows]
    total = sum(len(terms) + 1 for terms in rows)
    done = 0
    pictures = []
    for terms in rows:
        drawn = []
        for part in [terms, *([term] for term in terms)]:
            drawn.append(_draw_part(recipe, session, part, alone=part is not terms))
            done += 1
            if progress is not None:
                progress(done, total)
        pictures.append(drawn)
    return draw_sheet(_lay_out(recipe, pictures))


def _draw_part(
    recipe: PictureRecipe, session: Session, terms: list[Term], *, alone: bool
) -> np.ndarray:
    seed, steps, step_size = descent_settings(recipe)
    card = terms[0].model.card
    init = recipe.choice("init", START_CHOICES)
    if not alone:
        init = card.init
    elif init == "auto":
        init = default_start([card], partial=True)
    with session.arithmetic():
        image = render(
            terms,
            seed=seed,
            num_steps=steps,
            step_size=step_size,
            init=init,
            solver=chosen_solver(recipe),
        )
    return scaled(to_bytes(image[0]), recipe)


def _lay_out(recipe: PictureRecipe, pictures: list[list[np.ndarray]]) -> Sheet:
    inputs = [
        decode_png(row.picture, "an input in the recipe") if row.picture else None
        for row in recipe.rows
    ]
    has_inputs = any(picture is not None for picture in inputs)
    lead = (["input"] if has_inputs else []) + ["all components"]
    cells: list[list[np.ndarray | None]] = []
    for picture, drawn in zip(inputs, pictures, strict=True):
        cells.append(([picture] if has_inputs else []) + list(drawn))
    return Sheet(
        columns=lead + component_labels(recipe, word="component "),
        rows=[row.name for row in recipe.rows],
        cells=cells,
        breaks=frozenset({len(lead)}),
    )


def write_decomposition(
    inputs: Sequence[Selection],
    output: str,
    session: Session,
    *,
    metadata: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> PictureRecipe:
    """Render and write the picture, whole or not at all.

    Args:
        inputs: images and ``.z`` files.
        output: the PNG; ``-`` for standard output.
        session: the models.
        metadata: write the recipe into the picture.
        progress: called with (done, total) renderings.
        settings: see :func:`plan_decomposition`.

    Returns:
        The recipe.
    """
    recipe = plan_decomposition(inputs, session, **settings)
    pixels = draw_decomposition(recipe, session, progress)
    write_png(pixels, output, recipe if metadata else None)
    return recipe
