"""The recipe of a composition, made from its terms, and its settings, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from comet_cli.energy.composition import canvas_size
from comet_cli.energy.render import MAX_SEED, recommended_steps, start_of
from comet_cli.energy.solvers import FAST_SOLVER, SOLVERS, fast_steps
from comet_cli.errors import UsageError
from comet_cli.formats.files import show
from comet_cli.formats.picture_recipe import (
    ModelReference,
    PictureRecipe,
    RecipeRow,
    RecipeTerm,
    Setting,
)
from comet_cli.inputs.compose_request import check_fast
from comet_cli.inputs.session import Session
from comet_cli.models.card import ModelCard
from comet_cli.version import __version__

MAX_SIZE = 4096
MAX_STEPS = 100_000


def check_settings(
    *,
    seed: int = 0,
    steps: int | None = None,
    step_size: float = 1.0,
    size: int | None = None,
    solver: str | None = None,
    tolerance: float | None = None,
    fast: bool = False,
) -> None:
    """Check what the descent is told, before any work.

    Raises:
        UsageError: out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed is {seed}, expected 0 to {MAX_SEED}")
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"--steps is {steps}, expected 1 to {MAX_STEPS}")
    if not 0 < step_size <= 1e6:
        raise UsageError(f"--step-size is {step_size:g}, expected a positive number up to 1e6")
    if size is not None and not 8 <= size <= MAX_SIZE:
        raise UsageError(f"--size is {size}, expected 8 to {MAX_SIZE} pixels")
    check_fast(fast, solver, steps)
    if solver is not None and solver not in SOLVERS:
        raise UsageError(f"--solver is '{show(solver)}', expected one of {', '.join(SOLVERS)}")
    if tolerance is not None and not 0 < tolerance < 1:
        raise UsageError(f"--tolerance is {tolerance:g}, expected a part of 1, such as 0.001")


def fast_settings(cards: Iterable[ModelCard], session: Session) -> dict[str, Setting]:
    """Return the solver and the steps that ``--fast`` means for models.

    Nothing, which is told, where all energies are quadratic: the few steps that such models
    recommend end at the minimum.
    """
    slow = [card.render_steps for card in cards if card.energy != "quadratic"]
    if slow:
        return {"steps": fast_steps(max(slow)), "solver": FAST_SOLVER}
    session.note_once(
        "--fast changes nothing here: the energies are quadratic, and their few steps end at the "
        "minimum"
    )
    return {}


def chosen_solver(recipe: PictureRecipe) -> str:
    """Return the solver of a recipe, checked; gradient descent where it names none."""
    return recipe.choice("solver", tuple(SOLVERS)) if "solver" in recipe.settings else "gd"


def compose_recipe(
    models: Sequence[ModelReference],
    terms: Sequence[RecipeTerm],
    session: Session,
    *,
    seed: int = 0,
    steps: int | None = None,
    step_size: float = 1.0,
    size: int | None = None,
    init: str | None = None,
    picture: bytes = b"",
    further: dict[str, Setting] | None = None,
) -> PictureRecipe:
    """Return the recipe of a composition, in canonical order: permuted terms change no bit of it.

    Args:
        models: that the terms speak of.
        terms: the terms.
        session: the models themselves.
        seed: of the noise.
        steps: N; default :func:`comet_cli.energy.render.recommended_steps`.
        step_size: multiplies every model's own λ.
        size: R of the canvas; default the largest of the models.
        init: where it starts; default :func:`comet_cli.energy.render.start_of`.
        picture: a PNG to start from instead, or b"".
        further: settings that are not the usual ones.
    """
    models, terms = in_canonical_order(models, terms)
    row = RecipeRow("", terms, picture)
    live = session.terms(PictureRecipe("compose", models, (row,)), row)
    settings: dict[str, Setting] = {
        "seed": seed,
        "steps": steps or recommended_steps(live, str((further or {}).get("solver", "gd"))),
        "step_size": float(step_size),
        "size": canvas_size(live) if size is None else size,
        "init": "picture" if picture else init or start_of(live),
        **(further or {}),
        **session.environment(),
    }
    versions = {"comet": __version__, "torch": str(torch.__version__)}
    return PictureRecipe("compose", models, (row,), settings, versions)


def descent_settings(recipe: PictureRecipe) -> tuple[int, int | None, float]:
    """Return seed, steps (None: what the models' cards recommend) and step size, checked."""
    steps = recipe.settings.get("steps")
    return (
        recipe.setting("seed", int, low=0, high=MAX_SEED),
        None if steps is None else recipe.setting("steps", int, low=1, high=MAX_STEPS),
        recipe.setting("step_size", float, low=0, high=1e6),
    )


def in_canonical_order(
    models: Sequence[ModelReference], terms: Sequence[RecipeTerm]
) -> tuple[tuple[ModelReference, ...], tuple[RecipeTerm, ...]]:
    """Return the same terms, and the models that they use, in an order that no argument changes."""
    order = sorted(
        terms,
        key=lambda t: (models[t.model].sha256, t.z.tobytes(), t.component, t.weight, t.mask),
    )
    used = list(dict.fromkeys(models[t.model] for t in order))
    return tuple(used), tuple(replace(t, model=used.index(models[t.model])) for t in order)


def blend(a: RecipeTerm, b: RecipeTerm, part: float) -> RecipeTerm:
    """Return the term that is ``part`` (0 to 1) of the way from a to b, in z and in weight.

    The ends are a and b themselves, to the bit.

    Raises:
        UsageError: latents of different models.
    """
    if a.model != b.model:
        raise UsageError("components of different models have no values in between")
    if part in (0, 1):
        return b if part else a
    z = ((1 - part) * a.z.astype(np.float64) + part * b.z.astype(np.float64)).astype(np.float32)
    return replace(a, z=z, weight=(1 - part) * a.weight + part * b.weight)
