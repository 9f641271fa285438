"""Trained folders as rows of a table: what was trained, on how much, and what it measures."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.baselines.card import BaselineCard, is_baseline, read_card
from comet_cli.baselines.folder import load_any
from comet_cli.baselines.recipe import read_any_recipe
from comet_cli.data.dataset_folder import LoadedPictures, load_folder, splits_in
from comet_cli.data.mapped import map_pictures, pictures_digest
from comet_cli.errors import CometError, UsageError
from comet_cli.evaluation.measure import measure_kind, measure_latents, rounded, split_taken
from comet_cli.formats.files import write_output
from comet_cli.models.card import ModelCard
from comet_cli.models.library import find, shipped_root
from comet_cli.training.checkpoint import look
from comet_cli.training.going_on import Memory
from comet_cli.training.loading import load_seen
from comet_cli.version import __version__

MEASURED = "measured.json"  # beside the weights: figures that take minutes are measured once
# What a recipe says beside what is trained.
ASIDE = ("name", "description", "intended_use", "limits", "dataset", "licence", "labels")


@dataclass(frozen=True)
class Trained:
    """A trained folder.

    Attributes:
        folder: where.
        card: the model's, or the baseline's.
        recipe: its recipe's sections; none of a model without a recipe.
    """

    folder: Path
    card: ModelCard | BaselineCard
    recipe: dict[str, dict[str, Any]]

    @property
    def kind(self) -> str:
        """``comet`` or the baseline's kind."""
        return self.card.kind if isinstance(self.card, BaselineCard) else "comet"

    @property
    def seed(self) -> int:
        """The training's seed."""
        return int(self.recipe.get("train", {}).get("seed", 0))

    @property
    def group(self) -> str:
        """What trainings have in common that differ in their seed alone."""
        if not self.recipe:
            return self.card.weights_sha256
        sections = {
            name: {k: v for k, v in section.items() if k not in (*ASIDE, "seed")}
            for name, section in self.recipe.items()
        }
        return json.dumps([sections, self.card.iterations], sort_keys=True)

    @property
    def pictures(self) -> int | None:
        """How many pictures training saw, with repetitions; None where no recipe says so."""
        batch = self.recipe.get("train", {}).get("batch", 16)
        return self.card.iterations * int(batch) if self.recipe else None

    @cached_property
    def parameters(self) -> int:
        """How many weights are trained."""
        model = load_any(self.folder, device="cpu")
        return sum(p.numel() for p in model.parameters())

    @property
    def data(self) -> Path:
        """Where the recipe's held-out pictures are.

        Raises:
            UsageError: no recipe says so in one path.
        """
        said = self.recipe.get("data", {})
        where = said.get("measured") or said.get("held_out") or said.get("train")
        if not isinstance(where, str):
            raise UsageError(f"{self.folder} does not say what it is measured on: give --data")
        return Path(where)


def read_trained(folder: Path) -> Trained:
    """Read a trained folder.

    Raises:
        CometError: it holds no model.
    """
    folder = find(str(folder))
    card = read_card(folder) if is_baseline(folder) else ModelCard.read(folder)
    path = folder / "recipe.toml"
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise CometError(f"{path} cannot be read: {error}") from None
    return Trained(folder, card, recipe)


def pictures_of(
    trained: Trained,
    size: int,
    *,
    data: Path | None = None,
    split: str = "test",
    count: int | None = None,
) -> LoadedPictures:
    """Return what a trained folder is measured on.

    Of the recipe's own set without a split ``test``, those are taken that training held out.

    Args:
        trained: the folder.
        size: R.
        data: another data set.
        split: of it.
        count: the most pictures; default all.

    Raises:
        CometError: no such pictures, or all are trained on.
    """
    where = trained.data if data is None else data
    if not _divided(trained, data, split):
        return load_folder(where, split=split_taken(where, split), size=size, limit=count)
    part, seen = _seen(trained, where)
    if seen.all():
        raise CometError(f"all pictures of {where} are trained on: give --data")
    loaded, rows = map_pictures(where, part, size), np.flatnonzero(~seen)[:count]
    masks = None if loaded.masks is None else np.array(loaded.masks[rows])
    return LoadedPictures(
        np.array(loaded.images[rows]), masks, [loaded.metadata[row] for row in rows]
    )


def count_seen(folder: Path, data: Path, count: int | None = None) -> int:
    """Return how many of the first pictures of a set without a split ``test`` were trained on.

    Args:
        folder: of a model or a baseline.
        data: the set; of one that the folder's recipe does not train on by that name, 0.
        count: of how many; default all.
    """
    if not (folder / "recipe.toml").is_file():
        return 0
    trained = read_trained(folder)
    where = trained.recipe.get("data", {}).get("train")
    if not isinstance(where, str) or Path(where).resolve() != data.resolve():
        return 0
    with suppress(CometError):  # what is held out may be gone since
        return 0 if "test" in splits_in(data) else int(_seen(trained, data)[1][:count].sum())
    return 0


def tell_seen(
    folder: Path,
    data: Path,
    split: str,
    count: int | None,
    note: Callable[[str], None],
) -> None:
    """Say how many of the pictures that are about to be measured were trained on, if any.

    Args:
        folder: of a model or a baseline.
        data: what is measured on.
        split: of it.
        count: of how many; default all.
        note: called with the sentence.
    """
    seen = count_seen(folder, data, count) if split == "test" else 0
    if seen:
        note(f"{seen} of these pictures were trained on")


def _seen(trained: Trained, where: Path) -> tuple[str | None, np.ndarray]:
    recipe = read_any_recipe(trained.folder / "recipe.toml")
    return load_seen(recipe, where, Memory(look(trained.folder).pictures, force=True))


def _divided(trained: Trained, data: Path | None, split: str) -> bool:
    """Say whether training held out a part of what has no split ``test``."""
    return data is None and split == "test" and "test" not in splits_in(trained.data)


def measured(
    trained: Trained,
    kind: str,
    *,
    data: Path | None = None,
    split: str = "test",
    count: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Return figures of a trained folder, measured now or kept from an earlier call.

    They are kept in the folder for the same weights, data, count and version of comet; in that of a
    shipped model nothing is written.

    Args:
        trained: the folder.
        kind: ``disentanglement``, or what :func:`comet_cli.evaluation.measure.measure_on` takes.
        data: a data set; default the recipe's held-out pictures.
        split: of it.
        count: the most pictures; default all.
        device: see :func:`comet_cli.baselines.folder.load_any`.

    Raises:
        CometError: see :mod:`comet_cli.evaluation.measure`.
    """
    where = trained.data if data is None else data
    divided = _divided(trained, data, split)
    digest = pictures_digest(where, None if divided else split_taken(where, split))
    asked = [
        digest,
        "held out" if divided else split,
        count,
        trained.card.weights_sha256,
        __version__,
    ]
    path = trained.folder / MEASURED
    kept = _kept(path)
    if kept.get(kind, {}).get("asked") == asked:
        return dict(kept[kind]["figures"])
    model = load_any(trained.folder, device=device)
    size = trained.card.image_size
    pictures = pictures_of(trained, size, data=data, split=split, count=count)
    if kind == "disentanglement":
        figures = rounded(measure_latents(model, pictures))
    else:
        figures = measure_kind(kind, model, pictures, where)
    kept[kind] = {"asked": asked, "figures": figures}
    if trained.folder.parent != shipped_root():
        with suppress(CometError):  # a folder that cannot be written is measured each time
            write_output(path, (json.dumps(kept, indent=2) + "\n").encode())
    return figures


def _kept(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # measured anew
    return found if isinstance(found, dict) else {}
