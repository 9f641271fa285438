"""Checkpoints: everything an interrupted training needs to go on as if nothing had happened."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from comet_cli.errors import CometError, CometWarning, FileFormatError
from comet_cli.formats.files import write_output
from comet_cli.models.folder import CARD, WEIGHTS
from comet_cli.training import distributed

NAME = "checkpoint.pt"


@dataclass
class TrainingState:
    """Where a training is.

    The random numbers of iteration i are a function of the recipe's seed and i alone, so the
    iteration is the whole random state.
    """

    iteration: int
    seconds: float
    ema: dict[str, Tensor]


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: TrainingState,
    recipe_text: str,
    kept: Mapping[str, Any] | None = None,
) -> None:
    """Write ``folder/checkpoint.pt``, whole or not at all.

    Args:
        folder: of the training.
        model: its weights.
        optimizer: its moments.
        state: where the training is.
        recipe_text: that it goes by.
        kept: what :func:`look` finds again: ``pictures`` and ``started_from``.

    Raises:
        CometError: no space left, or the file cannot be written; the one before is still there.
    """
    content = {
        **(kept or {}),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": state.ema,
        "iteration": state.iteration,
        "seconds": state.seconds,
        "recipe": recipe_text,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_output(folder / NAME, buffer.getbuffer())


def save_or_tell(save: Callable[[], None]) -> str:
    """Write the checkpoint; where that fails, the training goes on: warn, and say why.

    Args:
        save: a call of :func:`save_checkpoint`.
    """
    try:
        save()
    except CometError as error:
        warnings.warn(f"no checkpoint was written: {error}", CometWarning, stacklevel=3)
        return str(error)
    return ""


@dataclass(frozen=True)
class Begun:
    """What a folder's checkpoint says.

    Attributes:
        iteration: how many are done.
        recipe: by which; empty where there is no checkpoint.
        pictures: held out (:class:`comet_cli.training.going_on.Memory`).
        started_from: of the card that the training will have; None where it was not written.
        alone: there is no checkpoint, and yet a model.
    """

    iteration: int = 0
    recipe: str = ""
    pictures: Mapping[str, Any] = field(default_factory=dict)
    started_from: dict[str, Any] | None = None
    alone: bool = False


def look(folder: Path) -> Begun:
    """Return how far a folder's training has come; 0 where none was begun, or none can be read."""
    try:
        content = torch.load(folder / NAME, map_location="cpu", weights_only=True, mmap=True)
        return Begun(
            int(content["iteration"]),
            str(content["recipe"]),
            dict(content.get("pictures", {})),
            content.get("started_from"),
        )
    except Exception:  # what is wrong with it is for load_checkpoint to say
        alone = not os.path.lexists(folder / NAME)
        return Begun(alone=alone and any(os.path.exists(folder / n) for n in (CARD, WEIGHTS)))


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[TrainingState, str] | None:
    """Restore model and optimizer from ``folder/checkpoint.pt``; None where there is none.

    Returns:
        the state, and the text of the recipe the checkpoint was written under.

    Raises:
        FileFormatError: the file is damaged or of another model.
    """
    path = folder / NAME
    found: list[dict[str, Any]] = []
    with _damage_told(path):
        if distributed.rank() == 0 and path.exists():
            found = [torch.load(path, map_location="cpu", weights_only=True)]
    found = distributed.from_first(found)  # the folder may be on the first machine only
    if not found:
        return None
    with _damage_told(path):
        content = found[0]
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        state = TrainingState(content["iteration"], content["seconds"], content["ema"])
        return state, content["recipe"]


@contextlib.contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Say in one sentence that a checkpoint cannot be gone on from, and why."""
    try:
        yield
    except (
        OSError,
        RuntimeError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(
            f"{path} does not fit this recipe or is damaged ({first}); "
            "train into another folder, or delete it to start again"
        ) from None
