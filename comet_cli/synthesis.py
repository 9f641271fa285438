"""``comet compose``: selected components of any pictures and models, rendered as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from comet_cli import composition
from comet_cli.composition import canvas_size, render
from comet_cli.descent import Callback
from comet_cli.errors import SelectionError, UsageError
from comet_cli.files import check_inputs, read_input, show, write_output
from comet_cli.images import decode_png, encode_png, from_bytes, load_image, to_bytes, write_png
from comet_cli.models.card import STARTS
from comet_cli.recipes import Recipe, RecipeRow
from comet_cli.resolution import Bench, Opened, Progress, RecipeDraft, open_selections, term_of

MAX_SIZE = 4096
MAX_STEPS = 100_000
MAX_SEED = 2**63 - 1
Picks = Sequence[tuple[Opened, list[tuple[int, float]]]]


def check_settings(
    *, seed: int = 0, steps: int | None = None, step_size: float = 1.0, size: int | None = None
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


def default_start(picks: Picks) -> str:
    """Return where a rendering starts (see :func:`comet_cli.composition.default_start`)."""
    models = [opened.model for opened, _ in picks]
    partial = any(
        {k for other, picked in picks if other.model is model for k, w in picked if w}
        < set(range(model.card.components))
        for model in models
    )
    return composition.default_start([model.card for model in models], partial=partial)


def plan_composition(
    selections: Sequence[str],
    bench: Bench,
    *,
    seed: int = 0,
    steps: int | None = None,
    step_size: float = 1.0,
    size: int | None = None,
    init: str | None = None,
    literal: bool = False,
) -> Recipe:
    """Turn selection arguments into the recipe of their picture; encodes, but renders nothing.

    Args:
        selections: see :mod:`comet_cli.selection`.
        bench: the models.
        seed: of the noise.
        steps: N; default the largest that the models' cards recommend.
        step_size: multiplies every model's own λ.
        size: R of the canvas; default the largest of the models.
        init: ``noise``, ``grey``, or an image file to start from.
        literal: the arguments are file names.

    Raises:
        UsageError: settings out of range, nothing selected, files that do not exist.
    """
    check_settings(seed=seed, steps=steps, step_size=step_size, size=size)
    if init is not None and init not in STARTS:
        check_inputs([init])
    picks = open_selections(bench, selections, literal=literal)
    picks = [(opened, [(k, w) for k, w in picked if w]) for opened, picked in picks]
    picks = [(opened, picked) for opened, picked in picks if picked]
    if not picks:
        raise SelectionError("nothing is selected: every weight is 0; give at least one component")
    terms = [term_of(opened, k, w) for opened, picked in picks for k, w in picked]
    canvas = canvas_size(terms) if size is None else size
    picture = b""
    if init is not None and init not in STARTS:
        # Eight bits a channel, so that the recipe holds exactly what was used.
        data = read_input(init)
        picture = encode_png(to_bytes(load_image(data, canvas, where=f"'{show(init)}'")))
    # Canonical order: permuting the arguments changes no bit of the file.
    order = [(opened, k, w) for opened, picked in picks for k, w in picked]
    order.sort(
        key=lambda o: (o[0].components.model_sha256, o[0].components.z[o[1]].tobytes(), *o[1:])
    )
    draft = RecipeDraft()
    draft.rows.append(RecipeRow("", tuple(draft.term(*o) for o in order), picture))
    return draft.finish(
        "compose",
        {
            "seed": seed,
            "steps": steps or max(t.model.card.render_steps for t in terms),
            "step_size": float(step_size),
            "size": canvas,
            "init": "picture" if picture else init or default_start(picks),
            **bench.environment(),
        },
    )


def descent_settings(recipe: Recipe) -> tuple[int, int | None, float]:
    """Return seed, steps (None: what the models' cards recommend) and step size, checked."""
    steps = recipe.settings.get("steps")
    return (
        recipe.setting("seed", int, low=0, high=MAX_SEED),
        None if steps is None else recipe.setting("steps", int, low=1, high=MAX_STEPS),
        recipe.setting("step_size", float, low=0, high=1e6),
    )


def draw_composition(recipe: Recipe, bench: Bench, callback: Callback | None = None) -> np.ndarray:
    """Render a ``compose`` recipe.

    Args:
        recipe: from :func:`plan_composition`, or read back from a picture.
        bench: the models.
        callback: see :func:`comet_cli.descent.descend`.

    Returns:
        (R,R,3) uint8.

    Raises:
        DivergenceError: the descent diverged.
        FileFormatError: a recipe that cannot be.
    """
    terms = bench.terms(recipe, recipe.rows[0])
    seed, steps, step_size = descent_settings(recipe)
    size = recipe.setting("size", int, low=1, high=MAX_SIZE)
    init: str | torch.Tensor = recipe.choice("init", (*STARTS, "picture"))
    if init == "picture":
        pixels = decode_png(recipe.rows[0].picture, "the start in the recipe")
        if pixels.shape[:2] != (size, size):
            raise UsageError("the start in the recipe does not have the recipe's size")
        init = torch.from_numpy(from_bytes(pixels))[None]
    with bench.arithmetic():
        image = render(
            terms,
            seed=seed,
            num_steps=steps,
            step_size=step_size,
            size=size,
            init=init,
            callback=callback,
        )
    return to_bytes(image[0])


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
        selections: see :mod:`comet_cli.selection`.
        output: the PNG; ``-`` for standard output.
        bench: the models.
        trace: an ``.apng``, ``.gif`` or ``.webp`` for the descent as an animation.
        metadata: write the recipe into the picture.
        progress: called with (done, total) steps.
        settings: see :func:`plan_composition`.

    Returns:
        The recipe.
    """
    from comet_cli.animations import Trace, check_trace

    if trace is not None:
        check_trace(trace)
    recipe = plan_composition(selections, bench, **settings)
    frames = Trace() if trace is not None else None
    count = counting(progress, descent_settings(recipe)[1] or 1)
    callbacks = [callback for callback in (frames, count) if callback is not None]

    def follow(n: int, x: torch.Tensor) -> None:
        for callback in callbacks:
            callback(n, x)

    pixels = draw_composition(recipe, bench, follow if callbacks else None)
    embedded = recipe if metadata else None
    write_png(pixels, output, embedded)
    if trace is not None and frames is not None:
        write_output(trace, frames.encode(trace, pixels, embedded))
    return recipe


def counting(progress: Progress | None, total: int) -> Callback | None:
    """Return a descent callback that reports progress."""
    if progress is None:
        return None
    return lambda n, x: progress(n, total)
