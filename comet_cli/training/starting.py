"""The weights that a training starts from: random ones, or another model's."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import show
from comet_cli.models import comet_model, library
from comet_cli.models.card import START_FACTS, ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.training.checkpoint import look
from comet_cli.training.recipe import TrainingRecipe, read_recipe

# Of global encoders: K times D outputs, component by component.
LATENTS = "encoder.to_latents."
# Of spatial encoders: what makes the map of F filters, and what reads all of it.
NARROWING, READING = "encoder.narrow.weight", "encoder.hidden.weight"
# What decides which layers there are, beside the size of the pictures.
SHAPING = ("encoder", "attention", "energy", "spatial", "filter_dim", "latent_dim")
LARGEST = 256  # pixels; of the sizes that a message names
# Layers that another size, or seeing the image, adds to an energy, and glimpses to an encoder.
ADDED = ("grow", "refine", "reader", "seen_hidden", "seen_change", "glimpses")


def start_weights(recipe: TrainingRecipe) -> dict[str, Tensor]:
    """Return the weights a training starts from.

    Those of ``start_from``, whose components may be fewer or more, or random ones (of the recipe's
    seed).
    """
    torch.manual_seed(recipe.train.seed)
    model = CometModel(recipe.card)
    if recipe.train.start_from:
        other = comet_model.load(start_model(recipe), device="cpu")
        count = other.card.components
        kept = recipe.train.keep or range(min(count, recipe.card.components))
        old = with_components(other.state_dict(), count, kept)
        weights = grown(old, model.state_dict())
        if weights is None or not keeps_layout(other.card, recipe.card):
            raise CometError(
                f"start_from: '{recipe.train.start_from}' has another architecture than the "
                f"recipe: {difference(other, recipe.card)}"
            )
        model.load_state_dict(weights)
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def started_from(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return what a card says of the model that a training starts from, {} of random weights."""
    if not recipe.train.start_from:
        return {}
    card = ModelCard.read(library.find(start_model(recipe)))
    return {name: getattr(card, name) for name in START_FACTS}


def start_model(recipe: TrainingRecipe) -> str:
    """Return the name or the folder of the model that ``start_from`` means."""
    start = recipe.train.start_from
    return str(start_folder(start)) if is_recipe(start) else start


def is_recipe(start: str) -> bool:
    """Whether a ``start_from`` is a recipe, not a model."""
    return start.endswith(".toml")


def start_folder(path: str) -> Path:
    """Where the recipe that another one starts from is trained."""
    return Path("runs") / Path(path).stem


def untrained_starts(recipe: TrainingRecipe, folder: Path) -> list[tuple[TrainingRecipe, Path]]:
    """Return the recipes to train before this one, the first of them first, with their folders.

    Those are left out whose model is there: by the same recipe, trained to its end. A training that
    has begun needs none any more.

    Args:
        recipe: what is to be trained.
        folder: where.

    Raises:
        CometError: a recipe that is not there, or that cannot be read.
        UsageError: a recipe that starts from itself, or two that are trained into one folder.
    """
    before: list[tuple[TrainingRecipe, Path]] = []
    seen: set[str] = set()
    taken = {folder.resolve()}
    while is_recipe(start := recipe.train.start_from) and not look(folder).recipe:
        if start in seen:
            raise UsageError(f"start_from: '{show(start)}' starts from itself")
        seen.add(start)
        recipe, folder = read_recipe(Path(start)), start_folder(start)
        if folder.resolve() in taken:
            raise UsageError(
                f"start_from: '{show(start)}' is trained into '{show(folder)}', where what starts "
                "from it would be too; give another --output, or rename it"
            )
        taken.add(folder.resolve())
        if is_trained(recipe, folder):
            break
        before.insert(0, (recipe, folder))
    return before


def is_trained(recipe: TrainingRecipe, folder: Path) -> bool:
    """Whether a folder holds the model of a recipe, trained to its end."""
    try:
        card = ModelCard.read(folder)
        same = (folder / "recipe.toml").read_text(encoding="utf-8") == recipe.text
    except (CometError, OSError, UnicodeDecodeError):
        return False
    own = card.iterations - int(card.started_from.get("iterations", 0))
    return same and own >= recipe.train.iterations


