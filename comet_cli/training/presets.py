"""Recipes that nobody has to write: from a folder of pictures, or from another model."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import torch

from comet_cli.errors import UsageError
from comet_cli.models.card import ModelCard, without_effect
from comet_cli.training.checkpoint import Begun
from comet_cli.training.loss_table import ATTENTION, LOSSES, PRECISION
from comet_cli.version import __version__

FROM_ITERATIONS = ("warm_up", "small_iterations", "penalty_warm_up")
# One step of descent suffices for the quadratic energy (docs/mathematics.md).
_QUADRATIC = {
    "energy": "quadratic",
    "filter_dim": 32,
    "step_size": 1.0,
    "num_steps": 1,
    "render_step_size": 1.0,
    "render_steps": 5,
    "init": "grey",
}
_COMMON = {
    "batch": 16,
    "schedule": "cosine",
    "clip": 1.0,
    "ema": 0.998,
    "precision": "auto",
    "weights": "float16",
    "log_every": 50,
}
_GLOBAL_LOSSES = {
    "gradient": 0.02,
    "swap": 0.02,
    "latent_noise": 0.05,
    "purity": 1e-3,
    "parsimony": 1e-4,
}
_OBJECT_LOSSES = {
    "mixture": 1.0,
    "consistency": 1.0,
    "attention_area": 1e-3,
    "silence": 1e-4,
    "parsimony": 3e-4,
    "purity": 2e-3,
    "area": 5e-4,
}
SMALLEST_HALF = 32  # pixels; objects come apart at this size, and sooner than at a larger one


@dataclass(frozen=True)
class Preset:
    """What a kind of components is trained with.

    Attributes:
        about: one line.
        model: facts of the card.
        losses: weights of the losses beside the square error.
        iterations: optimizer steps.
        penalties: share of the iterations until the losses have their full weight.
    """

    about: str
    model: dict[str, Any]
    losses: dict[str, float]
    iterations: int
    penalties: float


PRESETS = {
    "global": Preset(
        "factors of the whole picture, such as light, view, hair (K 4, D 64)",
        {"encoder": "global", "spatial": True, **_QUADRATIC, "components": 4, "latent_dim": 64},
        _GLOBAL_LOSSES,
        2400,
        0.3,
    ),
    "objects": Preset(
        "a background and as many objects as there are (K 9: up to eight, D 32)",
        {
            "encoder": "recurrent",
            "attention": "colouring",
            "ground": True,
            **_QUADRATIC,
            "components": 9,
            "latent_dim": 32,
        },
        _OBJECT_LOSSES,
        5000,
        0.8,
    ),
}


@dataclass(frozen=True)
class Wishes:
    """What a user may ask of a recipe; None where the preset, or the model begun from, decides."""

    name: str
    data: str
    components: int | None = None
    latent_dim: int | None = None
    image_size: int | None = None
    iterations: int | None = None
    keep: tuple[int, ...] = ()
    begun: Begun = field(default_factory=Begun)  # the training that is to go on, if any


def preset_recipe(preset: str, wishes: Wishes) -> str:
    """Return the text of a recipe for pictures of a kind.

    Raises:
        UsageError: no such preset, or wishes that cannot be.
    """
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}', expected one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    facts = {**chosen.model, "image_size": 64}
    model = _wished(facts, wishes)
    train: dict[str, Any] = {"learning_rate": _rate(model)}
    halves, odd = divmod(model["image_size"], 2)
    if model.get("attention") == "colouring" and not odd and halves >= SMALLEST_HALF:
        iterations = chosen.iterations if wishes.iterations is None else wishes.iterations
        train["small_iterations"] = max(0, iterations) // 2
    return _recipe(chosen, wishes, model, train)


def tuning_recipe(card: ModelCard, start_from: str, wishes: Wishes) -> str:
    """Return the text of a recipe that goes on from a model, for other pictures.

    Args:
        card: the model's.
        start_from: its name or folder.
        wishes: K and R may differ from the model's; D only be larger, of a recurrent one.

    Raises:
        UsageError: wishes that cannot be.
    """
    longer = card.encoder == "recurrent" and (wishes.latent_dim or 0) > card.latent_dim
    if wishes.latent_dim not in (None, card.latent_dim) and not longer:
        change = "can only raise it" if card.encoder == "recurrent" else "cannot change it"
        raise UsageError(
            f"--latent-dim is {wishes.latent_dim}, but '{card.name}' has {card.latent_dim}; "
            f"fine-tuning {change}"
        )
    _check_kept(wishes)
    if wishes.keep and wishes.components is None:
        wishes = dataclasses.replace(wishes, components=len(wishes.keep))
    kind = "objects" if card.encoder == "recurrent" else "global"
    names = (
        *("encoder", "attention", "ground", "redraws", "redraw_above", "glimpses"),
        *("energy", "sees_image", "spatial", "responds", "mean_margin"),
        *("filter_dim", "components", "latent_dim", "image_size", "step_size", "num_steps"),
        *("render_step_size", "render_steps", "init"),
    )
    unsaid = _unsaid(card)
    facts = _wished({name: getattr(card, name) for name in names if name not in unsaid}, wishes)
    same = facts["components"] == card.components
    if not all(card.positional):  # which a recipe that is silent has
        kept = list(wishes.keep) or range(min(card.components, facts["components"]))
        flags = [card.positional[k] for k in kept if k < card.components]
        added = facts["components"] - len(flags)
        facts["positional"] = flags + [card.usually_positional] * added
    if card.labels and same and not wishes.keep:
        facts["labels"] = card.labels
    train: dict[str, Any] = {"start_from": start_from}
    if wishes.keep:
        train["keep"] = list(wishes.keep)
    # Weights that are good already move with smaller steps.
    train["learning_rate"] = 0.5 * _rate(facts)
    base = PRESETS[kind]
    return _recipe(
        dataclasses.replace(base, losses=_losses(card, base), iterations=base.iterations // 2),
        wishes,
        facts,
        train,
    )


def _check_kept(wishes: Wishes) -> None:
    twice = [k for k in wishes.keep if wishes.keep.count(k) > 1]
    if twice:
        raise UsageError(f"--keep names component {twice[0]} twice, expected different ones")
    count = len(wishes.keep)
    if wishes.components is not None and count > wishes.components:
        raise UsageError(
            f"--keep names {count} components, more than --components, which is "
            f"{wishes.components}; leave it out, or keep fewer"
        )


def _unsaid(card: ModelCard) -> set[str]:
    """Return facts of a card that do nothing, or are what they are where a recipe is silent."""
    usual = {f.name for f in dataclasses.fields(card) if getattr(card, f.name) == f.default}
    return usual | without_effect(dataclasses.asdict(card))


def _losses(card: ModelCard, base: Preset) -> dict[str, float]:
    """Return those losses of a preset that the energy of a card has."""
    if card.energy != "quadratic" or (card.sees_image and not card.spatial):
        return {}
    return {
        name: weight
        for name, weight in base.losses.items()
        if not (card.sees_image and name in LOSSES and LOSSES[name].needs is PRECISION)
        and not (not card.colours and name in LOSSES and LOSSES[name].needs is ATTENTION)
    }


def recipe_name(text: str) -> str:
    """Return a text as a model's name: letters, digits, ``.``, ``_`` and ``-``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "model"


