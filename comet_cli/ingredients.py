"""From the arguments of ``comet compose`` to the terms of a recipe: selections, blends, regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from comet_cli.errors import SelectionError, UsageError
from comet_cli.formats.files import check_inputs, read_input, show
from comet_cli.formats.images import encode_png, load_image, to_bytes
from comet_cli.formats.picture_recipe import ModelReference, RecipeTerm
from comet_cli.inputs.modifiers import Region, split_blend, split_region
from comet_cli.inputs.session import Bench, RecipeDraft, open_selections
from comet_cli.verbs.recombine_grid import blend

Ingredient = tuple[RecipeTerm, Region | None]


def open_ingredients(
    texts: Sequence[str], bench: Bench, *, literal: bool = False
) -> tuple[list[ModelReference], list[Ingredient]]:
    """Open the files of ``compose``'s arguments.

    Returns:
        The models, and the terms whose weight is not 0, each with its region.

    Raises:
        SelectionError: nothing selected, or a blend of different numbers of components.
        UsageError, FileFormatError: files that are not there, or not what they should be.
    """
    split = [split_region(text, literal=literal) for text in texts]
    check_inputs(dict.fromkeys(r.path for _, r in split if r is not None and r.path is not None))
    blends = [split_blend(text, literal=literal) for text, _ in split]
    flat = [text for first, second, _ in blends for text in (first, second) if text is not None]
    opened = iter(open_selections(bench, flat, literal=literal))
    draft = RecipeDraft()
    found: list[Ingredient] = []
    for (_, region), (first, second, part) in zip(split, blends, strict=True):
        source, picked = next(opened)
        terms = [draft.term(source, k, w) for k, w in picked]
        if second is not None:
            source, picked = next(opened)
            others = [draft.term(source, k, w) for k, w in picked]
            if len(others) != len(terms):
                raise SelectionError(
                    f"a blend is between as many components: '{show(first)}' selects {len(terms)}, "
                    f"'{show(second)}' {len(others)}"
                )
            terms = [blend(a, b, part) for a, b in zip(terms, others, strict=True)]
        found += [(term, region) for term in terms if term.weight]
    if not found:
        raise SelectionError("nothing is selected: every weight is 0; give at least one component")
    return draft.models, found


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


def draw_mask(region: Region, size: int) -> bytes:
    """Return a region of a canvas of ``size`` pixels as a PNG: white where it acts.

    Raises:
        UsageError: a rectangle that leaves the canvas, or a mask that is black everywhere.
    """
    if region.path is not None:
        picture = load_image(read_input(region.path), size, where=f"'{show(region.path)}'")
        # Eight bits, so that the recipe holds exactly what was used.
        grey = to_bytes(np.repeat(picture.mean(0, keepdims=True), 3, 0))
        if not grey.any():
            raise UsageError(f"the mask '{show(region.path)}' is black everywhere")
        return encode_png(grey)
    assert region.rectangle is not None
    x, y, w, h = region.rectangle
    if x + w > size or y + h > size:
        raise UsageError(
            f"the region {region.text} leaves the picture, which is {size} pixels wide and high"
        )
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[y : y + h, x : x + w] = 255
    return encode_png(pixels)
