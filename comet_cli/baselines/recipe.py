"""A baseline's training recipe: sections [baseline], [data] and [train]."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comet_cli.baselines.card import BaselineCard
from comet_cli.formats.facts import check_keys, from_facts
from comet_cli.training.recipe import (
    TrainingRecipe,
    check_recipe_name,
    parse_recipe,
    parse_toml,
    read_recipe_text,
    sections,
)
from comet_cli.training.settings import DataSettings, TrainSettings, check

SECTION = "baseline"
# Of [train]; the optimizer is the paper's, and nothing is averaged or clipped unless it is said.
SETTINGS = (
    *("iterations", "batch", "learning_rate", "schedule", "warm_up", "clip", "seed", "threads"),
    *("checkpoint_minutes", "log_every"),
)
# Of [data]; figures of swaps, and labels, are the models'.
DATA = ("train", "held_out", "measured", "flip", "colour_jitter")


@dataclass(frozen=True)
class BaselineRecipe:
    """A whole recipe: the baseline's facts, the data, the training."""

    card: BaselineCard
    data: DataSettings
    train: TrainSettings
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check what concerns several sections.

        Raises:
            FileFormatError: a batch that the baseline cannot be normalised over.
        """
        enough = self.train.batch > 1 or self.card.kind != "infogan"
        check("train", [(enough, "infogan needs a batch of 2 or more")])


def parse_any_recipe(text: str, where: str = "recipe") -> TrainingRecipe | BaselineRecipe:
    """Read a recipe, a baseline's where it has a section [baseline].

    Raises:
        FileFormatError: see :func:`comet_cli.training.recipe.parse_recipe`.
    """
    document = parse_toml(text, where)
    if SECTION not in document:
        return parse_recipe(text, where)
    facts, data, train = sections(document, (SECTION, "data", "train"), where)
    check_keys(data, DATA, ("train",), f"{where}, [data]")
    check_keys(train, SETTINGS, ("iterations",), f"{where}, [train]")
    check_recipe_name(facts, f"{where}, [{SECTION}]")
    settings: dict[str, Any] = {"clip": math.inf, **train}
    return BaselineRecipe(
        from_facts(BaselineCard, facts, f"{where}, [{SECTION}]"),
        from_facts(DataSettings, data, f"{where}, [data]"),
        from_facts(TrainSettings, settings, f"{where}, [train]"),
        text,
    )


def read_any_recipe(path: Path) -> TrainingRecipe | BaselineRecipe:
    """Read a recipe file (see :func:`parse_any_recipe`)."""
    return parse_any_recipe(read_recipe_text(path), where=str(path))
