"""``comet recombine``: every swap of a component between pictures, or the additive series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from comet_cli.composition import Term, default_start, render
from comet_cli.decomposition import component_columns, embedded_picture, row_name
from comet_cli.errors import FileFormatError, UsageError
from comet_cli.images import decode_png, to_bytes, write_png
from comet_cli.models.card import STARTS
from comet_cli.recipes import Recipe, RecipeRow
from comet_cli.resolution import Bench, Progress, RecipeDraft, open_selections
from comet_cli.sheets import Sheet, draw_sheet
from comet_cli.synthesis import check_settings, descent_settings

LAYOUTS = ("swap", "add")
START_CHOICES = ("auto", *STARTS)


def plan_recombination(
    inputs: Sequence[str],
    bench: Bench,
    *,
    add: bool = False,
    seed: int = 0,
    steps: int | None = None,
    step_size: float = 1.0,
    init: str = "auto",
    literal: bool = False,
) -> Recipe:
    """Turn images and ``.z`` files into the recipe of a grid.

    Args:
        inputs: two or more for swaps (figures 4, 7, 8, 10); one or more to ``add``.
        bench: the models.
        add: the additive series (figure 5): components one after the other, a row an input.
        seed: of the noise.
        steps: N; default the models' own recommendation.
        step_size: multiplies every model's own λ.
        init: ``noise``, ``grey`` or ``auto``.
        literal: the arguments are file names.
    """
    check_settings(seed=seed, steps=steps, step_size=step_size)
    if init not in START_CHOICES:
        raise UsageError(f"--init is '{init}', expected one of {', '.join(START_CHOICES)}")
    if len(inputs) < 2 and not add:
        raise UsageError("swaps need two pictures or more; --add makes the series of one")
    draft = RecipeDraft()
    for opened, picked in open_selections(bench, inputs, literal=literal):
        terms = tuple(draft.term(opened, k, w) for k, w in picked)
        draft.rows.append(RecipeRow(row_name(opened), terms, embedded_picture(opened)))
    return draft.finish(
        "recombine",
        {
            "layout": "add" if add else "swap",
            "seed": seed,
            "steps": steps,
            "step_size": float(step_size),
            "init": init,
            **bench.environment(),
        },
    )


def draw_recombination(
    recipe: Recipe, bench: Bench, progress: Progress | None = None
) -> np.ndarray:
    """Render a ``recombine`` recipe: (H,W,3) uint8.

    Swaps: a row an ordered pair of pictures; in column k the first picture has the k-th component
    of the second. Additive: in column k the components 0 to k.
    """
    rows = [bench.terms(recipe, row) for row in recipe.rows]
    if recipe.choice("layout", LAYOUTS) == "add":
        plan = [(n, n, _series(terms)) for n, terms in enumerate(rows)]
    else:
        plan = [
            (a, b, [rows[a], *_swaps(rows[a], rows[b])])
            for a in range(len(rows))
            for b in range(len(rows))
            if a != b
        ]
        if not plan:
            raise FileFormatError("the recipe swaps components of one picture only")
    total, done = sum(len(row[2]) for row in plan), 0
    drawn: list[list[np.ndarray]] = []
    for _, _, compositions in plan:
        drawn.append([])
        for terms in compositions:
            drawn[-1].append(_draw(recipe, bench, terms))
            done += 1
            if progress is not None:
                progress(done, total)
    return draw_sheet(_lay_out(recipe, [row[:2] for row in plan], drawn))


def _swaps(mine: list[Term], theirs: list[Term]) -> list[list[Term]]:
    count = min(len(mine), len(theirs))
    return [[*mine[:k], theirs[k], *mine[k + 1 :]] for k in range(count)]


def _series(terms: list[Term]) -> list[list[Term]]:
    return [terms[: k + 1] for k in range(len(terms))]


def _draw(recipe: Recipe, bench: Bench, terms: list[Term]) -> np.ndarray:
    seed, steps, step_size = descent_settings(recipe)
    init = recipe.choice("init", START_CHOICES)
    if init == "auto":
        cards = [t.model.card for t in terms]
        partial = len(terms) < max(card.components for card in cards)
        init = default_start(cards, partial=partial)
    with bench.arithmetic():
        image = render(terms, seed=seed, num_steps=steps, step_size=step_size, init=init)
    return to_bytes(image[0])


def _lay_out(recipe: Recipe, pairs: list[tuple[int, int]], drawn: list[list[np.ndarray]]) -> Sheet:
    adding = recipe.settings["layout"] == "add"
    inputs = [
        decode_png(row.picture, "an input in the recipe") if row.picture else None
        for row in recipe.rows
    ]
    has_inputs = any(picture is not None for picture in inputs)
    shown = (
        [["input"]] if has_inputs and adding else [["input", "taken from"]] if has_inputs else []
    )
    lead = [label for labels in shown for label in labels]
    most = max(len(row.terms) for row in recipe.rows)
    cells: list[list[np.ndarray | None]] = []
    for (a, b), row in zip(pairs, drawn, strict=True):
        cells.append([inputs[n] for n in ((a,) if adding else (a, b))] if has_inputs else [])
        cells[-1] += row
    if adding:
        names = component_columns(recipe, most)
        columns = [names[0], *(f"+ {name}" for name in names[1:])]
        rows = [recipe.rows[a].name for a, _ in pairs]
    else:
        columns = ["unchanged", *(f"swap {name}" for name in component_columns(recipe, most, ""))]
        names = [row.name for row in recipe.rows]
        rows = [names[a] if has_inputs else f"{names[a]}, {names[b]}" for a, b in pairs]
    return Sheet(
        columns=lead + columns,
        rows=rows,
        cells=cells,
        breaks=frozenset({len(lead)} if adding else {len(lead), len(lead) + 1}),
    )


def write_recombination(
    inputs: Sequence[str],
    output: str,
    bench: Bench,
    *,
    metadata: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> Recipe:
    """Render and write the picture, whole or not at all.

    Args:
        inputs: images and ``.z`` files.
        output: the PNG; ``-`` for standard output.
        bench: the models.
        metadata: write the recipe into the picture.
        progress: called with (done, total) renderings.
        settings: see :func:`plan_recombination`.

    Returns:
        The recipe.
    """
    recipe = plan_recombination(inputs, bench, **settings)
    pixels = draw_recombination(recipe, bench, progress)
    write_png(pixels, output, recipe if metadata else None)
    return recipe