def keeps_layout(old: ModelCard, new: ModelCard) -> bool:
    """Whether weights of ``old`` mean the same within those of ``new``.

    Outputs of several layers, or of all components of a global encoder, lie one after the other in
    one matrix. A longer latent of a recurrent encoder only adds to the end.
    """
    longer = new.encoder == "recurrent" and new.latent_dim > old.latent_dim
    return old.filter_dim == new.filter_dim and (longer or old.latent_dim == new.latent_dim)


def with_components(
    weights: dict[str, Tensor], count: int, kept: Sequence[int]
) -> dict[str, Tensor]:
    """Return a model's weights with some of its components only, in a new order.

    The recurrent encoders have no weights of single components: there nothing changes.

    Args:
        weights: a model's.
        count: its K.
        kept: which of them, 0-based.

    Raises:
        CometError: a component that the model does not have.
    """
    wrong = [k for k in kept if not 0 <= k < count]
    if wrong:
        raise CometError(
            f"recipe, [train]: keep names component {wrong[0]}, but start_from has 0 to {count - 1}"
        )
    chosen = dict(weights)
    for key in [key for key in weights if key.startswith(LATENTS)]:
        chosen[key] = weights[key].unflatten(0, (count, -1))[list(kept)].flatten(0, 1)
    return chosen


def difference(other: CometModel, card: ModelCard) -> str:
    """Return why a training of a card's model cannot start from another model, for messages."""
    old, size = other.card, card.image_size
    found = [
        f"{name} is {getattr(card, name)}, not {getattr(old, name)}"
        for name in SHAPING
        if getattr(card, name) != getattr(old, name)
    ]
    if size != old.image_size and size not in (sizes := sizes_from(other)):
        known = ", ".join(map(str, sizes))
        found.append(f"pictures of {size} pixels need other layers, those of {known} do not")
    return "; ".join(found) or "the layers are others"


def sizes_from(other: CometModel) -> list[int]:
    """Return the sizes of pictures (multiples of 8) that a model can go on with."""
    old = {key: value.to("meta") for key, value in other.state_dict().items()}
    found = []
    for size in range(16, LARGEST + 1, 8):
        with torch.device("meta"), contextlib.suppress(CometError):  # no network has that size
            new = CometModel(other.card.replace(image_size=size)).state_dict()
            if grown(old, new) is not None:
                found.append(size)
    return found


def read_at_size(old: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a model's weights with those that read the map of a spatial encoder at a new size.

    They give what the old ones give of the new map, bilinearly resized to the old one's size.
    """
    if not {READING, NARROWING} <= old.keys() & new.keys():
        return old
    filters = len(old[NARROWING])
    before, after = (math.isqrt(each[READING].shape[1] // filters) for each in (old, new))
    if before == after or len(new[NARROWING]) != filters:
        return old
    unit = torch.eye(after**2, device=old[READING].device).unflatten(1, (1, after, after))
    resized = F.interpolate(unit, (before, before), mode="bilinear").flatten(1)
    weights = old[READING].unflatten(1, (filters, -1)) @ resized.T.to(old[READING].dtype)
    return {**old, READING: weights.flatten(1)}


def grown(old: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Return the weights of ``new`` with what ``old`` has of them.

    Levels that a larger picture adds to a decoder start by handing on what they are given. A layer
    with more inputs or outputs than before keeps the former ones. New inputs weigh nothing
    at first, and new outputs a hundredth of their random weights, so that the network does what it
    did: features that were trained are large, and random weights on them would be a leap. A map of
    another size is read as the former one (:func:`read_at_size`). None if the layers are others, or
    narrower.
    """
    old = read_at_size(old, new)
    added = new.keys() - old.keys()
    fits = old.keys() <= new.keys() and all(
        a.ndim == new[k].ndim and all(m <= n for m, n in zip(a.shape, new[k].shape, strict=True))
        for k, a in old.items()
    )
    if not fits or not all(key.split(".")[1] in ADDED for key in added):
        return None
    found = {key: first_weights(key, new[key]) for key in added}
    for key, value in old.items():
        weights = new[key] * 0.01
        if value.ndim > 1:
            weights[: len(value)] = 0
        weights[tuple(slice(n) for n in value.shape)] = value
        found[key] = weights
    return found


def first_weights(key: str, weights: Tensor) -> Tensor:
    """Return what a decoder's added layer starts from: next to nothing is changed by it."""
    if key.split(".")[1] not in ("grow", "refine"):
        return weights  # what is seen weighs nothing at first
    if key.split(".")[1] == "grow" and weights.ndim == 4:
        return torch.nn.init.dirac_(weights.clone()) + 0.05 * weights
    return 0.05 * weights
