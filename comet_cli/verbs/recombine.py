"""``comet recombine``: swaps between pictures, all mixtures, additive series, interpolations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.drawing.mixing_page import Mixing, draw_mixing
from comet_cli.drawing.scale import scale_setting
from comet_cli.drawing.sheets import Sheet, draw_sheet
from comet_cli.errors import UsageError
from comet_cli.formats.files import Told, check_distinct, show, tell_nobody, write_output
from comet_cli.formats.images import decode_png, write_png
from comet_cli.formats.overwriting import check_folder, check_outputs
from comet_cli.formats.picture_recipe import PictureRecipe, RecipeRow, Setting
from comet_cli.inputs.opening import RecipeDraft, open_selections
from comet_cli.inputs.selection import Selection, parse_listing
from comet_cli.inputs.session import Progress, Session
from comet_cli.verbs.compose_drawing import draw_composition
from comet_cli.verbs.compose_recipe import (
    check_settings,
    compose_recipe,
    descent_settings,
    fast_settings,
)
from comet_cli.verbs.recombine_grid import Cell, Grid, lay_out_cells
from comet_cli.verbs.recombine_table import Table, check_mixtures, lay_out_mixtures
from comet_cli.verbs.sheet_parts import START_CHOICES, check_start, embedded_picture

Drawn = dict[tuple[tuple[int, bytes, int, float], ...], np.ndarray]  # by the key of a cell


def plan_recombination(
    inputs: Sequence[Selection],
    session: Session,
    *,
    add: bool = False,
    all_mixtures: bool = False,
    interpolate: int | None = None,
    components: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    step_size: float = 1.0,
    init: str = "auto",
    scale: str | None = None,
    fast: bool = False,
) -> PictureRecipe:
    """Turn images and ``.z`` files into the recipe of a grid.

    Args:
        inputs: two or more for swaps (figures 4, 7, 8, 10); one or more to ``add``; two for
            ``all_mixtures`` and ``interpolate``.
        session: the models.
        add: the additive series (figure 5): components one after the other, a row an input.
        all_mixtures: every one of the 2^n mixtures of two pictures.
        interpolate: columns from one picture's value of a component to the other's, a row a
            component.
        components: the components that are exchanged, as in ``0,2`` or by label; default all.
        seed: of the noise.
        steps: N; default the models' own recommendation.
        step_size: multiplies every model's own λ.
        init: ``noise``, ``grey``, ``black`` or ``auto``.
        scale: how renderings are enlarged (:mod:`comet_cli.drawing.scale`).
        fast: fewer steps; see :func:`.compose_recipe.fast_settings`.

    Raises:
        UsageError: settings or inputs that do not go together.
        SelectionError: components that an input does not have.
    """
    check_settings(seed=seed, steps=steps, step_size=step_size, fast=fast)
    scale_setting(scale)  # its mistakes, before any work
    check_start(init)
    layout = _layout(add=add, all_mixtures=all_mixtures, interpolate=interpolate)
    if len(inputs) < 2 and not add:
        raise UsageError("swaps need two pictures or more; --add makes the series of one")
    if layout in ("all", "interpolate") and len(inputs) != 2:
        raise UsageError(f"--{layout} takes two pictures, not {len(inputs)}")
    if interpolate is not None and not 2 <= interpolate <= 64:
        raise UsageError(f"--interpolate is {interpolate}, expected 2 to 64 steps")
    if components is not None:
        parse_listing(components, "--components")
    draft = RecipeDraft()
    for opened, picked in open_selections(session, inputs):
        terms = tuple(draft.term(opened, k, w) for k, w in picked)
        draft.rows.append(RecipeRow(opened.name, terms, embedded_picture(opened)))
    settings: dict[str, Setting] = {
        "layout": layout,
        "seed": seed,
        "steps": steps,
        "step_size": float(step_size),
        "init": init,
        **(fast_settings(draft.cards(session), session) if fast else {}),
        **scale_setting(scale),
        **session.environment(),
    }
    if components is not None:
        settings["components"] = components
    if interpolate is not None:
        settings["interpolate"] = interpolate
    recipe = draft.finish("recombine", settings)
    lay_out_cells(recipe)  # its mistakes, before any work
    return recipe


def _layout(*, add: bool, all_mixtures: bool, interpolate: int | None) -> str:
    chosen = {"add": add, "all": all_mixtures, "interpolate": interpolate is not None}
    names = [name for name, given in chosen.items() if given]
    if len(names) > 1:
        raise UsageError(f"--{names[0]} and --{names[1]} are two layouts; give one of them")
    return names[0] if names else "swap"


def draw_recombination(
    recipe: PictureRecipe, session: Session, progress: Progress | None = None
) -> np.ndarray:
    """Render a ``recombine`` recipe: (H,W,3) uint8; cells: :mod:`.recombine_grid`."""
    grid = lay_out_cells(recipe)
    wanted = [cell for row in grid.cells for cell in row]
    return draw_sheet(_sheet(recipe, grid, _render_cells(recipe, wanted, session, progress)))


def _render_cells(
    recipe: PictureRecipe, wanted: Sequence[Cell], session: Session, progress: Progress | None
) -> Drawn:
    """Render each different composition once."""
    cells = {cell.key: cell for cell in wanted}
    drawn = {}
    for done, (key, cell) in enumerate(cells.items(), 1):
        drawn[key] = _draw(recipe, session, cell)
        if progress is not None:
            progress(done, len(cells))
    return drawn


def _draw(recipe: PictureRecipe, session: Session, cell: Cell) -> np.ndarray:
    return draw_composition(cell_recipe(recipe, cell, session), session)


def cell_recipe(recipe: PictureRecipe, cell: Cell, session: Session) -> PictureRecipe:
    """Return the recipe of a single cell: what ``comet compose`` of its selection records."""
    seed, steps, step_size = descent_settings(recipe)
    init = recipe.choice("init", START_CHOICES)
    return compose_recipe(
        recipe.models,
        cell.terms,
        session,
        seed=seed,
        steps=steps,
        step_size=step_size,
        init=None if init == "auto" else init,
        further={n: recipe.settings[n] for n in ("solver", "scale") if n in recipe.settings},
    )


def _sheet(recipe: PictureRecipe, grid: Grid, drawn: Drawn) -> Sheet:
    inputs = [
        decode_png(row.picture, "an input in the recipe") if row.picture else None
        for row in recipe.rows
    ]
    lead = grid.inputs or [()] * len(grid.cells)
    cells: list[list[np.ndarray | None]] = []
    captions = []
    for before, row in zip(lead, grid.cells, strict=True):
        cells.append([*(inputs[n] for n in before), *(drawn[c.key] for c in row)])
        captions.append([*("" for _ in before), *(c.selection for c in row)])
    layout = recipe.settings["layout"]
    first = len(grid.lead)
    breaks = {"swap": {first, first + 1}, "add": {first}}.get(str(layout), set())
    return Sheet(
        columns=[*grid.lead, *grid.columns],
        rows=grid.rows,
        cells=cells,
        breaks=frozenset(breaks),
        captions=captions,
    )


def _draw_page(table: Table, drawn: Drawn) -> bytes:
    places = {key: n for n, key in enumerate(dict.fromkeys(cell.key for cell in table.cells))}
    mixing = Mixing(
        table.pictures,
        table.components,
        [drawn[key] for key in places],
        [places[cell.key] for cell in table.cells],
        table.commands,
        table.note,
    )
    return draw_mixing(mixing, title=", ".join(table.pictures))


def cell_paths(recipe: PictureRecipe, folder: str) -> list[tuple[Cell, Path]]:
    """Return each different cell of a grid with a file for it: ``a-0,2+b-1.png``.

    Raises:
        UsageError: no such folder, or two pictures that would get one name.
    """
    check_folder(folder)
    cells = {cell.key: cell for row in lay_out_cells(recipe).cells for cell in row}
    paths: dict[Path, Cell] = {}
    for cell in cells.values():
        text = re.sub(r"\.\w+:", "-", cell.selection.replace("'", "")).replace(" ", "+")
        path = Path(folder) / (re.sub(r"[^\w.,+%-]", "_", text) + ".png")
        if path in paths:
            raise UsageError(f"two pictures would be written to '{show(path)}'; rename an input")
        paths[path] = cell
    return [(cell, path) for path, cell in paths.items()]


def write_recombination(
    inputs: Sequence[Selection],
    output: str | None,
    session: Session,
    *,
    html: str | None = None,
    each: str | None = None,
    metadata: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    told: Told = tell_nobody,
    **settings: Any,
) -> PictureRecipe:
    """Render and write the grid, and its single pictures if asked; each whole or not at all.

    Args:
        inputs: images and ``.z`` files.
        output: the PNG; ``-`` for standard output; None for the page alone.
        session: the models.
        html: a page on which every mixture is looked up (:mod:`.recombine_table`), or None.
        each: an existing folder for the single pictures, each with a recipe of its own.
        metadata: write recipes into the pictures.
        force: replace files of that folder that comet did not make.
        progress: called with (done, total) renderings.
        told: called with each file as soon as it is written; with the settings of the grid and of
            the page, and the ``selection`` of a single picture.
        settings: see :func:`plan_recombination`.

    Returns:
        The recipe of the grid; :func:`cell_paths` says where the single pictures are.
    """
    if html is not None:
        check_mixtures(len(inputs), settings.get("components"))
    recipe = plan_recombination(inputs, session, **settings)
    table = None if html is None else lay_out_mixtures(recipe)
    singles = [] if each is None else cell_paths(recipe, each)
    read = [selection.path for selection in inputs]
    check_outputs([path for _, path in singles], force=force, inputs=read)
    places = [] if output is None else [(output, Path(output))]
    check_distinct([*places, *((c.selection, path) for c, path in singles)])
    grid = lay_out_cells(recipe)
    cells = [] if output is None else [cell for row in grid.cells for cell in row]
    wanted = [*cells, *(() if table is None else table.cells)]
    drawn = _render_cells(recipe, wanted, session, progress)
    if output is not None:
        write_png(draw_sheet(_sheet(recipe, grid, drawn)), output, recipe if metadata else None)
        told(output, **recipe.settings)
    if table is not None and html is not None:
        write_output(html, _draw_page(table, drawn))
        told(html, **recipe.settings)
    for cell, path in singles:
        write_png(drawn[cell.key], path, cell_recipe(recipe, cell, session) if metadata else None)
        told(path, selection=cell.selection)
    return recipe
