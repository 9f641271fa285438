"""``comet compose`` with a folder of ``.z`` files: a picture for each, as an animation."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from comet_cli.drawing.animations import check_animation, encode_animation
from comet_cli.errors import FileFormatError
from comet_cli.formats.components import MAX_SECONDS
from comet_cli.formats.files import check_inputs, read_input, write_output
from comet_cli.formats.picture_recipe import (
    ModelReference,
    PictureRecipe,
    RecipeRow,
    check_readable,
)
from comet_cli.inputs.compose_request import ComposeRequest
from comet_cli.inputs.session import Opened, Progress, Session
from comet_cli.verbs.compose import plan_composition
from comet_cli.verbs.compose_drawing import finish_compositions

TIMES = "milliseconds"  # the setting that makes a recipe one of an animation
USUAL_SECONDS = 0.08


def write_animation(
    request: ComposeRequest,
    session: Session,
    *,
    recipe: PictureRecipe | None = None,
    progress: Progress | None = None,
) -> PictureRecipe:
    """Render a composition for each ``.z`` of a folder, and write the animation, whole or not.

    Each frame is the picture that the same command makes with that one ``.z``. A frame is shown for
    as long as the frame that it comes from, or, where that was a picture, for 80 ms.

    Args:
        request: with at least one folder among its selections; several hold as many files.
        session: the models.
        recipe: from :func:`plan_animation`, where the request is planned already.
        progress: called with (done, total) frames.

    Returns:
        The recipe: a row a frame.

    Raises:
        UsageError: folders of different lengths, or settings that do not go with an animation.
    """
    check_animation(request.output)
    recipe = plan_animation(request, session) if recipe is None else recipe
    frames: list[np.ndarray] = []
    taken: list[str] = []
    for pixels, finished in draw_frames(recipe, session):
        frames.append(pixels)
        taken.append(str(finished.settings.get("steps_taken", "")))
        if progress is not None:
            progress(len(frames), len(recipe.rows))
    if any(taken):
        recipe = replace(recipe, settings={**recipe.settings, "steps_taken": ",".join(taken)})
    data = encode_animation(
        request.output, frames, frame_times(recipe), recipe if request.metadata else None
    )
    write_output(request.output, data)
    return recipe


def plan_animation(request: ComposeRequest, session: Session) -> PictureRecipe:
    """Return the recipe of an animation; renders nothing.

    Raises:
        UsageError: see :func:`write_animation` and :func:`.compose.plan_composition`.
    """
    opened: dict[str, Opened] = {}
    start = None
    if request.start is not None:  # which may be a pipe
        check_inputs([request.start])
        start = read_input(request.start)
    plans = [
        plan_composition(replace(one, metadata=False), session, opened=opened, start=start)
        for one in request.each_frame()
    ]
    first = plans[0]
    models: dict[ModelReference, None] = {m: None for plan in plans for m in plan.models}
    places = list(models)
    rows = []
    for n, plan in enumerate(plans):
        (row,) = plan.rows
        terms = tuple(replace(t, model=places.index(plan.models[t.model])) for t in row.terms)
        # The picture that all start from is kept once.
        rows.append(RecipeRow(row.name, terms, b"" if n else row.picture))
    settings = {
        **ChainMap(*(dict(plan.settings) for plan in plans)),  # the first frame's, if it has them
        "steps": max(int(plan.settings["steps"] or 1) for plan in plans),
        "size": max(int(plan.settings["size"] or 1) for plan in plans),
        TIMES: ",".join(map(str, _times(request, opened))),
    }
    recipe = replace(first, models=tuple(places), rows=tuple(rows), settings=settings)
    if request.metadata and Path(request.output).suffix.lower() in (".png", ".apng"):
        check_readable(recipe)
    return recipe


def _times(request: ComposeRequest, opened: dict[str, Opened]) -> list[int]:
    """Return milliseconds a frame, whose sum is that of the exact times, rounded."""
    if request.fps is not None:
        seconds = [1 / request.fps] * len(request.every_frame)
    else:
        seconds = [
            max(opened[path].components.seconds for path in paths) or USUAL_SECONDS
            for paths in request.every_frame
        ]
    ends = np.cumsum([0.0, *seconds]) * 1000
    return np.maximum(1, np.diff(np.rint(ends))).astype(int).tolist()


def is_animation(recipe: PictureRecipe) -> bool:
    """Say whether a recipe makes an animation."""
    return recipe.verb == "compose" and TIMES in recipe.settings


def frame_times(recipe: PictureRecipe) -> list[int]:
    """Return how many milliseconds each frame of an animation's recipe is shown.

    Raises:
        FileFormatError: a recipe that cannot be.
    """
    return _numbers(recipe, TIMES, 1, int(1000 * MAX_SECONDS))


def _numbers(recipe: PictureRecipe, name: str, low: int, high: int) -> list[int]:
    parts = str(recipe.settings.get(name)).split(",")
    fits = all(part.isdecimal() and len(part) < 12 and low <= int(part) <= high for part in parts)
    if not fits or len(parts) != len(recipe.rows):
        raise FileFormatError(f"the recipe's setting '{name}' is no number for each frame")
    return [int(part) for part in parts]


def draw_frames(
    recipe: PictureRecipe, session: Session
) -> Iterator[tuple[np.ndarray, PictureRecipe]]:
    """Render the frames of an animation's recipe.

    Yields:
        (R,R,3) uint8, and the recipe of that frame alone.
    """
    taken: Sequence[int] | None = None
    if "steps_taken" in recipe.settings:
        taken = _numbers(recipe, "steps_taken", 0, 10**9)
    settings = {k: v for k, v in recipe.settings.items() if k not in (TIMES, "steps_taken")}
    for n, row in enumerate(recipe.rows):
        own = settings if taken is None else {**settings, "steps_taken": taken[n]}
        row = replace(row, picture=recipe.rows[0].picture)
        one = replace(recipe, rows=(row,), settings=own)
        ((_, pixels, finished),) = finish_compositions(one, session, None)
        yield pixels, finished
