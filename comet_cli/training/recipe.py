"""A training recipe: one TOML file that says everything a training run depends on."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from comet_cli.errors import FileFormatError, MissingInputError, UsageError
from comet_cli.formats.facts import check_keys, check_type, from_facts
from comet_cli.models.card import ModelCard
from comet_cli.models.folder import check_name
from comet_cli.training.loss_table import LOSSES
from comet_cli.training.settings import DataSettings, TrainSettings, check

SECTIONS = ("model", "data", "train")


class PicturesRecipe(Protocol):
    """A recipe of a model or of a baseline, whose card is another: what both have."""

    @property
    def card(self) -> Any:
        """The facts of what is trained, among them ``image_size``."""

    @property
    def data(self) -> DataSettings:
        """Where the pictures are."""

    @property
    def train(self) -> TrainSettings:
        """The settings, among them batch and seed."""


@dataclass(frozen=True)
class TrainingRecipe:
    """A whole recipe: the model's facts, the data, the training."""

    card: ModelCard
    data: DataSettings
    train: TrainSettings
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check what concerns several sections.

        Raises:
            FileFormatError: ``match`` does not fit the components, or what changes pictures.
        """
        match, several = self.train.match, isinstance(self.data.train, list)
        check(
            "train",
            [
                (
                    not match or len(match) == self.card.components,
                    f"match must list the factors of each of the {self.card.components} components",
                ),
                (
                    not match or not (self.data.flip or self.data.colour_jitter),
                    "match needs pictures as they were labelled, without flip and colour_jitter",
                ),
                (not match or not several, "match is for one data set"),
                (
                    not match or self.card.encoder == "global",
                    "match is for the global encoder: objects have no fixed component",
                ),
            ],
        )


def _with_defaults(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the section [model] with what follows from its other facts."""
    count = facts.get("components")
    return {
        "positional": [True] * count if type(count) is int else [],
        "render_step_size": facts.get("step_size", 1.0),
        "render_steps": facts.get("num_steps", 1),
        **facts,
    }


def _train_settings(facts: dict[str, Any], where: str) -> TrainSettings:
    """Return the section [train], in which the weight of each loss is a setting."""
    settings = [f.name for f in dataclasses.fields(TrainSettings) if f.name != "losses"]
    check_keys(facts, [*settings, *LOSSES], (), where)
    losses = {name: facts[name] for name in LOSSES if name in facts}
    full_size = facts.get("full_size", {})
    if not isinstance(full_size, dict):
        raise FileFormatError(f"{where}: full_size must be a table of losses and their weights")
    check_keys(full_size, LOSSES, (), f"{where}: full_size")
    for name, weight in (*losses.items(), *full_size.items()):
        check_type(name, weight, float, where)
    others = {name: value for name, value in facts.items() if name not in losses}
    return from_facts(TrainSettings, {**others, "losses": losses}, where)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Return what TOML says.

    Raises:
        FileFormatError: it is not TOML.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{where} is not TOML: {error}") from None


def sections(document: dict[str, Any], names: Sequence[str], where: str) -> list[dict[str, Any]]:
    """Return the sections of a recipe, in the order of their names.

    Raises:
        FileFormatError: there are others, or one is missing.
    """
    extra = sorted(set(document) - set(names))
    if extra:
        raise FileFormatError(f"{where}: unknown section [{extra[0]}]")
    for name in names:
        if not isinstance(document.get(name), dict):
            raise FileFormatError(f"{where}: no section [{name}]")
    return [document[name] for name in names]


def check_recipe_name(facts: dict[str, Any], where: str) -> None:
    """Check that the name in a section is one that a model may have.

    Raises:
        FileFormatError: it is not.
    """
    try:
        check_name(str(facts.get("name", "model")))
    except UsageError as error:
        raise FileFormatError(f"{where}: {error}") from None


def parse_recipe(text: str, where: str = "recipe") -> TrainingRecipe:
    """Read a recipe.

    Args:
        text: TOML with the sections [model], [data] and [train].
        where: named in error messages.

    Raises:
        FileFormatError: not TOML, an unknown or missing key, a value out of range.
    """
    model, data, train = sections(parse_toml(text, where), SECTIONS, where)
    check_recipe_name(model, f"{where}, [model]")
    return TrainingRecipe(
        from_facts(ModelCard, _with_defaults(model), f"{where}, [model]"),
        from_facts(DataSettings, data, f"{where}, [data]"),
        _train_settings(train, f"{where}, [train]"),
        text,
    )


def read_recipe(path: Path) -> TrainingRecipe:
    """Read a recipe file (see :func:`parse_recipe`)."""
    return parse_recipe(read_recipe_text(path), where=str(path))


def read_recipe_text(path: Path) -> str:
    """Read a recipe file's text.

    Raises:
        MissingInputError: no such file.
        FileFormatError: it is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingInputError(f"there is no recipe {path}") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise FileFormatError(
            f"{path} cannot be read as a recipe, which is a text file (TOML); a folder of pictures "
            "is trained on with: comet train --data DIR --preset objects"
        ) from None
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
