"""A recipe for people: what a picture is made of, as JSON values and as lines of text."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from comet_cli.errors import FileFormatError
from comet_cli.formats.components import SHORT, latent_hash
from comet_cli.formats.images import decode_mask
from comet_cli.formats.picture_recipe import (
    FIGURE_KEYWORD,
    PictureRecipe,
    RecipeRow,
    RecipeTerm,
    pixels_hash,
)
from comet_cli.formats.png_entries import read_text
from comet_cli.formats.strict_json import parse_json


def recipe_facts(recipe: PictureRecipe, where: str = "the image") -> dict[str, Any]:
    """Return a recipe as JSON values for people: latents by size and hash, pictures by theirs.

    Args:
        recipe: the recipe.
        where: named in error messages.

    Raises:
        FileFormatError: a mask in it cannot be read.
    """

    @cache
    def region(mask: bytes) -> dict[str, Any]:
        return _region_facts(mask, f"a mask in {where}")

    def term_facts(term: RecipeTerm) -> dict[str, Any]:
        return {
            "model": recipe.models[term.model].name,
            "component": term.component,
            "label": term.label,
            "weight": term.weight,
            "latent_dim": len(term.z),
            "latent_hash": latent_hash(term.z),
            "region": region(term.mask) if term.mask else None,
        }

    def row_facts(row: RecipeRow) -> dict[str, Any]:
        terms = [term_facts(term) for term in row.terms]
        return {"name": row.name, "picture": bool(row.picture), "terms": terms}

    return {
        "verb": recipe.verb,
        "models": [{"name": m.name, "sha256": m.sha256} for m in recipe.models],
        "settings": dict(recipe.settings),
        "versions": dict(recipe.versions),
        "rows": [row_facts(row) for row in recipe.rows],
    }


def _region_facts(mask: bytes, where: str) -> dict[str, Any]:
    """Return the box x, y, w, h that a mask acts in, and a hash where it is not just that box."""
    pixels = decode_mask(mask, where)
    acts = pixels[..., 0] > 0
    rows, columns = np.flatnonzero(acts.any(1)), np.flatnonzero(acts.any(0))
    if not rows.size:
        return {"box": [0, 0, 0, 0], "mask_hash": None}
    (y, bottom), (x, right) = rows[[0, -1]].tolist(), columns[[0, -1]].tolist()
    plain = bool((pixels[y : bottom + 1, x : right + 1] == 255).all())
    found = None if plain else pixels_hash(pixels).decode()[:SHORT]
    return {"box": [x, y, right + 1 - x, bottom + 1 - y], "mask_hash": found}


def term_lines(facts: dict[str, Any]) -> list[str]:
    """Return a line for each term of a recipe, of its :func:`recipe_facts`.

    Lines of two pictures are the same where the terms are.
    """
    return [
        f"{row['name'] + ': ' if row['name'] else ''}{_term_text(term)}"
        for row in facts["rows"]
        for term in row["terms"]
    ]


def _term_text(term: dict[str, Any]) -> str:
    label = f" ({term['label']})" if term["label"] else ""
    text = (
        f"{term['model']} component {term['component']}{label} × {term['weight']:g}, "
        f"z {term['latent_hash']}"
    )
    region = term["region"]
    if region is None:
        return text
    mask = f"mask {region['mask_hash']} in " if region["mask_hash"] else ""
    return f"{text}, only in {mask}{','.join(map(str, region['box']))}"


def figure_facts(png: bytes, where: str = "the image") -> dict[str, Any] | None:
    """Return what a figure of the paper says of itself; None of any other picture.

    Returns:
        ``figure`` (its number), ``models`` (hash by name) and ``comet`` (the version).

    Raises:
        FileFormatError: the entry is broken.
    """
    text = read_text(png, FIGURE_KEYWORD, where)
    if text is None:
        return None
    entry = f"the entry '{FIGURE_KEYWORD.decode()}' in {where}"
    facts = parse_json(text, entry)
    shapes = {"figure": int, "models": dict, "comet": str}
    sound = (
        isinstance(facts, dict)
        and {key: type(value) for key, value in facts.items()} == shapes
        and all(isinstance(sha256, str) for sha256 in facts["models"].values())
    )
    if not sound:
        raise FileFormatError(f"{entry} is malformed")
    return dict(facts)
