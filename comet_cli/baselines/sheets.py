"""The pictures that stand beside the tables of trained folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from comet_cli.baselines.folder import load_any
from comet_cli.baselines.rows import Row, Table
from comet_cli.baselines.trained import Trained, measured, pictures_of, read_trained
from comet_cli.errors import CometError
from comet_cli.evaluation import latent_sheet as latents
from comet_cli.evaluation import segment_sheet as objects
from comet_cli.evaluation.autoencoder import Measured, component_titles


def component_names(trained: Trained) -> list[str]:
    """Return the labels of a training's components, or their numbers."""
    return component_titles(trained.card, trained.card.components)


def latent_picture(
    trained: Trained,
    *,
    data: Path | None = None,
    split: str = "test",
    count: int | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Return the sheet of one training of table 1 (H,W,3) uint8.

    Args:
        trained: the training; what was measured before is taken from its folder.
        data: what was measured on; default the recipe's held-out pictures.
        split: of it.
        count: the most pictures that were measured; default all.
        device: ``auto``, ``cpu``, ``cuda[:n]`` or ``mps``.
    """
    factors = measured(
        trained, "disentanglement", data=data, split=split, count=count, device=device
    )["factors"]
    model = load_any(trained.folder, device=device)
    size = model.card.image_size
    shown = pictures_of(trained, size, data=data, split=split, count=latents.SHOWN)
    return latents.latent_sheet(model, shown.images, factors, component_names(trained))


def object_picture(
    folders: Sequence[Path],
    table: Table,
    *,
    data: Path | None = None,
    split: str = "test",
    device: str = "auto",
) -> np.ndarray:
    """Return one sheet of trainings of table 2 or section 5.2 (H,W,3) uint8.

    Args:
        folders: one for each row.
        table: which.
        data: what was measured on; default the recipe's held-out pictures.
        split: of it.
        device: ``auto``, ``cpu``, ``cuda[:n]`` or ``mps``.

    Raises:
        CometError: the pictures have no masks.
    """
    found = [read_trained(folder) for folder in folders]

    def pictures(model: Measured) -> tuple[np.ndarray, np.ndarray]:
        size = model.card.image_size
        loaded = pictures_of(found[0], size, data=data, split=split, count=objects.SHOWN)
        if loaded.masks is None:
            raise CometError(
                f"{data or found[0].data} has no instance masks, which the sheet shows"
            )
        return loaded.images, loaded.masks

    named = [
        (heading(table.describe(trained)), load_any(trained.folder, device=device))
        for trained in found
    ]
    return objects.segment_sheet(named, pictures)


def heading(settings: dict[str, str]) -> str:
    """Return a row's settings as two lines: the model, and what tells it from others."""
    model, *others = settings.items()
    words = {"yes": "{key}", "no": ""}
    told = [
        words.get(value, f"{key} {value}" if value.isdigit() else value).format(key=key)
        for key, value in others
    ]
    return f"{model[1]}\n{', '.join(filter(None, told))}"


def first_folders(rows: Sequence[Row], folders: Sequence[Path]) -> list[Path]:
    """Return the folder of the first seed of each row."""
    by_name = {folder.name: folder for folder in reversed(folders)}
    return [by_name[row.folders[0]] for row in rows]
