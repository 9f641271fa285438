"""``comet gradients``: what each component's energy asks of which pixel, ∇_x E_k (section 5.2)."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comet_cli import __version__
from comet_cli.composition import start_picture
from comet_cli.decomposition import component_columns, row_name
from comet_cli.errors import DivergenceError, FileFormatError, UsageError
from comet_cli.files import check_distinct, check_output, show, write_output
from comet_cli.images import decode_png, encode_png, from_bytes, write_png
from comet_cli.models.comet_model import CometModel
from comet_cli.recipes import Recipe, RecipeRow
from comet_cli.resolution import Bench, Progress, RecipeDraft, open_selections, parse_selections
from comet_cli.sheets import Sheet, draw_sheet, heat_map, overlay, signed_map
from comet_cli.synthesis import MAX_SEED, check_settings

POINTS = ("start", "image")
MAPS = ("signed", "heat")
SAMPLES = 4
# A pixel where the strongest component pulls less than a fiftieth as hard as where it pulls
# hardest is nobody's.
QUIET = 0.02


@dataclass(frozen=True)
class Attribution:
    """Gradients of one picture's components.

    Attributes:
        gradients: (K,3,R,R) float32, ∇_x E_k at mid-grey (``start``) or at the picture.
        strength: (K,R,R) float32 ≥ 0, the root mean square of ∇_x E_k over colour channels and,
            for ``start``, over noise starts; what ``comet evaluate segmentation`` measures.
        everywhere: a component takes the ground, so that no pixel is nobody's.
    """

    gradients: np.ndarray
    strength: np.ndarray
    everywhere: bool = False

    def segments(self) -> np.ndarray:
        """Return the strongest component a pixel, (R,R) integers; −1 where all are quiet."""
        strongest = self.strength.max(0)
        segments = self.strength.argmax(0)
        if self.everywhere:
            return segments
        loudest = self.strength.max((1, 2))[segments]
        return np.where(strongest > QUIET * loudest, segments, -1)


def attribute(
    model: CometModel,
    z: Tensor,
    *,
    picture: Tensor,
    at: str = "start",
    seed: int = 0,
    samples: int = SAMPLES,
) -> Attribution:
    """Return the gradients of K components of one picture.

    Args:
        model: the model of the components.
        z: (K,D).
        picture: (3,R,R) in [0, 1]; only looked at with ``at="image"``.
        at: ``start``: where a rendering begins, before anything is drawn (signed map from
            mid-grey, strength averaged over noise); ``image``: at the picture itself.
        seed: of the noise.
        samples: noise starts to average over.

    Raises:
        DivergenceError: a gradient is not finite.
    """
    size = model.card.image_size
    if at == "image":
        gradients = _gradients(model, picture, z)
        return Attribution(gradients, np.sqrt(np.square(gradients).mean(1)), model.card.ground)
    grey = start_picture(1, size, init="grey", seed=seed)[0]
    starts = [
        start_picture(1, size, init="noise", seed=(seed + n) % (MAX_SEED + 1))[0]
        for n in range(samples)
    ]
    squares = [np.square(_gradients(model, start, z)).mean(1) for start in starts]
    strength = np.sqrt(np.mean(squares, 0))
    return Attribution(_gradients(model, grey, z), strength, model.card.ground)


def _gradients(model: CometModel, x: Tensor, z: Tensor) -> np.ndarray:
    found = model.gradients(x[None].to(model.device), z[None].to(model.device))[0]
    if not torch.isfinite(found).all():
        bad = (~torch.isfinite(found)).flatten(1).any(1).nonzero().flatten().tolist()
        raise DivergenceError(f"the gradient of component {bad[0]} is not finite")
    return found.float().cpu().numpy()


def plan_gradients(
    images: Sequence[str],
    bench: Bench,
    *,
    at: str = "start",
    map_kind: str = "signed",
    with_overlay: bool = False,
    seed: int = 0,
    literal: bool = False,
) -> Recipe:
    """Encode images and return the recipe of their sheet of gradient maps.

    Raises:
        UsageError: an unknown choice, a ``.z`` (the picture itself is needed), or a part of a
            picture's components.
    """
    check_settings(seed=seed)
    for name, value, choices in (("--at", at, POINTS), ("--map", map_kind, MAPS)):
        if value not in choices:
            raise UsageError(f"{name} is '{value}', expected one of {', '.join(choices)}")
    for selection in parse_selections(bench, images, literal=literal):
        if selection.items is not None or selection.weight != 1:
            raise UsageError(
                f"'{show(selection.text)}': gradients maps all components of a picture; name the "
                "picture alone"
            )
    draft = RecipeDraft()
    for opened, picked in open_selections(bench, images, literal=literal):
        if opened.picture is None:
            raise UsageError(
                f"'{show(opened.path)}' holds components without their picture; gradients needs "
                "the picture"
            )
        terms = tuple(draft.term(opened, k) for k, _ in picked)
        draft.rows.append(RecipeRow(row_name(opened), terms, encode_png(opened.picture)))
    return draft.finish(
        "gradients",
        {
            "at": at,
            "map": map_kind,
            "overlay": with_overlay,
            "seed": seed,
            **bench.environment(),
        },
    )


def attribute_rows(
    recipe: Recipe, bench: Bench, progress: Progress | None = None
) -> list[Attribution]:
    """Return the gradients of every row of a ``gradients`` recipe."""
    found = []
    for row in recipe.rows:
        terms = bench.terms(recipe, row)
        model = terms[0].model
        size = model.card.image_size
        pixels = decode_png(row.picture, "an input in the recipe")
        if pixels.shape != (size, size, 3) or any(t.model is not model for t in terms):
            raise FileFormatError("an input in the recipe does not fit its model")
        with bench.arithmetic():
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


def component_maps(recipe: Recipe, attribution: Attribution) -> list[np.ndarray]:
    """Return a picture (R,R,3) uint8 a component.

    Signed maps show −∇_x E_k, the way that the picture is pushed, around mid-grey.
    """
    if recipe.choice("map", MAPS) == "heat":
        return [heat_map(strength) for strength in attribution.strength]
    return [signed_map(-gradient) for gradient in attribution.gradients]


def draw_gradients(recipe: Recipe, attributions: Sequence[Attribution]) -> np.ndarray:
    """Lay a ``gradients`` recipe out as a sheet, or as the one map it asks for: (H,W,3) uint8."""
    if recipe.settings.get("only") is not None:
        only = recipe.setting("only", int, low=0, high=len(recipe.rows[0].terms) - 1)
        return component_maps(recipe, attributions[0])[only]
    with_overlay = recipe.settings.get("overlay") is True
    most = max(len(row.terms) for row in recipe.rows)
    cells: list[list[np.ndarray | None]] = []
    for row, attribution in zip(recipe.rows, attributions, strict=True):
        pixels = decode_png(row.picture, "an input in the recipe")
        cells.append([pixels, *component_maps(recipe, attribution)])
        if with_overlay:
            cells[-1] += [None] * (most - len(row.terms))
            cells[-1].append(overlay(pixels, attribution.segments(), len(row.terms)))
    return draw_sheet(
        Sheet(
            columns=["input", *component_columns(recipe, most)] + ["strongest"] * with_overlay,
            rows=[row.name for row in recipe.rows],
            cells=cells,
            breaks=frozenset({1, most + 1}),
        )
    )


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
        metadata: write the recipe into the sheet.
        force: replace files that comet did not make.
        progress: called with (done, total) images.
        settings: see :func:`plan_gradients`.

    Returns:
        The paths written.
    """
    if npz is not None and Path(npz).suffix != ".npz":
        raise UsageError(f"the numbers' file '{show(npz)}' must end in .npz")
    if each is not None and not Path(each).is_dir():
        raise UsageError(
            f"the folder '{show(each)}' does not exist; make it: mkdir -p '{show(each)}'"
        )
    recipe = plan_gradients(images, bench, **settings)
    names = [] if each is None else _map_names(recipe, Path(each))
    check_distinct([(row.name, path) for row, _, path in names])
    for _, _, path in names:
        check_output(path, force=force, inputs=images)
    attributions = attribute_rows(recipe, bench, progress)
    numbers = b"" if npz is None else gradients_npz(recipe, attributions)
    embedded = recipe if metadata else None
    write_png(draw_gradients(recipe, attributions), output, embedded)
    if npz is not None:
        write_output(npz, numbers)
    maps = [m for attribution in attributions for m in component_maps(recipe, attribution)]
    for (row, component, path), pixels in zip(names, maps, strict=False):
        chosen = {**recipe.settings, "overlay": False, "only": component}
        alone = dataclasses.replace(recipe, rows=(row,), settings=chosen)
        write_png(pixels, path, alone if metadata else None)
    return [output, *([] if npz is None else [npz]), *(str(path) for _, _, path in names)]


def _map_names(recipe: Recipe, folder: Path) -> list[tuple[RecipeRow, int, Path]]:
    return [
        (row, t.component, folder / f"{row.name}-{t.component}.png")
        for row in recipe.rows
        for t in row.terms
    ]
