"""``comet gradients``: what each component's energy asks of which pixel, ∇_x E_k (section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comet_cli.drawing.maps import MAPS, RULES, component_map, component_mask, strongest_segments
from comet_cli.drawing.sheets import Sheet, draw_sheet, overlay
from comet_cli.energy.composition import start_picture
from comet_cli.errors import DivergenceError, FileFormatError, UsageError
from comet_cli.formats.files import show
from comet_cli.formats.images import decode_png, encode_png, from_bytes
from comet_cli.formats.picture_recipe import Recipe, RecipeRow
from comet_cli.inputs.session import Bench, Progress, RecipeDraft, open_selections, parse_selections
from comet_cli.models.comet_model import CometModel
from comet_cli.verbs.compose_recipe import MAX_SEED, check_settings
from comet_cli.verbs.decompose import component_columns, row_name

POINTS = ("start", "image")
SAMPLES = 4


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
        return strongest_segments(self.strength, everywhere=self.everywhere)


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


def draw_gradients(recipe: Recipe, attributions: Sequence[Attribution]) -> np.ndarray:
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
    most = max(len(row.terms) for row in recipe.rows)
    cells: list[list[np.ndarray | None]] = []
    for row, attribution in zip(recipe.rows, attributions, strict=True):
        pixels = decode_png(row.picture, "an input in the recipe")
        cells.append([pixels, *_maps(recipe, row, attribution)])
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


def _maps(recipe: Recipe, row: RecipeRow, attribution: Attribution) -> list[np.ndarray]:
    pixels = decode_png(row.picture, "an input in the recipe")
    return [
        component_map(
            recipe.choice("map", MAPS),
            k,
            gradient=attribution.gradients[k],
            strength=attribution.strength[k],
            pixels=pixels,
        )
        for k in range(len(row.terms))
    ]


def _mask(recipe: Recipe, attribution: Attribution, component: int) -> np.ndarray:
    if recipe.choice("mask", RULES) == "strongest":
        owned = attribution.segments() == component
    else:
        threshold = recipe.setting("threshold", float, low=0, high=1)
        owned = component_mask(attribution.strength[component], threshold)
    return np.where(owned[..., None], np.uint8(255), np.uint8(0)).repeat(3, 2)