def _optimizer(model: dict[str, Any]) -> str:
    if model.get("attention") == "colouring":  # with Muon and many components objects may not part
        return "adamw"
    return "muon" if model["encoder"] == "global" and has_muon() else "adam"


def _rate(model: dict[str, Any]) -> float:
    return 1.5e-3 if _optimizer(model) == "muon" else 1e-3


def has_muon() -> bool:
    """Whether this torch has the optimizer that global components are learned faster with."""
    return hasattr(torch.optim, "Muon")


def _wished(facts: dict[str, Any], wishes: Wishes) -> dict[str, Any]:
    changed = {
        name: getattr(wishes, name)
        for name in ("components", "latent_dim", "image_size")
        if getattr(wishes, name) is not None
    }
    facts = {**facts, **changed}
    fewest = 2 if facts.get("attention") == "colouring" else 1
    for name, least in (("components", fewest), ("latent_dim", 2), ("image_size", 16)):
        if facts[name] < least:
            option = {"image_size": "size"}.get(name, name).replace("_", "-")
            raise UsageError(f"--{option} is {facts[name]}, expected at least {least}")
    if facts.get("spatial") and facts["image_size"] % 8:
        raise UsageError(f"--size is {facts['image_size']}, expected a multiple of 8")
    return facts


def _recipe(preset: Preset, wishes: Wishes, model: dict[str, Any], train: dict[str, Any]) -> str:
    iterations = preset.iterations if wishes.iterations is None else wishes.iterations
    if iterations < 1:
        raise UsageError(f"--iterations is {iterations}, expected at least 1")
    train = {
        "iterations": iterations,
        "optimizer": _optimizer(model),
        **train,
        "warm_up": min(100, iterations // 10),
        **_COMMON,
        **preset.losses,
    }
    if preset.losses:
        train["penalty_warm_up"] = int(preset.penalties * iterations)
    train.update(_over(wishes.begun, train))
    pictures = recipe_name(PurePath(wishes.data).name)
    model = {
        "name": wishes.name,
        "description": f"Components of the pictures of {pictures}.",
        **model,
        "dataset": pictures,
    }
    lines = [f"# Written by comet {__version__}; change it, and train by it: comet train FILE"]
    for section, facts in (("model", model), ("data", {"train": wishes.data}), ("train", train)):
        lines += ["", f"[{section}]", *(f"{k} = {_toml(v)}" for k, v in facts.items())]
    return "\n".join(lines) + "\n"


def _over(begun: Begun, train: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a training that goes on which were over before it came so far.

    They follow from how many iterations are asked for. Where more are asked for now, they stay as
    they were: what is over does not begin again.
    """
    try:
        before = tomllib.loads(begun.recipe).get("train", {})
    except tomllib.TOMLDecodeError:
        return {}
    kept = [k for k in FROM_ITERATIONS if k in before and k in train]
    return {k: before[k] for k in kept if before[k] <= begun.iteration}


def _toml(value: Any) -> str:
    """Return a value as TOML: JSON of text, numbers, truth and lists is that."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
