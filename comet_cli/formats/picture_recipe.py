"""Recipes: what was done to make a picture, embedded in its PNG, enough to make it again.

A recipe holds the latents themselves, so no ``.z`` is needed, and no path, user or host name. It
is sorted JSON in an uncompressed iTXt entry ``comet``.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.components import MAX_COMPONENTS, MAX_LATENT_DIM
from comet_cli.formats.png_entries import SIGNATURE, add_text, has_text, read_text, stored_hash
from comet_cli.formats.strict_json import parse_json

FORMAT = "comet-recipe"
VERSION = 1
KEYWORD = b"comet"
PIXELS_KEYWORD = b"comet-pixels"
FIGURE_KEYWORD = b"comet-figure"
ROUNDING = 1e-5  # of latents, in parts of their largest number
MAX_WRITTEN_BYTES = 60 << 20  # Pillow reads at most 64 MiB of text
VERBS = ("compose", "decompose", "gradients", "recombine")
Setting = str | int | float | bool | None


@dataclass(frozen=True)
class ModelReference:
    """A model by name and by the hash of its weights."""

    name: str
    sha256: str


@dataclass(frozen=True)
class RecipeTerm:
    """One component of a composition.

    Attributes:
        model: position in the recipe's models.
        z: (D,) float32.
        weight: its weight.
        component: which component of its picture it was.
        label: what sheets call it ("" for its number).
        mask: a PNG of where it acts (white) and where not (black), or b"" for everywhere.
    """

    model: int
    z: np.ndarray
    weight: float
    component: int
    label: str = ""
    mask: bytes = b""


@dataclass(frozen=True)
class RecipeRow:
    """The terms of one input, and the input itself where the picture shows it.

    Attributes:
        name: base name of the input.
        terms: its components.
        picture: a PNG of the input as the model saw it, or b"".
    """

    name: str
    terms: tuple[RecipeTerm, ...]
    picture: bytes = b""


@dataclass(frozen=True)
class PictureRecipe:
    """How a picture was made.

    Attributes:
        verb: the verb that made it.
        models: the models that its terms speak of.
        rows: one for ``compose``, one an input for sheets.
        settings: seed, steps, step size, size …, by name.
        versions: of comet and torch.
    """

    verb: str
    models: tuple[ModelReference, ...]
    rows: tuple[RecipeRow, ...]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return sorted JSON; the same recipe gives the same text."""
        facts = {
            "format": FORMAT,
            "version": VERSION,
            "verb": self.verb,
            "models": [{"name": m.name, "sha256": m.sha256} for m in self.models],
            "rows": [_row_facts(row) for row in self.rows],
            "settings": dict(self.settings),
            "versions": dict(self.versions),
        }
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, data: bytes, where: str = "the recipe") -> PictureRecipe:
        """Read a recipe; nothing in it is trusted.

        Raises:
            FileFormatError: not a recipe of this version, or a broken one.
        """
        facts = parse_json(data, where)
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise FileFormatError(f"{where} is not of the format '{FORMAT}'")
        if facts.get("version") != VERSION:
            raise FileFormatError(
                f"{where} has version {facts.get('version')!r:.40}, this comet reads {VERSION}; "
                "update comet"
            )
        try:
            return _from_facts(cls, facts)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
            raise FileFormatError(f"{where} is malformed: {reason}") from None

    def setting(self, name: str, kind: type, *, low: float, high: float) -> Any:
        """Return a numeric setting, checked.

        Raises:
            FileFormatError: absent, of another type, or outside [low, high].
        """
        value: Any = self.settings.get(name)
        if kind is float and type(value) is int:
            with contextlib.suppress(OverflowError):
                value = float(value)
        fits = type(value) is kind
        if not fits or not low <= value <= high:
            raise FileFormatError(
                f"the recipe's setting '{name}' is {value!r:.40}, expected {kind.__name__} "
                f"from {low:g} to {high:g}"
            )
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return a setting that is one of a few words.

        Raises:
            FileFormatError: absent, or another word.
        """
        value = self.settings.get(name)
        if not isinstance(value, str) or value not in choices:
            raise FileFormatError(
                f"the recipe's setting '{name}' is {value!r:.40}, "
                f"expected one of {', '.join(choices)}"
            )
        return value


def _row_facts(row: RecipeRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "picture": base64.b64encode(row.picture).decode(),
        "terms": [_term_facts(term) for term in row.terms],
    }


def _term_facts(term: RecipeTerm) -> dict[str, Any]:
    facts = {
        "model": term.model,
        "z": base64.b64encode(np.asarray(term.z, "<f4").tobytes()).decode(),
        "weight": term.weight,
        "component": term.component,
        "label": term.label,
    }
    return {**facts, "mask": base64.b64encode(term.mask).decode()} if term.mask else facts


def _need(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def _text(value: Any, what: str) -> str:
    _need(
        isinstance(value, str) and (value.isprintable()) and len(value) <= 1024,
        f"{what} must be text",
    )
    return str(value)


def _base64(value: Any, what: str) -> bytes:
    _need(isinstance(value, str), f"{what} must be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError(f"{what} is not base64") from None


def _from_facts(cls: type[PictureRecipe], facts: dict[str, Any]) -> PictureRecipe:
    unknown = set(facts) - {"format", "version", "verb", "models", "rows", "settings", "versions"}
    _need(not unknown, f"unknown keys {', '.join(sorted(unknown))[:100]!r}")
    _need(facts["verb"] in VERBS, f"the verb must be one of {', '.join(VERBS)}")
    _need(isinstance(facts["models"], list), "models must be a list")
    models = tuple(
        ModelReference(_text(m["name"], "a model's name"), _text(m["sha256"], "a model's hash"))
        for m in facts["models"]
    )
    _need(isinstance(facts["rows"], list) and bool(facts["rows"]), "rows must be a list")
    rows = tuple(_parse_row(row, len(models)) for row in facts["rows"])
    settings, versions = facts["settings"], facts["versions"]
    _need(isinstance(settings, dict) and isinstance(versions, dict), "settings must be an object")
    for name, value in settings.items():
        _text(name, "a setting's name")
        _need(value is None or isinstance(value, str | int | float), f"setting {name} is no value")
        _need(not isinstance(value, str) or value.isprintable(), f"setting {name} must be text")
    versions = {_text(n, "a version"): _text(v, "a version") for n, v in versions.items()}
    return cls(facts["verb"], models, rows, settings, versions)


def _parse_row(facts: dict[str, Any], models: int) -> RecipeRow:
    _need(isinstance(facts["terms"], list) and bool(facts["terms"]), "terms must be a list")
    count = len(facts["terms"])
    _need(count <= MAX_COMPONENTS, f"there are {count} terms, at most {MAX_COMPONENTS} can be")
    terms = tuple(_parse_term(term, models) for term in facts["terms"])
    picture = _base64(facts["picture"], "a picture")
    return RecipeRow(_text(facts["name"], "a name"), terms, picture)


def _parse_term(facts: dict[str, Any], models: int) -> RecipeTerm:
    data = _base64(facts["z"], "a latent")
    _need(0 < len(data) <= 4 * MAX_LATENT_DIM and len(data) % 4 == 0, "a latent must be float32")
    z = np.frombuffer(data, "<f4")
    _need(bool(np.isfinite(z).all()), "a latent holds a number that is not finite")
    model, component, weight = facts["model"], facts["component"], facts["weight"]
    _need(type(model) is int and 0 <= model < models, "a term names a model that is not listed")
    _need(type(component) is int and 0 <= component < MAX_COMPONENTS, "component must be a number")
    _need(type(weight) in (int, float) and math.isfinite(weight), "weight must be a number")
    label = _text(facts["label"], "a label")
    mask = _base64(facts.get("mask", ""), "a mask")
    return RecipeTerm(model, z, float(weight), component, label, mask)


def is_same(a: PictureRecipe, b: PictureRecipe) -> bool:
    """Say whether two recipes make one picture: they are equal but for the rounding of latents.

    With another number of threads, the last bits of what an encoder gives are others.
    """
    if _without_terms(a).to_json() != _without_terms(b).to_json() or len(a.rows) != len(b.rows):
        return False
    return all(
        _same_terms(one.terms, a.models, other.terms, b.models)
        for one, other in zip(a.rows, b.rows, strict=True)
    )


def _same_terms(
    ours: Sequence[RecipeTerm],
    models: Sequence[ModelReference],
    theirs: Sequence[RecipeTerm],
    their_models: Sequence[ModelReference],
) -> bool:
    """Say whether terms are the same, in any order: rounding may have changed that as well."""
    left: dict[tuple[Any, ...], list[np.ndarray]] = {}
    for term in theirs:
        left.setdefault(_facts_of(term, their_models), []).append(term.z)
    for term in ours:
        others = left.get(_facts_of(term, models), [])
        near = [n for n, z in enumerate(others) if _is_near(term.z, z)]
        if not near:
            return False
        del others[near[0]]
    return not any(left.values())


def _facts_of(term: RecipeTerm, models: Sequence[ModelReference]) -> tuple[Any, ...]:
    model = models[term.model]
    facts = (term.component, term.weight, term.label, term.mask)
    return (model.name, model.sha256, *facts, term.z.shape)


def _is_near(z: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(z - other).max() <= ROUNDING * np.abs(other).max())


def _without_terms(recipe: PictureRecipe) -> PictureRecipe:
    rows = tuple(replace(row, terms=()) for row in recipe.rows)
    models = sorted(recipe.models, key=lambda model: (model.name, model.sha256))
    return replace(recipe, rows=rows, models=tuple(models))


def check_readable(recipe: PictureRecipe) -> None:
    """Check, before any work, that a picture's recipe will be read by comet and open elsewhere.

    Raises:
        UsageError: it is longer, or holds more, than readers take.
    """
    text = recipe.to_json().encode("utf-8")
    remedy = "compose less, or give --no-metadata to write the picture without a recipe"
    if len(text) > MAX_WRITTEN_BYTES:
        raise UsageError(
            f"the recipe in the picture would have {len(text) >> 20} MiB, more than "
            f"{MAX_WRITTEN_BYTES >> 20}, which other programs refuse; {remedy}"
        )
    try:
        PictureRecipe.from_json(text, "the recipe in the picture")
    except FileFormatError as error:
        raise UsageError(f"{error}; {remedy}") from None


def embed_recipe(png: bytes, recipe: PictureRecipe, pixels: np.ndarray | None = None) -> bytes:
    """Return a PNG with the recipe in an iTXt entry, right after its header.

    Args:
        png: the picture.
        recipe: how it was made.
        pixels: (H,W,3) uint8, what the PNG shows; their hash tells later whether it still does.
    """
    if pixels is not None:
        png = mark_pixels(png, pixels)
    return add_text(png, KEYWORD, recipe.to_json().encode("utf-8"))


def mark_pixels(png: bytes, pixels: np.ndarray) -> bytes:
    """Return a PNG with the hash of what it shows, (H,W,3) uint8: comet made it.

    Their hash as they are stored stands there too: where nobody saved the picture again, nothing is
    decoded to tell.
    """
    return add_text(png, PIXELS_KEYWORD, b" ".join((pixels_hash(pixels), stored_hash(png))))


def pixels_hash(pixels: np.ndarray) -> bytes:
    """Return the hash of a picture (H,W,3) uint8, as text."""
    content = np.ascontiguousarray(pixels, np.uint8)
    shape = " ".join(map(str, content.shape))
    return hashlib.sha256(shape.encode() + b"\0" + content.tobytes()).hexdigest().encode()


def recipe_text(png: bytes, where: str = "the image") -> bytes | None:
    """Return the raw text of a PNG's ``comet`` entry, None where there is none.

    Raises:
        FileFormatError: the entry is broken, or unpacks to more than 64 MiB.
    """
    return read_text(png, KEYWORD, where)


def has_recipe(png: bytes) -> bool:
    """Say whether a PNG carries a ``comet`` entry, whatever is in it."""
    return has_text(png, KEYWORD)


def read_recipe(png: bytes, where: str = "the image") -> PictureRecipe:
    """Read the recipe of a PNG.

    Raises:
        FileFormatError: no PNG, no recipe in it, or a broken one.
    """
    if not png.startswith(SIGNATURE):
        raise FileFormatError(f"{where} is not a PNG, so it holds no recipe")
    text = recipe_text(png, where)
    if text is None:
        raise FileFormatError(
            f"{where} holds no recipe: comet did not make it, was told --no-metadata, or drew a "
            "figure of the paper (`comet figure` draws it again)"
        )
    return PictureRecipe.from_json(text, where=f"the recipe in {where}")
