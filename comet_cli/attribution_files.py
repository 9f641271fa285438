"""What ``comet gradients`` writes: the sheet, single maps and masks, and the numbers."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli import __version__
from comet_cli.errors import UsageError
from comet_cli.formats.files import check_distinct, check_output, show, write_output
from comet_cli.formats.images import decode_png, from_bytes, write_png
from comet_cli.formats.picture_recipe import Recipe, Setting
from comet_cli.inputs.session import Bench, Progress
from comet_cli.verbs.gradients import Attribution, attribute_rows, draw_gradients, plan_gradients


def gradients_npz(recipe: Recipe, attributions: Sequence[Attribution]) -> bytes:
    """Return an ``.npz`` file of the numbers behind a sheet.

    Arrays: ``names`` (B,), ``images`` (B,3,R,R), ``z`` (B,K,D), ``gradients`` (B,K,3,R,R),
    ``strength`` (B,K,R,R), ``segments`` (B,R,R), ``comet_version``.

    Raises:
        UsageError: the rows belong to different models.
    """
    if len({row.terms[0].model for row in recipe.rows}) > 1:
        raise UsageError("an .npz holds the gradients of one model; choose it with -m")
    pictures = [from_bytes(decode_png(row.picture)) for row in recipe.rows]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        names=np.array([row.name for row in recipe.rows]),
        images=np.stack(pictures),
        z=np.stack([np.stack([t.z for t in row.terms]) for row in recipe.rows]),
        gradients=np.stack([a.gradients for a in attributions]),
        strength=np.stack([a.strength for a in attributions]),
        segments=np.stack([a.segments() for a in attributions]),
        comet_version=np.array(__version__),
    )
    return buffer.getvalue()


def write_gradients(
    images: Sequence[str],
    output: str,
    bench: Bench,
    *,
    npz: str | None = None,
    each: str | None = None,
    masks: str | None = None,
    threshold: float | None = None,
    metadata: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> list[str]:
    """Write the sheet of gradient maps of images, and what else is asked for.

    Args:
        images: a row each.
        output: the PNG; ``-`` for standard output.
        bench: the models.
        npz: a file for the numbers, see :func:`gradients_npz`.
        each: an existing folder that takes each map as a PNG of its own, ``scene-0.png`` ….
        masks: an existing folder that takes a black and white PNG a component,
            ``scene-0-mask.png`` …, white where the component is the strongest
            (:func:`comet_cli.drawing.maps.strongest_segments`).
        threshold: masks are instead white where the component pulls at least this many times as
            hard as at its peak (:func:`comet_cli.drawing.maps.component_mask`).
        metadata: write the recipe into the pictures.
        force: replace files that comet did not make.
        progress: called with (done, total) images.
        settings: see :func:`comet_cli.verbs.gradients.plan_gradients`.

    Returns:
        The paths written.
    """
    _check_extras(npz, (each, masks))
    _check_threshold(threshold, masks)
    recipe = plan_gradients(images, bench, **settings)
    parts = [] if each is None else _parts(recipe, Path(each), "")
    if masks is not None:
        rule: dict[str, Setting] = {"mask": "strongest"}
        if threshold is not None:
            rule = {"mask": "threshold", "threshold": float(threshold)}
        parts += _parts(recipe, Path(masks), "-mask", rule)
    sheet = [(name, Path(name)) for name in (output, npz) if name is not None]
    check_distinct([*sheet, *((part.recipe.rows[0].name, part.path) for part in parts)])
    for part in parts:
        check_output(part.path, force=force, inputs=images)
    attributions = attribute_rows(recipe, bench, progress)
    numbers = b"" if npz is None else gradients_npz(recipe, attributions)
    write_png(draw_gradients(recipe, attributions), output, recipe if metadata else None)
    if npz is not None:
        write_output(npz, numbers)
    for part in parts:
        pixels = draw_gradients(part.recipe, [attributions[part.row]])
        write_png(pixels, part.path, part.recipe if metadata else None)
    return [output, *([] if npz is None else [npz]), *(str(part.path) for part in parts)]


@dataclass(frozen=True)
class _Part:
    """A single map or mask: its own recipe, and which row of the sheet it comes from."""

    row: int
    recipe: Recipe
    path: Path


def _parts(
    recipe: Recipe, folder: Path, suffix: str, rule: Mapping[str, Setting] | None = None
) -> list[_Part]:
    found = []
    for n, row in enumerate(recipe.rows):
        for k, term in enumerate(row.terms):
            settings = {**recipe.settings, "overlay": False, "only": k, **(rule or {})}
            alone = dataclasses.replace(recipe, rows=(row,), settings=settings)
            found.append(_Part(n, alone, folder / f"{row.name}-{term.component}{suffix}.png"))
    return found


def _check_extras(npz: str | None, folders: Sequence[str | None]) -> None:
    if npz is not None and Path(npz).suffix != ".npz":
        raise UsageError(f"the numbers' file '{show(npz)}' must end in .npz")
    for folder in folders:
        if folder is not None and not Path(folder).is_dir():
            raise UsageError(
                f"the folder '{show(folder)}' does not exist; make it: mkdir -p '{show(folder)}'"
            )


def _check_threshold(threshold: float | None, masks: str | None) -> None:
    if threshold is None:
        return
    if masks is None:
        raise UsageError("--threshold is a rule for masks; say where they go: --masks DIR")
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold is {threshold:g}, expected a number above 0, up to 1")
