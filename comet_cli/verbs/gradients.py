"""``comet gradients``: what each component's energy asks of which pixel, ∇_x E_k (section 5.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comet_cli.drawing.maps import MAPS, RULES, component_map, overlay
from comet_cli.drawing.scale import scale_setting, scaled
from comet_cli.drawing.sheets import Sheet, draw_sheet
from comet_cli.energy.gradients import (
    POINTS,
    Attribution,
    attribute,
    component_mask,
)
from comet_cli.energy.render import MAX_SEED
from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.files import Told, check_distinct, show, tell_nobody, write_output
from comet_cli.formats.images import decode_png, encode_png, from_bytes, write_png
from comet_cli.formats.overwriting import check_folder, check_outputs
from comet_cli.formats.picture_recipe import PictureRecipe, RecipeRow, Setting
from comet_cli.formats.seal import sealed_arrays
from comet_cli.inputs.opening import RecipeDraft, open_selections
from comet_cli.inputs.selection import Selection
from comet_cli.inputs.session import Progress, Session
from comet_cli.verbs.compose_recipe import check_settings
from comet_cli.verbs.sheet_parts import component_labels, row_label
from comet_cli.version import __version__


def plan_gradients(
    images: Sequence[Selection],
    session: Session,
    *,
    at: str = "start",
    map_kind: str = "signed",
    with_overlay: bool = False,
    seed: int = 0,
    scale: str | None = None,
) -> PictureRecipe:
    """Encode images and return the recipe of their sheet of gradient maps.

    Raises:
        UsageError: an unknown choice, a ``.z`` (the picture itself is needed), or a part of a
            picture's components.
    """
    check_settings(seed=seed)
    scale_setting(scale)
    for name, value, choices in (("--at", at, POINTS), ("--map", map_kind, MAPS)):
        if value not in choices:
            raise UsageError(f"{name} is '{value}', expected one of {', '.join(choices)}")
    for selection in images:
        if selection.items is not None or selection.weight != 1:
            raise UsageError(
                f"'{show(selection.text)}': gradients maps all components of a picture; name the "
                "picture alone"
            )
    draft = RecipeDraft()
    for opened, picked in open_selections(session, images):
        if opened.picture is None:
            raise UsageError(
                f"'{show(opened.path)}' holds components without their picture; gradients needs "
                "the picture"
            )
        terms = tuple(draft.term(opened, k) for k, _ in picked)
        draft.rows.append(RecipeRow(row_label(opened.name), terms, encode_png(opened.picture)))
    return draft.finish(
        "gradients",
        {
            "at": at,
            "map": map_kind,
            "overlay": with_overlay,
            "seed": seed,
            **scale_setting(scale),
            **session.environment(),
        },
    )


def attribute_rows(
    recipe: PictureRecipe, session: Session, progress: Progress | None = None
) -> list[Attribution]:
    """Return the gradients of every row of a ``gradients`` recipe."""
    found = []
    for row in recipe.rows:
        terms = session.terms(recipe, row)
        model = terms[0].model
        size = model.card.image_size
        pixels = decode_png(row.picture, "an input in the recipe")
        if pixels.shape != (size, size, 3) or any(t.model is not model for t in terms):
            raise FileFormatError("an input in the recipe does not fit its model")
        with session.arithmetic():
            found.append(
                attribute(
                    model,
                    torch.stack([t.z for t in terms]),
                    picture=torch.from_numpy(from_bytes(pixels)),
                    at=recipe.choice("at", POINTS),
                    seed=recipe.setting("seed", int, low=0, high=MAX_SEED),
                )
            )
        if progress is not None:
            progress(len(found), len(recipe.rows))
    return found


def draw_gradients(recipe: PictureRecipe, attributions: Sequence[Attribution]) -> np.ndarray:
    """Lay a ``gradients`` recipe out as a sheet, or as the one map or mask it asks for.

    Returns:
        (H,W,3) uint8.
    """
    if recipe.settings.get("only") is not None:
        only = recipe.setting("only", int, low=0, high=len(recipe.rows[0].terms) - 1)
        if recipe.settings.get("mask") is not None:
            return _mask(recipe, attributions[0], only)
        return _maps(recipe, recipe.rows[0], attributions[0])[only]
    with_overlay = recipe.settings.get("overlay") is True
    names = component_labels(recipe, word="component ")
    most = len(names)
    cells: list[list[np.ndarray | None]] = []
    for row, attribution in zip(recipe.rows, attributions, strict=True):
        pixels = decode_png(row.picture, "an input in the recipe")
        cells.append([pixels, *_maps(recipe, row, attribution)])
        if with_overlay:
            cells[-1] += [None] * (most - len(row.terms))
            strongest = overlay(pixels, attribution.segments(), len(row.terms))
            cells[-1].append(scaled(strongest, recipe))
    return draw_sheet(
        Sheet(
            columns=["input", *names] + ["strongest"] * with_overlay,
            rows=[row.name for row in recipe.rows],
            cells=cells,
            breaks=frozenset({1, most + 1}),
        )
    )


def _maps(recipe: PictureRecipe, row: RecipeRow, attribution: Attribution) -> list[np.ndarray]:
    pixels = decode_png(row.picture, "an input in the recipe")
    return [
        scaled(
            component_map(
                recipe.choice("map", MAPS),
                k,
                gradient=attribution.gradients[k],
                strength=attribution.strength[k],
                pixels=pixels,
            ),
            recipe,
        )
        for k in range(len(row.terms))
    ]


def _mask(recipe: PictureRecipe, attribution: Attribution, component: int) -> np.ndarray:
    if recipe.choice("mask", RULES) == "strongest":
        owned = attribution.segments() == component
    else:
        threshold = recipe.setting("threshold", float, low=0, high=1)
        owned = component_mask(attribution.strength[component], threshold)
    mask = np.where(owned[..., None], np.uint8(255), np.uint8(0)).repeat(3, 2)
    return scaled(mask, recipe, repeat=True)


def gradients_npz(recipe: PictureRecipe, attributions: Sequence[Attribution]) -> bytes:
    """Return an ``.npz`` file of the numbers behind a sheet.

    Arrays: ``names`` (B,), ``images`` (B,3,R,R), ``components`` (B,K), ``z`` (B,K,D),
    ``gradients`` (B,K,3,R,R), ``strength`` (B,K,R,R), ``segments`` (B,R,R), ``comet_version``,
    ``comet_seal`` (by which comet knows its own file again). K is that of the picture with most
    components. Where another has fewer, ``components`` is -1 and the rest 0.
    """
    pictures = [from_bytes(decode_png(row.picture)) for row in recipe.rows]
    most = max(len(row.terms) for row in recipe.rows)
    numbers = np.full((len(recipe.rows), most), -1)
    for row, found in zip(recipe.rows, numbers, strict=True):
        found[: len(row.terms)] = [term.component for term in row.terms]
    arrays = {
        "names": np.array([row.name for row in recipe.rows]),
        "images": np.stack(pictures),
        "components": numbers,
        "z": _stack([np.stack([t.z for t in row.terms]) for row in recipe.rows], most),
        "gradients": _stack([a.gradients for a in attributions], most),
        "strength": _stack([a.strength for a in attributions], most),
        "segments": np.stack([a.segments() for a in attributions]),
        "comet_version": np.array(__version__),
    }
    return sealed_arrays(arrays)


def _stack(rows: Sequence[np.ndarray], most: int) -> np.ndarray:
    """Return arrays (K_i,…) as one (B,K,…), with zeros where K_i is less than ``most``."""
    return np.stack(
        [np.pad(row, [(0, most - len(row)), *[(0, 0)] * (row.ndim - 1)]) for row in rows]
    )


def write_gradients(
    images: Sequence[Selection],
    output: str,
    session: Session,
    *,
    npz: str | None = None,
    each: str | None = None,
    masks: str | None = None,
    threshold: float | None = None,
    metadata: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    told: Told = tell_nobody,
    **settings: Any,
) -> list[str]:
    """Write the sheet of gradient maps of images, and what else is asked for.

    Args:
        images: a row each.
        output: the PNG; ``-`` for standard output.
        session: the models.
        npz: a file for the numbers, see :func:`gradients_npz`.
        each: an existing folder that takes each map as a PNG of its own, ``scene-0.png`` ….
        masks: an existing folder that takes a black and white PNG a component,
            ``scene-0-mask.png`` …, white where the component is the strongest
            (:func:`comet_cli.energy.gradients.strongest_segments`).
        threshold: masks are instead white where the component pulls at least this many times as
            hard as at its peak (:func:`comet_cli.energy.gradients.component_mask`).
        metadata: write the recipe into the pictures.
        force: replace files that comet did not make.
        progress: called with (done, total) images.
        told: called with each file as soon as it is written.
        settings: see :func:`comet_cli.verbs.gradients.plan_gradients`.

    Returns:
        The paths written.
    """
    _check_extras(npz, (each, masks))
    _check_threshold(threshold, masks)
    recipe = plan_gradients(images, session, **settings)
    if npz is not None and len({row.terms[0].model for row in recipe.rows}) > 1:
        raise UsageError("an .npz holds the gradients of one model; choose it with -m")
    parts = [] if each is None else _parts(recipe, Path(each), "")
    if masks is not None:
        rule: dict[str, Setting] = {"mask": "strongest"}
        if threshold is not None:
            rule = {"mask": "threshold", "threshold": float(threshold)}
        parts += _parts(recipe, Path(masks), "-mask", rule)
    sheet = [(name, Path(name)) for name in (output, npz) if name is not None]
    check_distinct([*sheet, *((images[part.row].text, part.path) for part in parts)])
    check_outputs([part.path for part in parts], force=force, inputs=[s.path for s in images])
    attributions = attribute_rows(recipe, session, progress)
    numbers = b"" if npz is None else gradients_npz(recipe, attributions)
    write_png(draw_gradients(recipe, attributions), output, recipe if metadata else None)
    told(output)
    if npz is not None:
        write_output(npz, numbers)
        told(npz)
    for part in parts:
        pixels = draw_gradients(part.recipe, [attributions[part.row]])
        write_png(pixels, part.path, part.recipe if metadata else None)
        told(part.path)
    return [output, *([] if npz is None else [npz]), *(str(part.path) for part in parts)]


@dataclass(frozen=True)
class _Part:
    """A single map or mask: its own recipe, and which row of the sheet it comes from."""

    row: int
    recipe: PictureRecipe
    path: Path


def _parts(
    recipe: PictureRecipe, folder: Path, suffix: str, rule: Mapping[str, Setting] | None = None
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
        if folder is not None:
            check_folder(folder)


def _check_threshold(threshold: float | None, masks: str | None) -> None:
    if threshold is None:
        return
    if masks is None:
        raise UsageError("--threshold is a rule for masks; say where they go: --masks DIR")
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold is {threshold:g}, expected a number above 0, up to 1")
